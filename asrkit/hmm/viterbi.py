"""Viterbi alignment: the best path through a state graph, with beams that widen by themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError, ModelError
from asrkit.hmm.state_graph import StateGraph


@dataclass(frozen=True)
class AlignConfig:
    """How an utterance is aligned.

    Attributes
    ----------
    acoustic_scale : float
        Factor of the log-likelihoods against the graph's weights, > 0.
    beam : float
        Paths that fall further behind the best path of a frame are dropped (on the scaled scores), > 0.
    retry_beam : float
        Beam of the second attempt; the third has four times this one, and the last none at all.
    """

    acoustic_scale: float = 0.1
    beam: float = 10.0
    retry_beam: float = 40.0

    def __post_init__(self) -> None:
        if not 0 < self.acoustic_scale < math.inf:
            raise ConfigError(f"acoustic_scale is {self.acoustic_scale}, expected a number above 0")
        if not 0 < self.beam <= self.retry_beam:
            raise ConfigError(f"beam {self.beam} and retry_beam {self.retry_beam}, expected 0 < beam <= retry_beam")

    @property
    def beams(self) -> tuple[float, ...]:
        """The beams that are tried, ascending; the last is infinite."""
        return tuple(sorted({self.beam, self.retry_beam, 4 * self.retry_beam, math.inf}))


@dataclass(frozen=True)
class NoPath:
    """Why an utterance has no path through its graph.

    Attributes
    ----------
    reason : str
        In words, for the report of a stage.
    """

    reason: str


@dataclass(frozen=True, eq=False)
class ViterbiPath:
    """A best path.

    Attributes
    ----------
    arcs : (T,) int32
        0-based index into the arcs of the graph, one a frame.
    score : float
        Natural log score: initial, arc, scaled acoustic and final weights.
    """

    arcs: NDArray[np.int32]
    score: float


@dataclass(frozen=True, eq=False)
class Alignment:
    """The labels of an utterance's frames.

    Attributes
    ----------
    labels : (T,) int32
        1-based label of each frame, in a recogniser the transition_id.
    acoustic_loglike : float
        Sum of the log-likelihoods along the path, not scaled.
    graph_logprob : float
        Sum of everything else: initial, graph, transition and final log probabilities.
    beam : float
        The beam that found it; larger than the configured one after a retry.
    """

    labels: NDArray[np.int32]
    acoustic_loglike: float
    graph_logprob: float
    beam: float

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.labels)


def viterbi(
    graph: StateGraph,
    arc_pdf: NDArray[np.int32],
    arc_logprob: NDArray[np.floating[Any]],
    loglikes: NDArray[np.float32],
    beam: float = math.inf,
    acoustic_scale: float = 1.0,
) -> ViterbiPath | None:
    """Find the best path of T arcs; None if none that ends in a final state survives the beam.

    Parameters
    ----------
    graph : StateGraph
        S states, A arcs.
    arc_pdf : (A,) int32
        0-based column of ``loglikes`` that each arc emits with.
    arc_logprob : (A,) float32 or float64
        The whole natural log weight of each arc, transition probability included; takes the place of
        ``graph.arc_logprob``.
    loglikes : (T, P) float32
        Natural log-likelihoods, C-contiguous; -inf is allowed.
    beam : float
        Before each frame, states that score less than the best one minus ``beam`` are dropped (the pruning of
        Kaldi's gmm-align-compiled); with ``inf`` the search is exact.
    acoustic_scale : float
        Factor of ``loglikes``.

    Raises
    ------
    ModelError
        Arrays of other shapes or dtypes, or NaN or +inf among the log-likelihoods.
    """
    from asrkit.hmm.kernels import viterbi_kernel

    check_arguments(graph, arc_pdf, arc_logprob, loglikes)
    fault = fault_of(loglikes)
    if fault:
        raise ModelError(fault)
    arcs, score = viterbi_kernel(
        graph.arc_begin,
        graph.arc_dst,
        arc_pdf,
        np.ascontiguousarray(arc_logprob, dtype=np.float64),
        graph.initial_logprob,
        graph.final_logprob,
        loglikes,
        acoustic_scale,
        beam,
    )
    return None if score == -math.inf else ViterbiPath(arcs, score)


def align(
    graph: StateGraph,
    label_pdf: NDArray[np.int32],
    label_logprob: NDArray[np.floating[Any]],
    loglikes: NDArray[np.float32],
    config: AlignConfig | None = None,
) -> Alignment | NoPath:
    """Align an utterance to its graph, with a wider beam where a narrow one lost the path, or say why it cannot be.

    Parameters
    ----------
    graph : StateGraph
        The utterance's training graph; labels up to L.
    label_pdf : (L + 1,) int32
        0-based pdf_id of each label; entry 0 is not used.
    label_logprob : (L + 1,) float32 or float64
        Natural log probability of each label (transition probabilities, with whatever scales they are given),
        added to ``graph.arc_logprob``.
    loglikes : (T, P) float32
        Natural log-likelihoods, C-contiguous.
    config : AlignConfig, optional
        Scale and beams.

    Raises
    ------
    ModelError
        Arrays of other shapes or dtypes, or a label of the graph beyond the tables.
    """
    config = config or AlignConfig()
    if loglikes.ndim == 2 and loglikes.size:
        fault = fault_of(loglikes)
        if fault:
            return NoPath(fault)
    if graph.num_arcs and graph.arc_label.max() >= min(len(label_pdf), len(label_logprob)):
        raise ModelError(f"the graph has label {graph.arc_label.max()}, the model {len(label_pdf) - 1} labels")
    arc_pdf = label_pdf[graph.arc_label]
    arc_logprob = graph.arc_logprob + label_logprob[graph.arc_label].astype(np.float64)
    if len(loglikes) == 0:
        return NoPath(explain_failure(graph, arc_pdf, loglikes))
    for attempt, beam in enumerate(config.beams):
        path = viterbi(graph, arc_pdf, arc_logprob, loglikes, beam, config.acoustic_scale)
        if path is not None:
            columns = arc_pdf[path.arcs]
            acoustic = float(loglikes[np.arange(len(columns)), columns].sum(dtype=np.float64))
            ends = graph.initial_logprob[graph.arc_src[path.arcs[0]]], graph.final_logprob[graph.arc_dst[path.arcs[-1]]]
            other = float(arc_logprob[path.arcs].sum()) + float(ends[0]) + float(ends[1])
            return Alignment(graph.arc_label[path.arcs], acoustic, other, beam)
        if attempt == 0:
            shortest = graph.min_num_frames()
            if shortest is None or shortest > len(loglikes):
                break
    return NoPath(explain_failure(graph, arc_pdf, loglikes))


def labels_logprob(graph: StateGraph, label_logprob: NDArray[np.floating[Any]], labels: NDArray[np.int32]) -> float:
    """Return the best log weight of the paths that have given labels, acoustics aside; -inf if there are none.

    Parameters
    ----------
    label_logprob : (L + 1,) float32 or float64
        As :func:`align` takes it.
    labels : (T,) int32
        1-based.
    """
    known, columns = np.unique(graph.arc_label, return_inverse=True)
    places = np.searchsorted(known, labels)
    if not len(labels) or places.max(initial=0) >= len(known) or not np.array_equal(known[places], labels):
        return -math.inf
    only = np.full((len(labels), len(known)), -np.inf, dtype=np.float32)
    only[np.arange(len(labels)), places] = 0.0
    arc_logprob = graph.arc_logprob + label_logprob[graph.arc_label].astype(np.float64)
    path = viterbi(graph, columns.astype(np.int32), arc_logprob, only)
    return -math.inf if path is None else path.score


def explain_failure(graph: StateGraph, arc_pdf: NDArray[np.int32], loglikes: NDArray[np.float32]) -> str:
    """Say in words why no path of ``len(loglikes)`` frames leads through the graph."""
    num_frames = len(loglikes)
    if num_frames == 0:
        return "no frames"
    shortest = graph.min_num_frames()
    if shortest is None:
        return "no path: the graph leads from no initial to any final state"
    if shortest > num_frames:
        return f"too short for its transcript: {num_frames} frames, the shortest path needs {shortest}"
    impossible = np.flatnonzero(np.max(loglikes[:, np.unique(arc_pdf)], axis=1) == -np.inf)
    if len(impossible):
        return f"no path: frame {impossible[0]} is impossible under every pdf of the graph"
    return f"no path: every path of {num_frames} frames has probability zero"


def check_arguments(
    graph: StateGraph,
    arc_pdf: NDArray[np.int32],
    arc_logprob: NDArray[np.floating[Any]],
    loglikes: NDArray[np.float32],
) -> None:
    """Check shapes, dtypes and ranges of what a kernel is called with; a fault is a :class:`ModelError`."""
    if loglikes.ndim != 2 or loglikes.dtype != np.float32 or not loglikes.flags.c_contiguous:
        raise ModelError(
            f"loglikes are {loglikes.dtype} of shape {loglikes.shape}, expected C-contiguous float32 (frames, pdfs)"
        )
    if arc_pdf.shape != (graph.num_arcs,) or arc_pdf.dtype != np.int32 or not arc_pdf.flags.c_contiguous:
        raise ModelError(
            f"arc_pdf is {arc_pdf.dtype} of shape {arc_pdf.shape}, expected C-contiguous int32 ({graph.num_arcs},)"
        )
    if arc_logprob.shape != (graph.num_arcs,):
        raise ModelError(f"arc_logprob has shape {arc_logprob.shape}, expected ({graph.num_arcs},)")
    if graph.num_arcs == 0:
        return
    if arc_pdf.min() < 0 or arc_pdf.max() >= loglikes.shape[1]:
        raise ModelError(
            f"arc_pdf holds columns {arc_pdf.min()} to {arc_pdf.max()}, loglikes have {loglikes.shape[1]} of them"
        )
    if not arc_logprob.max() < np.inf:
        raise ModelError("arc_logprob holds NaN or +inf")


def fault_of(loglikes: NDArray[np.float32]) -> str | None:
    """Return what is wrong with log-likelihoods that hold NaN or +inf, else None."""
    if loglikes.size == 0 or np.max(loglikes) < np.inf:
        return None
    frame, pdf = (int(at[0]) for at in np.nonzero(~(loglikes < np.inf)))
    what = "NaN" if np.isnan(loglikes).any() else "+inf"
    return f"loglikes hold {what}, first at frame {frame}, pdf {pdf}"
