"""Training graphs: everything that a transcript may be, as HMM states, for alignment and EM."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import GraphError
from asrkit.graph.h_transducer import forward_arcs, physical_hmm
from asrkit.hmm.state_graph import StateGraph
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import ContextTree
from asrkit.lang.langdir import Lang
from asrkit.lang.silence import Weights

END = -1

Ints = NDArray[np.int32]


@dataclass
class PhoneGraph:
    """Weighted phone sequences. Of a transcript: one node a phone of a pronunciation, numbered from left to right.

    Attributes
    ----------
    phones : list of int
        Phone id of each node.
    next : list of list of (int, float)
        (node or :data:`END`, log weight) behind each node; of a transcript nodes come after those that lead to them.
    first : list of (int, float)
        Where paths begin; END here is the path without phones.
    """

    phones: list[int] = field(default_factory=list)
    next: list[list[tuple[int, float]]] = field(default_factory=list)
    first: list[tuple[int, float]] = field(default_factory=list)

    def add(self, phone: int) -> int:
        """Append a node and return its number."""
        self.phones.append(phone)
        self.next.append([])
        return len(self.phones) - 1


@dataclass(frozen=True)
class _Hmm:
    """A phone's part of a graph, self-loops behind the arcs that enter their states (Kaldi's reorder).

    A graph state is an HMM arc just taken; it holds the self-loop of the HMM state that the arc left.

    Attributes
    ----------
    num_states : int
    src, dst, label : int32
        Arcs within the phone, self-loops included; states 0-based within the phone.
    enter : list of (state, label)
        Arcs into the phone, from whatever comes before.
    exits : list of int
        States where the phone is over.
    """

    num_states: int
    src: Ints
    dst: Ints
    label: Ints
    enter: list[tuple[int, int]]
    exits: list[int]


class TrainingGraphCompiler:
    """Makes the graph of a transcript: its pronunciations, optional silence between words, HMM states.

    Parameters
    ----------
    lang : Lang
        Pronunciations and silence.
    tree : ContextTree
        Of any context width.
    transitions : TransitionModel
        Numbers the transition ids; its probabilities are not used, since they change in every iteration.
    """

    def __init__(self, lang: Lang, tree: ContextTree, transitions: TransitionModel) -> None:
        self.lang = lang
        self.tree = tree
        self.transitions = transitions
        self._hmms: dict[tuple[int, ...], _Hmm] = {}

    def compile(self, word_ids: Sequence[int] | NDArray[np.int32]) -> StateGraph:
        """Return the graph of a transcript.

        Parameters
        ----------
        word_ids : sequence of int
            1-based ids of :attr:`Lang.words`; see :meth:`Lang.transcript_ids`. Empty: silence alone.

        Returns
        -------
        StateGraph
            Labels are transition ids, weights those of pronunciations and of optional silence. Every arc emits;
            a state's self-loop follows the arc that leaves the HMM state (Kaldi's ``--reorder=true``). Weighted
            paths are those of H ∘ C ∘ L ∘ transcript, each once (twice where the lexicon itself says the same twice,
            as a word that is pronounced as the optional silence does).

        Raises
        ------
        GraphError
            A word has no pronunciation, or the transcript is empty and the language has no optional silence.
        """
        return self.expand(self.phone_graph(np.asarray(word_ids).tolist()))

    def expand(self, phones: PhoneGraph) -> StateGraph:
        """Return the graph whose paths are those of a phone graph, each phone replaced by its HMM in context.

        See :meth:`compile` for its labels and weights. The phone graph may have cycles.
        """
        nodes, first = _in_context(phones, self.tree) if self.tree.context_width > 1 else _alone(phones)
        return self._expand(nodes, first)

    def phone_graph(self, word_ids: Iterable[int]) -> PhoneGraph:
        """Return the phone sequences of a transcript, optional silence included."""
        graph = PhoneGraph()
        silence = self.lang.silence
        frontier = self._boundary(graph, [(graph.first, silence.start_weights)])
        for word in word_ids:
            entries = self.lang.entries_of_word.get(word)
            if entries is None:
                raise GraphError(f"word id {word} has no pronunciation", remedy="use Lang.transcript_ids")
            ends: list[tuple[list[tuple[int, float]], Weights]] = []
            for entry in entries:
                node = graph.add(entry.phones[0])
                for arcs, weight, silent in frontier:
                    arcs.append((node, weight + entry.before[silent] + entry.log_probability))
                for phone in entry.phones[1:]:
                    follower = graph.add(phone)
                    graph.next[node].append((follower, 0.0))
                    node = follower
                ends.append((graph.next[node], entry.after))
            frontier = self._boundary(graph, ends)
        for arcs, weight, silent in frontier:
            arcs.append((END, weight + silence.end_weights[silent]))
        if not graph.phones:
            raise GraphError("the transcript is empty, and the language has no optional silence")
        return graph

    def _boundary(
        self, graph: PhoneGraph, ends: list[tuple[list[tuple[int, float]], Weights]]
    ) -> list[tuple[list[tuple[int, float]], float, bool]]:
        """Put optional silence behind loose ends (lists of arcs to append to, weights without silence and with it).

        Returns the new ends: arcs, weight so far, whether silence was there.
        """
        if self.lang.optional_silence is None:
            return [(arcs, 0.0, False) for arcs, _ in ends]
        silence = graph.add(self.lang.optional_silence)
        for arcs, (_, with_silence) in ends:
            arcs.append((silence, with_silence))
        return [*((arcs, without, False) for arcs, (without, _) in ends), (graph.next[silence], 0.0, True)]

    def _expand(self, nodes: list[_Node], first: list[tuple[int, float]]) -> StateGraph:
        """Replace phones in context by their HMMs. State 0 is the start."""
        hmms = [self._hmm(node.window) for node in nodes]
        offsets = np.cumsum([1] + [hmm.num_states for hmm in hmms]).tolist()
        src: list[int] = []
        dst: list[int] = []
        label: list[int] = []
        weight: list[float] = []
        final = np.full(offsets[-1], -np.inf, dtype=np.float32)

        def join(states: list[int], arcs: list[tuple[int, float]]) -> None:
            for target, log_weight in arcs:
                if target == END:
                    final[states] = log_weight
                    continue
                for entered, tid in hmms[target].enter:
                    for state in states:
                        src.append(state)
                        dst.append(offsets[target] + entered)
                        label.append(tid)
                        weight.append(log_weight)

        join([0], first)
        for node, hmm, offset in zip(nodes, hmms, offsets, strict=False):
            join([offset + state for state in hmm.exits], node.next)
        shift = np.repeat(np.array(offsets[:-1], dtype=np.int32), [len(hmm.src) for hmm in hmms])
        all_src = np.concatenate([np.array(src, dtype=np.int32), *(hmm.src for hmm in hmms)])
        all_dst = np.concatenate([np.array(dst, dtype=np.int32), *(hmm.dst for hmm in hmms)])
        all_src[len(src) :] += shift
        all_dst[len(src) :] += shift
        all_label = np.concatenate([np.array(label, dtype=np.int32), *(hmm.label for hmm in hmms)])
        all_weight = np.zeros(len(all_src), dtype=np.float32)
        all_weight[: len(weight)] = weight
        initial = np.full(offsets[-1], -np.inf, dtype=np.float32)
        initial[0] = 0.0
        order = np.argsort(all_src, kind="stable")
        return StateGraph(
            offsets[-1], all_src[order], all_dst[order], all_label[order], all_weight[order], initial, final
        )

    def _hmm(self, window: tuple[int, ...]) -> _Hmm:
        hmm = self._hmms.get(window)
        if hmm is None:
            hmm = self._hmms[window] = self._build_hmm(window)
        return hmm

    def _build_hmm(self, window: tuple[int, ...]) -> _Hmm:
        arcs = forward_arcs(physical_hmm(window, self.tree, self.transitions), self.transitions)
        final = len(self.transitions.topology.states(window[self.tree.central_position])) - 1
        loops = self.transitions.self_loop_tid
        inner: list[tuple[int, int, int]] = []
        for place, (_, tid, target) in enumerate(arcs):
            if loops[tid]:
                inner.append((place, place, int(loops[tid])))
            inner += [(place, after, arc[1]) for after, arc in enumerate(arcs) if arc[0] == target]
        columns = np.array(inner, dtype=np.int32).reshape(-1, 3)
        enter = [(place, tid) for place, (state, tid, _) in enumerate(arcs) if state == 0]
        exits = [place for place, (_, _, target) in enumerate(arcs) if target == final]
        src, dst, label = (np.ascontiguousarray(columns[:, i]) for i in range(3))
        return _Hmm(len(arcs), src, dst, label, enter, exits)


@dataclass(frozen=True)
class _Node:
    """A phone in context: its window of phone ids, and (node or END, log weight) behind it."""

    window: tuple[int, ...]
    next: list[tuple[int, float]]


def _alone(graph: PhoneGraph) -> tuple[list[_Node], list[tuple[int, float]]]:
    return [_Node((phone,), after) for phone, after in zip(graph.phones, graph.next, strict=True)], graph.first


def _in_context(graph: PhoneGraph, tree: ContextTree) -> tuple[list[_Node], list[tuple[int, float]]]:
    """Give every phone its window.

    A variant of a node is (phones before it, node, nodes behind it): the left context need be known by its
    phones only, the right one by its nodes, since it says where the path goes on. Outside the utterance phones
    are 0 and nodes END.
    """
    right = tree.context_width - 1 - tree.central_position
    variants: dict[tuple[tuple[int, ...], int, tuple[int, ...]], int] = {}
    nodes: list[_Node] = []
    pending: list[tuple[tuple[int, ...], int, tuple[int, ...]]] = []

    def variant(before: tuple[int, ...], node: int, behind: tuple[int, ...]) -> int:
        key = (before, node, behind)
        if key not in variants:
            variants[key] = len(nodes)
            window = (*before, graph.phones[node], *(0 if n == END else graph.phones[n] for n in behind))
            nodes.append(_Node(window, []))
            pending.append(key)
        return variants[key]

    def grow(paths: list[tuple[tuple[int, ...], float]]) -> list[tuple[tuple[int, ...], float]]:
        grown: list[tuple[tuple[int, ...], float]] = []
        for path, weight in paths:
            if path[-1] == END:
                grown.append(((*path, END), weight))
            else:
                grown += [((*path, node), weight + more) for node, more in graph.next[path[-1]]]
        return grown

    paths: list[tuple[tuple[int, ...], float]] = [((node,), weight) for node, weight in graph.first]
    for _ in range(right):
        paths = grow(paths)
    outside = (0,) * tree.central_position
    first = [(END if path[0] == END else variant(outside, path[0], path[1:]), weight) for path, weight in paths]
    while pending:
        before, node, behind = key = pending.pop()
        shifted = (*before, graph.phones[node])[1:] if before else ()
        # The weight of an arc is paid where its target comes into the window.
        for path, weight in grow([((node, *behind), 0.0)]):
            target = END if path[1] == END else variant(shifted, path[1], path[2:])
            nodes[variants[key]].next.append((target, weight))
    return _left_to_right(nodes, first, [key[1] for key in variants])


def _left_to_right(
    nodes: list[_Node], first: list[tuple[int, float]], positions: list[int]
) -> tuple[list[_Node], list[tuple[int, float]]]:
    """Renumber variants in the order of their nodes."""
    order = sorted(range(len(nodes)), key=positions.__getitem__)
    place = {old: new for new, old in enumerate(order)} | {END: END}
    moved = [_Node(nodes[old].window, [(place[t], w) for t, w in nodes[old].next]) for old in order]
    return moved, [(place[target], weight) for target, weight in first]
