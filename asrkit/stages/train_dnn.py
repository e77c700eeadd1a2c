"""`asrkit train-dnn`: from features and an alignment to a network, and a model directory that decodes with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asrkit.core.files import write_lines
from asrkit.data.datadir import DataDir
from asrkit.features.frontend import load_front_end
from asrkit.lang.langdir import Lang
from asrkit.nnet.acoustic import NnetHmm, log_priors
from asrkit.nnet.device import pick_device
from asrkit.nnet.stack import Stack, stack_files
from asrkit.nnet.train.parallel import join_group
from asrkit.stages.acoustic import LANG_FILES, data_files, load_acoustic_model, model_files, save_model_folder
from asrkit.stages.checkpoint import training_key
from asrkit.stages.dnn_config import DnnConfig, NetworkStageConfig
from asrkit.stages.frame_targets import AlignedData, open_targets
from asrkit.stages.held_out import HELDOUT_FILE, hold_out
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


def train_dnn(
    kind: str,
    data_path: Path,
    alignment: Path,
    out: Path,
    config: NetworkStageConfig,
    options: RunOptions,
    init: Path | None = None,
) -> StageReport | None:
    """Train a network on the frames of an alignment.

    Started by torchrun, several processes do it together.

    Parameters
    ----------
    kind : str
        Name of the subcommand.
    data_path : Path
        Data directory with the features to train on; they need not be those that the alignment was made with.
    alignment : Path
        Directory with ``ali.scp`` and the model that made it: that of a training, or of `asrkit align`.
    out : Path
        Model directory to be made. ``epochs.json`` has the figures of each epoch, ``heldout.txt`` the utterances that
        were not trained on.
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
        Too many utterances have no features or no alignment.
    """
    check_apart(out, data_path, alignment, *([] if init is None else [init]))
    group = join_group(pick_device(config.training.device).type == "cuda")
    inputs = [*data_files(data_path, ("utt2spk",)), *model_files(alignment)]
    inputs += [alignment / name for name in ("ali.scp", "ali.ark", *(f"lang/{name}" for name in LANG_FILES))]
    inputs += [] if init is None else stack_files(init)

    checkpoints = Checkpoints(out, training_key(config, options.seed, inputs), read_only=not group.leads)

    def train() -> tuple[_Corpus, TrainedNetwork]:
        stack = None if init is None else open_stack(init, data_path, config)
        corpus = _open(data_path, alignment, config, options, stack)
        return corpus, train_network(corpus.frames, config, options, stack, checkpoints, group)

    def finish(trained: tuple[_Corpus, TrainedNetwork]) -> StageResult:
        corpus, made = trained
        aligned, frames = corpus.aligned, corpus.frames
        made.save_epochs(out / "epochs.json")
        write_lines(out / HELDOUT_FILE, frames.heldout)
        priors = log_priors(frames.counts, config.prior_smoothing)
        model = NnetHmm(aligned.tree, aligned.transitions, made.network, made.shape, made.normalisation, priors)
        front_end = load_front_end(data_path)
        save_model_folder(out, front_end, frames.pipeline, alignment / "lang", model, trained_on=data_path)
        checkpoints.clear()
        return StageResult({**model.sizes(), **frames.figures(), **made.figures()}, aligned.failures)

    outputs = [*(out / path.name for path in model_files(data_path)), out / "epochs.json", out / HELDOUT_FILE]
    return run_together(f"train-dnn {kind}", out, inputs, config, outputs, options, group, train, finish)


@dataclass(frozen=True)
class _Corpus:
    """The alignment that is trained on, and its frames."""

    aligned: AlignedData
    frames: TrainingFrames


def _open(data_path: Path, alignment: Path, config: DnnConfig, options: RunOptions, stack: Stack | None) -> _Corpus:
    pipeline = config.pipeline if stack is None else stack.pipeline
    aligner = load_acoustic_model(alignment)
    Lang.load(alignment / "lang", alignment / "topology.json")  # the finished model gets a copy
    data = DataDir.load(data_path)
    features = open_features(data, pipeline)
    aligned = open_targets(data, features, alignment, aligner.tree, aligner.transitions, config.targets)
    check_failures(aligned.failures, len(data.utterances), options, data_path)
    parts = hold_out(data, list(aligned.num_frames), config.heldout_share, options.seed, config.heldout_by)
    counts = aligned.counts()
    return _Corpus(aligned, TrainingFrames(features, pipeline, aligned.targets, aligned.num_frames, counts, *parts))
