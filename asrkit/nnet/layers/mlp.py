"""The multi-layer perceptron: hidden layers of equal size over a window of frames, and a linear layer of scores."""

from __future__ import annotations

import torch
from torch import nn

from asrkit.nnet.layers.activation import activation, initialise
from asrkit.nnet.layers.config import ActivationName, MlpConfig


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

    @property
    def layer_units(self) -> list[int]:
        """Units of each hidden layer, a bottleneck included."""
        units = [self.config.units] * self.config.layers
        return [*units[:-1], self.config.bottleneck, *units[-1:]] if self.config.bottleneck else units

    @property
    def perceptron(self) -> Mlp:
        """The perceptron at the top of the network: all of it."""
        return self

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

    @property
    def hidden_layers(self) -> list[nn.Linear]:
        """The linear parts of the hidden layers, first to last."""
        return [block[0] for block in self.hidden]  # type: ignore[index]


def _hidden(config: MlpConfig, width: int, generator: torch.Generator) -> nn.Sequential:
    sums = config.units * (config.maxout_pieces if config.activation == "maxout" else 1)
    parts: list[nn.Module] = [_linear(width, sums, config.activation, generator, config.maxout_pieces)]
    if config.batch_norm:
        parts.append(nn.BatchNorm1d(sums))
    parts.append(activation(config.activation, config.maxout_pieces))
    if config.dropout:
        parts.append(nn.Dropout(config.dropout))
    return nn.Sequential(*parts)


def _linear(
    width: int, outputs: int, name: ActivationName | None, generator: torch.Generator, maxout_pieces: int = 2
) -> nn.Linear:
    layer = nn.utils.skip_init(nn.Linear, width, outputs)
    initialise(layer, name, generator, maxout_pieces)
    return layer
