"""A convolutional network over time and frequency, for filterbank features (Sainath et al. 2013)."""

from __future__ import annotations

import torch
from torch import nn

from asrkit.core.errors import ConfigError
from asrkit.nnet.layers.activation import activation, initialise
from asrkit.nnet.layers.config import CnnConfig
from asrkit.nnet.layers.mlp import Mlp


class Cnn(nn.Module):
    """Convolutions over a window of frames (no padding), each followed by max pooling along frequency; an MLP above.

    Parameters
    ----------
    config : CnnConfig
    num_inputs : int
        ``width * channels * num_bands``: frames of a window, earliest first, each of all channels' bands.
    width : int
        Frames of a window.
    num_outputs : int
    generator : torch.Generator

    Raises
    ------
    ConfigError
        The inputs are no whole number of bands, or too few for the filters and pools.
    """

    def __init__(
        self, config: CnnConfig, num_inputs: int, width: int, num_outputs: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        num_bands, rest = divmod(num_inputs, width * config.channels)
        if rest:
            raise ConfigError(
                f"{num_inputs // width} inputs a frame are not {config.channels} times as many bands",
                remedy="set channels to 1 + delta_order",
            )
        self.config, self.num_inputs, self.num_outputs, self.width = config, num_inputs, num_outputs, width
        self.shape = (width, config.channels, num_bands)
        frames, bands, channels = width, num_bands, config.channels
        parts: list[nn.Module] = []
        for maps, pool in zip(config.maps, config.pool):
            extent = (min(config.time_frames, frames), config.bands)
            frames, bands = frames - extent[0] + 1, (bands - extent[1] + 1) // pool
            if bands < 1:
                raise ConfigError(
                    f"{num_bands} bands are too few for filters of {config.bands} and pools {list(config.pool)}",
                    remedy="make bands or pool smaller, or take fewer convolutions",
                )
            convolution = nn.utils.skip_init(nn.Conv2d, channels, maps, extent)
            initialise(convolution, config.mlp.activation, generator)
            parts += [convolution, *([nn.BatchNorm2d(maps)] if config.mlp.batch_norm else [])]
            parts += [activation(config.mlp.activation), nn.MaxPool2d((1, pool))]
            channels = maps
        self.convolutions = nn.Sequential(*parts)
        self.mlp = Mlp(config.mlp, channels * frames * bands, num_outputs, generator)

    @property
    def perceptron(self) -> Mlp:
        """The perceptron at the top of the network."""
        return self.mlp

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return scores (B, num_outputs), softmax not taken, of inputs (B, num_inputs)."""
        scores: torch.Tensor = self.mlp(self._maps(inputs))
        return scores

    def outputs_of(self, num_layers: int, inputs: torch.Tensor) -> torch.Tensor:
        """Return what the first ``num_layers`` layers of the perceptron make of inputs: (B, units)."""
        return self.mlp.outputs_of(num_layers, self._maps(inputs))

    def _maps(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.convolutions(inputs.view(len(inputs), *self.shape).transpose(1, 2)).flatten(1)
