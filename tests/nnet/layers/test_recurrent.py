"""Recurrent layers: their formulas written out frame by frame, their gradients, and what must not change a result."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asrkit.core.errors import ConfigError, DataError
from asrkit.nnet.layers.cells import LiGruCell, PeepholeCell, cell
from asrkit.nnet.layers.config import (
    ElmanConfig,
    FullyRecurrentConfig,
    GruConfig,
    LiGruConfig,
    LstmConfig,
    RecurrentConfig,
)
from asrkit.nnet.layers.packing import Packing, pack_order
from asrkit.nnet.layers.recurrence import PeepholeLstm
from asrkit.nnet.layers.recurrent import FullyRecurrent, Recurrent, State, first_of

DIM, UNITS, OUTPUTS = 3, 4, 5
PACKING = Packing((6, 4, 4, 1))

CONFIGS: list[RecurrentConfig | FullyRecurrentConfig] = [
    ElmanConfig(2, UNITS),
    ElmanConfig(1, UNITS, activation="relu"),
    LstmConfig(2, UNITS),
    LstmConfig(2, UNITS, peepholes=True),
    GruConfig(2, UNITS),
    LiGruConfig(2, UNITS),
    LiGruConfig(2, UNITS, batch_norm=False),
    FullyRecurrentConfig(UNITS),
    FullyRecurrentConfig(UNITS, "sigmoid"),
]
BOTH_WAYS = [
    ElmanConfig(2, UNITS, True),
    LstmConfig(2, UNITS, True),
    LstmConfig(1, UNITS, True, peepholes=True),
    GruConfig(1, UNITS, True),
    LiGruConfig(2, UNITS, True),
]
BACKWARDS = [
    ElmanConfig(2, UNITS, backwards=True),
    LstmConfig(2, UNITS, backwards=True, peepholes=True),
    LiGruConfig(2, UNITS, backwards=True),
    FullyRecurrentConfig(UNITS, backwards=True),
]


def name_of(config: object) -> str:
    return repr(config).replace(" ", "")


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def build(config: RecurrentConfig | FullyRecurrentConfig) -> Recurrent | FullyRecurrent:
    """A network in double precision, no parameter of which is zero."""
    generator = torch.Generator().manual_seed(1)
    kind = FullyRecurrent if isinstance(config, FullyRecurrentConfig) else Recurrent
    network = kind(config, DIM, OUTPUTS, generator).double()  # type: ignore[arg-type]
    with torch.no_grad():
        for number, parameter in enumerate(network.parameters()):
            parameter += 0.3 * normal(*parameter.shape, seed=number)
        for number, buffer in enumerate(network.buffers()):
            if buffer.is_floating_point():
                buffer += 0.3 * normal(*buffer.shape, seed=100 + number).abs()
    return network.eval()


def some_state(network: Recurrent | FullyRecurrent, packing: Packing, seed: int = 7) -> State:
    _, state = network.scores(normal(packing.num_rows, DIM), packing)
    count = itertools.count(seed)
    return tuple(tuple(0.5 * normal(*one.shape, seed=next(count)) for one in layer) for layer in state)


def sigmoid(value: torch.Tensor) -> torch.Tensor:
    return 1.0 / (1.0 + torch.exp(-value))


def by_formula(
    config: RecurrentConfig, weights: dict[str, torch.Tensor], x: torch.Tensor, state: list[torch.Tensor]
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """One layer on one sequence (T, D), frame by frame; differentiable."""
    made = []
    for frame in x:
        h = state[0]
        if isinstance(config, ElmanConfig):
            total = weights["W"] @ frame + weights["b"] + weights["R"] @ h
            state = [torch.tanh(total) if config.activation == "tanh" else total.clamp(min=0)]
        elif isinstance(config, LiGruConfig):
            below = weights["W"] @ frame + weights["b"]
            if config.batch_norm:
                below = (below - weights["mean"]) / (weights["var"] + 1e-5).sqrt() * weights["gain"] + weights["offset"]
            z, new = (below + weights["R"] @ h).chunk(2)
            z = sigmoid(z)
            state = [z * h + (1 - z) * new.clamp(min=0)]
        elif isinstance(config, GruConfig):
            (r, z, n), (rr, rz, rn) = (weights["W"] @ frame + weights["b"]).chunk(3), (weights["R"] @ h).chunk(3)
            hidden_bias = weights["c"].chunk(3)
            r, z = sigmoid(r + rr + hidden_bias[0]), sigmoid(z + rz + hidden_bias[1])
            state = [(1 - z) * torch.tanh(n + r * (rn + hidden_bias[2])) + z * h]
        else:
            i, f, g, o = (weights["W"] @ frame + weights["b"] + weights["R"] @ h).chunk(4)
            peep = weights.get("P", torch.zeros(3, len(h), dtype=h.dtype))
            s = sigmoid(f + peep[1] * state[1]) * state[1] + sigmoid(i + peep[0] * state[1]) * torch.tanh(g)
            state = [sigmoid(o + peep[2] * s) * torch.tanh(s), s]
        made.append(state[0])
    return made, state


def weights_of(config: RecurrentConfig, layer: torch.nn.Module) -> dict[str, torch.Tensor]:
    if isinstance(layer, PeepholeCell | LiGruCell):
        found = {"W": layer.below.weight, "b": layer.below.bias, "R": layer.recurrent}
        if isinstance(layer, PeepholeCell):
            return {**found, "P": layer.peepholes}
        if isinstance(layer.norm, torch.nn.BatchNorm1d):
            norm = layer.norm
            assert norm.running_mean is not None
            assert norm.running_var is not None
            found |= {"mean": norm.running_mean, "var": norm.running_var, "gain": norm.weight, "offset": norm.bias}
        return found
    inner = layer.layer
    both = {"b": inner.bias_ih_l0, "c": inner.bias_hh_l0}
    bias = both if isinstance(config, GruConfig) else {"b": inner.bias_ih_l0 + inner.bias_hh_l0}
    return {"W": inner.weight_ih_l0, "R": inner.weight_hh_l0, **bias}


@pytest.mark.parametrize("config", [*CONFIGS[:7], *BOTH_WAYS], ids=name_of)
def test_a_stack_is_its_formula(config: RecurrentConfig) -> None:
    """Also in which direction each half reads, and that each sequence begins with its own state."""
    network = build(config)
    assert isinstance(network, Recurrent)
    rows = normal(PACKING.num_rows, DIM, seed=3)
    state = None if config.bidirectional else some_state(network, PACKING)
    scores, last = network.scores(rows, PACKING, state)
    for number in range(PACKING.num_sequences):
        mine = torch.from_numpy(PACKING.rows_of(number))
        values = rows[mine]
        states = []
        for depth, layer in enumerate(network.layers):
            halves = []
            for backwards, one in enumerate(layer):  # type: ignore[arg-type]
                count = one.num_states
                first = [torch.zeros(UNITS, dtype=torch.float64)] * count
                if state is not None:
                    first = [value[number] for value in state[depth]]
                made, behind = by_formula(
                    config, weights_of(config, one), values.flip(0) if backwards else values, first
                )
                halves.append(torch.stack(made[::-1] if backwards else made))
                states.append(behind)
            values = torch.cat(halves, dim=1)
        expected = values @ network.output.weight.T + network.output.bias
        torch.testing.assert_close(scores[mine], expected)
        for found, behind in zip(last, states, strict=True):
            torch.testing.assert_close([value[number] for value in found], behind)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_every_unit_feeds_every_unit(activation: str) -> None:
    network = build(FullyRecurrentConfig(UNITS, activation))  # type: ignore[arg-type]
    assert isinstance(network, FullyRecurrent)
    rows = normal(PACKING.num_rows, DIM, seed=3)
    state = some_state(network, PACKING)
    scores, last = network.scores(rows, PACKING, state)
    for number in range(PACKING.num_sequences):
        mine = torch.from_numpy(PACKING.rows_of(number))
        units = state[0][0][number]
        for row in mine:
            sums = network.below.weight @ rows[row] + network.below.bias + network.recurrent @ units
            torch.testing.assert_close(scores[row], sums[:OUTPUTS])
            hidden = sums[OUTPUTS:]
            hidden = sigmoid(hidden) if activation == "sigmoid" else torch.tanh(hidden)
            units = torch.cat([sums[:OUTPUTS].exp() / sums[:OUTPUTS].exp().sum(), hidden])
        torch.testing.assert_close(last[0][0][number], units)


class _Scores(torch.nn.Module):
    """So that a method can be called with other parameters."""

    def __init__(self, network: Recurrent | FullyRecurrent) -> None:
        super().__init__()
        self.network = network

    def forward(self, rows: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        return self.network.scores(rows, PACKING, state)


@pytest.mark.parametrize("config", [*CONFIGS, *BOTH_WAYS], ids=name_of)
def test_gradients(config: RecurrentConfig | FullyRecurrentConfig) -> None:
    """Of inputs, first states and all parameters, by scores and last states; against differences.

    As in training, where batch normalisation takes the statistics of these very rows.
    """
    network = build(config).train()
    module = _Scores(network)
    names = [name for name, _ in module.named_parameters()]
    state = some_state(network, PACKING)
    flat = [value for layer in state for value in layer]

    def run(rows: torch.Tensor, *rest: torch.Tensor) -> tuple[torch.Tensor, ...]:
        given = iter(rest[: len(flat)])
        first = tuple(tuple(next(given) for _ in layer) for layer in state)
        scores, last = torch.func.functional_call(module, dict(zip(names, rest[len(flat) :])), (rows, first))
        return (scores, *(value for layer in last for value in layer))

    values = [normal(PACKING.num_rows, DIM), *flat, *(value.detach().clone() for value in module.parameters())]
    assert torch.autograd.gradcheck(run, [value.requires_grad_() for value in values], atol=1e-6)


def test_the_truncated_gradient_goes_back_by_the_memory_alone() -> None:
    """Against autograd, with the ways cut that the paper cuts; and with an identity behind the memory."""
    x, recurrent, peepholes = normal(5, 4 * UNITS, seed=1), normal(4 * UNITS, UNITS, seed=2), normal(3, UNITS, seed=3)
    y0, s0, target = normal(1, UNITS, seed=4), normal(1, UNITS, seed=5), normal(5, UNITS, seed=6)
    packing = Packing((5,))

    def cut(*values: torch.Tensor) -> list[torch.Tensor]:
        y, s = y0[0], values[4][0]
        made = []
        for frame in values[0]:
            i, f, g, o = (frame + values[1] @ y.detach()).chunk(4)
            old = s.detach()
            s = sigmoid(f + values[2][1] * old) * s + sigmoid(i + values[2][0] * old) * torch.tanh(g)
            y = sigmoid(o + values[2][2] * s.detach()) * s
            made.append(y)
        return made

    def gradients(function: Callable[..., torch.Tensor]) -> list[torch.Tensor]:
        values = [value.clone().requires_grad_() for value in (x, recurrent, peepholes, y0, s0)]
        loss = (function(*values) * target).sum()
        return [torch.zeros_like(v) if g is None else g for v, g in zip(values, _grad(loss, values))]

    expected = gradients(lambda *values: torch.stack(cut(*values)))
    found = gradients(lambda *values: PeepholeLstm.apply(*values, packing, False, True)[0])
    whole = gradients(lambda *values: PeepholeLstm.apply(*values, packing, False, False)[0])
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(whole[1], found[1])


def _grad(loss: torch.Tensor, values: list[torch.Tensor]) -> tuple[torch.Tensor | None, ...]:
    return torch.autograd.grad(loss, values, allow_unused=True)


@pytest.mark.parametrize("config", [*CONFIGS, *BOTH_WAYS, *BACKWARDS], ids=name_of)
def test_neighbours_and_padding_change_nothing(config: RecurrentConfig | FullyRecurrentConfig) -> None:
    network = build(config)
    padded = normal(6, 4, DIM, seed=3)
    scores, _ = network.scores(PACKING.pack_padded(padded), PACKING)
    for number, length in enumerate(PACKING.lengths):
        alone = network(padded[:length, number])
        torch.testing.assert_close(PACKING.pad(scores)[:length, number], alone)
    padded[4:, 1] = torch.nan
    again, _ = network.scores(PACKING.pack_padded(padded), PACKING)
    torch.testing.assert_close(again, scores, rtol=0, atol=0)
    assert (PACKING.pad(scores)[4:, 1] == 0).all()


@pytest.mark.parametrize("config", CONFIGS, ids=name_of)
def test_in_chunks_with_the_state_carried_it_is_the_same(config: RecurrentConfig | FullyRecurrentConfig) -> None:
    network = build(config)
    rows = normal(PACKING.num_rows, DIM, seed=3)
    whole, _ = network.scores(rows, PACKING)
    for size in (1, 2, 4, 9):
        state, carried, forgotten = None, [], []
        for places, packing in PACKING.chunks(size):
            before = None if state is None else first_of(state, packing.num_sequences)
            found, state = network.scores(rows[places], packing, before)
            carried.append(found)
            forgotten.append(network.scores(rows[places], packing)[0])
        torch.testing.assert_close(torch.cat(carried), whole)
        assert size == 9 or not torch.allclose(torch.cat(forgotten), whole)


@pytest.mark.parametrize("config", BACKWARDS, ids=name_of)
def test_backwards_is_forwards_on_sequences_turned_round(
    config: RecurrentConfig | FullyRecurrentConfig,
) -> None:
    network, twin = build(config), build(replace(config, backwards=False))
    twin.load_state_dict(network.state_dict())
    rows = normal(PACKING.num_rows, DIM, seed=3)
    scores, last = network.scores(rows, PACKING)
    turned, behind = twin.scores(rows[PACKING.reversal], PACKING)
    torch.testing.assert_close(scores, turned[PACKING.reversal])
    torch.testing.assert_close(last, behind)
    assert not torch.allclose(scores, twin.scores(rows, PACKING)[0])
    assert (network.needs_whole, twin.needs_whole) == (True, False)
    again, _ = network.scores(rows, PACKING, some_state(network, PACKING))
    torch.testing.assert_close(again, scores, rtol=0, atol=0)


def test_sequences_in_any_order_are_scored_each_by_itself() -> None:
    network = build(LstmConfig(1, UNITS, True))
    lengths = [2, 5, 1, 5]
    inputs = normal(sum(lengths), DIM)
    expected = torch.cat([network(part) for part in inputs.split(lengths)])
    torch.testing.assert_close(network.scores_of(inputs, lengths), expected)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_packing_is_that_of_torch(lengths: list[int]) -> None:
    order = pack_order(lengths)
    packing = Packing(tuple(lengths[place] for place in order))
    values = torch.arange(packing.num_rows * 2).view(-1, 2)
    rows = packing.pack(values)
    theirs = torch.nn.utils.rnn.pack_sequence(list(values.split(list(packing.lengths))))
    assert torch.equal(rows, theirs.data)
    assert packing.batch_sizes == theirs.batch_sizes.tolist()
    assert torch.equal(packing.unpack(rows), values)
    backwards = packing.unpack(rows[packing.reversal]).split(list(packing.lengths))
    for found, part in zip(backwards, values.split(list(packing.lengths)), strict=True):
        assert torch.equal(found, part.flip(0))
    assert torch.equal(packing.pack_padded(packing.pad(rows)), rows)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(DataError, match="the longest first"):
        Packing((2, 3))
    with pytest.raises(DataError, match="expected one or more"):
        Packing(())
    with pytest.raises(ConfigError, match="units is 0"):
        LstmConfig(units=0)
    with pytest.raises(ConfigError, match="reads backwards as it is"):
        GruConfig(bidirectional=True, backwards=True)
    with pytest.raises(ConfigError, match="dropout is 1"):
        GruConfig(dropout=1.0)


def test_long_short_term_memory_on_a_cpu_is_that_of_torch() -> None:
    network = build(LstmConfig(1, UNITS))
    rows = normal(PACKING.num_rows, DIM)
    state = some_state(network, PACKING)
    assert isinstance(network, Recurrent)
    layer = network.layers[0][0].layer  # type: ignore[index]
    packed = torch.nn.utils.rnn.PackedSequence(rows, torch.tensor(PACKING.batch_sizes))
    expected, (_, memory) = layer(packed, (state[0][0][None], state[0][1][None]))
    scores, last = network.scores(rows, PACKING, state)
    torch.testing.assert_close(scores, network.output(expected.data))
    torch.testing.assert_close(last[0][1], memory[0])


@pytest.mark.parametrize("config", CONFIGS[:7], ids=name_of)
def test_recurrent_weights_are_rotations_at_first(config: RecurrentConfig) -> None:
    made = cell(config, DIM, torch.Generator().manual_seed(0))
    recurrent = next(p for name, p in made.named_parameters() if "weight_hh" in name or name == "recurrent")
    for gate in recurrent.detach().split(UNITS):
        torch.testing.assert_close(gate @ gate.T, torch.eye(UNITS), atol=1e-5, rtol=0)
