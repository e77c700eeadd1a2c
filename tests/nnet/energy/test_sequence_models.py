"""RNN-RBM, RTRBM and RNN-NADE against enumeration, numerical gradients and steps taken one by one."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch.func import functional_call

from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.conditional_rbm import estimate_partitions, free_energy
from asrkit.nnet.energy.nade import draw_nade, nade_logits
from asrkit.nnet.energy.partition import exact_log_partition
from asrkit.nnet.energy.rbm import Rbm
from asrkit.nnet.energy.recurrence import ConditionalModel, bernoulli_log_likelihood
from asrkit.nnet.energy.rnn_nade import RnnNade
from asrkit.nnet.energy.rnn_rbm import RbmSteps, RnnRbm
from asrkit.nnet.energy.rtrbm import Rtrbm
from asrkit.nnet.energy.sequence_config import (
    PredictionConfig,
    RecurrenceConfig,
    RnnNadeConfig,
    RnnRbmConfig,
    RtrbmConfig,
)
from tests.nnet.energy.enumeration import configurations

V, H, U = 5, 4, 3


def recurrence(cell: str) -> RecurrenceConfig:
    return RecurrenceConfig(cell=cell, units=U)  # type: ignore[arg-type]


MODELS: dict[str, Any] = {
    **{f"rnn-rbm {cell}": (RnnRbm, RnnRbmConfig(H, 3, recurrence(cell))) for cell in ("tanh", "gru", "lstm")},
    "rtrbm": (Rtrbm, RtrbmConfig(H, 3)),
    **{f"rnn-nade {cell}": (RnnNade, RnnNadeConfig(H, recurrence(cell))) for cell in ("tanh", "gru", "lstm")},
}


def new_model(name: str, seed: int = 0, scale: float = 1.0) -> ConditionalModel:
    """A model with weights that matter, in float64."""
    kind, config = MODELS[name]
    draws = Draws(seed, "test model")
    model: ConditionalModel = kind(V, config, draws).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(scale * draws.normal(parameter))
    return model


def frames(*shape: int, seed: int = 1) -> torch.Tensor:
    return Draws(seed, "test frames").bernoulli(torch.full((*shape, V), 0.4, dtype=torch.float64))


def rows_of(model: ConditionalModel, v: torch.Tensor) -> torch.Tensor:
    before, _ = model.scan(v, model.start(len(v)))
    return before.reshape(-1, model.num_context)


def all_log_likelihoods(model: ConditionalModel, before: torch.Tensor) -> torch.Tensor:
    """log p of every frame after each row of ``before``, (N, 2^V)."""
    states = configurations(V)
    found = []
    for row in before:
        wide = row.expand(len(states), -1)
        if isinstance(model, RnnNade):
            found.append(model.log_likelihood(states, wide))
        else:
            energies = free_energy(states, model.weights, *model.biases(wide))
            found.append(torch.log_softmax(-energies, dim=0))
    return torch.stack(found)


# What each step depends on


@pytest.mark.parametrize("name", MODELS)
def test_a_scan_in_chunks_is_the_scan_of_the_whole(name: str) -> None:
    model, v = new_model(name), frames(2, 7)
    whole, after = model.scan(v, model.start(2))
    first, state = model.scan(v[:, :3], model.start(2))
    second, last = model.scan(v[:, 3:], state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole)
    for one, other in zip(last, after):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", MODELS)
def test_a_step_is_foretold_from_earlier_ones_alone(name: str) -> None:
    model, v = new_model(name), frames(1, 6)
    changed = v.clone()
    changed[0, 3] = 1 - changed[0, 3]
    one, other = (model.scan(x, model.start(1))[0][0] for x in (v, changed))
    torch.testing.assert_close(one[:4], other[:4])
    assert (one[4] - other[4]).abs().max() > 1e-3


def test_the_tanh_recurrence_by_hand() -> None:
    model, v = new_model("rnn-rbm tanh"), frames(1, 4)
    assert isinstance(model, RnnRbm)
    layer = model.recurrence.layer
    u = model.recurrence.initial[0]
    for number, found in enumerate(model.scan(v, model.start(1))[0][0]):
        torch.testing.assert_close(found, u)
        inputs = layer.weight_ih_l0 @ v[0, number] + layer.bias_ih_l0 + layer.bias_hh_l0
        u = torch.tanh(inputs + layer.weight_hh_l0 @ u)


def test_the_rtrbm_s_memory_is_its_hidden_means() -> None:
    model, v = new_model("rtrbm"), frames(1, 5)
    before = rows_of(model, v)
    b, c = model.biases(before)
    for number in range(4):
        rbm = Rbm("bernoulli", "bernoulli", model.weights, b[number], c[number])
        torch.testing.assert_close(rbm.hidden_mean(v[0, number : number + 1])[0], before[number + 1])


# Gradients


def gradcheck(model: ConditionalModel, cost: Any) -> None:
    names = [name for name, _ in model.named_parameters()]

    def of_parameters(*values: torch.Tensor) -> torch.Tensor:
        class Whole(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.model = model

            def forward(self) -> torch.Tensor:
                return cost(self.model)

        return functional_call(Whole(), {f"model.{name}": value for name, value in zip(names, values)}, ())

    values = [value.detach().clone().requires_grad_() for value in model.parameters()]
    assert torch.autograd.gradcheck(of_parameters, values)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_of_the_whole_model(name: str) -> None:
    model, v, ends = new_model(name), frames(2, 4), frames(8, seed=5)

    def cost(model: ConditionalModel) -> torch.Tensor:
        before = rows_of(model, v)
        if isinstance(model, RbmSteps):
            return model.contrast(v.view(-1, V), ends, *model.biases(before))
        return model.cost(v.view(-1, V), before, Draws(0, "none"))

    gradcheck(model, cost)


@pytest.mark.parametrize("name", ["rnn-rbm tanh", "rtrbm"])
def test_long_chains_follow_the_gradient_of_the_likelihood(name: str) -> None:
    model, v = new_model(name, scale=0.4), frames(1, 3)
    assert isinstance(model, RbmSteps)
    exact = -all_log_likelihoods(model, rows_of(model, v))
    which = [int(sum(bit * 2 ** (V - 1 - i) for i, bit in enumerate(row))) for row in v[0].tolist()]
    wanted = torch.autograd.grad(exact[range(3), which].mean(), list(model.parameters()))
    copies = v.expand(20_000, -1, -1)
    model.gibbs_steps = 30
    found = torch.autograd.grad(
        model.cost(copies.reshape(-1, V), rows_of(model, copies), Draws(3, "chains")), list(model.parameters())
    )
    for one, other in zip(found, wanted):
        torch.testing.assert_close(one, other, atol=0.01, rtol=0)
    assert max(other.abs().max() for other in wanted) > 0.1


# Likelihoods


@pytest.mark.parametrize("name", [name for name in MODELS if "nade" in name])
def test_nade_s_probabilities_sum_to_one(name: str) -> None:
    model = new_model(name, scale=2.0)
    sums = torch.logsumexp(all_log_likelihoods(model, rows_of(model, frames(1, 4))), dim=1)
    torch.testing.assert_close(sums, torch.zeros_like(sums))


def test_nade_unit_by_unit() -> None:
    draws = Draws(2, "nade")
    weights, output = (draws.normal(torch.empty(V, H, dtype=torch.float64)) for _ in range(2))
    states = configurations(V)
    b, c = (draws.normal(torch.empty(len(states), size, dtype=torch.float64)) for size in (V, H))
    found = nade_logits(states, weights, output, b, c)
    for row, unit in itertools.product(range(len(states)), range(V)):
        hidden = torch.sigmoid(c[row] + states[row, :unit] @ weights[:unit])
        torch.testing.assert_close(found[row, unit], b[row, unit] + output[unit] @ hidden)


def test_nade_s_draws_have_its_probabilities() -> None:
    draws = Draws(4, "nade")
    weights, output = (2 * draws.normal(torch.empty(V, H, dtype=torch.float64)) for _ in range(2))
    b, c = (draws.normal(torch.empty(1, size, dtype=torch.float64)) for size in (V, H))
    states = configurations(V)
    logits = nade_logits(states, weights, output, b.expand(32, -1), c.expand(32, -1))
    exact = bernoulli_log_likelihood(states, logits).exp()
    count = 40_000
    drawn, conditionals = draw_nade(weights, output, b.repeat(count, 1), c.repeat(count, 1), draws)
    numbers = (drawn * 2.0 ** torch.arange(V - 1, -1, -1)).sum(dim=1).long()
    shares = torch.bincount(numbers, minlength=32) / count
    assert (shares - exact).abs().max() < 0.01
    torch.testing.assert_close(conditionals.mean(dim=0), exact @ states, atol=0.01, rtol=0)
    repeated = nade_logits(drawn[:50], weights, output, b.expand(50, -1), c.expand(50, -1))
    torch.testing.assert_close(torch.sigmoid(repeated), conditionals[:50])


def test_partitions_of_rows_against_enumeration() -> None:
    model = new_model("rnn-rbm tanh", seed=3)
    b, c = model.biases(rows_of(model, frames(2, 6)).detach())
    config = PredictionConfig(ais_runs=200, ais_temperatures=100)
    found = estimate_partitions(
        model.weights.detach(), b.detach(), c.detach(), torch.full((V,), 0.3).double(), config, Draws(1, "AIS")
    )
    for row in range(len(b)):
        rbm = Rbm("bernoulli", "bernoulli", model.weights.detach(), b[row].detach(), c[row].detach())
        exact = exact_log_partition(rbm)
        error = float(found.variance[row]) ** 0.5
        assert abs(float(found.log_partition[row]) - exact) < 4 * error
        assert 0 < error < 0.05
        states = configurations(V)
        means = torch.softmax(-rbm.free_energy(states), dim=0) @ states
        torch.testing.assert_close(found.means[row], means, atol=0.08, rtol=0)


@pytest.mark.parametrize("name", MODELS)
def test_predictions_against_enumeration(name: str) -> None:
    model, v = new_model(name, scale=0.7), frames(2, 5)
    before = rows_of(model, v)
    exact = all_log_likelihoods(model, before)
    states = configurations(V)
    config = PredictionConfig(ais_runs=400, ais_temperatures=50, samples=400)
    found = model.predict(v.view(-1, V), before, config, Draws(1, "predict"))
    numbers = (v.view(-1, V) * 2.0 ** torch.arange(V - 1, -1, -1)).sum(dim=1).long()
    wanted = exact.gather(1, numbers[:, None])[:, 0].detach()
    assert (found.log_likelihood - wanted).abs().le(4 * found.variance.sqrt() + 1e-9).all()
    torch.testing.assert_close(found.means, exact.exp().detach() @ states, atol=0.08, rtol=0)


@pytest.mark.parametrize("name", ["rnn-rbm tanh", "rtrbm", "rnn-nade tanh"])
def test_drawn_frames_have_the_model_s_probabilities(name: str) -> None:
    model = new_model(name, scale=0.7)
    before = rows_of(model, frames(1, 2))[1:].detach()
    exact = all_log_likelihoods(model, before)[0].exp().detach()
    count = 20_000
    last = torch.zeros(count, V, dtype=torch.float64)
    drawn = model.draw(before.expand(count, -1), last, 40, Draws(6, "draw"))
    shares = torch.bincount((drawn * 2.0 ** torch.arange(V - 1, -1, -1)).sum(dim=1).long(), minlength=32) / count
    assert (shares - exact).abs().max() < 0.015


@pytest.mark.parametrize("name", ["rnn-rbm lstm", "rnn-nade gru"])
def test_extreme_frames_have_finite_likelihoods(name: str) -> None:
    model = new_model(name, scale=30.0).float()
    v = torch.ones(1, 4, V)
    v[0, 1::2] = 0
    found = model.predict(v.view(-1, V), rows_of(model, v), PredictionConfig(), Draws(1, "extreme"))
    assert torch.isfinite(found.log_likelihood).all()
    assert (found.log_likelihood < -10).any()


def test_dropout_leaves_out_only_in_training() -> None:
    config = RnnNadeConfig(H, RecurrenceConfig("tanh", 200, input_dropout=0.0, dropout=0.25))
    model = RnnNade(V, config, Draws(0, "dropout"))
    v = frames(4, 20).float()
    plain, _ = model.scan(v, model.start(4))
    dropped, _ = model.scan(v, model.start(4), Draws(1, "dropout"))
    nonzero = plain != 0
    share = (dropped[nonzero] == 0).double().mean()
    assert 0.23 < share < 0.27
    kept = nonzero & (dropped != 0)
    torch.testing.assert_close(dropped[kept], plain[kept] / 0.75)
