"""EM training of a GMM-HMM over state graphs: one pass of alignment or forward-backward, statistics, an update."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from asrkit.core.jobs import chunks, map_in_order
from asrkit.core.progress import Progress, silent
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.model import GmmHmm
from asrkit.gmm.stats import GmmStats, accumulate
from asrkit.hmm.equal_alignment import equal_alignment
from asrkit.hmm.forward_backward import forward_backward
from asrkit.hmm.state_graph import StateGraph
from asrkit.hmm.viterbi import AlignConfig, Alignment, NoPath, align

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]

UTTERANCES_AT_ONCE = 64
"""Utterances of a chunk. Fixed, so that sums do not depend on the number of jobs."""

MIN_POSTERIOR = 1e-4
"""Posteriors below this are not accumulated in Baum-Welch training."""

NOT_FINITE = "features hold NaN or infinity"


@dataclass(frozen=True)
class TrainingData:
    """What a model is trained on.

    Attributes
    ----------
    utterance_ids : tuple of str
        In the order of summation.
    features : mapping of str to float32 (num_frames, dim)
        The model's input, read when needed.
    graphs : mapping of str to StateGraph
        The HMM of each transcript; labels are transition ids.
    """

    utterance_ids: tuple[str, ...]
    features: Mapping[str, FloatArray]
    graphs: Mapping[str, StateGraph]


@dataclass(frozen=True)
class Scales:
    """Weights of transition probabilities and acoustics against each other (Kaldi's scale_opts)."""

    transition: float = 1.0
    self_loop: float = 0.1
    acoustic: float = 0.1


@dataclass(frozen=True)
class PassResult:
    """What one pass over the data gives; a monoid.

    Attributes
    ----------
    stats : GmmStats
    transition_occupancy : float64, shape (num_transition_ids + 1,)
    alignments : dict of str to int32 (num_frames,)
        Transition ids; empty in a pass that uses given ones or forward-backward.
    failures : dict of str to str
        Utterance -> reason.
    retried : int
        Utterances that needed a wider beam.
    """

    stats: GmmStats
    transition_occupancy: NDArray[np.float64]
    alignments: dict[str, IntArray] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    retried: int = 0

    @classmethod
    def zero(cls, model: GmmHmm) -> PassResult:
        """Return the neutral element for a model of this shape."""
        return cls(GmmStats.zero(model.gmms), np.zeros(model.transitions.num_transition_ids + 1))

    def __add__(self, other: PassResult) -> PassResult:
        return PassResult(
            self.stats + other.stats,
            self.transition_occupancy + other.transition_occupancy,
            self.alignments | other.alignments,
            self.failures | other.failures,
            self.retried + other.retried,
        )


def equal_alignments(
    model: GmmHmm, data: TrainingData, streams: Mapping[str, np.random.Generator]
) -> tuple[dict[str, IntArray], dict[str, str]]:
    """Return the flat start's alignments (transition ids) and the utterances too short for their transcript."""
    alignments: dict[str, IntArray] = {}
    failures: dict[str, str] = {}
    for key in data.utterance_ids:
        frames = data.features[key]
        num_frames = len(frames)
        if not np.isfinite(frames).all():
            failures[key] = NOT_FINITE
            continue
        arcs = equal_alignment(data.graphs[key], num_frames, streams[key])
        if arcs is None:
            shortest = data.graphs[key].min_num_frames()
            failures[key] = f"too short for its transcript: {num_frames} frames, the shortest path needs {shortest}"
        else:
            alignments[key] = data.graphs[key].arc_label[arcs]
    return alignments, failures


def viterbi_pass(
    model: GmmHmm,
    data: TrainingData,
    alignments: Mapping[str, IntArray] | None,
    config: AlignConfig,
    scales: Scales,
    boosted: DiagGmms | None = None,
    num_jobs: int = 1,
    progress: Progress = silent,
    label: str = "align",
) -> PassResult:
    """Sum statistics along the best path of each utterance.

    Parameters
    ----------
    alignments : mapping of str to int32 (num_frames,) or None
        Use these paths (utterances without one are left out); None: align first, with ``model``.
    boosted : DiagGmms, optional
        Mixtures to align with in place of the model's (silence boosting).
    """
    job = functools.partial(_viterbi_chunk, model, data, alignments, config, scales, boosted or model.gmms)
    return _sum(job, model, data, num_jobs, progress, label)


def baum_welch_pass(
    model: GmmHmm,
    data: TrainingData,
    scales: Scales,
    beam: float | None = None,
    num_jobs: int = 1,
    progress: Progress = silent,
    label: str = "forward-backward",
) -> PassResult:
    """Sum statistics over all paths of each utterance, weighted by their posteriors (Baum-Welch)."""
    job = functools.partial(_baum_welch_chunk, model, data, scales, beam)
    return _sum(job, model, data, num_jobs, progress, label)


def align_utterance(
    model: GmmHmm, gmms: DiagGmms, graph: StateGraph, features: FloatArray, config: AlignConfig, scales: Scales
) -> Alignment | NoPath:
    """Align one utterance; only the pdfs of its graph are evaluated."""
    pdf_ids, columns = model.transitions.pdf_columns(graph.arc_label)
    log_probs = model.transitions.scaled_log_probs(scales.transition, scales.self_loop)
    return align(graph, columns, log_probs, gmms.loglikes(features, pdf_ids), config)


def _sum(
    job: functools.partial[PassResult],
    model: GmmHmm,
    data: TrainingData,
    num_jobs: int,
    progress: Progress,
    label: str,
) -> PassResult:
    pieces = chunks(data.utterance_ids, UTTERANCES_AT_ONCE)
    results: Iterator[PassResult] = map_in_order(job, pieces, num_jobs, kind="threads")
    total = PassResult.zero(model)
    alignments: dict[str, IntArray] = {}
    for result in progress(results, total=len(pieces), label=label):
        alignments.update(result.alignments)
        total = total + replace(result, alignments={})
    return replace(total, alignments=alignments)


def _viterbi_chunk(
    model: GmmHmm,
    data: TrainingData,
    given: Mapping[str, IntArray] | None,
    config: AlignConfig,
    scales: Scales,
    gmms: DiagGmms,
    keys: Sequence[str],
) -> PassResult:
    alignments: dict[str, IntArray] = {}
    failures: dict[str, str] = {}
    retried = 0
    features: list[FloatArray] = []
    labels: list[IntArray] = []
    for key in keys:
        if given is not None:
            if key not in given:
                continue
            path = given[key]
            frames = data.features[key]
        else:
            frames = data.features[key]
            if not np.isfinite(frames).all():
                failures[key] = NOT_FINITE
                continue
            found = align_utterance(model, gmms, data.graphs[key], frames, config, scales)
            if isinstance(found, NoPath):
                failures[key] = found.reason
                continue
            path = alignments[key] = found.labels
            retried += found.beam > config.beam
        features.append(frames)
        labels.append(path)
    if not labels:
        return PassResult(**{**vars(PassResult.zero(model)), "failures": failures})
    tids = np.concatenate(labels)
    stats = accumulate(model.gmms, np.concatenate(features), model.transitions.tid_to_pdf[tids])
    counts = np.bincount(tids, minlength=model.transitions.num_transition_ids + 1).astype(np.float64)
    return PassResult(stats, counts, alignments, failures, retried)


def _baum_welch_chunk(
    model: GmmHmm, data: TrainingData, scales: Scales, beam: float | None, keys: Sequence[str]
) -> PassResult:
    total = PassResult.zero(model)
    log_probs = model.transitions.scaled_log_probs(scales.transition, scales.self_loop)
    features, pdfs, weights = [], [], []
    loglike, num_frames = 0.0, 0
    for key in keys:
        frames, graph = data.features[key], data.graphs[key]
        if not np.isfinite(frames).all():
            total.failures[key] = NOT_FINITE
            continue
        pdf_ids, columns = model.transitions.pdf_columns(graph.arc_label)
        arc_logprob = graph.arc_logprob + log_probs[graph.arc_label]
        loglikes = model.gmms.loglikes(frames, pdf_ids)
        found = forward_backward(graph, columns[graph.arc_label], arc_logprob, loglikes, beam, scales.acoustic)
        if isinstance(found, NoPath):
            total.failures[key] = found.reason
            continue
        frame_index, unit = np.nonzero(found.pdf_posteriors > MIN_POSTERIOR)
        features.append(frames[frame_index])
        pdfs.append(pdf_ids[found.pdf_ids[unit]])
        weights.append(found.pdf_posteriors[frame_index, unit])
        np.add.at(total.transition_occupancy, graph.arc_label, found.arc_occupancy)
        loglike += found.log_likelihood
        num_frames += len(frames)
    if not features:
        return total
    stats = accumulate(model.gmms, np.concatenate(features), np.concatenate(pdfs), np.concatenate(weights))
    stats = GmmStats(stats.occupancy, stats.first, stats.second, loglike, float(num_frames))
    return PassResult(stats, total.transition_occupancy, {}, total.failures)


def mean_loglike(result: PassResult) -> float:
    """Return the average log-likelihood per frame of a pass, NaN when no frame was used."""
    return result.stats.loglike / result.stats.num_frames if result.stats.num_frames else math.nan
