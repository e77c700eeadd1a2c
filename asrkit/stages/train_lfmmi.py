"""`asrkit train-dnn lfmmi`: a network trained further by lattice-free MMI."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from asrkit.graph.training import TrainingGraphCompiler
from asrkit.nnet.sequence.lfmmi import LfmmiCriterion
from asrkit.stages.acoustic import AcousticModel, model_files
from asrkit.stages.gmm_training import Corpus, open_corpus, training_inputs
from asrkit.stages.held_out import HELDOUT_FILE
from asrkit.stages.record import (
    Failure,
    RunOptions,
    StageReport,
    StageResult,
    check_apart,
    check_failures,
    run_stage,
)
from asrkit.stages.scored_alignment import Alignments, align_scored
from asrkit.stages.sequence_config import LfmmiStageConfig
from asrkit.stages.sequence_training import SequenceRun, open_network

log = logging.getLogger("asrkit")


def train_lfmmi(
    data_path: Path,
    lang_path: Path,
    seed_path: Path,
    out: Path,
    config: LfmmiStageConfig,
    options: RunOptions,
) -> StageReport:
    """Train a network further, so that it tells what was said from whatever a phone n-gram could say.

    Parameters
    ----------
    data_path : Path
        Data directory with the features that the network was trained on. What it held out is held out again.
    seed_path : Path
        Model directory of a network, which first aligns the data; its tree, HMMs, frame rate and normalisation stay.
    out : Path
        Model directory to be made. ``epochs.json`` has the figures of each epoch, ``ali.scp`` the seed's alignments.

    Raises
    ------
    DataError, FormatError, ModelError, ConfigError
        An input is absent or damaged, or they do not belong together.
    TooManyFailedError
        More utterances could not be used than the options allow.
    """
    check_apart(out, data_path, lang_path, seed_path)
    open_network(seed_path)
    inputs = [*training_inputs(data_path, lang_path), *model_files(seed_path), seed_path / HELDOUT_FILE]
    run = SequenceRun(data_path, lang_path, out, inputs, config, config.training, config.heldout_share, options)

    def body() -> StageResult:
        seed = open_network(seed_path)
        corpus = open_corpus(data_path, lang_path, seed.pipeline, options)
        seed.inputs(corpus.data_dir)  # refuses features of another front end
        alignments, failures = _align(seed, corpus, config, options)
        criterion = _criterion(seed, corpus, alignments, config)
        lm, graph = criterion.lm, criterion.denominator
        log.info(
            "phone n-gram: %d states, %d arcs; denominator graph: %d states, %d arcs",
            *(lm.num_states, lm.num_arcs, graph.num_states, graph.num_arcs),
        )
        result = run.train(seed, corpus, alignments, criterion, failures)
        sizes = {"denominator_states": graph.num_states, "denominator_arcs": graph.num_arcs}
        return replace(result, figures={**result.figures, **sizes})

    return run_stage("train-dnn lfmmi", out, inputs, config, run.outputs, options, body)


def _align(
    seed: AcousticModel, corpus: Corpus, config: LfmmiStageConfig, options: RunOptions
) -> tuple[Alignments, tuple[Failure, ...]]:
    criterion = config.criterion
    log_probs = seed.transitions.scaled_log_probs(criterion.transition_scale, criterion.self_loop_scale)
    alignments, reasons = align_scored(seed, corpus, config.alignment, log_probs, options)
    failures = (*corpus.failures, *(Failure(key, reason) for key, reason in sorted(reasons.items())))
    check_failures(failures, corpus.num_utterances, options, corpus.data_dir.path)
    return alignments, failures


def _criterion(seed: AcousticModel, corpus: Corpus, alignments: Alignments, config: LfmmiStageConfig) -> LfmmiCriterion:
    compiler = TrainingGraphCompiler(corpus.lang, seed.tree, seed.transitions)

    def transcript(key: str) -> list[int]:
        words: list[int] = corpus.lang.transcript_ids(corpus.data_dir.utterances[key].words or ())[0].tolist()
        return words

    return LfmmiCriterion(alignments, compiler, config.criterion, transcript)
