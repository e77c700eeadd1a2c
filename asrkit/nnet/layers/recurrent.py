"""Recurrent networks: from sequences of inputs to scores of classes in every frame."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import torch
from torch import nn

from asrkit.nnet.layers.activation import initialise
from asrkit.nnet.layers.cells import Cell, CellState, cell
from asrkit.nnet.layers.config import FullyRecurrentConfig, RecurrentConfig
from asrkit.nnet.layers.packing import Packing, pack_order
from asrkit.nnet.layers.recurrence import FullRecurrence

State = tuple[CellState, ...]
"""What a network knows of each sequence so far: that of each layer, and of each direction within it."""

Direction = Literal["forwards", "backwards"]


class SequenceNetwork(nn.Module):
    """A network whose scores of a frame depend on the frames before it, or on all of its sequence.

    Attributes
    ----------
    num_inputs, num_outputs : int
    directions : tuple of {'forwards', 'backwards'}
        In which its layers read sequences: one, or both.
    """

    def __init__(self, num_inputs: int, num_outputs: int, directions: tuple[Direction, ...]) -> None:
        super().__init__()
        self.num_inputs, self.num_outputs, self.directions = num_inputs, num_outputs, directions

    @property
    def needs_whole(self) -> bool:
        """Whether scores depend on later frames, and so on where the sequence ends."""
        return "backwards" in self.directions

    def scores(self, rows: torch.Tensor, packing: Packing, state: State | None = None) -> tuple[torch.Tensor, State]:
        """Return scores (N, num_outputs), softmax not taken, and the state behind the last frame of each sequence.

        Parameters
        ----------
        rows : (N, num_inputs)
            Packed.
        state : State, optional
            Where sequences are continued: what an earlier call returned, of each sequence. What reads backwards does
            not carry it: there the sequences given are whole.
        """
        raise NotImplementedError

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return scores (T, num_outputs) of one sequence (T, num_inputs) from its start."""
        if not len(inputs):
            return inputs.new_empty((0, self.num_outputs))
        return self.scores(inputs, Packing((len(inputs),)))[0]

    def scores_of(self, inputs: torch.Tensor, lengths: list[int]) -> torch.Tensor:
        """Return scores of sequences that lie one below the other, (their lengths together, num_outputs)."""
        parts = inputs.split(lengths)
        order = pack_order(lengths)
        packing = Packing(tuple(lengths[place] for place in order))
        rows = packing.pack(torch.cat([parts[place] for place in order]))
        sorted_scores = packing.unpack(self.scores(rows, packing)[0]).split(list(packing.lengths))
        back = sorted(range(len(order)), key=order.__getitem__)
        return torch.cat([sorted_scores[place] for place in back])


class Recurrent(SequenceNetwork):
    """Layers of recurrent units, of one or both directions, and a linear layer of scores.

    Parameters
    ----------
    config : RecurrentConfig
    num_inputs, num_outputs : int
    generator : torch.Generator
        Draws the weights.
    """

    def __init__(self, config: RecurrentConfig, num_inputs: int, num_outputs: int, generator: torch.Generator) -> None:
        one: tuple[Direction] = ("backwards",) if config.backwards else ("forwards",)
        super().__init__(num_inputs, num_outputs, ("forwards", "backwards") if config.bidirectional else one)
        self.config = config
        widths = [num_inputs, *[len(self.directions) * config.units] * config.layers]
        self.layers = nn.ModuleList(
            nn.ModuleList(cell(config, width, generator) for _ in self.directions) for width, _ in pairwise(widths)
        )
        self.dropout = nn.Dropout(config.dropout) if config.dropout else nn.Identity()
        self.output = nn.utils.skip_init(nn.Linear, widths[-1], num_outputs)
        initialise(self.output, None, generator)

    def scores(self, rows: torch.Tensor, packing: Packing, state: State | None = None) -> tuple[torch.Tensor, State]:
        """Return scores and the last state."""
        values = rows
        last: list[CellState] = []
        given = iter(state or ())
        flip = packing.reversal.to(rows.device) if self.needs_whole else None
        for layer in self.layers:
            outputs = []
            assert isinstance(layer, nn.ModuleList)
            for direction, one in zip(self.directions, layer, strict=True):
                assert isinstance(one, Cell)
                backwards = direction == "backwards"
                before = next(given, None)
                if before is None or backwards:
                    before = one.initial(values, packing.num_sequences)
                found, behind = one(values[flip] if backwards else values, packing, before)
                outputs.append(found[flip] if backwards else found)
                last.append(behind)
            values = self.dropout(outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1))
        return self.output(values), tuple(last)


class FullyRecurrent(SequenceNetwork):
    """A fully recurrent network: :class:`asrkit.nnet.layers.recurrence.FullRecurrence` of weighted inputs.

    Inputs reach the outputs at once; what the hidden units make of them, a frame later.

    Parameters
    ----------
    config : FullyRecurrentConfig
    num_inputs, num_outputs : int
    generator : torch.Generator
        Draws the weights.
    """

    def __init__(
        self, config: FullyRecurrentConfig, num_inputs: int, num_outputs: int, generator: torch.Generator
    ) -> None:
        super().__init__(num_inputs, num_outputs, ("backwards",) if config.backwards else ("forwards",))
        self.config = config
        size = num_outputs + config.units
        self.below = nn.utils.skip_init(nn.Linear, num_inputs, size)
        self.recurrent = nn.Parameter(torch.empty(size, size))
        initialise(self.below, "tanh", generator)
        with torch.no_grad():
            self.recurrent.normal_(0.0, 1.0 / math.sqrt(size), generator=generator)

    def initial(self, rows: torch.Tensor, num_sequences: int) -> State:
        """Return the state before the first frame: zeros."""
        return ((rows.new_zeros((num_sequences, len(self.recurrent))),),)

    def scores(self, rows: torch.Tensor, packing: Packing, state: State | None = None) -> tuple[torch.Tensor, State]:
        """Return scores and the last state."""
        flip = packing.reversal.to(rows.device) if self.needs_whole else None
        before = self.initial(rows, packing.num_sequences) if state is None or self.needs_whole else state
        logistic = self.config.activation == "sigmoid"
        sums = self.below(rows if flip is None else rows[flip])
        found, last = FullRecurrence.apply(sums, self.recurrent, before[0][0], self.num_outputs, logistic, packing)
        return found if flip is None else found[flip], ((last,),)


def detached(state: State) -> State:
    """Return the same state, through which no gradient goes back."""
    return tuple(tuple(value.detach() for value in values) for values in state)


def first_of(state: State, count: int) -> State:
    """Return the state of the first ``count`` sequences."""
    return tuple(tuple(value[:count] for value in values) for values in state)
