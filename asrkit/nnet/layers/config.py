"""Shapes of networks: what a user may choose, apart from the networks, so that help needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from asrkit.core.errors import ConfigError

ActivationName = Literal["sigmoid", "tanh", "relu", "maxout"]


@dataclass(frozen=True)
class MlpConfig:
    """Shape of a multi-layer perceptron.

    Attributes
    ----------
    layers : int
        Hidden layers; 0 is a linear classifier.
    units : int
        Of each.
    activation : {'sigmoid', 'tanh', 'relu', 'maxout'}
        Of their units.
    maxout_pieces : int
        Sums that each maxout unit takes the largest of.
    bottleneck : int
        Units of one more layer, linear and narrow, before the last hidden layer; 0: none.
    dropout, input_dropout : float
        Share of hidden units, or of inputs, that training leaves out at random; the others are scaled up to make up
        for them (Srivastava et al. 2014).
    batch_norm : bool
        Normalise each sum over the minibatch, before the activation (Ioffe & Szegedy 2015).
    """

    layers: int = 4
    units: int = 512
    activation: ActivationName = "sigmoid"
    maxout_pieces: int = 2
    bottleneck: int = 0
    dropout: float = 0.0
    input_dropout: float = 0.0
    batch_norm: bool = False

    def __post_init__(self) -> None:
        for name, least in (("layers", 0), ("units", 1), ("maxout_pieces", 2), ("bottleneck", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected {least} or more")
        for name in ("dropout", "input_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 0 to below 1")
        if self.bottleneck and not self.layers:
            raise ConfigError("bottleneck needs a hidden layer", remedy="set layers to 1 or more")


@dataclass(frozen=True)
class CnnConfig:
    """Shape of a convolutional network: convolutions, each with pooling along frequency, below a perceptron.

    Attributes
    ----------
    maps : tuple of int
        Feature maps of each convolution.
    time_frames, bands : int
        Extent of every filter: frames, and neighbouring bands.
    pool : tuple of int
        Neighbouring bands of which each convolution keeps the largest response; no overlap.
    channels : int
        Feature vectors of equal dimension that a frame consists of: 3 for features with their first and second
        derivatives.
    mlp : MlpConfig
        What stands above; its ``activation`` is that of the maps as well.
    """

    maps: tuple[int, ...] = (64, 64)
    time_frames: int = 5
    bands: int = 5
    pool: tuple[int, ...] = (3, 1)
    channels: int = 3
    mlp: MlpConfig = field(default_factory=lambda: MlpConfig(layers=2, activation="relu"))

    def __post_init__(self) -> None:
        for name in ("time_frames", "bands", "channels"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 1 or more")
        if not self.maps or min((*self.maps, *self.pool), default=0) < 1 or len(self.maps) != len(self.pool):
            raise ConfigError(
                f"maps {list(self.maps)} and pool {list(self.pool)}, expected as many positive numbers in either"
            )
        if self.mlp.activation == "maxout":
            raise ConfigError("mlp.activation is 'maxout', convolutions here have 'sigmoid', 'tanh' or 'relu'")


@dataclass(frozen=True)
class RecurrentConfig:
    """Shape of a stack of recurrent layers below a linear layer of scores.

    Attributes
    ----------
    layers : int
    units : int
        Of each layer, and of each direction.
    bidirectional : bool
        Each layer reads the utterance in both directions (Schuster & Paliwal 1997), and passes on what either made of
        it. Such a network needs whole utterances.
    backwards : bool
        All layers read the utterance from its end (Robinson 1994, whose networks of either direction are merged in
        the log domain). Such a network needs whole utterances, too.
    dropout : float
        Share of each layer's outputs that training leaves out at random; the recurrence sees all of them.
    """

    layers: int = 2
    units: int = 256
    bidirectional: bool = False
    backwards: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("layers", "units"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 1 or more")
        if self.bidirectional and self.backwards:
            raise ConfigError("a bidirectional network reads backwards as it is", remedy="set backwards to false")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is {self.dropout}, expected 0 to below 1")


@dataclass(frozen=True)
class ElmanConfig(RecurrentConfig):
    """Shape of a network of Elman (1990): each layer sees itself one frame ago; ``activation`` is that of its units."""

    activation: Literal["tanh", "relu"] = "tanh"


@dataclass(frozen=True)
class LstmConfig(RecurrentConfig):
    """Shape of a network of long short-term memory with forget gates (Gers, Schmidhuber & Cummins 2000).

    Attributes
    ----------
    peepholes : bool
        The gates see the memory itself (Gers, Schraudolph & Schmidhuber 2002).
    forget_bias : float
        Of the forget gates to begin with: memory is kept before it is learned what to forget.
    """

    peepholes: bool = False
    forget_bias: float = 1.0


@dataclass(frozen=True)
class GruConfig(RecurrentConfig):
    """Shape of a network of gated recurrent units (Cho et al. 2014)."""


@dataclass(frozen=True)
class LiGruConfig(RecurrentConfig):
    """Shape of a network of light gated recurrent units (Ravanelli et al. 2018).

    Attributes
    ----------
    batch_norm : bool
        Normalise what comes from the layer below over all frames of the minibatch; rectifiers want it.
    """

    batch_norm: bool = True


@dataclass(frozen=True)
class FullyRecurrentConfig:
    """Shape of a fully recurrent network (Williams & Zipser 1989): one set of units, each fed by all, one frame ago.

    Attributes
    ----------
    units : int
        Hidden ones; the outputs are units beside them, which feed back what they emitted: the posteriors.
    activation : {'sigmoid', 'tanh'}
        Of the hidden units.
    backwards : bool
        It reads the utterance from its end, and needs whole utterances.
    """

    units: int = 256
    activation: Literal["sigmoid", "tanh"] = "tanh"
    backwards: bool = False

    def __post_init__(self) -> None:
        if self.units < 0:
            raise ConfigError(f"units is {self.units}, expected 0 or more")
