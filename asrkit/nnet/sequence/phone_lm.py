"""The n-gram over phones of lattice-free MMI: relative frequencies, no smoothing, and no more states than it needs."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from asrkit.core.errors import DataError
from asrkit.graph.training import END, PhoneGraph
from asrkit.nnet.sequence.config import PhoneLmConfig

BOUNDARY = 0
"""Stands before the first phone in histories, and for the end among what follows."""

History = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class PhoneLm:
    """A deterministic automaton over phones; what leaves a state, and ending there, add up to probability 1.

    Attributes
    ----------
    histories : tuple of tuple of int
        What is remembered in each state: the last phones, 1-based; :data:`BOUNDARY` is the start. State 0 is the start.
    arcs : tuple of mapping of int to (float, int)
        For each state: phone -> natural log of its probability, and the state behind it.
    finals : tuple of float
        Natural log of the probability of ending in each state, -inf where that was never seen.
    """

    histories: tuple[History, ...]
    arcs: tuple[Mapping[int, tuple[float, int]], ...]
    finals: tuple[float, ...]

    @property
    def num_states(self) -> int:
        """Number of states."""
        return len(self.histories)

    @property
    def num_arcs(self) -> int:
        """Number of arcs."""
        return sum(map(len, self.arcs))

    def logprob(self, phones: Sequence[int]) -> float:
        """Return the natural log of the probability of a whole sequence."""
        state, total = 0, 0.0
        for phone in phones:
            if phone not in self.arcs[state]:
                return -math.inf
            weight, state = self.arcs[state][phone]
            total += weight
        return total + self.finals[state]

    def phone_graph(self) -> PhoneGraph:
        """Return the graph of all its sequences, weighted by their probabilities."""
        graph = PhoneGraph()
        nodes: dict[tuple[int, int], int] = {}
        for arcs in self.arcs:
            for phone, (_, target) in arcs.items():
                if (target, phone) not in nodes:
                    nodes[target, phone] = graph.add(phone)
        graph.first = self._behind(0, nodes)
        for (state, _), node in nodes.items():
            graph.next[node] = self._behind(state, nodes)
        return graph

    def _behind(self, state: int, nodes: Mapping[tuple[int, int], int]) -> list[tuple[int, float]]:
        arcs = [(nodes[target, phone], weight) for phone, (weight, target) in self.arcs[state].items()]
        return [*arcs, *([(END, self.finals[state])] if self.finals[state] > -math.inf else [])]

    def restricted(self, allowed: PhoneGraph) -> PhoneGraph:
        """Return the graph of the sequences that another graph has too, each once, with the weights of this model.

        Parameters
        ----------
        allowed : PhoneGraph
            Without cycles; its weights play no part.
        """
        graph = PhoneGraph()
        nodes: dict[tuple[frozenset[int], int], int] = {}
        waiting: list[tuple[frozenset[int], int]] = []

        def behind(ways: Iterable[list[tuple[int, float]]], state: int) -> list[tuple[int, float]]:
            targets = {target for arcs in ways for target, _ in arcs}
            by_phone: dict[int, set[int]] = defaultdict(set)
            for target in targets - {END}:
                by_phone[allowed.phones[target]].add(target)
            found: list[tuple[int, float]] = []
            for phone, places in sorted(by_phone.items()):
                if phone in self.arcs[state]:
                    weight, after = self.arcs[state][phone]
                    key = (frozenset(places), after)
                    if key not in nodes:
                        nodes[key] = graph.add(phone)
                        waiting.append(key)
                    found.append((nodes[key], weight))
            if END in targets and self.finals[state] > -math.inf:
                found.append((END, self.finals[state]))
            return found

        graph.first = behind([allowed.first], 0)
        while waiting:
            key = waiting.pop()
            graph.next[nodes[key]] = behind([allowed.next[place] for place in sorted(key[0])], key[1])
        return graph


def linear_graph(phones: Sequence[int]) -> PhoneGraph:
    """Return the graph of one sequence of phones."""
    graph = PhoneGraph()
    arcs = graph.first
    for phone in phones:
        node = graph.add(phone)
        arcs.append((node, 0.0))
        arcs = graph.next[node]
    arcs.append((END, 0.0))
    return graph


def estimate_phone_lm(sequences: Iterable[Sequence[int]], config: PhoneLmConfig) -> PhoneLm:
    """Make the model of phone sequences, each of which gets a probability above 0.

    What is remembered of a sequence is the longest of its last parts, of ``order - 1`` phones at most, that was seen
    ``min_history_count`` times, or its last phone; what follows has its relative frequency there. There is no backing
    off: what never followed is impossible, which keeps the graph small (Kaldi's chain-est-phone-lm, whose greedy
    choice of what to remember is replaced by the count).

    Parameters
    ----------
    sequences : iterable of sequences of int
        1-based phone ids.

    Raises
    ------
    DataError
        There are none.
    """
    counts = _counts(sequences, config.order - 1)
    if not counts:
        raise DataError("no phone sequences to make a language model of")
    shortest = min(1, config.order - 1)

    def state_of(history: History) -> History:
        """Return what is remembered of a history."""
        for first in range(max(0, len(history) - config.order + 1), len(history) - shortest):
            if counts[history[first:]].total() >= config.min_history_count:
                return history[first:]
        return history[len(history) - shortest :]

    histories: list[History] = [state_of((BOUNDARY,))]
    states = {histories[0]: 0}
    arcs: list[dict[int, tuple[float, int]]] = []
    finals: list[float] = []
    for history in histories:  # which grows
        after, total = counts[history], counts[history].total()
        arcs.append({})
        for phone, count in sorted(after.items()):
            if phone == BOUNDARY:
                continue
            target = state_of((*history, phone))
            if target not in states:
                states[target] = len(histories)
                histories.append(target)
            arcs[-1][phone] = math.log(count / total), states[target]
        finals.append(math.log(after[BOUNDARY] / total) if after[BOUNDARY] else -math.inf)
    return PhoneLm(tuple(histories), tuple(arcs), tuple(finals))


def _counts(sequences: Iterable[Sequence[int]], longest: int) -> dict[History, Counter[int]]:
    """Return how often each phone, or the end, follows each history of up to so many phones."""
    counts: dict[History, Counter[int]] = defaultdict(Counter)
    for phones in sequences:
        padded = [BOUNDARY, *phones, BOUNDARY]
        for place in range(1, len(padded)):
            for first in range(max(0, place - longest), place + 1):
                counts[tuple(padded[first:place])][padded[place]] += 1
    return counts
