"""Up-down training of a deep belief network: wake-sleep with contrastive divergence at its top.

Hinton, Osindero and Teh 2006, appendix B. On the way up (wake) states drawn by the recognition weights teach the
generative ones: each layer's follow the gradient of log p(h_{l-1} | h_l). The top RBM takes a step of contrastive
divergence from the uppermost states. On the way down (sleep) states drawn from the ends of its chains by the generative
weights teach the recognition ones, by the gradient of log q(h_l | h_{l-1}). As in :mod:`asrkit.nnet.energy.cd`, the
weights and the bias of a Gaussian unit move as if it had unit variance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from asrkit.core.errors import ModelError
from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.cd import ContrastiveDivergence
from asrkit.nnet.energy.config import UpDownConfig
from asrkit.nnet.energy.dbn import Dbn, DirectedLayer
from asrkit.nnet.stack import StackLayer


class UpDown:
    """Trains a deep belief network in place, minibatch by minibatch.

    Parameters
    ----------
    dbn : Dbn
        Of two layers or more.
    config : UpDownConfig

    Raises
    ------
    ModelError
        The network is an RBM alone.
    """

    def __init__(self, dbn: Dbn, config: UpDownConfig) -> None:
        if not dbn.lower:
            raise ModelError("up-down training needs two layers or more")
        self.dbn, self.config = dbn, config
        self._top = ContrastiveDivergence(dbn.top, config.top)
        self._error = torch.zeros((), dtype=torch.float64, device=dbn.top.weights.device)
        self._error_frames = 0

    @property
    def num_frames(self) -> int:
        """Frames seen."""
        return self._top.num_frames

    @torch.no_grad()
    def step(self, v: torch.Tensor, draws: Draws, epoch: int = 0) -> None:
        """Update the network from a minibatch v (N, V)."""
        wake = [v, *self.dbn.recognise(v, draws)]
        for number, layer in enumerate(self.dbn.lower):
            self._teach_generation(layer, wake[number], wake[number + 1], self._rate(layer, epoch), number == 0)
        self._top.step(wake[-1], draws, epoch)
        state = draws.bernoulli(self._top.chain_end)
        for layer in reversed(self.dbn.lower):
            below = layer.generate(state, draws)
            self._teach_recognition(layer, below, state, self._rate(layer, epoch))
            state = below

    def _rate(self, layer: DirectedLayer, epoch: int) -> float:
        config = self.config
        rate = config.learning_rate if layer.visible == "bernoulli" else config.gaussian_learning_rate
        return rate * config.learning_rate_decay**epoch

    def _teach_generation(
        self, layer: DirectedLayer, below: torch.Tensor, above: torch.Tensor, rate: float, lowest: bool
    ) -> None:
        difference = below - layer.generative_mean(above)
        if lowest:
            flat = difference.view(-1)
            self._error += flat @ flat
            self._error_frames += len(below)
        layer.generative_weights.addmm_(difference.T, above, alpha=rate / len(below))
        layer.visible_bias.add_(difference.mean(dim=0), alpha=rate)

    def _teach_recognition(self, layer: DirectedLayer, below: torch.Tensor, above: torch.Tensor, rate: float) -> None:
        difference = above - torch.sigmoid(layer.recognition_input(below))
        layer.weights.addmm_(below.T, difference, alpha=rate / len(below))
        layer.hidden_bias.add_(difference.mean(dim=0), alpha=rate)

    def take_error(self) -> float | None:
        """Return the mean squared error of a visible unit's generation from h_1 since the last call."""
        frames, self._error_frames = self._error_frames, 0
        error = float(self._error) / (frames * len(self.dbn.lower[0].visible_bias)) if frames else None
        self._error.zero_()
        return error

    @torch.no_grad()
    def watch(self, training: torch.Tensor, held_out: torch.Tensor | None, draws: Draws) -> dict[str, Any]:
        """Return how well frames (N, V) are generated from states that they are recognised as, for a JSON file."""
        found = {"error": self._squared_error(training, draws)}
        if held_out is not None:
            found["held_out_error"] = self._squared_error(held_out, draws)
        return found

    def _squared_error(self, v: torch.Tensor, draws: Draws) -> float:
        bottom = self.dbn.lower[0]
        h = draws.bernoulli(torch.sigmoid(bottom.recognition_input(v)))
        return float(functional.mse_loss(bottom.generative_mean(h), v))

    def trained(self, _below: tuple[StackLayer, ...]) -> tuple[StackLayer, ...]:
        """Return the network as layers of a stack, in the place of those it was made of."""
        return self.dbn.layers()

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return all that an update depends on beside its minibatch and draws: arrays, and numbers for JSON."""
        arrays, numbers = self._top.state()
        for name, value in self._lower().items():
            arrays[name] = np.array(value.cpu().numpy())
        return arrays, {**numbers, "up_error": float(self._error), "up_error_frames": self._error_frames}

    def restore(self, arrays: Mapping[str, NDArray[Any]], numbers: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state`."""
        self._top.restore(arrays, numbers)
        for name, value in self._lower().items():
            value.copy_(torch.from_numpy(arrays[name]))
        self._error.fill_(float(numbers["up_error"]))
        self._error_frames = int(numbers["up_error_frames"])

    def _lower(self) -> dict[str, torch.Tensor]:
        return {
            f"lower.{number}.{name}": value
            for number, layer in enumerate(self.dbn.lower)
            for name, value in layer.parameters().items()
        }
