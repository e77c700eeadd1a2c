"""The recurrent temporal RBM (Sutskever, Hinton and Taylor 2008).

It is the RNN-RBM whose recurrence is made of the means of the RBM's own hidden units, given the frame and the means
before ::

    u_t = sigmoid(c_t + v_t W),         c_t = c + u_{t-1} W_uh

(Boulanger-Lewandowski, Bengio and Vincent 2012, section 3). Its gradient is that of the RNN-RBM.
"""

from __future__ import annotations

import torch
from torch import nn

from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.conditional_rbm import scaled
from asrkit.nnet.energy.recurrence import State
from asrkit.nnet.energy.rnn_rbm import RbmSteps
from asrkit.nnet.energy.sequence_config import RtrbmConfig


class Rtrbm(RbmSteps):
    """An RTRBM of V visible units; see the module.

    Parameters
    ----------
    num_visible : int
    config : RtrbmConfig
    draws : Draws
        Of the initial weights.

    Attributes
    ----------
    initial : (H,)
        Inputs of the sigmoid units whose values are u_0.
    """

    kind = "rtrbm"

    def __init__(self, num_visible: int, config: RtrbmConfig, draws: Draws) -> None:
        super().__init__(num_visible, config.hidden, config.hidden, draws)
        self._take(config)
        self.initial = nn.Parameter(torch.zeros(config.hidden))

    def start(self, num_sequences: int) -> State:
        return (torch.sigmoid(self.initial).expand(num_sequences, -1),)

    def scan(self, v: torch.Tensor, state: State, draws: Draws | None = None) -> tuple[torch.Tensor, State]:
        inputs = self.hidden_bias + scaled(v, self.log_variance) @ self.weights
        u = state[0]
        before = []
        for number in range(v.shape[1]):
            before.append(u)
            u = torch.sigmoid(torch.addmm(inputs[:, number], u, self.to_hidden))
        return torch.stack(before, dim=1), (u,)
