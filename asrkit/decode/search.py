"""Time-synchronous Viterbi beam search over a graph and loglikes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import DataError, GraphError, ModelError
from asrkit.decode import kernels
from asrkit.decode.config import SearchConfig
from asrkit.decode.graph import SearchGraph
from asrkit.decode.links import WITH_LANGUAGE, finished_lattice, grown_links, link_arrays, prune_links
from asrkit.decode.settled import NOTHING, arcs_to, shared_record
from asrkit.lattice.lattice import Lattice

# All grow by doubling.
_FIRST_ROOM = 1 << 10
_FIRST_RECORDS = 1 << 16
_FIRST_LINKS, _FIRST_FRAMES = 1 << 16, 1 << 10


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The best path.

    Attributes
    ----------
    words : tuple of int
        Its output labels, epsilons removed (1-based).
    word_starts, word_ends : ndarray, shape (num_words,), int32
        A word starts with the frame at which its label is passed and ends (exclusive) where the next one starts,
        the last one at the end; so silence behind a word is counted to it, and a graph that delays its labels
        delays the times.
    alignment : ndarray, shape (num_frames,), int32
        The input label (transition_id, 1-based) of each frame.
    total_cost : float
        ``graph_cost + acoustic_cost + word_insertion_penalty × number of words``; what the search minimises.
    graph_cost : float
        Arcs' costs, and the final cost where ``reached_final``.
    acoustic_cost : float
        −acoustic_scale × sum of the frames' loglikes.
    reached_final : bool
        Whether the path ends in a final state; False: no final state survived (or a partial result was asked
        for), and this is the best path into any state.
    lattice : Lattice or None
        Of a finished search with a lattice beam: all paths within it of the best one, into final states where
        ``reached_final``. Its acoustic costs are not scaled, its graph costs hold no word insertion penalty.
    """

    words: tuple[int, ...]
    word_starts: NDArray[np.int32]
    word_ends: NDArray[np.int32]
    alignment: NDArray[np.int32]
    total_cost: float
    graph_cost: float
    acoustic_cost: float
    reached_final: bool
    lattice: Lattice | None = None

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return len(self.alignment)


