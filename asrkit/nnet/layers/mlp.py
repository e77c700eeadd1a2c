"""The multi-layer perceptron: hidden layers of equal size over a window of frames, and a linear layer of scores."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from asrkit.core.errors import ConfigError
from asrkit.nnet.layers.activation import ActivationName, activation, initialise


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


class Mlp(nn.Module):
    """``scores = V h_L + c`` with ``h_l = f(W_l h_{l-1} + b_l)`` and h_0 the input.

    Parameters
    ----------
    config : MlpConfig
    num_inputs, num_outputs : int
    generator : torch.Generator
        Draws the weights.
    """

    def __init__(self, config: MlpConfig, num_inputs: int, num_outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        self.config, self.num_inputs, self.num_outputs = config, num_inputs, num_outputs
        self.input_dropout = nn.Dropout(config.input_dropout) if config.input_dropout else nn.Identity()
        blocks: list[nn.Module] = []
        width = num_inputs
        for number in range(config.layers):
            if config.bottleneck and number == config.layers - 1:
                blocks.append(nn.Sequential(_linear(width, config.bottleneck, None, generator)))
                width = config.bottleneck
            blocks.append(_hidden(config, width, generator))
            width = config.units
        self.hidden = nn.ModuleList(blocks)
        self.output = _linear(width, num_outputs, None, generator)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return scores (B, num_outputs), softmax not taken, of inputs (B, num_inputs)."""
        scores: torch.Tensor = self.output(self.outputs_of(len(self.hidden), inputs))
        return scores

    def outputs_of(self, num_layers: int, inputs: torch.Tensor) -> torch.Tensor:
        """Return what the first ``num_layers`` layers (a bottleneck is one) make of inputs: (B, units)."""
        value: torch.Tensor = self.input_dropout(inputs)
        for block in self.hidden[:num_layers]:
            value = block(value)
        return value

    def linear_layers(self) -> list[nn.Linear]:
        """Return the linear parts of the hidden layers, first to last; and then that of the output."""
        return [next(part for part in block if isinstance(part, nn.Linear)) for block in self.hidden] + [self.output]  # type: ignore[attr-defined]


def _hidden(config: MlpConfig, width: int, generator: torch.Generator) -> nn.Sequential:
    sums = config.units * (config.maxout_pieces if config.activation == "maxout" else 1)
    parts: list[nn.Module] = [_linear(width, sums, config.activation, generator)]
    if config.batch_norm:
        parts.append(nn.BatchNorm1d(sums))
    parts.append(activation(config.activation, config.maxout_pieces))
    if config.dropout:
        parts.append(nn.Dropout(config.dropout))
    return nn.Sequential(*parts)


def _linear(width: int, outputs: int, name: ActivationName | None, generator: torch.Generator) -> nn.Linear:
    layer = nn.utils.skip_init(nn.Linear, width, outputs)
    initialise(layer, name, generator)
    return layer
