"""What trainings of networks on the frames of utterances have in common, whatever the classes are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError, ModelError
from asrkit.core.files import write_json
from asrkit.core.progress import Progress
from asrkit.features.description import read_inputs
from asrkit.features.frontend import check_front_end, load_front_end
from asrkit.features.pipeline import ModelInputs, PipelineConfig
from asrkit.nnet.device import pick_device
from asrkit.nnet.layers.mlp import Mlp
from asrkit.nnet.layers.recurrent import SequenceNetwork
from asrkit.nnet.network import Network, NetworkShape, load_layers
from asrkit.nnet.normalisation import InputNormalisation
from asrkit.nnet.stack import Stack, load_stack
from asrkit.nnet.train.checkpoint import CheckpointStore
from asrkit.nnet.train.classifier import train_classifier
from asrkit.nnet.train.config import Device
from asrkit.nnet.train.epochs import EpochReport
from asrkit.nnet.train.frames import Frames
from asrkit.nnet.train.layerwise import grow_layers
from asrkit.nnet.train.parallel import Group
from asrkit.nnet.train.recurrent import train_recurrent
from asrkit.nnet.train.utterances import Utterances
from asrkit.stages.dnn_config import CnnStageConfig, DnnConfig, MlpStageConfig, NetworkStageConfig, RecurrentStageConfig
from asrkit.stages.record import RunOptions, StageReport, StageResult, run_stage

T = TypeVar("T")


@dataclass(frozen=True)
class TrainingFrames:
    """What is trained on.

    Attributes
    ----------
    features : ModelInputs
        Not spliced.
    pipeline : PipelineConfig
        With the splicing.
    targets : mapping of str to (T,) int32
        Class of each frame of an utterance, 0-based.
    num_frames : mapping of str to int
        Of each utterance.
    counts : (num_classes,) float64
        Frames of each class.
    training, heldout : list of str
        Utterances.
    """

    features: ModelInputs
    pipeline: PipelineConfig
    targets: Mapping[str, NDArray[np.int32]]
    num_frames: Mapping[str, int]
    counts: NDArray[np.float64]
    training: list[str]
    heldout: list[str]

    def figures(self) -> dict[str, int]:
        """Return the numbers of frames."""
        return {
            "training_frames": sum(self.num_frames[key] for key in self.training),
            "heldout_frames": sum(self.num_frames[key] for key in self.heldout),
        }


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """What came of a training."""

    network: Network
    shape: NetworkShape
    normalisation: InputNormalisation
    reports: tuple[EpochReport, ...]

    def figures(self) -> dict[str, Any]:
        """Return the figures of the epoch whose weights were kept, and how many there were."""
        accepted = [report for report in self.reports if report.accepted] or list(self.reports)
        kept = min(accepted, key=lambda report: report.heldout_loss)
        return {
            "epochs": len(self.reports),
            "loss": round(kept.loss, 4),
            "accuracy": round(kept.accuracy, 4),
            "heldout_loss": round(kept.heldout_loss, 4),
            "heldout_accuracy": round(kept.heldout_accuracy, 4),
            "frames_per_sec": round(float(np.median([report.frames_per_sec for report in self.reports]))),
        }

    def save_epochs(self, path: Path) -> None:
        """Write the figures of all epochs; a loss that was not finite is null."""
        write_json(path, [_finite(asdict(report)) for report in self.reports])


@dataclass(frozen=True)
class Checkpoints:
    """The places for snapshots of a training: of the network, and of those with fewer layers before it."""

    out: Path
    key: str
    read_only: bool

    def __call__(self, layers: int | None = None) -> CheckpointStore:
        """Return that of the network, or of the one with so many hidden layers."""
        number = "" if layers is None else f"-{layers}"
        return CheckpointStore(self.out / f"checkpoint{number}.safetensors", self.key, read_only=self.read_only)

    def clear(self) -> None:
        """Remove all of them."""
        for path in self.out.glob("checkpoint*.safetensors"):
            path.unlink()


def train_network(
    frames: TrainingFrames,
    config: NetworkStageConfig,
    options: RunOptions,
    stack: Stack | None,
    checkpoints: Checkpoints,
    group: Group,
) -> TrainedNetwork:
    """Train a network, from a checkpoint on where there is one.

    Parameters
    ----------
    stack : Stack, optional
        Whose normalisation and layers it begins with.
    group : Group
        The processes that train it together.
    """
    pipeline, counts = frames.pipeline, frames.counts
    if stack is None:
        normalisation = InputNormalisation.of(frames.features[key] for key in frames.training)
    else:
        normalisation = stack.normalisation
    width = pipeline.splice_left + 1 + pipeline.splice_right
    shape = NetworkShape(config.network, normalisation.dim * width, width, len(counts))
    weights = _class_weights(counts, config) if config.balance else None
    common = (options.seed, checkpoints, options.progress, weights, group)
    if isinstance(config, RecurrentStageConfig):
        network, reports = _train_recurrent(frames, shape, normalisation, config, *common)
    else:
        network, reports = _train_frames(frames, shape, normalisation, config, stack, *common)
    return TrainedNetwork(network, shape, normalisation, reports)


def _train_frames(
    frames: TrainingFrames,
    shape: NetworkShape,
    normalisation: InputNormalisation,
    config: MlpStageConfig | CnnStageConfig,
    stack: Stack | None,
    seed: int,
    checkpoints: Checkpoints,
    progress: Progress,
    weights: NDArray[np.float32] | None,
    group: Group,
) -> tuple[Network, tuple[EpochReport, ...]]:
    training, heldout = _both_parts(Frames, frames, normalisation, config.training.frames, config.training.device)
    network: Network
    if isinstance(config, MlpStageConfig) and config.layerwise_epochs:
        epochs, parts = config.layerwise_epochs, (seed, checkpoints, progress, weights, group)
        network = grow_layers(shape, training, heldout, config.training, epochs, *parts)
    else:
        network = shape.build(seed)
    if stack is not None and isinstance(network, Mlp):
        load_layers(network, [(layer.weights, layer.bias) for layer in stack.layers])
    last = (seed, checkpoints(), progress, weights, group)
    return network, train_classifier(network, training, heldout, config.training, *last)


def _train_recurrent(
    frames: TrainingFrames,
    shape: NetworkShape,
    normalisation: InputNormalisation,
    config: RecurrentStageConfig,
    seed: int,
    checkpoints: Checkpoints,
    progress: Progress,
    weights: NDArray[np.float32] | None,
    group: Group,
) -> tuple[Network, tuple[EpochReport, ...]]:
    training, heldout = _both_parts(
        Utterances, frames, normalisation, config.training.utterances, config.training.device
    )
    network = shape.build(seed)
    assert isinstance(network, SequenceNetwork)
    last = (seed, checkpoints(), progress, weights, group)
    return network, train_recurrent(network, training, heldout, config.training, *last)


def _both_parts(
    make: Callable[..., T], frames: TrainingFrames, normalisation: InputNormalisation, config: Any, device: Device
) -> tuple[T, T]:
    """Return what is trained on and what is held out, as ``make`` (Frames or Utterances) has them."""
    pipeline = frames.pipeline
    training, heldout = (
        make(
            frames.features,
            keys,
            normalisation,
            pipeline.splice_left,
            pipeline.splice_right,
            frames.targets,
            config,
            pick_device(device),
            frames.num_frames,
        )
        for keys in (frames.training, frames.heldout)
    )
    return training, heldout


def run_together(
    stage: str,
    out: Path,
    inputs: Iterable[Path],
    config: DnnConfig,
    outputs: Iterable[Path],
    options: RunOptions,
    group: Group,
    train: Callable[[], T],
    finish: Callable[[T], StageResult],
) -> StageReport | None:
    """Run a stage whose training several processes do together.

    Parameters
    ----------
    train : callable
        What all processes do.
    finish : callable
        What the first one alone does with the result: write it.

    Returns
    -------
    StageReport or None
        None in all processes but the first one.
    """

    def body() -> StageResult:
        group.agree(True)
        return finish(train())

    if not group.leads:
        if group.agree(False):
            train()
        return None
    report = run_stage(stage, out, inputs, config, outputs, options, body)
    if report.skipped:
        group.agree(False)
    return report


def _class_weights(counts: NDArray[np.float64], config: DnnConfig) -> NDArray[np.float32]:
    """Return the weight of each class, 1 for the average frame."""
    smoothed = counts + config.prior_smoothing
    weights = (smoothed / smoothed.sum()) ** -config.balance
    return (weights * smoothed.sum() / (weights * smoothed).sum()).astype(np.float32)


def open_stack(init: Path, data_path: Path, config: NetworkStageConfig) -> Stack:
    """Open the stack to begin with; of one with more layers than the network, the lowest.

    Raises
    ------
    ModelError, FormatError, ConfigError
        It is absent or damaged, or fits neither data nor configuration.
    """
    stack = load_stack(init)
    check_front_end(stack.front_end, load_front_end(data_path), data_path)
    inputs = read_inputs(data_path)
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
    used = replace(stack, layers=stack.layers[: network.layers])
    found = [(layer.num_outputs, layer.activation) for layer in used.layers]
    if found != [(network.units, network.activation)] * len(found) or network.bottleneck:
        listed = ", ".join(f"{units} {name}" for units, name in found)
        raise ConfigError(
            f"the stack has layers of {listed} units; the network, of {network.units} {network.activation}",
            where=init,
            remedy="set network.units and activation to the same, and bottleneck to 0",
        )
    return used


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row that JSON can hold: a loss that was not finite is null."""
    return {key: None if isinstance(value, float) and not np.isfinite(value) else value for key, value in row.items()}
