"""`asrkit train-gmm mono`: from features, transcripts and a lang directory to a monophone GMM-HMM."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path

from asrkit.core.errors import ConfigError
from asrkit.features.pipeline import PipelineConfig
from asrkit.gmm.em import EmConfig, flat_start_state
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import monophone_tree
from asrkit.stages.checkpoint import Checkpoint, training_key
from asrkit.stages.gmm_training import (
    finish_training,
    open_corpus,
    run_em,
    training_data,
    training_inputs,
    training_outputs,
)
from asrkit.stages.record import RunOptions, StageReport, StageResult, check_apart, run_stage

log = logging.getLogger("asrkit")


@dataclass(frozen=True)
class MonoConfig:
    """Configuration of `asrkit train-gmm mono`: the model's input, and the training schedule.

    Attributes
    ----------
    shortest : int
        Train on this many of the shortest utterances alone; 0 is all of them.
    """

    shortest: int = 0
    pipeline: PipelineConfig = field(default_factory=PipelineConfig)
    em: EmConfig = field(default_factory=EmConfig)

    def __post_init__(self) -> None:
        if self.shortest < 0:
            raise ConfigError(f"shortest is {self.shortest}, expected 0 (all utterances) or more")


def train_mono(data_path: Path, lang_path: Path, out: Path, config: MonoConfig, options: RunOptions) -> StageReport:
    """Train a monophone GMM-HMM from a flat start.

    Parameters
    ----------
    data_path : Path
        Data directory with features and transcripts.
    lang_path : Path
        Lang directory whose lexicon has the words of the transcripts.
    out : Path
        Model directory to be made: the model, its front end and symbol tables, and the alignments ``ali.scp``.
    """
    check_apart(out, data_path, lang_path)
    inputs = training_inputs(data_path, lang_path)

    def body() -> StageResult:
        corpus = open_corpus(data_path, lang_path, config.pipeline, options)
        if config.shortest:
            by_length = sorted(corpus.keys, key=lambda key: (corpus.features.num_frames(key), key))
            corpus = replace(corpus, keys=tuple(sorted(by_length[: config.shortest])))
        tree = monophone_tree(corpus.lang.topology, corpus.lang.shared_phones)
        transitions = TransitionModel.from_tree(tree, corpus.lang.topology)
        data = training_data(corpus, tree, transitions, options.progress)
        checkpoint = Checkpoint(out, training_key(config, options.seed, inputs))
        state = checkpoint.load()
        if state is None:
            state = flat_start_state(tree, transitions, data, options.seed)
        else:
            log.info("going on after iteration %d of %d", state.iteration, config.em.num_iters)
        state = run_em(state, data, corpus, config.em, options, checkpoint)
        return finish_training(state, corpus, out, lang_path, config.pipeline, checkpoint)

    return run_stage("train-gmm mono", out, inputs, config, training_outputs(out, data_path), options, body)
