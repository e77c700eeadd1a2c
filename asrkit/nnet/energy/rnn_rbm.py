"""The RNN-RBM: a restricted Boltzmann machine for each step, whose biases a recurrent network sets.

Boulanger-Lewandowski, Bengio and Vincent 2012, "Modeling temporal dependencies in high-dimensional sequences:
application to polyphonic music generation and transcription", section 4. Training follows the gradient of ::

    C = mean over steps of F_t(v_t) - F_t(v_t*)

v_t* being the end of k Gibbs steps from v_t, held constant; it goes through the biases of F_t into the recurrence
(back-propagation through time). Z_t, and with it a likelihood, is estimated by annealed importance sampling.
"""

from __future__ import annotations

import torch
from torch import nn

from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.conditional_rbm import estimate_partitions, free_energy, gibbs_chain
from asrkit.nnet.energy.recurrence import ConditionalModel, Prediction, RecurrentModel
from asrkit.nnet.energy.sequence_config import PredictionConfig, RnnRbmConfig, RtrbmConfig


class RbmSteps(ConditionalModel):
    """A :class:`ConditionalModel` of RBMs, whatever sets their biases.

    Attributes
    ----------
    gibbs_steps : int
        k of training.
    log_variance : (V,) or None
        Natural logarithm of the variances of Gaussian visible units, a parameter.
    unit_variances : (V,) or None
        Of Gaussian visible units in the data, where AIS starts.
    """

    gibbs_steps: int
    log_variance: torch.Tensor | None
    unit_variances: torch.Tensor | None

    def _take(self, config: RnnRbmConfig | RtrbmConfig) -> None:
        self.config, self.gibbs_steps = config, config.gibbs_steps
        self.binary = config.visible == "bernoulli"
        ones = None if self.binary else torch.ones(self.num_visible)
        self.log_variance = None if ones is None else nn.Parameter(torch.zeros_like(ones))
        self.register_buffer("unit_variances", ones)

    def _fixed(self) -> torch.Tensor | None:
        return None if self.log_variance is None else self.log_variance.detach()

    def cost(self, v: torch.Tensor, before: torch.Tensor, draws: Draws) -> torch.Tensor:
        b, c = self.biases(before)
        ends, _ = gibbs_chain(v, self.weights.detach(), b.detach(), c.detach(), self.gibbs_steps, draws, self._fixed())
        return self.contrast(v, ends, b, c)

    def contrast(self, v: torch.Tensor, ends: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """Return the mean of F_t(v_t) - F_t(v_t*) for ends v* (N, V) of chains."""
        of_data, of_ends = (free_energy(one, self.weights, b, c, self.log_variance) for one in (v, ends))
        return (of_data - of_ends).mean()

    @torch.no_grad()
    def predict(
        self, v: torch.Tensor, before: torch.Tensor, config: PredictionConfig, draws: Draws, by_unit: bool = True
    ) -> Prediction:
        b, c = self.biases(before)
        found = estimate_partitions(
            self.weights, b, c, self.unit_means, config, draws, self.log_variance, self.unit_variances
        )
        log_likelihood = -free_energy(v, self.weights, b, c, self.log_variance).double() - found.log_partition
        return Prediction(log_likelihood, found.variance, found.means)

    @torch.no_grad()
    def draw(self, before: torch.Tensor, last: torch.Tensor, num_steps: int, draws: Draws) -> torch.Tensor:
        b, c = self.biases(before)
        drawn, _ = gibbs_chain(last, self.weights, b, c, num_steps, draws, self.log_variance)
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
        self._take(config)
