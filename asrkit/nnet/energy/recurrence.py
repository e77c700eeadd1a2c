"""Models of sequences whose frames each have a distribution with biases of their own, set by the frames before.

Of frames v_1, ..., v_T a recurrence makes states u_1, ..., u_T, and the distribution of v_t given v_1, ..., v_{t-1} is
that of an RBM or a NADE with the biases ::

    b_t = b + u_{t-1} W_uv          c_t = c + u_{t-1} W_uh

(Boulanger-Lewandowski, Bengio and Vincent 2012, "Modeling temporal dependencies in high-dimensional sequences", eq. 8
and 9). The states depend on frames alone, not on what is drawn: one pass over a sequence gives all its biases, and then
its steps are so many independent frames.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.sequence_config import PredictionConfig, RecurrenceConfig, SequenceModelConfig

State = tuple[torch.Tensor, ...]
"""What a recurrence remembers of B sequences: its outputs (B, U), which set the biases, and of an LSTM its cells."""

PROJECTION_STD = 0.01
"""Standard deviation of the weights that begin between the parts of a model (Hinton 2012, section 8)."""

_CELLS = {"tanh": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class Recurrence(nn.Module):
    """A recurrent layer of U units that reads frames of V units, with initial states that are learned.

    Parameters
    ----------
    num_visible : int
    config : RecurrenceConfig
    draws : Draws
        Of the initial weights, which are uniform between ±1/√U; the bias of an LSTM's forget gates begins at 1.
    """

    def __init__(self, num_visible: int, config: RecurrenceConfig, draws: Draws) -> None:
        super().__init__()
        self.config = config
        self.layer = _CELLS[config.cell](num_visible, config.units, batch_first=True)
        self.initial = nn.Parameter(torch.zeros(2 if config.cell == "lstm" else 1, config.units))
        bound = 1 / math.sqrt(config.units)
        with torch.no_grad():
            for parameter in self.layer.parameters():
                parameter.copy_((2 * draws.uniform(parameter.cpu()) - 1) * bound)
            if config.cell == "lstm":
                self.layer.bias_ih_l0[config.units : 2 * config.units] = 1.0
                self.layer.bias_hh_l0[config.units : 2 * config.units] = 0.0

    def start(self, num_sequences: int) -> State:
        """Return the states before the first frames."""
        return tuple(row.expand(num_sequences, -1) for row in self.initial)

    def forward(self, v: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """Return the outputs before each frame, u_0, ..., u_{T-1} as (B, T, U), and the states after the last."""
        given = tuple(one[None].contiguous() for one in state)
        outputs, after = self.layer(v, given if self.config.cell == "lstm" else given[0])
        before = torch.cat([state[0][:, None], outputs[:, :-1]], dim=1)
        return before, tuple(one[0] for one in after) if self.config.cell == "lstm" else (after[0],)


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model foretold of N frames.

    Attributes
    ----------
    log_likelihood : (N,) float64
        Of each frame given those before it, in nats.
    variance : (N,) float64
        Of the estimate; 0 of a model that is tractable. Half of it is, to second order, by how much the expected
        estimate is too high: the partition function's is unbiased, its logarithm's too low.
    means : (N, V) or None
        Of each unit, whatever the others are: of a binary one the probability that it is 1; None where they were not
        asked for.
    """

    log_likelihood: torch.Tensor
    variance: torch.Tensor
    means: torch.Tensor | None


