"""`asrkit train-gmm lda-mllt`: spliced inputs, projected by LDA, decorrelated by MLLT estimated in the loop."""

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
from asrkit.features.pipeline import ModelInputs, PipelineConfig
from asrkit.features.transform import compose
from asrkit.gmm.em import EmConfig, EmState
from asrkit.gmm.lda import LdaStats, accumulate_lda, estimate_lda
from asrkit.gmm.mllt import MlltStats, accumulate_mllt, estimate_mllt, transform_means
from asrkit.gmm.model import GmmHmm
from asrkit.gmm.training import UTTERANCES_AT_ONCE
from asrkit.gmm.update import GmmUpdateConfig
from asrkit.hmm.transitions import TransitionModel
from asrkit.stages.acoustic import load_acoustic_model
from asrkit.stages.checkpoint import Checkpoint, training_key
from asrkit.stages.gmm_training import (
    Corpus,
    finish_training,
    open_corpus,
    run_em,
    training_data,
    training_outputs,
)
from asrkit.stages.record import RunOptions, StageReport, StageResult, check_apart, run_stage
from asrkit.stages.tree_stage import (
    REALIGN_ITERS,
    ContextConfig,
    align_corpus,
    rung_inputs,
    say_tree,
    start_on_new_tree,
)

log = logging.getLogger("asrkit")

Alignments = Mapping[str, NDArray[np.int32]]


@dataclass(frozen=True)
class LdaMlltConfig:
    """Configuration of `asrkit train-gmm lda-mllt`; the defaults are those of Kaldi's steps/train_lda_mllt.sh.

    Attributes
    ----------
    dim : int
        Dimensions that LDA keeps.
    mllt_iters : tuple of int
        Iterations before which MLLT is estimated.
    silence_weight : float
        Weight of silence in the statistics of LDA and MLLT.
    """

    pipeline: PipelineConfig = field(
        default_factory=lambda: PipelineConfig(delta_order=0, splice_left=3, splice_right=3)
    )
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
    dim: int = 40
    mllt_iters: tuple[int, ...] = (2, 4, 6, 12)
    silence_weight: float = 0.0

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise ConfigError(f"dim is {self.dim}, expected 1 or more")
        if not 0 <= self.silence_weight <= 1:
            raise ConfigError(f"silence_weight is {self.silence_weight}, expected 0 to 1")
        if self.em.estimator != "viterbi":
            raise ConfigError("em.estimator is 'baum-welch', MLLT needs the alignments of 'viterbi'")


def train_lda_mllt(
    data_path: Path, lang_path: Path, previous: Path, out: Path, config: LdaMlltConfig, options: RunOptions
) -> StageReport:
    """Train a context-dependent model on LDA and MLLT.

    Parameters
    ----------
    previous : Path
        A finished model of the same lang directory; it aligns the data, and its pdfs are LDA's classes.
    out : Path
        Model directory to be made; the transform is part of the model.
    """
    check_apart(out, data_path, lang_path, previous)
    inputs = rung_inputs(data_path, lang_path, previous, config.context)

    def body() -> StageResult:
        corpus = open_corpus(data_path, lang_path, config.pipeline, options)
        checkpoint = Checkpoint(out, training_key(config, options.seed, inputs))
        state = checkpoint.load()
        if state is None:
            state = _start(corpus, previous, out, config, options)
        else:
            log.info("going on after iteration %d of %d", state.iteration, config.em.num_iters)
        state = _train(state, corpus, config, options, checkpoint)
        return finish_training(state, corpus, out, lang_path, config.pipeline, checkpoint)

    outputs = [*training_outputs(out, data_path), out / "tree-report.json"]
    return run_stage("train-gmm lda-mllt", out, inputs, config, outputs, options, body)