class BeamSearch:
    """One search at a time over a shared graph; its memory is used again for the next utterance.

    ``start()``, then ``advance(block)`` as often as there are blocks of frames, then ``finish()``. The size of the
    blocks never changes a result. Pruning is that of Kaldi's FasterDecoder; epsilon arcs may have negative costs.

    Parameters
    ----------
    graph : SearchGraph
        The graph folded with the model.
    config : SearchConfig
        May be changed with each ``start``.
    """

    def __init__(self, graph: SearchGraph, config: SearchConfig | None = None) -> None:
        self.graph = graph
        self.config = config or SearchConfig()
        self._tokens = _token_arrays(
            graph,
            _FIRST_ROOM,
            slot_of=np.full(0 if graph.lm else graph.graph.num_states, -1, dtype=np.int32),
            records=np.empty((_FIRST_RECORDS, 2), dtype=np.int32),
            counts=np.zeros(kernels.NUM_COUNTS, dtype=np.int64),
            limits=np.zeros(kernels.NUM_LIMITS),
        )
        self._links = link_arrays(0, 0, 0)
        self._frame_costs = np.empty(2 * graph.num_pdfs, dtype=np.float32)
        self._num_frames = 0
        self._open = False

    def start(self, config: SearchConfig | None = None) -> None:
        """Begin an utterance, with another configuration if one is given; what was left of another is forgotten.

        Raises
        ------
        GraphError
            A cycle of epsilon arcs with negative cost is reachable from the start state.
        """
        tokens, graph = self._tokens, self.graph
        self.config = config or self.config
        _set_limits(tokens.limits, self.config)
        kernels.forget_slots(tokens, graph.lm_arrays)
        tokens.counts[:] = 0
        self._links.counts[:] = 0
        self._links.counts[WITH_LANGUAGE] = graph.lm is not None
        if self.config.lattice_beam > 0:
            self._links = grown_links(self._links, _FIRST_LINKS, _FIRST_FRAMES, len(tokens.candidate))
        self._num_frames = 0
        first = graph.graph.start
        while True:
            tokens = self._tokens
            place = np.int64(first)
            if graph.lm is not None:
                place = kernels.place_of_pair(tokens, np.uint32(first), graph.lm.start)
                tokens.link[0, 3:] = (place, graph.lm.start)
            tokens.slot_of[place] = 0
            tokens.cost[0] = 0.0
            tokens.link[0, :3] = (first, kernels.ROOT, kernels.ROOT)
            tokens.queue[0] = 0
            tokens.counts[kernels.TOKENS] = 1
            status = kernels.close(graph.arrays, tokens, graph.lm_arrays, math.inf, 1)
            if status == kernels.DONE:
                break
            kernels.forget_slots(tokens, graph.lm_arrays)
            tokens.counts[kernels.TOKENS] = 0
            self._help(status)
        self._open = True

    def advance(self, loglikes: NDArray[np.float32]) -> None:
        """Take the next frames.

        Parameters
        ----------
        loglikes : ndarray, shape (num_frames, num_pdfs), float32
            Natural log; −inf = impossible.

        Raises
        ------
        ModelError
            A wrong shape, a NaN or a +inf among the loglikes.
        DataError
            No path survived a frame.
        GraphError
            A cycle of epsilon arcs with negative cost was reached.
        """
        if not self._open:
            raise RuntimeError("advance() before start()")
        if loglikes.ndim != 2 or loglikes.shape[1] != self.graph.num_pdfs:
            raise ModelError(f"loglikes have shape {loglikes.shape}, expected (frames, {self.graph.num_pdfs})")
        # Mapped archives give read-only, unaligned arrays, for which the kernels would be compiled once more.
        block = np.require(loglikes, dtype=np.float32, requirements=["C", "A", "W"])
        counts = self._tokens.counts
        counts[kernels.FRAME] = 0
        self._open = False
        arrays, lm, costs = self.graph.arrays, self.graph.lm_arrays, self._frame_costs
        while (status := kernels.advance(arrays, self._tokens, self._links, lm, block, costs)) != kernels.DONE:
            self._help(status, self._num_frames + int(counts[kernels.FRAME]))
        self._num_frames += len(block)
        self._open = True

    def partial(self) -> SearchResult:
        """Return the best path so far, final or not, without ending the search."""
        if not self._open:
            raise RuntimeError("partial() before start()")
        return self._result(use_final=False)

    def settled_words(self) -> tuple[int, ...]:
        """Return the words that all paths begin with: whatever follows, the result will begin with them, too."""
        if not self._open:
            raise RuntimeError("settled_words() before start()")
        tokens, counts = self._tokens, self._tokens.counts
        last = shared_record(tokens.link, counts[kernels.TOKENS], tokens.records, counts[kernels.RECORDS])
        if last == NOTHING:
            return ()
        labels = self.graph.graph.arcs[arcs_to(tokens.records, last), 1]
        return tuple(labels[labels != 0].tolist())

    def relative_cost(self) -> float:
        """Return how much worse the best path into a final state is than the best path, >= 0; +inf: there is none."""
        if not self._open:
            raise RuntimeError("relative_cost() before start()")
        count = self._tokens.counts[kernels.TOKENS]
        costs = self._tokens.cost[:count]
        return float((costs + self._final_costs(np.arange(count))).min() - costs.min())

    def finish(self) -> SearchResult:
        """End the utterance and return the best path into a final state, or the best partial one, flagged."""
        if not self._open:
            raise RuntimeError("finish() before start()")
        self._open = False
        result = self._result(use_final=True)
        return replace(result, lattice=self._lattice(result)) if self.config.lattice_beam > 0 else result

    def decode(self, loglikes: NDArray[np.float32]) -> SearchResult:
        """Search a whole utterance: ``start``, ``advance`` once, ``finish``."""
        self.start()
        self.advance(loglikes)
        return self.finish()

    def _help(self, status: int, frame: int = 0) -> None:
        """Make room for what a kernel asks for, or raise the error it reports."""
        tokens, counts = self._tokens, self._tokens.counts
        if status == kernels.NEED_ROOM:
            room = 2 * len(tokens.cost)
            grown = _token_arrays(self.graph, room, tokens.slot_of, tokens.records, counts, tokens.limits)
            survivors = counts[kernels.SURVIVORS]
            grown.kept_cost[:survivors] = tokens.kept_cost[:survivors]
            grown.kept[:survivors] = tokens.kept[:survivors]
            self._tokens = grown
            if self.config.lattice_beam > 0:
                self._links = grown_links(self._links, 0, 0, room)
        elif status == kernels.NEED_LINKS:
            self._links = grown_links(self._links, 2 * len(self._links.excess), 2 * len(self._links.frames), 0)
        elif status == kernels.PRUNE_LINKS:
            prune_links(self._links, self.config.lattice_beam)
        elif status == kernels.NEED_RECORDS:
            kernels.collect(tokens, np.empty(counts[kernels.RECORDS], dtype=np.int32))
            # At least half of the room is free after a collection, so that collections stay rare.
            needed = 2 * int(counts[kernels.RECORDS] + counts[kernels.TOKENS])
            if needed > len(tokens.records):
                grown_records = np.empty((max(needed, 2 * len(tokens.records)), 2), dtype=np.int32)
                grown_records[: counts[kernels.RECORDS]] = tokens.records[: counts[kernels.RECORDS]]
                self._tokens = tokens._replace(records=grown_records)
        elif status == kernels.BAD_LOGLIKE:
            raise ModelError(f"a loglike of frame {frame} is NaN or +inf", remedy="check the features and the model")
        elif status == kernels.NOTHING_SURVIVED:
            raise DataError(
                f"no path survived frame {frame}",
                remedy="widen the beam, or check the loglikes (all −inf?) and that the graph has no dead ends",
            )
        else:
            raise GraphError("a cycle of epsilon arcs has negative cost", remedy="check the grammar's weights")

    def _lattice(self, result: SearchResult) -> Lattice:
        """Return the lattice of the utterance that ends; the tokens become survivors."""
        while True:
            status = kernels.prune_frame(self.graph.arrays, self._tokens, self._links, self.graph.lm_arrays, math.inf)
            if status not in (kernels.NEED_RECORDS, kernels.NEED_LINKS):
                break
            self._help(status)
        tokens, counts = self._tokens, self._tokens.counts
        slots = tokens.kept[: counts[kernels.SURVIVORS], 1]
        final = self._final_costs(slots)
        if not result.reached_final:
            final[:] = 0.0
        extra = np.maximum(tokens.cost[slots] + final - result.total_cost, 0.0)
        return finished_lattice(self._links, self.graph.graph, final, extra, self.config.lattice_beam)

    def _final_costs(self, slots: NDArray[Any]) -> NDArray[np.float64]:
        """Cost of ending in each token; +inf where it is not final."""
        link = self._tokens.link[slots]
        final = self.graph.graph.final_cost[link[:, 0]].astype(np.float64)
        if self.graph.lm is not None:
            # Most states are not final, and need not be asked for.
            ends = np.flatnonzero(final < np.inf)
            final[ends] += [self.graph.lm.final_cost(history) for history in link[ends, 4].tolist()]
        return final

    def _result(self, use_final: bool) -> SearchResult:
        tokens, graph = self._tokens, self.graph.graph
        count = tokens.counts[kernels.TOKENS]
        costs = tokens.cost[:count]
        final = self._final_costs(np.arange(count))
        reached_final = use_final and bool(np.any(final < np.inf))
        if reached_final:
            costs = costs + final
        slot = int(np.argmin(costs))
        arcs = kernels.trace(tokens, slot)
        records = graph.arcs[arcs]
        emitting = records[:, 0] != 0
        has_word = records[:, 1] != 0
        # Frames consumed before each arc.
        times = (np.cumsum(emitting) - emitting).astype(np.int32)
        starts = times[has_word]
        ends = np.append(starts[1:], np.int32(self._num_frames))[: len(starts)]
        words = records[has_word, 1].tolist()
        graph_cost = float(graph.costs[arcs].sum(dtype=np.float64)) + (float(final[slot]) if reached_final else 0.0)
        if self.graph.lm is not None:
            graph_cost += self.graph.lm.words_cost(words)[1]
        total = float(costs[slot])
        penalties = self.config.word_insertion_penalty * len(starts)
        return SearchResult(
            words=tuple(words),
            word_starts=starts,
            word_ends=ends.astype(np.int32),
            alignment=records[emitting, 0].astype(np.int32),
            total_cost=total,
            graph_cost=graph_cost,
            acoustic_cost=total - graph_cost - penalties,
            reached_final=reached_final,
        )


