"""Lattices: many paths of one utterance, with words, costs and alignments, as flat arrays."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError, FormatError

IntArray = NDArray[np.int32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class LatticeScales:
    """How the parts of a path's cost are weighed; all costs are negative natural logs.

    Attributes
    ----------
    acoustic_scale : float
        Factor of the acoustic costs; 1 / LM weight.
    graph_scale : float
        Factor of the graph costs.
    word_insertion_penalty : float
        Cost added for each word; may be negative.
    """

    acoustic_scale: float = 1.0
    graph_scale: float = 1.0
    word_insertion_penalty: float = 0.0

    def __post_init__(self) -> None:
        for name in ("acoustic_scale", "graph_scale"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ConfigError(f"{name} is {value}, expected a number of 0 or more")
        if not math.isfinite(self.word_insertion_penalty):
            raise ConfigError(f"word_insertion_penalty is {self.word_insertion_penalty}, expected a finite number")

    def times(self, factor: float) -> LatticeScales:
        """Return scales that make every cost ``factor`` times as large."""
        return LatticeScales(
            factor * self.acoustic_scale, factor * self.graph_scale, factor * self.word_insertion_penalty
        )


@dataclass(frozen=True, eq=False)
class Lattice:
    """An acyclic acceptor of word sequences; each arc also carries the transition_ids of the frames it spans.

    State 0 is the start. States are numbered in topological order: an arc leads to a higher number. Every state can
    be reached, and reaches a final one. Make one with :func:`build_lattice`, which sees to that.

    As it comes from the search ("raw") an arc has at most one transition_id, and words stand on arcs of their own or
    not; a determinised lattice (Kaldi's CompactLattice) has one path for each word sequence, and its arcs carry
    strings of transition_ids. Both are this class; final states carry no transition_ids (where Kaldi's have some,
    an arc without word leads to a final state of its own).

    Attributes
    ----------
    offsets : int32, shape (num_states + 1,)
        The arcs of state s are rows ``offsets[s]`` up to ``offsets[s + 1]`` of the arc arrays.
    words : int32, shape (num_arcs,)
        Word ids, 1-based; 0 = no word (epsilon).
    destinations : int32, shape (num_arcs,)
        States, 0-based.
    graph_costs, acoustic_costs : float64, shape (num_arcs,)
        Negative natural logs, finite; acoustic costs are not scaled, graph costs hold no word insertion penalty.
    tid_offsets : int32, shape (num_arcs + 1,)
        The transition_ids (1-based) of arc a are ``tids[tid_offsets[a] : tid_offsets[a + 1]]``, one a frame.
    tids : int32
    final_graph_costs, final_acoustic_costs : float64, shape (num_states,)
        Costs of ending in a state; +inf (both) where it is not final.
    """

    offsets: IntArray
    words: IntArray
    destinations: IntArray
    graph_costs: Doubles
    acoustic_costs: Doubles
    tid_offsets: IntArray
    tids: IntArray
    final_graph_costs: Doubles
    final_acoustic_costs: Doubles

    @property
    def num_states(self) -> int:
        """Number of states."""
        return len(self.offsets) - 1

    @property
    def num_arcs(self) -> int:
        """Number of arcs."""
        return len(self.words)

    @functools.cached_property
    def sources(self) -> IntArray:
        """State that each arc leaves, 0-based, int32."""
        return np.repeat(np.arange(self.num_states, dtype=np.int32), np.diff(self.offsets))

    @functools.cached_property
    def num_tids(self) -> IntArray:
        """Number of frames that each arc spans, int32."""
        return np.diff(self.tid_offsets)

    @property
    def is_final(self) -> NDArray[np.bool_]:
        """Whether a path may end in a state, shape (num_states,)."""
        return self.final_graph_costs < np.inf

    @functools.cached_property
    def state_frames(self) -> IntArray:
        """Number of frames before each state, int32, shape (num_states,).

        Raises
        ------
        FormatError
            Paths of different lengths lead to the same state.
        """
        from asrkit.lattice.kernels import state_frames

        frames, consistent = state_frames(self.offsets, self.destinations, self.tid_offsets)
        if not consistent:
            raise FormatError("paths of different numbers of frames lead to one state of the lattice")
        return frames

    @property
    def num_frames(self) -> int:
        """Number of frames of every path.

        Raises
        ------
        FormatError
            Paths have different numbers of frames.
        """
        lengths = np.unique(self.state_frames[self.is_final])
        if len(lengths) != 1:
            raise FormatError(f"the lattice has paths of {lengths.min()} to {lengths.max()} frames")
        return int(lengths[0])

    @property
    def depth(self) -> float:
        """Average number of arcs that span a frame (Kaldi's lattice-depth)."""
        return len(self.tids) / max(self.num_frames, 1)

    def arc_costs(self, scales: LatticeScales) -> Doubles:
        """Return the weighed cost of each arc, float64."""
        penalties = scales.word_insertion_penalty * (self.words != 0)
        costs: Doubles = scales.graph_scale * self.graph_costs + scales.acoustic_scale * self.acoustic_costs + penalties
        return costs

    def final_costs(self, scales: LatticeScales) -> Doubles:
        """Return the weighed cost of ending in each state, float64; +inf where it is not final."""
        costs = np.full(self.num_states, np.inf)
        final = self.is_final
        costs[final] = (
            scales.graph_scale * self.final_graph_costs[final]
            + scales.acoustic_scale * self.final_acoustic_costs[final]
        )
        return costs

    def arc_tids(self, arc: int) -> IntArray:
        """Return the transition_ids of an arc, int32."""
        return self.tids[self.tid_offsets[arc] : self.tid_offsets[arc + 1]]


def build_lattice(
    start: int,
    sources: IntArray,
    destinations: IntArray,
    words: IntArray,
    graph_costs: Doubles,
    acoustic_costs: Doubles,
    tid_offsets: IntArray,
    tids: IntArray,
    final_graph_costs: Doubles,
    final_acoustic_costs: Doubles,
) -> Lattice:
    """Return the lattice of arcs in any order between states in any order.

    States that are not on a path from ``start`` to a final state are dropped, the others numbered in topological
    order. Arcs are sorted by source; those of one state keep their order.

    Parameters
    ----------
    start : int
        State where paths begin, 0-based.
    sources, destinations, words : int32, shape (num_arcs,)
    graph_costs, acoustic_costs : float64, shape (num_arcs,)
    tid_offsets, tids : int32
        As in :class:`Lattice`.
    final_graph_costs, final_acoustic_costs : float64, shape (num_states,)
        +inf (either) where a state is not final.

    Raises
    ------
    FormatError
        The arcs form a cycle, a state is out of range, a cost is no finite number, or no path is complete.
    """
    # Numba comes with it.
    from asrkit.lattice.kernels import topological_rank

    num_states = len(final_graph_costs)
    for name, states in (("source", sources), ("destination", destinations), ("start", np.array([start]))):
        if len(states) and not (states.min() >= 0 and states.max() < num_states):
            raise FormatError(f"a {name} state of the lattice is outside 0 to {num_states - 1}")
    for name, costs in (("graph", graph_costs), ("acoustic", acoustic_costs)):
        if not np.all(np.isfinite(costs)):
            raise FormatError(f"an arc of the lattice has a {name} cost that is no finite number")
    final = (final_graph_costs < np.inf) & (final_acoustic_costs < np.inf)
    if not np.all(np.isfinite(final_graph_costs[final]) & np.isfinite(final_acoustic_costs[final])):
        raise FormatError("a final cost of the lattice is no finite number")
    by_source = np.argsort(sources, kind="stable")
    first = np.concatenate([[0], np.cumsum(np.bincount(sources, minlength=num_states))])
    rank, count = topological_rank(int(start), first, destinations[by_source].astype(np.int64), final)
    if count == 0:
        raise FormatError("the lattice has no complete path")
    if count < 0:
        raise FormatError("the arcs of the lattice form a cycle")
    kept = by_source[(rank[sources[by_source]] >= 0) & (rank[destinations[by_source]] >= 0)]
    kept = kept[np.argsort(rank[sources[kept]], kind="stable")]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rank[sources[kept]], minlength=count))])
    lengths = np.diff(tid_offsets)[kept]
    new_tid_offsets = np.concatenate([[0], np.cumsum(lengths)])
    within = np.arange(new_tid_offsets[-1]) - np.repeat(new_tid_offsets[:-1], lengths)
    order = np.flatnonzero(rank >= 0)
    order = order[np.argsort(rank[order])]
    return Lattice(
        offsets=offsets.astype(np.int32),
        words=words[kept].astype(np.int32),
        destinations=rank[destinations[kept]].astype(np.int32),
        graph_costs=graph_costs[kept].astype(np.float64),
        acoustic_costs=acoustic_costs[kept].astype(np.float64),
        tid_offsets=new_tid_offsets.astype(np.int32),
        tids=tids[np.repeat(tid_offsets[kept], lengths) + within].astype(np.int32),
        final_graph_costs=np.where(final, final_graph_costs, np.inf)[order].astype(np.float64),
        final_acoustic_costs=np.where(final, final_acoustic_costs, np.inf)[order].astype(np.float64),
    )
