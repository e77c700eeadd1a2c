"""The RNN-NADE: a NADE for each step, whose biases a recurrent network sets; its likelihood is exact.

Boulanger-Lewandowski, Bengio and Vincent 2012, section 4 and 6: what the RNN-RBM is, with NADE in the RBM's place.
"""

from __future__ import annotations

import torch
from torch import nn

from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.nade import draw_nade, nade_logits
from asrkit.nnet.energy.recurrence import PROJECTION_STD, Prediction, RecurrentModel, bernoulli_log_likelihood
from asrkit.nnet.energy.sequence_config import PredictionConfig, RnnNadeConfig


class RnnNade(RecurrentModel):
    """An RNN-NADE of V visible units; see the module.

    Parameters
    ----------
    num_visible : int
    config : RnnNadeConfig
    draws : Draws
        Of the initial weights.

    Attributes
    ----------
    output_weights : (V, H)
    """

    kind = "rnn-nade"

    def __init__(self, num_visible: int, config: RnnNadeConfig, draws: Draws) -> None:
        super().__init__(num_visible, config.hidden, config.recurrence, draws)
        self.config = config
        self.output_weights = nn.Parameter(PROJECTION_STD * draws.normal(torch.empty(num_visible, config.hidden)))

    def log_likelihood(self, v: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        """Return log p(v_t) of N frames given those before, (N,)."""
        b, c = self.biases(before)
        return bernoulli_log_likelihood(v, nade_logits(v, self.weights, self.output_weights, b, c))

    def cost(self, v: torch.Tensor, before: torch.Tensor, draws: Draws) -> torch.Tensor:
        return -self.log_likelihood(v, before).mean()

    @torch.no_grad()
    def predict(
        self, v: torch.Tensor, before: torch.Tensor, config: PredictionConfig, draws: Draws, by_unit: bool = True
    ) -> Prediction:
        b, c = self.biases(before)
        found = self.log_likelihood(v, before).double()
        if not by_unit:
            return Prediction(found, torch.zeros_like(found), None)
        wide = [one.repeat_interleave(config.samples, dim=0) for one in (b, c)]
        _, conditionals = draw_nade(self.weights, self.output_weights, wide[0], wide[1], draws)
        means = conditionals.view(len(v), config.samples, -1).mean(dim=1)
        return Prediction(found, torch.zeros_like(found), means)

    @torch.no_grad()
    def draw(self, before: torch.Tensor, last: torch.Tensor, num_steps: int, draws: Draws) -> torch.Tensor:
        frames, _ = draw_nade(self.weights, self.output_weights, *self.biases(before), draws)
        return frames