def _set_limits(limits: NDArray[np.float64], config: SearchConfig) -> None:
    limits[kernels.BEAM] = config.beam
    limits[kernels.BEAM_DELTA] = config.beam_delta
    limits[kernels.MAX_ACTIVE] = config.max_active
    limits[kernels.MIN_ACTIVE] = config.min_active
    limits[kernels.SCALE] = config.acoustic_scale
    limits[kernels.PENALTY] = config.word_insertion_penalty
    limits[kernels.LATTICE_BEAM] = config.lattice_beam


def _token_arrays(
    graph: SearchGraph,
    room: int,
    slot_of: NDArray[np.int32],
    records: NDArray[np.int32],
    counts: NDArray[np.int64],
    limits: NDArray[np.float64],
) -> kernels.Tokens:
    more = 0
    if graph.lm is not None:
        more = 1
        slot_of = np.full(kernels.SPARSENESS * room, -1, dtype=np.int32)
    return kernels.Tokens(
        slot_of=slot_of,
        cost=np.empty(room),
        link=np.empty((room, 3 + 2 * more), dtype=np.int32),
        kept_cost=np.empty(room),
        kept=np.empty((room, 2 + more), dtype=np.int32),
        rank=np.empty(room, dtype=np.int32),
        queue=np.empty(room, dtype=np.int32),
        queued=np.zeros(room, dtype=np.uint8),
        candidate_cost=np.empty(room),
        candidate=np.empty((room, 3 + more), dtype=np.int32),
        histogram=np.empty(kernels.NUM_BINS + 1, dtype=np.int32),
        records=records,
        counts=counts,
        limits=limits,
    )