def _start(corpus: Corpus, previous: Path, out: Path, config: LdaMlltConfig, options: RunOptions) -> EmState:
    older = load_acoustic_model(previous)
    aligned = align_corpus(older, corpus, config.em, options)
    weights = class_weights(older.transitions, corpus.lang.silence_phones, config.silence_weight)
    stats = _lda_stats(older.transitions, aligned.alignments, corpus.features, weights, options)
    matrix, eigenvalues = estimate_lda(stats, config.dim)
    log.info("LDA keeps %.4g of %.4g", eigenvalues[: config.dim].sum(), eigenvalues.sum())
    inputs = corpus.features.with_transforms(matrix)
    state, report = start_on_new_tree(
        older.transitions, aligned.alignments, inputs, corpus, config.context, options, matrix
    )
    say_tree(report, out)
    return replace(state, failures=aligned.failures)


def _train(
    state: EmState, corpus: Corpus, config: LdaMlltConfig, options: RunOptions, checkpoint: Checkpoint
) -> EmState:
    """Run the iterations; before each of ``mllt_iters`` the inputs, and with them the means, are turned."""
    data = training_data(corpus, state.model.tree, state.model.transitions, options.progress)
    stops = sorted({at for at in config.mllt_iters if state.iteration <= at < config.em.num_iters})
    for stop in (*stops, None):
        inputs = corpus.features.with_transforms(state.model.input_transform)
        data = replace(data, features=inputs)
        state = run_em(state, data, corpus, config.em, options, checkpoint, stop)
        if stop is not None:
            weights = class_weights(state.model.transitions, corpus.lang.silence_phones, config.silence_weight)
            state = replace(state, model=_turned(state.model, state.alignments, inputs, weights, options))
    return state


def _turned(
    model: GmmHmm,
    alignments: Alignments,
    inputs: ModelInputs,
    weights: NDArray[np.float32],
    options: RunOptions,
) -> GmmHmm:
    """Return the model with MLLT composed with its transform, its means turned along."""
    pieces = chunks(sorted(alignments), UTTERANCES_AT_ONCE)
    job = functools.partial(_mllt_chunk, model, alignments, inputs, weights)
    results = map_in_order(job, pieces, options.num_jobs, kind="threads")
    stats = MlltStats.zero(model.gmms.dim)
    for result in options.progress(results, total=len(pieces), label="MLLT"):
        stats = stats + result
    matrix, gain = estimate_mllt(stats)
    log.info("MLLT gains %.4f nats a frame", gain)
    assert model.input_transform is not None
    transform = compose(matrix, model.input_transform, before_is_affine=False)
    return replace(model, gmms=transform_means(model.gmms, matrix), input_transform=transform)


def class_weights(
    transitions: TransitionModel, silence_phones: Sequence[int], silence_weight: float
) -> NDArray[np.float32]:
    """Return the weight of each transition_id in statistics of transforms: ``silence_weight`` for silence, else 1."""
    silent = np.isin(transitions.tid_to_phone, np.asarray(silence_phones))
    return np.where(silent, silence_weight, 1.0).astype(np.float32)


def _lda_stats(
    transitions: TransitionModel,
    alignments: Alignments,
    inputs: ModelInputs,
    weights: NDArray[np.float32],
    options: RunOptions,
) -> LdaStats:
    pieces = chunks(sorted(alignments), UTTERANCES_AT_ONCE)
    job = functools.partial(_lda_chunk, transitions, alignments, inputs, weights)
    total = LdaStats.zero(transitions.num_pdfs, inputs.dim)
    results = map_in_order(job, pieces, options.num_jobs, kind="threads")
    for result in options.progress(results, total=len(pieces), label="LDA"):
        total = total + result
    return total


def _lda_chunk(
    transitions: TransitionModel,
    alignments: Alignments,
    inputs: ModelInputs,
    weights: NDArray[np.float32],
    keys: Sequence[str],
) -> LdaStats:
    tids = np.concatenate([alignments[key] for key in keys])
    features = np.concatenate([inputs[key] for key in keys])
    return accumulate_lda(features, transitions.tid_to_pdf[tids], transitions.num_pdfs, weights[tids])


def _mllt_chunk(
    model: GmmHmm, alignments: Alignments, inputs: ModelInputs, weights: NDArray[np.float32], keys: Sequence[str]
) -> MlltStats:
    tids = np.concatenate([alignments[key] for key in keys])
    features = np.concatenate([inputs[key] for key in keys])
    return accumulate_mllt(model.gmms, features, model.transitions.tid_to_pdf[tids], weights[tids])
