"""One layer of recurrent units that reads sequences in one direction."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from asrkit.nnet.layers.config import ElmanConfig, GruConfig, LiGruConfig, LstmConfig, RecurrentConfig
from asrkit.nnet.layers.packing import Packing
from asrkit.nnet.layers.recurrence import LightGru, PeepholeLstm

CellState = tuple[torch.Tensor, ...]
"""What a layer knows of each sequence so far, (B, units) each: its outputs, and its memory where it has one."""


class Cell(nn.Module):
    """A layer of units; what a subclass does is ``forward(rows, packing, state)``.

    Attributes
    ----------
    units : int
    num_states : int
        Tensors of its state.
    """

    num_states = 1

    def __init__(self, units: int) -> None:
        super().__init__()
        self.units = units

    def initial(self, rows: torch.Tensor, num_sequences: int) -> CellState:
        """Return the state before the first frame: zeros."""
        return tuple(rows.new_zeros((num_sequences, self.units)) for _ in range(self.num_states))

    def forward(self, rows: torch.Tensor, packing: Packing, state: CellState) -> tuple[torch.Tensor, CellState]:
        """Return outputs (N, units), and the state behind the last frame of each sequence.

        Parameters
        ----------
        rows : (N, D)
            Packed.
        state : CellState
            Before the first frames.
        """
        raise NotImplementedError


class FusedCell(Cell):
    """The layers that torch has: Elman's, long short-term memory without peepholes, gated recurrent units."""

    def __init__(
        self, config: ElmanConfig | LstmConfig | GruConfig, num_inputs: int, generator: torch.Generator
    ) -> None:
        super().__init__(config.units)
        self.layer: nn.RNNBase
        if isinstance(config, ElmanConfig):
            self.layer = nn.RNN(num_inputs, config.units, nonlinearity=config.activation)
        elif isinstance(config, LstmConfig):
            self.layer = nn.LSTM(num_inputs, config.units)
            self.num_states = 2
        else:
            self.layer = nn.GRU(num_inputs, config.units)
        weights = dict(self.layer.named_parameters())
        draw(weights["weight_ih_l0"], weights["weight_hh_l0"], config.units, generator)
        with torch.no_grad():
            weights["bias_ih_l0"].zero_()
            weights["bias_hh_l0"].zero_()
            if isinstance(config, LstmConfig):
                weights["bias_ih_l0"][config.units : 2 * config.units] = config.forget_bias

    def train(self, mode: bool = True) -> FusedCell:
        """Stay as it is in training, which makes no difference but that cuDNN then can go back."""
        del mode
        super().train(True)
        return self

    def forward(self, rows: torch.Tensor, packing: Packing, state: CellState) -> tuple[torch.Tensor, CellState]:
        """Return outputs and the last state."""
        if isinstance(self.layer, nn.LSTM) and rows.device.type == "cpu":
            return self._unfused(rows, packing, state)
        first = tuple(value[None] for value in state)
        packed = PackedSequence(rows, torch.tensor(packing.batch_sizes))
        outputs, last = self.layer(packed, first if self.num_states > 1 else first[0])
        return outputs.data, tuple(value[0] for value in (last if self.num_states > 1 else (last,)))

    def _unfused(self, rows: torch.Tensor, packing: Packing, state: CellState) -> tuple[torch.Tensor, CellState]:
        """Compute as with peepholes of weight 0, which on a CPU trains faster than torch does with packed sequences."""
        weights = dict(self.layer.named_parameters())
        sums = functional.linear(rows, weights["weight_ih_l0"], weights["bias_ih_l0"] + weights["bias_hh_l0"])
        none = rows.new_zeros((3, self.units))
        outputs, *last = PeepholeLstm.apply(sums, weights["weight_hh_l0"], none, *state, packing, True, False)
        return outputs, tuple(last)


class PeepholeCell(Cell):
    """Long short-term memory with peepholes: :class:`asrkit.nnet.layers.recurrence.PeepholeLstm`.

    Parameters
    ----------
    squashes : bool
        The outputs are tanh of the memory before the gate, not the memory.
    truncated : bool
        With the gradient of the paper.
    """

    num_states = 2

    def __init__(
        self,
        units: int,
        num_inputs: int,
        generator: torch.Generator,
        forget_bias: float = 1.0,
        squashes: bool = True,
        truncated: bool = False,
    ) -> None:
        super().__init__(units)
        self.squashes, self.truncated = squashes, truncated
        self.below = nn.utils.skip_init(nn.Linear, num_inputs, 4 * units)
        self.recurrent = nn.Parameter(torch.empty(4 * units, units))
        self.peepholes = nn.Parameter(torch.zeros(3, units))
        draw(self.below.weight, self.recurrent, units, generator)
        with torch.no_grad():
            self.below.bias.zero_()
            self.below.bias[units : 2 * units] = forget_bias

    def forward(self, rows: torch.Tensor, packing: Packing, state: CellState) -> tuple[torch.Tensor, CellState]:
        """Return outputs and the last state."""
        outputs, *last = PeepholeLstm.apply(
            self.below(rows), self.recurrent, self.peepholes, *state, packing, self.squashes, self.truncated
        )
        return outputs, tuple(last)


class LiGruCell(Cell):
    """Light gated recurrent units: :class:`asrkit.nnet.layers.recurrence.LightGru`."""

    def __init__(self, config: LiGruConfig, num_inputs: int, generator: torch.Generator) -> None:
        super().__init__(config.units)
        self.below = nn.utils.skip_init(nn.Linear, num_inputs, 2 * config.units)
        self.norm = nn.BatchNorm1d(2 * config.units) if config.batch_norm else nn.Identity()
        self.recurrent = nn.Parameter(torch.empty(2 * config.units, config.units))
        draw(self.below.weight, self.recurrent, config.units, generator)
        nn.init.zeros_(self.below.bias)

    def forward(self, rows: torch.Tensor, packing: Packing, state: CellState) -> tuple[torch.Tensor, CellState]:
        """Return outputs and the last state."""
        outputs, last = LightGru.apply(self.norm(self.below(rows)), self.recurrent, *state, packing)
        return outputs, (last,)


def cell(config: RecurrentConfig, num_inputs: int, generator: torch.Generator) -> Cell:
    """Return a layer of the units that a configuration asks for."""
    if isinstance(config, LiGruConfig):
        return LiGruCell(config, num_inputs, generator)
    if isinstance(config, LstmConfig) and config.peepholes:
        return PeepholeCell(config.units, num_inputs, generator, config.forget_bias)
    assert isinstance(config, ElmanConfig | LstmConfig | GruConfig)
    return FusedCell(config, num_inputs, generator)


@torch.no_grad()
def draw(below: torch.Tensor, recurrent: torch.Tensor, units: int, generator: torch.Generator) -> None:
    """Draw the weights of a layer, gate by gate.

    Those from below uniform in ± sqrt(6 / (fan in + units)) (Glorot & Bengio 2010); the recurrent ones a rotation,
    which neither shrinks nor stretches what goes round (Saxe et al. 2014).
    """
    bound = math.sqrt(6.0 / (below.shape[1] + units))
    below.uniform_(-bound, bound, generator=generator)
    for gate in recurrent.split(units):
        square, triangle = torch.linalg.qr(torch.randn(units, units, generator=generator))
        gate.copy_(square * triangle.diagonal().sign())
