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
