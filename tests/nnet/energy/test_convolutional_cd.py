"""Contrastive divergence of convolutional RBMs: the gradient that it says it follows, where it leads, going on."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from asrkit.core.errors import ConfigError, ModelError
from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.convolutional_cd import ConvolutionalDivergence, contrastive_cost
from asrkit.nnet.energy.convolutional_config import ConvolutionalCdConfig, ConvolutionalRbmConfig
from asrkit.nnet.energy.convolutional_rbm import ConvolutionalRbm, new_convolutional_rbm
from tests.nnet.energy.test_convolutional_rbm import (
    random_convolutional_rbm,
    some_frames,
    visible_configurations,
)

PLAIN = ConvolutionalCdConfig(learning_rate=1.0, momentum=0.0, final_momentum=0.0, l2=0.0, sparsity_cost=0.0)


def copy_of(rbm: ConvolutionalRbm) -> ConvolutionalRbm:
    return replace(rbm, **{name: value.clone() for name, value in rbm.parameters().items()})


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("options", [{}, {"steps": 3, "chain_visible": "samples"}])
def test_an_update_follows_the_derivative_of_the_cost(visible: str, options: dict[str, Any]) -> None:
    rbm = random_convolutional_rbm(visible, bases=3, length=3, pooling=2, scale=0.3)
    before, data = copy_of(rbm), some_frames(visible, 9, num_frames=8)
    trainer = ConvolutionalDivergence(rbm, replace(PLAIN, **options))
    trainer.step(data, Draws(2, "chains"))
    leaves = before.parameters()
    for value in leaves.values():
        value.requires_grad_()
    contrastive_cost(before, data, trainer.chain_end).backward()
    for name, value in rbm.parameters().items():
        scale = before.visible_std**2 / (8 if name == "visible_bias" else 6)
        assert leaves[name].grad is not None
        torch.testing.assert_close(value - leaves[name].detach(), -scale * leaves[name].grad, msg=name)


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
def test_the_cost_itself_is_right_by_finite_differences(visible: str) -> None:
    rbm = random_convolutional_rbm(visible, scale=0.3)
    data, ends = some_frames(visible, 3), some_frames(visible, 2, seed=2)
    values = [value.requires_grad_() for value in rbm.parameters().values()]

    def cost(*tensors: torch.Tensor) -> torch.Tensor:
        return contrastive_cost(replace(rbm, **dict(zip(rbm.parameters(), tensors))), data, ends)

    assert torch.autograd.gradcheck(cost, values)


@pytest.mark.parametrize(("steps", "reached"), [(1, False), (60, True)])
def test_long_chains_find_the_gradient_of_the_likelihood(steps: int, reached: bool) -> None:
    """Averaged over many chains CD-60 gives the exact gradient within the spread of its chains, and CD-1 does not."""
    rbm = random_convolutional_rbm(seed=3, scale=1.5)
    data, repeats = some_frames("bernoulli", 5, seed=6), 4_000
    leaves = {name: value.clone().requires_grad_() for name, value in rbm.parameters().items()}
    exact = replace(rbm, **leaves)
    nats = -exact.free_energy(data).mean() - torch.logsumexp(-exact.free_energy(visible_configurations()), dim=0)
    nats.backward()
    before = copy_of(rbm)
    config = replace(PLAIN, steps=steps, chain_visible="samples")
    ConvolutionalDivergence(rbm, config).step(data.repeat(repeats, 1, 1), Draws(4, "long chains"))
    assert leaves["weights"].grad is not None
    # The update is the mean over 4 places.
    error = 4 * (rbm.weights - before.weights) - leaves["weights"].grad
    # A sum over 4 places of v E[h | v] in [0, 1].
    limit = 5 * 2 / math.sqrt(len(data) * repeats)
    assert bool((error.abs() < limit).all()) == reached


def test_planted_filters_are_found() -> None:
    """Sounds of two kinds at random times in noise: each has a base of its own in the end."""
    draws = Draws(1, "planted")
    planted = torch.zeros((4, 3, 2))
    planted[:, 0, 0], planted[:, 2, 1] = torch.tensor([2.0, 1.0, 0.5, 0.0]), torch.tensor([0.0, 1.0, 2.0, 2.0])
    truth = ConvolutionalRbm("gaussian", planted, torch.zeros(3), torch.full((2,), -0.1), 3, 0.2)
    h = draws.bernoulli(torch.full((400, 30, 2), 0.08))
    h[:, 1:] *= 1 - h[:, :-1]
    data = truth.visible_mean(h) + 0.2 * draws.normal(torch.empty((400, 33, 3)))
    config = ConvolutionalRbmConfig(bases=2, filter_length=4, pooling=3)
    rbm = new_convolutional_rbm("gaussian", data.mean(dim=(0, 1)), config, Draws(2, "new"))
    trainer = ConvolutionalDivergence(
        rbm, ConvolutionalCdConfig(learning_rate=0.5, l2=0.001, momentum_frames=10_000, sparsity_target=0.08)
    )
    for epoch in range(6):
        for batch in data.split(10):
            trainer.step(batch, draws, epoch)
        error = trainer.take_error()
    assert error < 0.3 * float(data.var())
    found = rbm.weights / rbm.weights.flatten(0, 1).norm(dim=0)
    sounds = planted / planted.flatten(0, 1).norm(dim=0)
    match = torch.einsum("kcp,kcj->pj", sounds, found)
    torch.testing.assert_close(match.max(dim=1).values, torch.ones(2), atol=0.02, rtol=0)
    assert set(match.argmax(dim=1).tolist()) == {0, 1}


def test_momentum_and_weight_decay_are_as_documented() -> None:
    rbm = random_convolutional_rbm(scale=0.3)
    config = replace(PLAIN, learning_rate=0.3, momentum=0.5, final_momentum=0.9, momentum_frames=100, l2=0.1)
    trainer, twin = ConvolutionalDivergence(rbm, config), copy_of(rbm)
    velocity = torch.zeros_like(rbm.weights)
    for number in range(4):
        data = some_frames("bernoulli", 6, seed=number)
        trainer.step(data, Draws(number, "momentum"))
        momentum = min(0.9, 0.5 + 0.4 * 30 * number / 100)
        moved = _products(twin, data) - _products(twin, trainer.chain_end)
        velocity = momentum * velocity + 0.3 * (1 - momentum) * (moved - 0.1 * twin.weights)
        twin.weights += velocity
        torch.testing.assert_close(rbm.weights, twin.weights)
        twin = copy_of(rbm)


def _products(rbm: ConvolutionalRbm, v: torch.Tensor) -> torch.Tensor:
    """Return the mean over places of v_(s+k)i E[h_sj | v], place by place."""
    hidden = rbm.hidden_mean(v)
    places = hidden.shape[1]
    parts = [torch.einsum("nsi,nsj->ij", v[:, k : k + places], hidden) for k in range(rbm.filter_length)]
    return torch.stack(parts) / (len(v) * places)


def test_sparsity_pulls_the_biases_alone_to_the_target() -> None:
    rbm = random_convolutional_rbm(scale=0.3)
    before, plain, data = copy_of(rbm), copy_of(rbm), some_frames("bernoulli", 9)
    ConvolutionalDivergence(plain, PLAIN).step(data, Draws(1, "sparse"))
    config = replace(PLAIN, sparsity_cost=0.7, sparsity_target=0.2)
    ConvolutionalDivergence(rbm, config).step(data, Draws(1, "sparse"))
    pull = 0.7 * (before.hidden_mean(data).mean(dim=(0, 1)) - 0.2)
    torch.testing.assert_close(rbm.hidden_bias - plain.hidden_bias, -pull)
    assert torch.equal(rbm.weights, plain.weights)


def test_the_learning_rate_decays_by_epochs() -> None:
    steps = []
    for epoch in (0, 3):
        rbm = random_convolutional_rbm(scale=0.3)
        before = copy_of(rbm)
        trainer = ConvolutionalDivergence(rbm, replace(PLAIN, learning_rate_decay=0.5))
        trainer.step(some_frames("bernoulli", 9), Draws(1, "decay"), epoch)
        steps.append(rbm.weights - before.weights)
    torch.testing.assert_close(steps[0] / 8, steps[1])


def test_a_restored_trainer_goes_on_to_the_same_bits() -> None:
    data = some_frames("gaussian", 90, num_frames=8).to(torch.float32)
    config = ConvolutionalRbmConfig(bases=5, filter_length=3, pooling=3)

    def fresh() -> ConvolutionalDivergence:
        rbm = new_convolutional_rbm("gaussian", data.mean(dim=(0, 1)), config, Draws(1, "new"))
        return ConvolutionalDivergence(rbm, ConvolutionalCdConfig())

    def run(trainer: ConvolutionalDivergence, first: int, last: int) -> None:
        for number in range(first, last):
            trainer.step(data[10 * number : 10 * number + 10], Draws(1, "steps", str(number)))

    whole, part, resumed = fresh(), fresh(), fresh()
    run(whole, 0, 9)
    run(part, 0, 4)
    arrays, numbers = part.state()
    run(part, 4, 6)  # what is done after a state is saved does not reach it
    resumed.restore(arrays, numbers)
    run(resumed, 4, 9)
    for name, value in whole.rbm.parameters().items():
        assert torch.equal(value, resumed.rbm.parameters()[name])
    assert resumed.take_error() == whole.take_error()
    assert resumed.num_frames == 90 * 8


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_comes_to_what_a_cpu_does() -> None:
    """Units that are surely on or off, so that both devices draw the same, in double precision."""
    for visible in ("bernoulli", "gaussian"):
        on_cpu = random_convolutional_rbm(visible, scale=1e3)
        on_gpu = replace(on_cpu, **{name: value.cuda() for name, value in on_cpu.parameters().items()})
        for rbm in (on_cpu, on_gpu):
            trainer = ConvolutionalDivergence(rbm, replace(PLAIN, learning_rate=0.1))
            for number in range(5):
                data = some_frames(visible, 9, seed=number).to(rbm.weights.device)
                trainer.step(data, Draws(number, "steps", device=rbm.weights.device))
        for name, value in on_gpu.parameters().items():
            torch.testing.assert_close(value.cpu(), on_cpu.parameters()[name], rtol=1e-9, atol=1e-9)


def test_what_cannot_be_is_refused() -> None:
    for options in (
        {"steps": 0},
        {"learning_rate": -1.0},
        {"momentum": 1.0},
        {"sparsity_target": 0.0},
        {"window_blocks": 0},
        {"batch_size": 0},
    ):
        with pytest.raises(ConfigError):
            ConvolutionalCdConfig(**options)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="one at most is on"):
        ConvolutionalDivergence(random_convolutional_rbm(), ConvolutionalCdConfig(sparsity_target=0.6))
