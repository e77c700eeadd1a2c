"""The training schedule of a GMM-HMM: realign, accumulate, update, mix up, iteration by iteration."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError, ModelError
from asrkit.core.progress import Progress, silent
from asrkit.core.streams import random_stream
from asrkit.gmm.diag import DiagGmms, flat_start
from asrkit.gmm.model import GmmHmm
from asrkit.gmm.training import (
    PassResult,
    Scales,
    TrainingData,
    baum_welch_pass,
    equal_alignments,
    mean_loglike,
    viterbi_pass,
)
from asrkit.gmm.update import GmmUpdateConfig, mix_up, update
from asrkit.hmm.transitions import TransitionConfig, TransitionModel
from asrkit.hmm.tree import ContextTree
from asrkit.hmm.viterbi import AlignConfig

log = logging.getLogger("asrkit")

FIRST_MIN_OCCUPANCY = 3.0
"""Kaldi's ``--min-gaussian-occupancy`` of the update after the equal alignment."""


@dataclass(frozen=True)
class EmConfig:
    """How a GMM-HMM is trained; the defaults are those of Kaldi's steps/train_mono.sh.

    Attributes
    ----------
    estimator : {'viterbi', 'baum-welch'}
        Statistics along the best path, or over all paths (then every iteration is a forward-backward pass with all
        scales 1, and ``realign_iters``, ``acoustic_scale`` and ``self_loop_scale`` play no part in it).
    num_iters : int
        Updates, the one after the flat start included.
    total_gaussians : int
        Gaussians that mixing up aims at.
    last_mix_up_iter : int
        The target grows linearly up to this iteration.
    realign_iters : tuple of int
        Iterations that align anew; the others use the last alignment.
    boost_silence : float
        Factor on the likelihood of silence while aligning.
    first_beam : float
        Beam of the first alignment, made by a model that has seen only the flat start.
    """

    estimator: Literal["viterbi", "baum-welch"] = "viterbi"
    num_iters: int = 40
    total_gaussians: int = 1000
    last_mix_up_iter: int = 30
    realign_iters: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 23, 26, 29, 32, 35, 38)
    boost_silence: float = 1.0
    first_beam: float = 6.0
    beam: float = 10.0
    retry_beam: float = 40.0
    transition_scale: float = 1.0
    self_loop_scale: float = 0.1
    acoustic_scale: float = 0.1
    gmm: GmmUpdateConfig = field(default_factory=GmmUpdateConfig)
    transitions: TransitionConfig = field(default_factory=TransitionConfig)

    def __post_init__(self) -> None:
        if self.num_iters < 1 or self.total_gaussians < 1 or self.last_mix_up_iter < 1:
            raise ConfigError("num_iters, total_gaussians and last_mix_up_iter must be 1 or more")
        if not 0 < self.boost_silence < math.inf:
            raise ConfigError(f"boost_silence is {self.boost_silence}, expected a factor above 0")
        if not (0 <= self.transition_scale < math.inf and 0 <= self.self_loop_scale < math.inf):
            raise ConfigError("transition_scale and self_loop_scale must be finite and not negative")
        if any(iteration < 1 for iteration in self.realign_iters):
            raise ConfigError(f"realign_iters holds {min(self.realign_iters)}, iterations are counted from 1")
        _ = self.first_search, self.search

    @property
    def search(self) -> AlignConfig:
        """Beams of alignment, but for the first."""
        return AlignConfig(self.acoustic_scale, self.beam, max(self.beam, self.retry_beam))

    @property
    def first_search(self) -> AlignConfig:
        """Beams of the first alignment."""
        return AlignConfig(self.acoustic_scale, self.first_beam, max(self.first_beam, self.retry_beam))

    @property
    def scales(self) -> Scales:
        """Scales of alignment."""
        return Scales(self.transition_scale, self.self_loop_scale, self.acoustic_scale)


@dataclass(frozen=True)
class IterationReport:
    """What one iteration did."""

    iteration: int
    loglike_per_frame: float
    num_frames: int
    num_gaussians: int
    realigned: bool
    retried: int
    removed_gaussians: int
    floored_variances: int


