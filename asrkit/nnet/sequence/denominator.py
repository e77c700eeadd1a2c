"""The denominator of lattice-free MMI: all that could be said, as one graph of HMM states."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import GraphError, ModelError
from asrkit.hmm.state_graph import StateGraph
from asrkit.hmm.transitions import TransitionModel
from asrkit.nnet.sequence.criterion import Evaluation, Loglikes
from asrkit.nnet.sequence.merging import WeightedStates, merged

MAX_KEPT = 1 << 23
"""Forward probabilities of an utterance that are all kept (64 MB); of more, every sqrt(T)th frame's are."""

LEAK_FRAMES = 100
"""Frames over which the states that a leak leads to are averaged (Kaldi's chain::DenominatorGraph)."""


@dataclass(frozen=True, eq=False)
class DenominatorGraph:
    """A graph of S states and A arcs of which each state has one pdf: that of the frame by which it is entered.

    A path of T arcs weighs ``initial[first] * product of (weight * emission) * final[last]``. Between two frames it may
    also leak, with probability ``leaky``, from any state to state s with probability ``leak[s]``.

    Attributes
    ----------
    in_begin, out_begin : (S + 1,) int64
        The arcs into state s are ``in_begin[s]`` up to ``in_begin[s + 1]``, those out of it the same with ``out``.
    in_src, out_dst : (A,) int32
    in_weight, out_weight : (A,) float64
        Probabilities, transition probabilities included.
    state_pdf : (S,) int32
        0-based; 0 for states that no arc leads to.
    initial, final, leak : (S,) float64
        Probabilities; ``initial`` and ``leak`` sum to 1.
    leaky : float
    """

    in_begin: NDArray[np.int64]
    in_src: NDArray[np.int32]
    in_weight: NDArray[np.float64]
    out_begin: NDArray[np.int64]
    out_dst: NDArray[np.int32]
    out_weight: NDArray[np.float64]
    state_pdf: NDArray[np.int32]
    initial: NDArray[np.float64]
    final: NDArray[np.float64]
    leak: NDArray[np.float64]
    leaky: float

    @property
    def num_states(self) -> int:
        """S."""
        return len(self.state_pdf)

    @property
    def num_arcs(self) -> int:
        """A."""
        return len(self.in_src)

    @classmethod
    def of(
        cls, graph: StateGraph, transitions: TransitionModel, label_logprob: NDArray[np.floating[Any]], leaky: float
    ) -> DenominatorGraph:
        """Return the arrays of a graph whose labels are transition_ids, with states merged that do the same.

        Parameters
        ----------
        label_logprob : (num_transition_ids + 1,) float
            Natural log of the weight of each transition_id.

        Raises
        ------
        GraphError
            Arcs of different pdfs lead to one state.
        """
        pdfs = transitions.tid_to_pdf[graph.arc_label]
        state_pdf = np.zeros(graph.num_states, dtype=np.int32)
        state_pdf[graph.arc_dst] = pdfs
        if (state_pdf[graph.arc_dst] != pdfs).any():
            raise GraphError("arcs of different pdfs lead to one state", remedy="compile it with TrainingGraphCompiler")
        weight = np.exp(graph.arc_logprob + label_logprob[graph.arc_label].astype(np.float64))
        states = merged(_states(graph, weight, state_pdf))
        by_target, by_source = (np.argsort(ends, kind="stable") for ends in (states.dst, states.src))
        bounds = np.arange(states.num_states + 1)
        return cls(
            np.searchsorted(states.dst[by_target], bounds).astype(np.int64),
            states.src[by_target].astype(np.int32),
            states.weight[by_target],
            np.searchsorted(states.src[by_source], bounds).astype(np.int64),
            states.dst[by_source].astype(np.int32),
            states.weight[by_source],
            states.pdf.astype(np.int32),
            states.initial,
            states.final,
            _occupied(states),
            leaky,
        )

    def sum_paths(self, loglikes: Loglikes, acoustic_scale: float) -> Evaluation:
        """Return the log of the summed weight of all paths, and its derivative by the loglikes.

        Parameters
        ----------
        loglikes : (T, num_pdfs) float
            Natural log.

        Raises
        ------
        ModelError
            They are not finite, too few pdfs, or no path of T frames has a probability that a number can hold.
        """
        from asrkit.nnet.sequence.denominator_kernels import sum_paths

        if loglikes.ndim != 2 or loglikes.shape[1] <= self.state_pdf.max():
            raise ModelError(f"loglikes of shape {loglikes.shape}, the graph has pdf {self.state_pdf.max()}")
        if not np.isfinite(loglikes).all():
            raise ModelError("loglikes are not finite", remedy="are there NaN or infinite features?")
        posteriors = np.empty(loglikes.shape, dtype=np.float32)
        scaled = acoustic_scale * loglikes.astype(np.float64)
        peaks = scaled.max(axis=1)
        logprob = sum_paths(
            self.in_begin,
            self.in_src,
            self.in_weight,
            self.out_begin,
            self.out_dst,
            self.out_weight,
            self.state_pdf,
            self.initial,
            self.final,
            self.leak,
            self.leaky,
            np.exp(scaled - peaks[:, None]),
            self._block(len(loglikes)),
            posteriors,
        )
        if not math.isfinite(logprob):
            raise ModelError(f"no path of {len(loglikes)} frames through the denominator graph")
        return Evaluation(logprob + float(peaks.sum()), np.float32(acoustic_scale) * posteriors)

    def _block(self, num_frames: int) -> int:
        """Return every how many frames forward probabilities are kept; with fewer, all of them are."""
        if num_frames * self.num_states <= MAX_KEPT:
            return max(1, num_frames)
        return math.ceil(math.sqrt(num_frames))


def _states(graph: StateGraph, weight: NDArray[np.float64], state_pdf: NDArray[np.int32]) -> WeightedStates:
    """Return the graph with parallel arcs added up."""
    possible = weight > 0
    keys = graph.arc_src[possible].astype(np.int64) * graph.num_states + graph.arc_dst[possible]
    pairs, places = np.unique(keys, return_inverse=True)
    src, dst = np.divmod(pairs, graph.num_states)
    initial = np.exp(graph.initial_logprob.astype(np.float64))
    return WeightedStates(
        src,
        dst,
        np.bincount(places, weight[possible], minlength=len(pairs)).astype(np.float64),
        state_pdf.astype(np.int64),
        initial / initial.sum(),
        np.exp(graph.final_logprob.astype(np.float64)),
    )


def _occupied(states: WeightedStates) -> NDArray[np.float64]:
    """Return how probable each state is, on average over the first frames of a path that is given no emissions."""
    here, total = states.initial, np.zeros(states.num_states)
    for _ in range(LEAK_FRAMES):
        flow = here[states.src] * states.weight
        here = np.bincount(states.dst, flow, minlength=states.num_states).astype(np.float64)
        if not here.sum() > 0:
            break
        here = here / here.sum()
        total += here
    return total / total.sum() if total.any() else states.initial
