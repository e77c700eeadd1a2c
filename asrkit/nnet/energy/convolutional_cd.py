"""Contrastive divergence of convolutional RBMs.

The gradient that is followed is σ² / S times that of the cost ::

    C = mean of F(v) over the data - mean of F(v) over the ends of the chains

per window of S places, the chain ends held constant::

    σ² ∂F/∂W_kij = - Σ_s v_(s+k)i E[h_sj | v]        σ² ∂F/∂c_j = - Σ_s E[h_sj | v]
    σ² ∂F/∂b_i   = - Σ_t v_ti                         Bernoulli visible units
                 = - Σ_t (v_ti - b_i)                 Gaussian ones

(visible biases: divided by T in place of S), to which the biases of hidden units add the pull to their target activity
that Lee et al. 2009 follow: activity less target times ``sparsity_cost``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from asrkit.core.errors import ModelError
from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.convolutional_config import ConvolutionalCdConfig
from asrkit.nnet.energy.convolutional_rbm import ConvolutionalRbm


class ConvolutionalDivergence:
    """Trains a convolutional RBM in place, minibatch by minibatch.

    Attributes
    ----------
    num_frames : int
        Frames seen.
    """

    def __init__(self, rbm: ConvolutionalRbm, config: ConvolutionalCdConfig) -> None:
        if config.sparsity_cost and config.sparsity_target * rbm.pooling >= 1:
            raise ModelError(
                f"sparsity_target is {config.sparsity_target:g}, and of {rbm.pooling} units one at most is on",
                remedy=f"--set sparsity_target to less than {1 / rbm.pooling:g}",
            )
        self.rbm, self.config = rbm, config
        self.num_frames = 0
        self._velocity = {name: torch.zeros_like(value) for name, value in rbm.parameters().items()}
        self._error = torch.zeros((), dtype=torch.float64, device=rbm.weights.device)
        self._error_values = 0

    @torch.no_grad()
    def step(self, v: torch.Tensor, draws: Draws, epoch: int = 0) -> None:
        """Update the RBM from a minibatch of windows (N, T, C), in an epoch, 0-based."""
        rbm, config = self.rbm, self.config
        count, num_frames, _ = v.shape
        stretches = rbm.stretches(v)
        mean = rbm.mean_of_input(rbm.input_of_stretches(stretches).view(count, -1, rbm.num_bases))[0]
        moved = {"weights": stretches.T @ mean.view(-1, rbm.num_bases), "hidden_bias": mean.sum(dim=(0, 1))}
        activity = moved["hidden_bias"] / (count * mean.shape[1])
        state = mean
        for number in range(config.steps):
            hidden = rbm.sample_of_mean(state, draws)
            sampled = config.chain_visible == "samples"
            end = rbm.sample_visible(hidden, draws) if sampled else rbm.visible_mean(hidden)
            if number == 0:
                self._error += ((v - end) ** 2).sum()
                self._error_values += v.numel()
            stretches = rbm.stretches(end)
            state = rbm.mean_of_input(rbm.input_of_stretches(stretches).view_as(mean))[0]
        moved["weights"].addmm_(stretches.T, state.view(-1, rbm.num_bases), alpha=-1.0)
        moved["hidden_bias"] -= state.sum(dim=(0, 1))
        moved["visible_bias"] = (v - end).sum(dim=(0, 1)) / (count * num_frames)
        for name in ("weights", "hidden_bias"):
            moved[name] /= count * mean.shape[1]
        self.chain_end = end
        self._move(moved, activity, epoch)
        self.num_frames += count * num_frames

    def _move(self, moved: dict[str, torch.Tensor], activity: torch.Tensor, epoch: int) -> None:
        config = self.config
        momentum = config.momentum_at(self.num_frames)
        rate = config.learning_rate * config.learning_rate_decay**epoch * (1 - momentum)
        moved["weights"] = moved["weights"].view_as(self.rbm.weights) - config.l2 * self.rbm.weights
        moved["hidden_bias"] -= config.sparsity_cost * (activity - config.sparsity_target)
        for name, value in self.rbm.parameters().items():
            value.add_(self._velocity[name].mul_(momentum).add_(moved[name], alpha=rate))

    def take_error(self) -> float:
        """Return the mean squared difference of a visible unit from its first reconstruction since the last call."""
        error = float(self._error) / max(1, self._error_values)
        self._error_values = 0
        self._error.zero_()
        return error

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return all that an update depends on beside its minibatch and draws: arrays, and numbers for JSON."""
        arrays = {f"rbm.{name}": value for name, value in self.rbm.parameters().items()}
        arrays |= {f"velocity.{name}": value for name, value in self._velocity.items()}
        numbers = {"num_frames": self.num_frames, "error": float(self._error), "error_values": self._error_values}
        return {name: np.array(value.cpu().numpy()) for name, value in arrays.items()}, numbers

    def restore(self, arrays: Mapping[str, NDArray[Any]], numbers: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state`."""
        for name, value in self.rbm.parameters().items():
            value.copy_(torch.from_numpy(arrays[f"rbm.{name}"]))
            self._velocity[name].copy_(torch.from_numpy(arrays[f"velocity.{name}"]))
        self.num_frames, self._error_values = int(numbers["num_frames"]), int(numbers["error_values"])
        self._error.fill_(float(numbers["error"]))


def contrastive_cost(rbm: ConvolutionalRbm, data: torch.Tensor, chain_end: torch.Tensor) -> torch.Tensor:
    """Return the cost C: mean F over data (N, T, C) less mean F over chain ends (M, T, C), which are constants."""
    return rbm.free_energy(data).mean() - rbm.free_energy(chain_end.detach()).mean()
