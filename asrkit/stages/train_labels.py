"""`asrkit train-dnn --targets labels`: from features and labels of utterances to a network that names them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asrkit.data.datadir import DataDir
from asrkit.features.description import read_inputs
from asrkit.features.frontend import load_front_end
from asrkit.nnet.device import pick_device
from asrkit.nnet.label_classifier import CLASSIFIER_FILE, LabelClassifier
from asrkit.nnet.stack import Stack, stack_files
from asrkit.nnet.train.parallel import join_group
from asrkit.stages.acoustic import data_files
from asrkit.stages.checkpoint import training_key
from asrkit.stages.dnn_config import DnnConfig, NetworkStageConfig
from asrkit.stages.label_targets import SOURCES, LabelledData, hold_out_labelled, label_file, open_labels
from asrkit.stages.network_features import open_features
from asrkit.stages.network_training import (
    Checkpoints,
    TrainedNetwork,
    TrainingFrames,
    open_stack,
    run_together,
    train_network,
)
from asrkit.stages.record import RunOptions, StageReport, StageResult, check_apart, check_failures


def train_labels(
    kind: str,
    data_path: Path,
    source: str,
    out: Path,
    config: NetworkStageConfig,
    options: RunOptions,
    init: Path | None = None,
) -> StageReport | None:
    """Train a network to name the label of an utterance from each window of its frames.

    Started by torchrun, several processes do it together.

    Parameters
    ----------
    kind : str
        Name of the subcommand.
    data_path : Path
        Data directory with the features to train on.
    source : str
        The labels; see :func:`asrkit.stages.label_targets.read_labels`.
    out : Path
        Classifier directory to be made, for `asrkit classify`. ``epochs.json`` has the figures of each epoch.
    init : Path, optional
        Stack of `asrkit pretrain`, whose layers are the first hidden layers to begin with.

    Returns
    -------
    StageReport or None
        None in all processes but the first one.

    Raises
    ------
    DataError, FormatError, ModelError, ConfigError
        An input is absent or damaged, or they do not belong together.
    TooManyFailedError
        Too many utterances have no features or no label.
    """
    check_apart(out, data_path, *([] if init is None else [init]))
    group = join_group(pick_device(config.training.device).type == "cuda")
    inputs = [*data_files(data_path, ("utt2spk",)), label_file(source, data_path)]
    inputs += [] if init is None else stack_files(init)
    checkpoints = Checkpoints(out, training_key(config, options.seed, inputs), read_only=not group.leads)

    def train() -> tuple[_Corpus, TrainedNetwork]:
        stack = None if init is None else open_stack(init, data_path, config)
        corpus = _open(data_path, source, config, options, stack)
        return corpus, train_network(corpus.frames, config, options, stack, checkpoints, group)

    def finish(trained: tuple[_Corpus, TrainedNetwork]) -> StageResult:
        corpus, made = trained
        made.save_epochs(out / "epochs.json")
        classifier = LabelClassifier(
            load_front_end(data_path),
            corpus.frames.pipeline,
            made.network,
            made.shape,
            made.normalisation,
            corpus.labelled.labels,
            source if source in SOURCES else "table",
            read_inputs(data_path),
        )
        classifier.save(out)
        checkpoints.clear()
        sizes = {"labels": len(classifier.labels), "weights": sum(one.numel() for one in made.network.parameters())}
        return StageResult({**sizes, **corpus.frames.figures(), **made.figures()}, corpus.labelled.failures)

    outputs = [out / name for name in (CLASSIFIER_FILE, "frontend.json", "pipeline.json", "epochs.json")]
    return run_together(f"train-dnn {kind}", out, inputs, config, outputs, options, group, train, finish)


@dataclass(frozen=True)
class _Corpus:
    """The labels that are trained on, and the frames of their utterances."""

    labelled: LabelledData
    frames: TrainingFrames


def _open(data_path: Path, source: str, config: DnnConfig, options: RunOptions, stack: Stack | None) -> _Corpus:
    pipeline = config.pipeline if stack is None else stack.pipeline
    data = DataDir.load(data_path)
    features = open_features(data, pipeline)
    labelled = open_labels(data, features, source)
    check_failures(labelled.failures, len(data.utterances), options, data_path)
    parts = hold_out_labelled(data, labelled, config.heldout_share, options.seed, config.heldout_by)
    frames = TrainingFrames(features, pipeline, labelled.targets, labelled.num_frames, labelled.counts(), *parts)
    return _Corpus(labelled, frames)
