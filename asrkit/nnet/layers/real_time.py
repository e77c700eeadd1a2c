"""Real-time recurrent learning (Williams & Zipser 1989): the gradient of a fully recurrent network, frame by frame.

It carries forward how each unit depends on each weight, so nothing of the past is kept and the gradient so far is there
at every frame; backpropagation through time gives the same. With U units and M weights into each, a frame costs U³ M
multiplications, so it is for small networks.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from asrkit.core.errors import ConfigError
from asrkit.nnet.layers.recurrent import FullyRecurrent

MAX_SENSITIVITIES = 1 << 26
"""Numbers that say how units depend on weights: half a gigabyte in double precision."""


class RealTimeGradient:
    """The gradient of a sum of losses over the frames of one sequence.

    Parameters
    ----------
    network : FullyRecurrent
        Its weights may be changed between frames, as in learning while the sequence runs; then the gradient is that of
        Williams & Zipser, exact for weights that change slowly.

    Raises
    ------
    ConfigError
        The network is too large.
    """

    def __init__(self, network: FullyRecurrent) -> None:
        self.network = network
        units, width = len(network.recurrent), network.num_inputs + len(network.recurrent) + 1
        if units * units * width > MAX_SENSITIVITIES:
            raise ConfigError(
                f"real-time recurrent learning of {units} units would keep {units * units * width} sensitivities, at "
                f"most {MAX_SENSITIVITIES} are kept",
                remedy="take a smaller network, or backpropagation through time",
            )
        self._values = network.recurrent.new_zeros(units)
        self._sensitivities = network.recurrent.new_zeros((units, units, width))

    @torch.no_grad()
    def step(self, inputs: torch.Tensor, loss_gradient: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """Take one more frame, and add the gradient of its loss to those of the network's parameters.

        Parameters
        ----------
        inputs : (num_inputs,)
        loss_gradient : callable
            Of the frame's scores, (num_outputs,): the derivative of its loss by these.

        Returns
        -------
        scores : (num_outputs,)
        """
        network = self.network
        num_outputs, units = network.num_outputs, len(network.recurrent)
        fed = torch.cat([inputs, self._values, self._values.new_ones(1)])
        sums = network.below(inputs) + network.recurrent @ self._values
        by_weights = torch.tensordot(network.recurrent, self._sensitivities, dims=1)
        every = torch.arange(units, device=fed.device)
        by_weights[every, every] += fed
        scores, hidden = sums[:num_outputs], sums[num_outputs:]
        found = torch.tensordot(loss_gradient(scores), by_weights[:num_outputs], dims=1)
        places = [network.num_inputs, units, 1]
        for parameter, gradient in zip(
            (network.below.weight, network.recurrent, network.below.bias), found.split(places, dim=1), strict=True
        ):
            own = gradient.reshape(parameter.shape)
            parameter.grad = own.clone() if parameter.grad is None else parameter.grad + own
        posteriors = torch.softmax(scores, 0)
        logistic = network.config.activation == "sigmoid"
        hidden = torch.sigmoid(hidden) if logistic else torch.tanh(hidden)
        slopes = hidden * (1 - hidden) if logistic else 1 - hidden * hidden
        mean = torch.tensordot(posteriors, by_weights[:num_outputs], dims=1)
        by_weights[:num_outputs] -= mean
        by_weights *= torch.cat([posteriors, slopes])[:, None, None]
        self._values, self._sensitivities = torch.cat([posteriors, hidden]), by_weights
        return scores
