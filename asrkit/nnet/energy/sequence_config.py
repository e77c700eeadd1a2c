"""Models of sequences of frames: what a user may choose, apart from the models, so that help needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from asrkit.core.errors import ConfigError
from asrkit.nnet.train.config import Device, OptimiserConfig
from asrkit.nnet.train.plateau import PlateauConfig

Cell = Literal["tanh", "gru", "lstm"]
Visible = Literal["bernoulli", "gaussian"]


@dataclass(frozen=True)
class RecurrenceConfig:
    """What remembers the frames that were.

    Attributes
    ----------
    cell : {'tanh', 'gru', 'lstm'}
        ``tanh`` is the paper's.
    units : int
    input_dropout, dropout : float
        Share of the units that are left out in training, of the frames that the recurrence reads and of its outputs
        that set the biases; those that stay are scaled up.
    """

    cell: Cell = "tanh"
    units: int = 100
    input_dropout: float = 0.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.units < 1:
            raise ConfigError(f"units is {self.units}, expected 1 or more")
        for name in ("input_dropout", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name):g}, expected 0 or more, and less than 1")


@dataclass(frozen=True)
class RnnRbmConfig:
    """An RNN-RBM.

    Attributes
    ----------
    hidden : int
        Hidden units of the RBM.
    gibbs_steps : int
        k of CD-k in training.
    recurrence : RecurrenceConfig
    visible : {'bernoulli', 'gaussian'}
        Units of the frames: binary, or real numbers with variances that are learned.
    """

    hidden: int = 150
    gibbs_steps: int = 15
    recurrence: RecurrenceConfig = field(default_factory=RecurrenceConfig)
    visible: Visible = "bernoulli"

    def __post_init__(self) -> None:
        _check_counts(self, "hidden", "gibbs_steps")


@dataclass(frozen=True)
class RtrbmConfig:
    """An RTRBM, whose recurrence is made of the means of its own hidden units; see :class:`RnnRbmConfig`."""

    hidden: int = 150
    gibbs_steps: int = 15
    visible: Visible = "bernoulli"

    def __post_init__(self) -> None:
        _check_counts(self, "hidden", "gibbs_steps")


@dataclass(frozen=True)
class RnnNadeConfig:
    """An RNN-NADE; ``hidden`` units of the NADE."""

    hidden: int = 150
    recurrence: RecurrenceConfig = field(default_factory=RecurrenceConfig)

    def __post_init__(self) -> None:
        _check_counts(self, "hidden")


SequenceModelConfig = RnnRbmConfig | RtrbmConfig | RnnNadeConfig


@dataclass(frozen=True)
class PredictionConfig:
    """How the next frame's probability is found where no closed form gives it.

    Attributes
    ----------
    ais_runs, ais_temperatures : int
        Of RBMs: runs of annealed importance sampling for each step's partition function, and inverse temperatures of
        each, evenly spaced.
    base_steps : int
        Gibbs steps of each step's chain whose means enter the model that annealing starts from; the first half is not
        counted.
    samples : int
        Of NADE: draws of each step, whose conditionals' mean is a unit's probability.
    """

    ais_runs: int = 10
    ais_temperatures: int = 200
    base_steps: int = 20
    samples: int = 10

    def __post_init__(self) -> None:
        _check_counts(self, "ais_temperatures", "samples")
        if min(self.ais_runs, self.base_steps) < 2:
            raise ConfigError("ais_runs or base_steps is below 2")


@dataclass(frozen=True)
class SequenceTrainingConfig:
    """How such a model is trained.

    Attributes
    ----------
    optimiser : OptimiserConfig
        Along the mean gradient of the steps of a chunk; the step of ``sgd`` is ``learning_rate`` times ``batch_size``.
    plateau : PlateauConfig
    batch_size : int
        Sequences of a minibatch.
    chunk_steps : int
        Steps between two updates: the gradient does not go back beyond a chunk, the recurrence's state goes on.
    watched_steps : int
        Held-out steps, drawn at random once, by which the end of training is found; 0: all of them.
    watch : PredictionConfig
        How they are foretold. With few runs and temperatures the likelihoods of RBMs come out too high, the more so the
        sharper the model has become: of an RNN-RBM of Nottingham after 12 epochs 5 runs of 100 temperatures found
        -2.07 nats a step where 10 of 200 found -2.80, though on other pieces.
    device : {'auto', 'cpu', 'cuda'}
    threads : int
    checkpoint_secs : float
        Between two snapshots, which are taken at the ends of epochs.
    """

    optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(kind="adam", learning_rate=0.001, clip=1.0)
    )
    plateau: PlateauConfig = field(default_factory=PlateauConfig)
    batch_size: int = 16
    chunk_steps: int = 100
    watched_steps: int = 1000
    watch: PredictionConfig = field(default_factory=PredictionConfig)
    device: Device = "auto"
    threads: int = 2
    checkpoint_secs: float = 60.0

    def __post_init__(self) -> None:
        _check_counts(self, "batch_size", "chunk_steps", "threads")
        if self.watched_steps < 0 or not self.checkpoint_secs >= 0:
            raise ConfigError("watched_steps or checkpoint_secs is below 0")


def _check_counts(config: object, *names: str) -> None:
    for name in names:
        if getattr(config, name) < 1:
            raise ConfigError(f"{name} is {getattr(config, name)}, expected 1 or more")
