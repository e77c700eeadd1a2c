"""The n-gram of graphones as an automaton, and the search for the best pronunciations in it."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError, ModelError
from asrkit.lm.model import NgramModel

Index = NDArray[np.int64]

MAX_PIECE = 2


@dataclass(frozen=True)
class GraphoneAutomaton:
    """A back-off n-gram as a deterministic automaton with failure arcs: a state is a history.

    Attributes
    ----------
    state_begin : (S + 1,) int64
        Arcs ``state_begin[s]`` to ``state_begin[s + 1]`` leave state s. State 0 is the empty history.
    arc_unit : (A,) int32
        Word id in the n-gram of what the arc is labelled with; increasing within a state.
    arc_next : (A,) int32
        State after the arc; of no meaning behind the end of a word.
    arc_logprob : (A,) float32
        Natural log of P(unit | history).
    backoff_state : (S,) int32
        The longest shorter history that is a state; 0 for state 0. Always a smaller number.
    backoff_logprob : (S,) float32
        Natural log of the weight with which units that have no arc are looked up there.
    start : int
        The state at the beginning of a word.
    num_units : int
        Units are 0 ... num_units - 1.
    """

    state_begin: NDArray[np.int64]
    arc_unit: NDArray[np.int32]
    arc_next: NDArray[np.int32]
    arc_logprob: NDArray[np.float32]
    backoff_state: NDArray[np.int32]
    backoff_logprob: NDArray[np.float32]
    start: int
    num_units: int

    @property
    def num_states(self) -> int:
        """Number of histories."""
        return len(self.backoff_state)

    @cached_property
    def work_space(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """What the kernel of the search scribbles on; see there."""
        return np.zeros((3, self.num_states), dtype=np.int32), np.zeros(self.num_units, dtype=np.int64)

    def check(self) -> None:
        """Raise :class:`ModelError` where following the arrays would lead outside them (a damaged file)."""
        num_states, num_arcs = self.num_states, len(self.arc_unit)
        begin, units, after, back = self.state_begin, self.arc_unit, self.arc_next, self.backoff_state
        dtypes = [array.dtype for array in (begin, units, after, self.arc_logprob, back, self.backoff_logprob)]
        sound = (
            dtypes == [np.int64, np.int32, np.int32, np.float32, np.int32, np.float32]
            and len(after) == len(self.arc_logprob) == num_arcs
            and len(self.backoff_logprob) == num_states == len(begin) - 1
            and 0 <= self.start < num_states
            and begin[0] == 0
            and begin[-1] == num_arcs
            and bool((np.diff(begin) >= 0).all())
            and bool(((units >= 0) & (units < self.num_units) & (after >= 0) & (after < num_states)).all())
            and bool((back >= 0).all() and back[0] == 0 and (back[1:] < np.arange(1, num_states)).all())
        )
        if sound:
            falls = np.flatnonzero(np.diff(units) <= 0) + 1
            sound = bool(np.isin(falls, begin).all())
        if not sound:
            raise ModelError("the arrays of the G2P model contradict each other", remedy="train it again")


def build_automaton(model: NgramModel) -> GraphoneAutomaton:
    """Turn an n-gram model into an automaton; every probability stays the same up to float32.

    States are the n-grams that something follows, behind the empty history; after an n-gram that nothing follows
    the history is its longest end that is a state.
    """
    states, suffixes = _states_and_suffixes(model)
    num_states = 1 + sum(int((state >= 0).sum()) for state in states)
    degree = np.zeros(num_states, dtype=np.int64)
    backoff_state = np.zeros(num_states, dtype=np.int32)
    backoff_logprob = np.zeros(num_states, dtype=np.float32)
    after: list[Index] = []  # state behind each n-gram: itself, or its longest end that is one
    for n, layer in enumerate(model.layers):
        # arcs in the order of the layers and their keys are arcs in the order of their states
        source = np.zeros(len(layer), dtype=np.int64) if n == 0 else states[n - 1][layer.keys // model.num_words]
        degree += np.bincount(source, minlength=num_states)
        shorter = np.zeros(len(layer), dtype=np.int64) if n == 0 else after[n - 1][suffixes[n]]
        is_state = states[n] >= 0
        after.append(np.where(is_state, states[n], shorter))
        backoff_state[states[n][is_state]] = shorter[is_state]
        backoff_logprob[states[n][is_state]] = layer.log10_backoff[is_state] * math.log(10)
    return GraphoneAutomaton(
        np.concatenate([[0], np.cumsum(degree)]),
        np.concatenate([layer.keys % model.num_words for layer in model.layers]).astype(np.int32),
        np.concatenate(after).astype(np.int32),
        (np.concatenate([layer.log10_prob for layer in model.layers]) * math.log(10)).astype(np.float32),
        backoff_state,
        backoff_logprob,
        int(after[0][model.bos_id]),
        model.num_words,
    )


def _states_and_suffixes(model: NgramModel) -> tuple[list[Index], list[Index]]:
    """For each layer: the state of an n-gram or -1, and the index one layer below of the n-gram's end."""
    states: list[Index] = []
    suffixes: list[Index] = []
    num_states = 1
    for n, layer in enumerate(model.layers):
        context, word = np.divmod(layer.keys, model.num_words)
        if n == 0:
            suffixes.append(np.zeros(len(layer), dtype=np.int64))
        else:
            end = np.zeros(len(layer), dtype=np.int64) if n == 1 else suffixes[n - 1][context]
            suffixes.append(model.find(n - 1, end, word))
        followed = np.zeros(len(layer), dtype=bool)
        if n + 1 < model.order:
            followed[model.layers[n + 1].keys // model.num_words] = True
        states.append(np.where(followed, num_states + np.cumsum(followed) - 1, -1))
        num_states += int(followed.sum())
    return states, suffixes


@dataclass(frozen=True)
class UnitTable:
    """Which units spell a piece of a word, and what they are said as.

    Attributes
    ----------
    ranges : mapping of tuple of str to (int, int)
        Piece of spelling -> first unit and the one behind the last.
    phones : sequence of tuple of str
        Phones of every unit; empty for the sentence symbols.
    end : int
        Unit of the word's end.
    """

    ranges: Mapping[tuple[str, ...], tuple[int, int]]
    phones: Sequence[tuple[str, ...]]
    end: int


@dataclass(frozen=True)
class SearchConfig:
    """How wide to search.

    Attributes
    ----------
    beam : float
        Histories whose best score (natural log) is further below the best one's are left, > 0.
    max_active : int
        Histories that are followed at most at each letter (more where scores are equal).
    max_paths : int
        The best so many cuts of a word into graphones are gathered into pronunciations, more where they are fewer
        than asked for.
    """

    beam: float = 10.0
    max_active: int = 200
    max_paths: int = 30

    def __post_init__(self) -> None:
        if not self.beam > 0:
            raise ConfigError(f"beam is {self.beam:g}, expected a positive number")
        for name, value in (("max_active", self.max_active), ("max_paths", self.max_paths)):
            if value < 1:
                raise ConfigError(f"{name} is {value}, expected 1 or more")


@dataclass(frozen=True)
class Lattice:
    """The pronunciations of a word that were not pruned: paths from node 0 to the last one.

    Attributes
    ----------
    arcs : (A, 3) int32
        Node from, node to, unit.
    logprob : (A,) float64
        Natural log probability of each arc.
    best : (N,) float64
        Score of the best path from node 0 to each node; -inf at the last one where there is none.
    total : float
        Log of the summed probability of all paths.
    """

    arcs: NDArray[np.int32]
    logprob: NDArray[np.float64]
    best: NDArray[np.float64]
    total: float


def search(automaton: GraphoneAutomaton, table: UnitTable, letters: Sequence[str], config: SearchConfig) -> Lattice:
    """Return the lattice of the pronunciations of a word within the beam.

    Histories are compared with those that have read the same letters; a piece of spelling that the table lacks
    has no arc.
    """
    from asrkit.lang import g2p_search_kernels as kernels  # brings Numba, which --help does not need

    low = np.zeros((len(letters), MAX_PIECE), dtype=np.int32)
    high = np.zeros((len(letters), MAX_PIECE), dtype=np.int32)
    for i in range(len(letters)):
        for size in range(1, MAX_PIECE + 1):
            if i + size <= len(letters):
                low[i, size - 1], high[i, size - 1] = table.ranges.get(tuple(letters[i : i + size]), (0, 0))
    a = automaton
    return Lattice(
        *kernels.search(
            *(a.state_begin, a.arc_unit, a.arc_next, a.arc_logprob, a.backoff_state, a.backoff_logprob),
            *(a.start, table.end, low, high, config.beam, config.max_active, *a.work_space),
        )
    )


def best_pronunciations(
    lattice: Lattice, table: UnitTable, num: int, max_paths: int
) -> list[tuple[tuple[str, ...], float]]:
    """Return the best pronunciations, at most ``num``, best first: phones and natural log of their probability.

    The best ``max_paths`` paths are taken in the order of their scores, and more (up to 100 for each wanted
    pronunciation) while they say fewer than ``num`` things; paths that say the same phones are one pronunciation,
    whose probability is their sum. Of equally probable ones the first in the order of phones comes first. A path that
    says nothing is no pronunciation.

    Notes
    -----
    A path is found backwards from the end; the exact best score of the way from the start guides the search (A*), so
    that the first whole path is the best one and the others follow in order. The arcs into a node wait in the order of
    their scores, each until the one before it is taken.
    """
    best, last = lattice.best, len(lattice.best) - 1
    if best[last] == -np.inf:
        return []
    score = lattice.logprob + best[lattice.arcs[:, 0]]  # of the best path that ends with the arc
    order = np.lexsort((-score, lattice.arcs[:, 1]))
    begin = np.searchsorted(lattice.arcs[order, 1], np.arange(last + 2)).tolist()
    found: dict[tuple[str, ...], float] = {}
    num_paths = num_pushed = 0
    heap: list[tuple[float, int, int, int, float, tuple[str, ...]]] = []

    def push(place: int, node: int, behind: float, phones: tuple[str, ...]) -> None:
        """Let the arc at ``place`` of those into ``node`` wait; ``behind`` and ``phones`` are those of the way on."""
        nonlocal num_pushed
        if place < begin[node + 1]:
            num_pushed += 1
            heapq.heappush(heap, (-float(score[order[place]]) - behind, num_pushed, place, node, behind, phones))

    push(begin[last], last, 0.0, ())
    while heap and (num_paths < max_paths or (len(found) < num and num_paths < max_paths + 100 * num)):
        cost, _, place, node, behind, phones = heapq.heappop(heap)
        if cost == math.inf:
            break
        push(place + 1, node, behind, phones)
        arc = order[place]
        source, said = int(lattice.arcs[arc, 0]), table.phones[lattice.arcs[arc, 2]] + phones
        if source > 0:
            push(begin[source], source, behind + float(lattice.logprob[arc]), said)
            continue
        num_paths += 1
        if said:
            found[said] = float(np.logaddexp(found[said], -cost)) if said in found else -cost
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))[:num]
