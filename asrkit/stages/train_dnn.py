"""`asrkit train-dnn`: from features and an alignment to a network, and a model directory that decodes with it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError, ModelError
from asrkit.core.files import read_json, write_json
from asrkit.data.datadir import DataDir
from asrkit.features.frontend import check_front_end, load_front_end
from asrkit.features.pipeline import INPUTS_FILE, ModelInputs, PipelineConfig
from asrkit.nnet.acoustic import NnetHmm, log_priors
from asrkit.nnet.device import pick_device
from asrkit.nnet.layers.mlp import Mlp
from asrkit.nnet.network import Network, NetworkShape, load_layers
from asrkit.nnet.normalisation import InputNormalisation
from asrkit.nnet.stack import Stack, load_stack, stack_files
from asrkit.nnet.train.checkpoint import CheckpointStore
from asrkit.nnet.train.classifier import EpochReport, train_classifier
from asrkit.nnet.train.frames import Frames
from asrkit.nnet.train.layerwise import grow_layers
from asrkit.nnet.train.parallel import Group, join_group
from asrkit.stages.acoustic import LANG_FILES, data_files, load_acoustic_model, model_files, save_model_folder
from asrkit.stages.checkpoint import training_key
from asrkit.stages.dnn_config import CnnStageConfig, DnnConfig, MlpStageConfig
from asrkit.stages.frame_targets import AlignedData, hold_out, open_targets
from asrkit.stages.record import RunOptions, StageReport, StageResult, check_apart, check_failures, run_stage

CACHE_BYTES = 1 << 28
"""Features kept in memory between epochs (256 MB: four hours of 40 dimensions); more are read again."""


def train_dnn(
    kind: str,
    data_path: Path,
    alignment: Path,
    out: Path,
    config: MlpStageConfig | CnnStageConfig,
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
        Model directory to be made. ``epochs.json`` has the figures of each epoch.
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

    def train() -> tuple[_Corpus, NnetHmm, tuple[EpochReport, ...], _Checkpoints]:
        stack = None if init is None else _open_stack(init, data_path, config)
        corpus = _open(data_path, alignment, config, options, stack)
        checkpoints = _Checkpoints(out, training_key(config, options.seed, inputs), read_only=not group.leads)
        return corpus, *_train(corpus, config, options, stack, checkpoints, group), checkpoints

    def body() -> StageResult:
        group.agree(True)
        corpus, model, reports, checkpoints = train()
        write_json(out / "epochs.json", [_finite(asdict(report)) for report in reports])
        front_end = load_front_end(data_path)
        save_model_folder(out, front_end, corpus.pipeline, alignment / "lang", model, trained_on=data_path)
        checkpoints.clear()
        return StageResult({**model.sizes(), **corpus.figures(), **_figures(reports)}, corpus.aligned.failures)

    if not group.leads:
        if group.agree(False):
            train()
        return None
    outputs = [*(out / path.name for path in model_files(data_path)), out / "epochs.json"]
    report = run_stage(f"train-dnn {kind}", out, inputs, config, outputs, options, body)
    if report.skipped:
        group.agree(False)
    return report


@dataclass(frozen=True)
class _Checkpoints:
    """The places for snapshots of a training: of the network, and of those with fewer layers before it."""

    out: Path
    key: str
    read_only: bool

    def __call__(self, layers: int | None = None) -> CheckpointStore:
        number = "" if layers is None else f"-{layers}"
        return CheckpointStore(self.out / f"checkpoint{number}.safetensors", self.key, read_only=self.read_only)

    def clear(self) -> None:
        for path in self.out.glob("checkpoint*.safetensors"):
            path.unlink()


@dataclass(frozen=True)
class _Corpus:
    """What is trained on.

    Attributes
    ----------
    features : ModelInputs
        Not spliced.
    pipeline : PipelineConfig
        With the splicing.
    aligned : AlignedData
    training, heldout : list of str
        Utterances.
    """

    features: ModelInputs
    pipeline: PipelineConfig
    aligned: AlignedData
    training: list[str]
    heldout: list[str]

    def figures(self) -> dict[str, int]:
        lengths = self.aligned.num_frames
        return {
            "training_frames": sum(lengths[key] for key in self.training),
            "heldout_frames": sum(lengths[key] for key in self.heldout),
        }


def _open(data_path: Path, alignment: Path, config: DnnConfig, options: RunOptions, stack: Stack | None) -> _Corpus:
    pipeline = config.pipeline if stack is None else stack.pipeline
    aligner = load_acoustic_model(alignment)
    data = DataDir.load(data_path)
    features = ModelInputs(data, replace(pipeline, splice_left=0, splice_right=0), CACHE_BYTES)
    aligned = open_targets(data, features, alignment, aligner.tree, aligner.transitions, config.targets)
    check_failures(aligned.failures, len(data.utterances), options, data_path)
    return _Corpus(
        features, pipeline, aligned, *hold_out(data, list(aligned.num_frames), config.heldout_share, options.seed)
    )


def _train(
    corpus: _Corpus,
    config: MlpStageConfig | CnnStageConfig,
    options: RunOptions,
    stack: Stack | None,
    checkpoints: _Checkpoints,
    group: Group,
) -> tuple[NnetHmm, tuple[EpochReport, ...]]:
    aligned, pipeline = corpus.aligned, corpus.pipeline
    if stack is None:
        normalisation = InputNormalisation.of(corpus.features[key] for key in corpus.training)
    else:
        normalisation = stack.normalisation
    width = pipeline.splice_left + 1 + pipeline.splice_right
    shape = NetworkShape(config.network, normalisation.dim * width, width, aligned.tree.num_pdfs)
    counts = aligned.counts()
    device = pick_device(config.training.device)
    training, heldout = (
        Frames(
            corpus.features,
            keys,
            normalisation,
            pipeline.splice_left,
            pipeline.splice_right,
            aligned.targets,
            config.training.frames,
            device,
            aligned.num_frames,
        )
        for keys in (corpus.training, corpus.heldout)
    )
    weights = _class_weights(counts, config) if config.balance else None
    network: Network
    if isinstance(config, MlpStageConfig) and config.layerwise_epochs:
        epochs, parts = config.layerwise_epochs, (options.seed, checkpoints, options.progress, weights, group)
        network = grow_layers(shape, training, heldout, config.training, epochs, *parts)
    else:
        network = shape.build(options.seed)
    if stack is not None and isinstance(network, Mlp):
        load_layers(network, [(layer.weights, layer.bias) for layer in stack.layers])
    store = checkpoints()
    reports = train_classifier(
        network, training, heldout, config.training, options.seed, store, options.progress, weights, group
    )
    priors = log_priors(counts, config.prior_smoothing)
    return NnetHmm(aligned.tree, aligned.transitions, network, shape, normalisation, priors), reports


def _class_weights(counts: NDArray[np.float64], config: DnnConfig) -> NDArray[np.float32]:
    """Return the weight of each class, 1 for the average frame."""
    smoothed = counts + config.prior_smoothing
    weights = (smoothed / smoothed.sum()) ** -config.balance
    return (weights * smoothed.sum() / (weights * smoothed).sum()).astype(np.float32)


def _open_stack(init: Path, data_path: Path, config: MlpStageConfig | CnnStageConfig) -> Stack:
    """Open the stack to begin with, and refuse one that does not fit data or configuration."""
    stack = load_stack(init)
    check_front_end(stack.front_end, load_front_end(data_path), data_path)
    inputs = read_json(data_path / INPUTS_FILE) if (data_path / INPUTS_FILE).exists() else None
    if inputs != stack.inputs:
        raise ModelError(
            "the stack was trained on inputs of another kind than these features",
            where=init,
            remedy="pretrain on these very features",
        )
    if config.pipeline not in (type(config)().pipeline, stack.pipeline):
        raise ConfigError(
            "pipeline is not that of the stack, which is used where there is one",
            remedy="leave it out, or pretrain with this pipeline",
        )
    if isinstance(config, MlpStageConfig) and config.layerwise_epochs:
        raise ConfigError("layerwise_epochs and a stack are two ways to begin", remedy="leave out one of them")
    if not isinstance(config, MlpStageConfig):
        raise ConfigError("a stack begins the hidden layers of a perceptron", remedy="use `asrkit train-dnn mlp`")
    network = config.network
    found = [(layer.num_outputs, layer.activation) for layer in stack.layers]
    expected = [(network.units, network.activation)] * len(found)
    if found != expected or len(found) > network.layers or network.bottleneck:
        listed = ", ".join(f"{units} {name}" for units, name in found)
        raise ConfigError(
            f"the stack has {len(found)} layers, of {listed} units; the network {network.layers}, of {network.units} "
            f"{network.activation}",
            where=init,
            remedy="set network.layers to as many or more, units and activation to the same, and bottleneck to 0",
        )
    return stack


def _figures(reports: tuple[EpochReport, ...]) -> dict[str, Any]:
    accepted = [report for report in reports if report.accepted] or list(reports)
    kept = min(accepted, key=lambda report: report.heldout_loss)
    return {
        "epochs": len(reports),
        "loss": round(kept.loss, 4),
        "accuracy": round(kept.accuracy, 4),
        "heldout_loss": round(kept.heldout_loss, 4),
        "heldout_accuracy": round(kept.heldout_accuracy, 4),
        "frames_per_sec": round(float(np.median([report.frames_per_sec for report in reports]))),
    }


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row that JSON can hold: a loss that was not finite is null."""
    return {key: None if isinstance(value, float) and not np.isfinite(value) else value for key, value in row.items()}
