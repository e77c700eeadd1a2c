"""How networks are trained: what a user may choose, apart from the trainings, so that help needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from asrkit.core.errors import ConfigError
from asrkit.nnet.train.newbob import NewbobConfig

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["float32", "tf32", "bfloat16"]


@dataclass(frozen=True)
class FramesConfig:
    """How frames are drawn.

    Attributes
    ----------
    batch_size : int
        Frames of a minibatch. The minibatches of a chunk are of equal size to within one frame, at most this.
    buffer_frames : int
        Frames of a chunk; two of them are in memory, not spliced.
    """

    batch_size: int = 256
    buffer_frames: int = 200_000

    def __post_init__(self) -> None:
        for name in ("batch_size", "buffer_frames"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 1 or more")


RATES = {"sgd": 0.008, "adam": 0.001}


@dataclass(frozen=True)
class OptimiserConfig:
    """How weights follow gradients.

    Attributes
    ----------
    kind : {'sgd', 'adam'}
    learning_rate : float or None
        For ``sgd`` the step along the gradient of a single frame, as in Kaldi's nnet1: a minibatch of B frames moves
        the weights by B times its mean gradient times this. For ``adam`` the step of Kingma & Ba 2015. None: 0.008
        for ``sgd``, which suits sigmoid units (a tenth of it suits rectifiers), 0.001 for ``adam``.
    momentum : float
        For ``sgd``: share of the last step that is taken again.
    l2 : float
        Half the penalty on the squares of all weights and biases, for each frame.
    max_norm : float
        Largest length of the weights into a unit; 0: none (Srivastava et al. 2014).
    clip : float
        Largest length of a minibatch's mean gradient; 0: none.
    """

    kind: Literal["sgd", "adam"] = "sgd"
    learning_rate: float | None = None
    momentum: float = 0.0
    l2: float = 0.0
    max_norm: float = 0.0
    clip: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.rate < float("inf"):
            raise ConfigError(f"learning_rate is {self.learning_rate}, expected a positive number")
        if not 0 <= self.momentum < 1:
            raise ConfigError(f"momentum is {self.momentum}, expected 0 to below 1")
        for name in ("l2", "max_norm", "clip"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 0 or a positive number")

    @property
    def rate(self) -> float:
        """The learning rate, also where none was given."""
        return RATES[self.kind] if self.learning_rate is None else self.learning_rate


@dataclass(frozen=True)
class ClassifierConfig:
    """How a network is trained.

    Attributes
    ----------
    optimiser : OptimiserConfig
    newbob : NewbobConfig
    frames : FramesConfig
    device : {'auto', 'cpu', 'cuda'}
    threads : int
        That a product is shared by on a CPU; another number may change its last bit.
    precision : {'float32', 'tf32', 'bfloat16'}
        Of products on a GPU; weights and sums are float32.
    """

    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    newbob: NewbobConfig = field(default_factory=NewbobConfig)
    frames: FramesConfig = field(default_factory=FramesConfig)
    device: Device = "auto"
    threads: int = 2
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ConfigError(f"threads is {self.threads}, expected 1 or more")


@dataclass(frozen=True)
class UtterancesConfig:
    """How whole utterances are drawn.

    Attributes
    ----------
    batch_frames : int
        Frames of a step, at most; an utterance that is longer makes a step alone.
    chunk_frames : int
        Take a step after so many frames of each utterance of a minibatch: what the network remembers goes on, the
        gradient goes no further back (truncated backpropagation through time); 0: after whole utterances.
    """

    batch_frames: int = 4000
    chunk_frames: int = 0

    def __post_init__(self) -> None:
        for name, least in (("batch_frames", 1), ("chunk_frames", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected {least} or more")


@dataclass(frozen=True)
class RecurrentTrainingConfig:
    """How a recurrent network is trained.

    Attributes
    ----------
    optimiser : OptimiserConfig
    newbob : NewbobConfig
    utterances : UtterancesConfig
    device : {'auto', 'cpu', 'cuda'}
    threads : int
        That a product is shared by on a CPU; another number may change its last bit.
    precision : {'float32', 'tf32'}
        Of products on a GPU; weights and sums are float32.
    """

    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig("adam", clip=1.0))
    newbob: NewbobConfig = field(default_factory=NewbobConfig)
    utterances: UtterancesConfig = field(default_factory=UtterancesConfig)
    device: Device = "auto"
    threads: int = 2
    precision: Literal["float32", "tf32"] = "float32"

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ConfigError(f"threads is {self.threads}, expected 1 or more")