class ConditionalModel(nn.Module, ABC):
    """A model of sequences of binary frames; see the module.

    Attributes
    ----------
    kind : str
        As `asrkit train-music` names it.
    config : dataclass
    binary : bool
        Whether visible units are 0 or 1; else they are real numbers.
    num_visible, num_hidden, num_context : int
        V, H, and U of the outputs of the recurrence.
    weights : (V, H)
    visible_bias : (V,)
    hidden_bias : (H,)
    to_visible : (U, V)
    to_hidden : (U, H)
    unit_means : (V,)
        Of the visible units in the data that the model is trained on; no parameter, but the start of AIS.

    Notes
    -----
    Frames are float tensors on the device of the parameters: (B, T, V) of B sequences, (N, V) of N
    steps whatever their sequences; ``before`` (N, U) are the outputs of the recurrence before these.
    """

    kind: str
    config: SequenceModelConfig
    binary = True

    def __init__(self, num_visible: int, num_hidden: int, num_context: int, draws: Draws) -> None:
        super().__init__()
        self.num_visible, self.num_hidden, self.num_context = num_visible, num_hidden, num_context

        def small(*shape: int) -> nn.Parameter:
            return nn.Parameter(PROJECTION_STD * draws.normal(torch.empty(shape)))

        self.weights = small(num_visible, num_hidden)
        self.visible_bias = nn.Parameter(torch.zeros(num_visible))
        self.hidden_bias = nn.Parameter(torch.zeros(num_hidden))
        self.to_visible = small(num_context, num_visible)
        self.to_hidden = small(num_context, num_hidden)
        self.unit_means: torch.Tensor
        self.register_buffer("unit_means", torch.full((num_visible,), 0.5))

    def biases(self, before: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return b_t (N, V) and c_t (N, H)."""
        visible = torch.addmm(self.visible_bias, before, self.to_visible)
        return visible, torch.addmm(self.hidden_bias, before, self.to_hidden)

    @abstractmethod
    def start(self, num_sequences: int) -> State:
        """Return the states before the first frames."""

    @abstractmethod
    def scan(self, v: torch.Tensor, state: State, draws: Draws | None = None) -> tuple[torch.Tensor, State]:
        """Go over frames.

        Parameters
        ----------
        v : (B, T, V)
        state : State
            Before the first of them.
        draws : Draws, optional
            Of what training leaves out; without, nothing is.

        Returns
        -------
        before : (B, T, U)
        state : State
            After the last frame.
        """

    @abstractmethod
    def cost(self, v: torch.Tensor, before: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Return a mean over N frames whose gradient training follows."""

    @abstractmethod
    def predict(
        self, v: torch.Tensor, before: torch.Tensor, config: PredictionConfig, draws: Draws, by_unit: bool = True
    ) -> Prediction:
        """Return what was foretold of N frames, ``by_unit`` with the means of units."""

    @abstractmethod
    def draw(self, before: torch.Tensor, last: torch.Tensor, num_steps: int, draws: Draws) -> torch.Tensor:
        """Draw the next frames (N, V) of N sequences.

        Parameters
        ----------
        last : (N, V)
            Their last frames, at which Markov chains start.
        num_steps : int
            Gibbs steps of these, where the model needs any.
        """


class RecurrentModel(ConditionalModel):
    """A :class:`ConditionalModel` with a recurrence of its own."""

    def __init__(self, num_visible: int, num_hidden: int, config: RecurrenceConfig, draws: Draws) -> None:
        super().__init__(num_visible, num_hidden, config.units, draws)
        self.recurrence = Recurrence(num_visible, config, draws)

    def start(self, num_sequences: int) -> State:
        return self.recurrence.start(num_sequences)

    def scan(self, v: torch.Tensor, state: State, draws: Draws | None = None) -> tuple[torch.Tensor, State]:
        config = self.recurrence.config
        before, after = self.recurrence(_dropped(v, config.input_dropout, draws), state)
        return _dropped(before, config.dropout, draws), after


def _dropped(x: torch.Tensor, share: float, draws: Draws | None) -> torch.Tensor:
    if draws is None or not share:
        return x
    kept = draws.bernoulli(torch.full_like(x, 1 - share, memory_format=torch.contiguous_format))
    return x * kept / (1 - share)


def bernoulli_log_likelihood(v: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Return log p(v) of independent units, (N,)."""
    return -functional.binary_cross_entropy_with_logits(logits, v, reduction="none").sum(dim=1)
