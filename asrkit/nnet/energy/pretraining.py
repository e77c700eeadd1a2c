"""RBMs and deep belief networks as phases of a pretraining."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray

from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.cd import ContrastiveDivergence
from asrkit.nnet.energy.config import CdConfig, RbmConfig, UpDownConfig, Visible
from asrkit.nnet.energy.dbn import Dbn
from asrkit.nnet.energy.monitor import free_energy_gap, histograms, pseudo_likelihood, reconstruction_error
from asrkit.nnet.energy.rbm import Rbm, new_rbm
from asrkit.nnet.energy.up_down import UpDown
from asrkit.nnet.pretraining import Layers, Phase

PSEUDO_LIKELIHOOD_FRAMES = 500


class RbmTraining:
    """Contrastive divergence of one RBM, watched."""

    def __init__(self, rbm: Rbm, config: CdConfig, learn_variance: bool) -> None:
        self.rbm = rbm
        self._divergence = ContrastiveDivergence(rbm, config, learn_variance)

    def step(self, v: torch.Tensor, draws: Draws, epoch: int = 0) -> None:
        """Update the RBM from a minibatch (N, V)."""
        self._divergence.step(v, draws, epoch)

    def take_error(self) -> float | None:
        """Return the mean squared error of a unit's reconstruction since the last call; None of persistent chains."""
        return self._divergence.take_error()

    def watch(self, training: torch.Tensor, held_out: torch.Tensor | None, draws: Draws) -> dict[str, Any]:
        """Return reconstruction errors, the free-energy gap, the pseudo-likelihood and histograms."""
        found: dict[str, Any] = {"error": reconstruction_error(self.rbm, training)}
        if held_out is not None:
            found["held_out_error"] = reconstruction_error(self.rbm, held_out)
            found["free_energy_gap"] = free_energy_gap(self.rbm, training, held_out)
        if (self.rbm.visible, self.rbm.hidden) != ("gaussian", "relu"):
            some = (training if held_out is None else held_out)[:PSEUDO_LIKELIHOOD_FRAMES]
            found["pseudo_log_likelihood"] = pseudo_likelihood(self.rbm, some, draws)
        found["guarded"] = self._divergence.num_guarded
        found["histograms"] = {name: one.to_json() for name, one in histograms(self.rbm, training).items()}
        return found

    def trained(self, below: Layers) -> Layers:
        """Return the layers of the stack with this one on top."""
        return (*below, self.rbm.layer())

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return all that an update depends on beside its minibatch and draws."""
        return self._divergence.state()

    def restore(self, arrays: Mapping[str, NDArray[Any]], numbers: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state`."""
        self._divergence.restore(arrays, numbers)


def rbm_phases(
    units: Sequence[int],
    visible: Visible,
    rbm: RbmConfig,
    epochs: Mapping[Visible, int],
    divergence: Mapping[Visible, CdConfig],
) -> list[Phase]:
    """Return one phase for each RBM of a stack.

    Parameters
    ----------
    units : sequence of int
        Hidden units of each, from the bottom.
    visible : {'bernoulli', 'gaussian'}
        The frames. Above Bernoulli hidden units the next RBM has Bernoulli visible ones, whose values are the means;
        above rectified ones Gaussian visible ones.
    epochs, divergence : mapping
        By the kind of the visible units.
    """
    above: Visible = "bernoulli" if rbm.hidden == "bernoulli" else "gaussian"
    kinds = [visible, *[above] * (len(units) - 1)]
    return [
        Phase(
            f"layer {number}",
            epochs[kind],
            functools.partial(_begin, num_hidden, kind, rbm, divergence[kind], number == 1),
        )
        for number, (num_hidden, kind) in enumerate(zip(units, kinds), 1)
    ]


def _begin(
    num_hidden: int,
    visible: Visible,
    config: RbmConfig,
    divergence: CdConfig,
    normalised: bool,
    _below: Layers,
    mean: torch.Tensor,
    variance: torch.Tensor,
    draws: Draws,
    _device: torch.device,
) -> RbmTraining:
    if visible == "gaussian":
        # Frames are normalised over all the training data; of a unit that never changes there is nothing to divide by.
        ones = torch.ones_like(variance)
        mean, variance = (
            (torch.zeros_like(mean), ones) if normalised else (mean, torch.where(variance > 0, variance, ones))
        )
    rbm = new_rbm(visible, num_hidden, mean, variance, config, draws)
    return RbmTraining(rbm, divergence, config.learn_variance and visible == "gaussian")


def up_down_phase(num_epochs: int, config: UpDownConfig) -> Phase:
    """Return the phase that trains all layers of a stack together, as a deep belief network."""
    return Phase("up-down", num_epochs, functools.partial(_begin_up_down, config), on_outputs=False)


def _begin_up_down(
    config: UpDownConfig,
    below: Layers,
    _mean: torch.Tensor,
    _variance: torch.Tensor,
    _draws: Draws,
    device: torch.device,
) -> UpDown:
    return UpDown(Dbn.of_layers(below, device), config)
