"""`asrkit train-gmm deltas`: a context-dependent GMM-HMM from the alignments of an earlier model."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path

from asrkit.features.pipeline import PipelineConfig
from asrkit.gmm.em import EmConfig
from asrkit.stages.acoustic import load_acoustic_model
from asrkit.stages.checkpoint import Checkpoint, training_key
from asrkit.stages.gmm_training import (
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


@dataclass(frozen=True)
class DeltasConfig:
    """Configuration of `asrkit train-gmm deltas`; the defaults of ``em`` are those of Kaldi's steps/train_deltas.sh."""

    pipeline: PipelineConfig = field(default_factory=PipelineConfig)
    context: ContextConfig = field(default_factory=ContextConfig)
    em: EmConfig = field(
        default_factory=lambda: EmConfig(
            num_iters=35, total_gaussians=4000, last_mix_up_iter=25, realign_iters=REALIGN_ITERS
        )
    )


def train_deltas(
    data_path: Path, lang_path: Path, previous: Path, out: Path, config: DeltasConfig, options: RunOptions
) -> StageReport:
    """Train a context-dependent model.

    Parameters
    ----------
    previous : Path
        A finished model of the same lang directory; it aligns the data first.
    out : Path
        Model directory to be made; beside what every training makes, ``tree-report.json``.
    """
    check_apart(out, data_path, lang_path, previous)
    inputs = rung_inputs(data_path, lang_path, previous, config.context)

    def body() -> StageResult:
        corpus = open_corpus(data_path, lang_path, config.pipeline, options)
        checkpoint = Checkpoint(out, training_key(config, options.seed, inputs))
        state = checkpoint.load()
        if state is None:
            older = load_acoustic_model(previous)
            aligned = align_corpus(older, corpus, config.em, options)
            state, report = start_on_new_tree(
                older.transitions, aligned.alignments, corpus.features, corpus, config.context, options
            )
            state = replace(state, failures=aligned.failures)
            say_tree(report, out)
        else:
            log.info("going on after iteration %d of %d", state.iteration, config.em.num_iters)
        data = training_data(corpus, state.model.tree, state.model.transitions, options.progress)
        state = run_em(state, data, corpus, config.em, options, checkpoint)
        return finish_training(state, corpus, out, lang_path, config.pipeline, checkpoint)

    outputs = [*training_outputs(out, data_path), out / "tree-report.json"]
    return run_stage("train-gmm deltas", out, inputs, config, outputs, options, body)
