"""Hidden units: what becomes of a layer's weighted sums."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from asrkit.core.errors import ConfigError
from asrkit.nnet.layers.config import ActivationName


class Maxout(nn.Module):
    """The largest of each group of ``pieces`` neighbouring sums (Goodfellow et al. 2013): (B, units * pieces) in."""

    def __init__(self, pieces: int) -> None:
        super().__init__()
        if pieces < 2:
            raise ConfigError(f"maxout_pieces is {pieces}, expected 2 or more")
        self.pieces = pieces

    def forward(self, sums: torch.Tensor) -> torch.Tensor:
        """Return (B, units)."""
        return sums.unflatten(1, (-1, self.pieces)).amax(dim=2)


def activation(name: ActivationName, maxout_pieces: int = 2) -> nn.Module:
    """Return the function of hidden units."""
    if name == "maxout":
        return Maxout(maxout_pieces)
    return {"sigmoid": nn.Sigmoid(), "tanh": nn.Tanh(), "relu": nn.ReLU()}[name]


def mean_square_of_largest(count: int) -> float:
    """Return the mean square of the largest of so many independent standard normal numbers."""
    x, weights = np.polynomial.hermite_e.hermegauss(64)  # exact but for the distribution function, which is smooth
    below = np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in x])
    return float((weights * count * below ** (count - 1) * x**2).sum() / math.sqrt(2 * math.pi))


def initialise(
    layer: nn.Linear | nn.Conv2d, name: ActivationName | None, generator: torch.Generator, maxout_pieces: int = 2
) -> None:
    """Draw the weights of a layer before units of a kind (None: softmax); biases become 0.

    For ``tanh`` and the softmax uniform in ± sqrt(6 / (fan in + fan out)), for ``sigmoid`` four times as wide (Glorot
    & Bengio 2010, as both derivatives at 0 differ by that factor); for ``relu`` and ``maxout`` normal, of the variance
    that keeps the mean square of the units from layer to layer: 2 / fan in for ``relu`` (He et al. 2015), which half
    the sums pass; for ``maxout`` 1 / fan in, divided by the mean square of the largest of so many standard normals.
    """
    weight = layer.weight
    fan_in, fan_out = weight[0].numel(), weight.shape[0] * weight[0, 0].numel()
    with torch.no_grad():
        if name in ("relu", "maxout"):
            passed = 0.5 if name == "relu" else mean_square_of_largest(maxout_pieces)
            weight.normal_(0.0, math.sqrt(1.0 / (passed * fan_in)), generator=generator)
        else:
            bound = math.sqrt(6.0 / (fan_in + fan_out)) * (4.0 if name == "sigmoid" else 1.0)
            weight.uniform_(-bound, bound, generator=generator)
        if layer.bias is not None:
            layer.bias.zero_()