@dataclass(frozen=True)
class EmState:
    """Where a training stands: everything needed to go on with the next iteration.

    Attributes
    ----------
    iteration : int
        Updates done.
    model : GmmHmm
    alignments : dict of str to int32 (num_frames,)
        The last transition-id alignments (empty with Baum-Welch).
    failures : dict of str to str
        Utterances the last pass could not use, with the reason.
    reports : tuple of IterationReport
    speaker_transforms : dict of str to float32 (dim, dim + 1)
        fMLLR of each speaker, in speaker-adaptive training.
    """

    iteration: int
    model: GmmHmm
    alignments: dict[str, NDArray[np.int32]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    reports: tuple[IterationReport, ...] = ()
    speaker_transforms: dict[str, NDArray[np.float32]] = field(default_factory=dict)


def flat_start_state(
    tree: ContextTree, transitions: TransitionModel, data: TrainingData, seed: int, num_utterances: int = 100
) -> EmState:
    """Return the start of a training: one Gaussian a pdf with the data's mean and variance, and equal alignments.

    Mean and variance are taken from the first ``num_utterances`` utterances, which is plenty for a start.

    Raises
    ------
    ModelError
        There are no utterances.
    """
    if not data.utterance_ids:
        raise ModelError("there are no utterances to train on", remedy="see the failures listed by the stage")
    first = [data.features[key] for key in data.utterance_ids[:num_utterances]]
    finite = [frames for frames in first if np.isfinite(frames).all()]
    if not finite:
        raise ModelError("the features hold NaN or infinity", remedy="run `asrkit validate`")
    frames = np.concatenate(finite).astype(np.float64)
    variance = np.maximum(frames.var(axis=0), GmmUpdateConfig().min_variance)
    model = GmmHmm(tree, transitions, flat_start(frames.mean(axis=0), variance, tree.num_pdfs))
    streams = {key: random_stream(seed, "equal-alignment", key) for key in data.utterance_ids}
    alignments, failures = equal_alignments(model, data, streams)
    return EmState(0, model, alignments, failures)


def em_iterations(
    state: EmState,
    data: TrainingData,
    silence_phones: Sequence[int],
    config: EmConfig,
    seed: int = 0,
    num_jobs: int = 1,
    progress: Progress = silent,
    stop: int | None = None,
) -> Iterator[EmState]:
    """Yield the state after each further iteration up to ``config.num_iters``, or up to ``stop`` if that is less.

    A training whose inputs change on the way (a new transform) stops there, and goes on with other ``data``.
    """
    last_iteration = config.num_iters if stop is None else min(stop, config.num_iters)
    while state.iteration < last_iteration:
        state = _iterate(state, data, silence_phones, config, seed, num_jobs, progress)
        last = state.reports[-1]
        log.debug(
            "iteration %d: loglike %.4f, %d Gaussians", last.iteration, last.loglike_per_frame, last.num_gaussians
        )
        yield state


def _iterate(
    state: EmState,
    data: TrainingData,
    silence_phones: Sequence[int],
    config: EmConfig,
    seed: int,
    num_jobs: int,
    progress: Progress,
) -> EmState:
    iteration = state.iteration
    model = state.model
    realign = config.estimator == "viterbi" and iteration in config.realign_iters
    alignments = state.alignments
    failures = state.failures
    label = f"iteration {iteration + 1} of {config.num_iters}"
    if config.estimator == "baum-welch" and iteration > 0:
        result = baum_welch_pass(model, data, Scales(1.0, 1.0, 1.0), None, num_jobs, progress, label)
        alignments, failures = {}, result.failures
    else:
        beams = config.first_search if iteration <= 1 else config.search
        boosted = boost_silence(model, silence_phones, config.boost_silence)
        given = None if realign else alignments
        result = viterbi_pass(model, data, given, beams, config.scales, boosted, num_jobs, progress, label)
        if realign:
            alignments, failures = result.alignments, result.failures
    model, report = update_model(model, result, config, iteration, seed, failures)
    reports = (*state.reports, replace(report, realigned=realign))
    return EmState(iteration + 1, model, alignments, failures, reports, state.speaker_transforms)


def update_model(
    model: GmmHmm, result: PassResult, config: EmConfig, iteration: int, seed: int, failures: Mapping[str, str]
) -> tuple[GmmHmm, IterationReport]:
    """Return the model after the M-step and the mixing up of an iteration (0-based).

    Raises
    ------
    ModelError
        Not one utterance could be used.
    """
    if not result.stats.num_frames:
        reason = next(iter({**failures, **result.failures}.values()), "no utterances")
        raise ModelError(f"no utterance could be used in iteration {iteration + 1}; the first reason: {reason}")
    gmm_config = replace(config.gmm, min_gaussian_occupancy=FIRST_MIN_OCCUPANCY) if iteration == 0 else config.gmm
    gmms, counts = update(model.gmms, result.stats, gmm_config)
    transitions, _, _ = model.transitions.updated(result.transition_occupancy, config.transitions)
    target = mix_up_target(config, model.gmms.num_pdfs, iteration)
    if target > gmms.num_gaussians:
        occupancy = np.add.reduceat(result.stats.occupancy, model.gmms.offsets[:-1])
        stream = random_stream(seed, "mix-up", str(iteration))
        gmms = mix_up(gmms, occupancy, target, config.gmm, stream)
    report = IterationReport(
        iteration + 1,
        mean_loglike(result),
        round(result.stats.num_frames),
        gmms.num_gaussians,
        False,
        result.retried,
        counts.removed,
        counts.floored,
    )
    return replace(model, transitions=transitions, gmms=gmms), report


def mix_up_target(config: EmConfig, start: int, iteration: int) -> int:
    """Return the number of Gaussians aimed at after iteration (0-based), growing from ``start`` in equal steps."""
    step = max(0, (config.total_gaussians - start)) // config.last_mix_up_iter
    return start + step * max(0, min(iteration, config.last_mix_up_iter + 1) - 1)


def boost_silence(model: GmmHmm, silence_phones: Sequence[int], factor: float) -> DiagGmms:
    """Return the mixtures with the silence phones' pdfs multiplied by ``factor`` (Kaldi's gmm-boost-silence)."""
    if factor == 1.0:
        return model.gmms
    silent_tids = np.isin(model.transitions.tid_to_phone, np.asarray(silence_phones))
    return model.gmms.boosted(np.unique(model.transitions.tid_to_pdf[silent_tids]).tolist(), factor)


def report_rows(reports: Sequence[IterationReport]) -> list[dict[str, Any]]:
    """Return iteration reports as JSON-serialisable rows."""
    return [dict(vars(report)) for report in reports]
