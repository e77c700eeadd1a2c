"""`asrkit train-gmm sat`: speaker-adaptive training, fMLLR for each speaker estimated on the way."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError
from asrkit.core.jobs import chunks, map_in_order
from asrkit.features.pipeline import ModelInputs
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.em import EmConfig, EmState
from asrkit.gmm.model import GmmHmm
from asrkit.gmm.posteriors import accumulate_twofeats
from asrkit.gmm.stats import GmmStats
from asrkit.gmm.training import UTTERANCES_AT_ONCE, TrainingData
from asrkit.gmm.update import GmmUpdateConfig, update
from asrkit.stages.acoustic import AcousticModel, load_acoustic_model
from asrkit.stages.adaptation import (
    AdaptationConfig,
    PathPosteriors,
    align_adapted,
    estimate_transforms,
    save_transforms,
)
from asrkit.stages.checkpoint import Checkpoint, training_key
from asrkit.stages.gmm_training import (
    Corpus,
    all_failures,
    finish_training,
    open_corpus,
    run_em,
    training_data,
    training_outputs,
)
from asrkit.stages.record import RunOptions, StageReport, StageResult, check_apart, check_failures, run_stage
from asrkit.stages.tree_stage import (
    REALIGN_ITERS,
    ContextConfig,
    align_corpus,
    check_same_lang,
    rung_inputs,
    say_tree,
    start_on_new_tree,
)

log = logging.getLogger("asrkit")


@dataclass(frozen=True)
class SatConfig:
    """Configuration of `asrkit train-gmm sat`; the defaults are those of Kaldi's steps/train_sat.sh.

    Attributes
    ----------
    fmllr_iters : tuple of int
        Iterations before which the transforms are estimated anew, with the alignments and the model so far.
    """

    context: ContextConfig = field(default_factory=ContextConfig)
    em: EmConfig = field(
        default_factory=lambda: EmConfig(
            num_iters=35,
            total_gaussians=4000,
            last_mix_up_iter=25,
            realign_iters=REALIGN_ITERS,
            gmm=GmmUpdateConfig(mix_up_power=0.2),
        )
    )
    fmllr_iters: tuple[int, ...] = (2, 4, 6, 12)
    adaptation: AdaptationConfig = field(default_factory=AdaptationConfig)

    def __post_init__(self) -> None:
        if any(iteration < 1 for iteration in self.fmllr_iters):
            raise ConfigError(f"fmllr_iters holds {min(self.fmllr_iters)}, iterations are counted from 1")
        if self.em.estimator != "viterbi":
            raise ConfigError("em.estimator is 'baum-welch', speaker-adaptive training needs 'viterbi'")


def train_sat(
    data_path: Path, lang_path: Path, previous: Path, out: Path, config: SatConfig, options: RunOptions
) -> StageReport:
    """Train a speaker-adaptive model.

    Parameters
    ----------
    previous : Path
        A finished model of the same lang directory, whose inputs (pipeline, LDA and MLLT) are kept; it aligns the
        data, and the first transforms are estimated against it. If it is speaker-adaptive itself, it aligns adapted
        inputs and its transforms are the first ones.
    out : Path
        Model directory to be made; beside what every training makes, ``tree-report.json`` and the transforms of the
        speakers, ``trans.scp``.
    """
    check_apart(out, data_path, lang_path, previous)
    inputs = rung_inputs(data_path, lang_path, previous, config.context)

    def body() -> StageResult:
        older = load_acoustic_model(previous)
        corpus = open_corpus(data_path, lang_path, older.pipeline, options)
        older.inputs(corpus.data_dir)  # refuses features of another front end
        corpus = corpus.with_features(corpus.features.with_transforms(older.model.input_transform))
        checkpoint = Checkpoint(out, training_key(config, options.seed, inputs))
        state = checkpoint.load()
        if state is None:
            state = _start(older, corpus, config, options, out)
        else:
            log.info("going on after iteration %d of %d", state.iteration, config.em.num_iters)
        data = training_data(corpus, state.model.tree, state.model.transitions, options.progress)
        state = _iterate(state, data, corpus, config, options, checkpoint)
        adapted = _adapted(corpus.features, state)
        gmms = alignment_gmms(state.model, adapted, corpus.features, state.alignments, config.em.gmm, options)
        state = replace(state, model=replace(state.model, alignment_gmms=gmms))
        save_transforms(out, state.speaker_transforms)
        result = finish_training(state, corpus, out, lang_path, older.pipeline, checkpoint)
        return replace(result, figures={**result.figures, "num_speakers": len(state.speaker_transforms)})

    outputs = [*training_outputs(out, data_path), out / "tree-report.json", out / "trans.scp", out / "trans.ark"]
    return run_stage("train-gmm sat", out, inputs, config, outputs, options, body)


def _start(older: AcousticModel, corpus: Corpus, config: SatConfig, options: RunOptions, out: Path) -> EmState:
    """Align with the earlier model, estimate the first transforms, and build the tree on adapted inputs."""
    silence, jobs, progress = corpus.lang.silence_phones, options.num_jobs, options.progress
    mixtures = older.mixtures
    if mixtures.is_speaker_adaptive:
        check_same_lang(older, corpus.lang)
        data = training_data(corpus, older.tree, older.transitions, progress)
        found = align_adapted(mixtures, corpus.features, data, silence, config.em, config.adaptation, jobs, progress)
        alignments, failures, speakers = found.alignments, found.failures, found.speakers
    else:
        aligned = align_corpus(older, corpus, config.em, options)
        alignments, failures = aligned.alignments, aligned.failures
        posteriors = PathPosteriors(older.transitions, alignments, silence, config.adaptation.silence_weight)
        speakers = estimate_transforms(
            mixtures.gmms, corpus.features, posteriors, config.adaptation.fmllr, None, jobs, progress
        )
        log.info("%s", speakers)
    failed = all_failures(corpus, EmState(0, mixtures, failures=dict(failures)))
    check_failures(failed, corpus.num_utterances, options, corpus.data_dir.path)
    inputs = corpus.features.with_transforms(corpus.features.transform, speakers.transforms)
    state, report = start_on_new_tree(
        older.transitions, alignments, inputs, corpus, config.context, options, corpus.features.transform
    )
    say_tree(report, out)
    return replace(state, failures=failures, speaker_transforms=speakers.transforms)


def _iterate(
    state: EmState, data: TrainingData, corpus: Corpus, config: SatConfig, options: RunOptions, checkpoint: Checkpoint
) -> EmState:
    """Run the remaining iterations; a transform is estimated on the inputs that it is to follow."""
    inputs = _adapted(corpus.features, state)
    while state.iteration < config.em.num_iters:
        if state.iteration in config.fmllr_iters:
            state = _readapt(state, inputs, corpus.lang.silence_phones, config, options)
            inputs = _adapted(corpus.features, state)
        stop = min((at for at in config.fmllr_iters if at > state.iteration), default=config.em.num_iters)
        state = run_em(state, replace(data, features=inputs), corpus, config.em, options, checkpoint, stop)
    return state


def _readapt(
    state: EmState, inputs: ModelInputs, silence_phones: Sequence[int], config: SatConfig, options: RunOptions
) -> EmState:
    model, weight = state.model, config.adaptation.silence_weight
    posteriors = PathPosteriors(model.transitions, state.alignments, silence_phones, weight)
    speakers = estimate_transforms(
        model.gmms, inputs, posteriors, config.adaptation.fmllr, None, options.num_jobs, options.progress
    )
    log.info("iteration %d: %s", state.iteration, speakers)
    return replace(state, speaker_transforms=speakers.transforms)


def _adapted(unadapted: ModelInputs, state: EmState) -> ModelInputs:
    return unadapted.with_transforms(unadapted.transform, state.speaker_transforms)


def alignment_gmms(
    model: GmmHmm,
    adapted: ModelInputs,
    unadapted: ModelInputs,
    alignments: Mapping[str, NDArray[np.int32]],
    config: GmmUpdateConfig,
    options: RunOptions,
) -> DiagGmms:
    """Return mixtures that fit unadapted inputs, Gaussian for Gaussian those of a speaker-adaptive model.

    No Gaussian is removed (gmm-est in Kaldi's steps/train_sat.sh).
    """
    stats = alignment_stats(model, adapted, unadapted, alignments, options)
    return update(model.gmms, stats, replace(config, remove_starved=False))[0]


def alignment_stats(
    model: GmmHmm,
    adapted: ModelInputs,
    unadapted: ModelInputs,
    alignments: Mapping[str, NDArray[np.int32]],
    options: RunOptions,
) -> GmmStats:
    """Return the statistics of unadapted inputs, by posteriors of the Gaussians that adapted ones give.

    Kaldi's gmm-acc-stats-twofeats.
    """
    pieces = chunks(sorted(alignments), UTTERANCES_AT_ONCE)
    job = functools.partial(_twofeats_chunk, model, adapted, unadapted, alignments)
    results = map_in_order(job, pieces, options.num_jobs, kind="threads")
    stats = GmmStats.zero(model.gmms)
    for piece in options.progress(results, total=len(pieces), label="alignment model"):
        stats = stats + piece
    return stats


def _twofeats_chunk(
    model: GmmHmm,
    adapted: ModelInputs,
    unadapted: ModelInputs,
    alignments: Mapping[str, NDArray[np.int32]],
    keys: Sequence[str],
) -> GmmStats:
    pdf_ids = model.transitions.tid_to_pdf[np.concatenate([alignments[key] for key in keys])]
    seen, summed = (np.concatenate([inputs[key] for key in keys]) for inputs in (adapted, unadapted))
    return accumulate_twofeats(model.gmms, seen, summed, pdf_ids)
