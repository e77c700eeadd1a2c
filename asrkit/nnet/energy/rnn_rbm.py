"""The RNN-RBM: a restricted Boltzmann machine for each step, whose biases a recurrent network sets.

Boulanger-Lewandowski, Bengio and Vincent 2012, "Modeling temporal dependencies in high-dimensional sequences:
application to polyphonic music generation and transcription", section 4. Training follows the gradient of ::

    C = mean over steps of F_t(v_t) - F_t(v_t*)

v_t* being the end of k Gibbs steps from v_t, held constant; it goes through the biases of F_t into the recurrence
(back-propagation through time). Z_t, and with it a likelihood, is estimated by annealed importance sampling.
"""

from __future__ import annotations

import torch

from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.conditional_rbm import estimate_partitions, free_energy, gibbs_chain
from asrkit.nnet.energy.recurrence import ConditionalModel, Prediction, RecurrentModel
from asrkit.nnet.energy.sequence_config import PredictionConfig, RnnRbmConfig


class RbmSteps(ConditionalModel):
    """A :class:`ConditionalModel` of RBMs, whatever sets their biases; ``gibbs_steps`` is k of training."""

    gibbs_steps: int

    def cost(self, v: torch.Tensor, before: torch.Tensor, draws: Draws) -> torch.Tensor:
        b, c = self.biases(before)
        ends, _ = gibbs_chain(v, self.weights.detach(), b.detach(), c.detach(), self.gibbs_steps, draws)
        return self.contrast(v, ends, b, c)

    def contrast(self, v: torch.Tensor, ends: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """Return the mean of F_t(v_t) - F_t(v_t*) for ends v* (N, V) of chains."""
        return (free_energy(v, self.weights, b, c) - free_energy(ends, self.weights, b, c)).mean()

    @torch.no_grad()
    def predict(
        self, v: torch.Tensor, before: torch.Tensor, config: PredictionConfig, draws: Draws, by_unit: bool = True
    ) -> Prediction:
        b, c = self.biases(before)
        found = estimate_partitions(self.weights, b, c, self.unit_means, config, draws)
        log_likelihood = -free_energy(v, self.weights, b, c).double() - found.log_partition
        return Prediction(log_likelihood, found.variance, found.means)

    @torch.no_grad()
    def draw(self, before: torch.Tensor, last: torch.Tensor, num_steps: int, draws: Draws) -> torch.Tensor:
        b, c = self.biases(before)
        drawn, _ = gibbs_chain(last, self.weights, b, c, num_steps, draws)
        return drawn


class RnnRbm(RecurrentModel, RbmSteps):
    """An RNN-RBM of V visible units; see the module.

    Parameters
    ----------
    num_visible : int
    config : RnnRbmConfig
    draws : Draws
        Of the initial weights.
    """

    kind = "rnn-rbm"

    def __init__(self, num_visible: int, config: RnnRbmConfig, draws: Draws) -> None:
        super().__init__(num_visible, config.hidden, config.recurrence, draws)
        self.config = config
        self.gibbs_steps = config.gibbs_steps
