"""Autoencoders: what a user may choose, apart from the models themselves, so that help needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from asrkit.core.errors import ConfigError
from asrkit.nnet.train.config import OptimiserConfig

Inputs = Literal["gaussian", "bernoulli"]
Encoder = Literal["sigmoid", "tanh", "relu"]


@dataclass(frozen=True)
class AutoencoderConfig:
    """What an autoencoder is, and how it is trained.

    Attributes
    ----------
    activation : {'sigmoid', 'tanh', 'relu'}
        f.
    tied : bool
        The decoder has the encoder's weights, transposed.
    corruption : {'masking', 'gaussian', 'none'}
        ``masking`` puts inputs at 0, ``gaussian`` adds normal noise.
    corruption_level : float
        Share of the inputs that are masked, or the deviation of the noise.
    contraction : float
        Factor of the squared derivatives; 0: none.
    optimiser : OptimiserConfig
    """

    activation: Encoder = "sigmoid"
    tied: bool = True
    corruption: Literal["masking", "gaussian", "none"] = "masking"
    corruption_level: float = 0.2
    contraction: float = 0.0
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(kind="adam"))

    def __post_init__(self) -> None:
        for name in ("corruption_level", "contraction"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} is {getattr(self, name):g}, expected 0 or more")
        if self.corruption == "masking" and self.corruption_level >= 1:
            raise ConfigError(f"corruption_level is {self.corruption_level:g}, expected a share of the inputs below 1")
