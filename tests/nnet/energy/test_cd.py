"""Contrastive divergence: the gradient that it says it follows, where it leads, and what it goes on from."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from asrkit.core.errors import ConfigError, ModelError
from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.cd import ContrastiveDivergence, contrastive_cost
from asrkit.nnet.energy.config import CdConfig, RbmConfig
from asrkit.nnet.energy.rbm import Rbm, new_rbm
from tests.nnet.energy.enumeration import configurations, joint, random_rbm

PLAIN = CdConfig(
    centered=False,
    learning_rate=1.0,
    momentum=0.0,
    final_momentum=0.0,
    l2=0.0,
    guard_ratio=0.0,
    variance_rate=1.0,
)
CASES = [
    ("bernoulli", "bernoulli", False),
    ("gaussian", "bernoulli", False),
    ("gaussian", "bernoulli", True),
    ("bernoulli", "relu", False),
    ("gaussian", "relu", True),
]


def frames_of(rbm: Rbm, count: int, seed: int = 1) -> torch.Tensor:
    normal = Draws(seed, "frames").normal(torch.empty((count, rbm.num_visible), dtype=torch.float64))
    return (normal > 0).to(torch.float64) if rbm.visible == "bernoulli" else 1.5 * normal


def copy_of(rbm: Rbm) -> Rbm:
    return Rbm(rbm.visible, rbm.hidden, **{name: value.clone() for name, value in rbm.parameters().items()})


def moved(rbm: Rbm, before: Rbm) -> dict[str, torch.Tensor]:
    return {name: value - before.parameters()[name] for name, value in rbm.parameters().items()}


@pytest.mark.parametrize(("visible", "hidden", "variance"), CASES)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"steps": 3, "chain_visible": "samples"},
        {"steps": 2, "chain_hidden": "means"},
        {"persistent": True, "num_chains": 4},
    ],
)
def test_an_update_follows_the_derivative_of_the_cost(
    visible: str, hidden: str, variance: bool, options: dict[str, object]
) -> None:
    rbm = random_rbm(visible, hidden, scale=0.3, variance=variance)
    before = copy_of(rbm)
    data = frames_of(rbm, 9)
    trainer = ContrastiveDivergence(rbm, replace(PLAIN, **options), learn_variance=variance)  # type: ignore[arg-type]
    trainer.step(data, Draws(2, "chains"))
    leaves = before.parameters()
    for value in leaves.values():
        value.requires_grad_()
    contrastive_cost(before, data, trainer.chain_end).backward()
    for name, change in moved(rbm, before).items():
        # Of Gaussian units weights and biases follow it as those of units scaled to unit variance.
        scale = (
            torch.exp(leaves["log_variance"].detach()) if variance and name.startswith(("w", "v")) else torch.ones(1)
        )
        expected = -leaves[name].grad * (scale[:, None] if name == "weights" else scale)  # type: ignore[operator]
        torch.testing.assert_close(change, expected, msg=name)


@pytest.mark.parametrize(("visible", "hidden", "variance"), CASES)
def test_a_centred_update_follows_the_derivative_of_the_centred_model(
    visible: str, hidden: str, variance: bool
) -> None:
    """Weights, b + W λ and c + Wᵀ (μ / σ²) of a model of variance σ² move as one of unit variance would."""
    rbm = random_rbm(visible, hidden, scale=0.3, variance=variance)
    before, data = copy_of(rbm), frames_of(rbm, 9)
    trainer = ContrastiveDivergence(rbm, replace(PLAIN, centered=True))
    trainer.step(data, Draws(2, "chains"))
    sigma = torch.exp(0.5 * before.log_variance) if variance else torch.ones(5).double()  # type: ignore[arg-type]
    mu, lam = data.mean(0) / sigma, before.hidden_mean(data).mean(0)
    weights = (before.weights / sigma[:, None]).requires_grad_()
    b = (before.visible_bias / sigma + weights @ lam).detach().requires_grad_()
    c = (before.hidden_bias + weights.T @ mu).detach().requires_grad_()
    plain = Rbm(visible, hidden, weights, b - weights @ lam, c - weights.T @ mu)  # type: ignore[arg-type]
    contrastive_cost(plain, data / sigma, trainer.chain_end / sigma).backward()
    with torch.no_grad():
        for value in (weights, b, c):
            value -= value.grad
    torch.testing.assert_close(rbm.weights, sigma[:, None] * weights.detach())
    torch.testing.assert_close(rbm.visible_bias, sigma * (b - weights @ lam).detach())
    torch.testing.assert_close(rbm.hidden_bias, (c - weights.T @ mu).detach())


def test_centring_keeps_hidden_units_alive() -> None:
    """Means of many units that hang together, as a first layer gives them to a second."""
    draws = Draws(8, "alive")
    factors = draws.normal(torch.empty((4000, 10)))
    data = torch.sigmoid(0.5 * factors @ draws.normal(torch.empty((10, 300))))
    alive = []
    for centered in (True, False):
        rbm = new_rbm("bernoulli", 200, data.mean(0), data.var(0), RbmConfig(weight_std=0.1), Draws(0, "new"))
        train(rbm, data, CdConfig(centered), epochs=3)
        activity = rbm.hidden_mean(data).mean(0)
        alive.append(int(((activity > 0.02) & (activity < 0.98)).sum()))
    assert alive[0] == 200
    assert alive[1] < 150


def test_the_scale_of_gaussian_units_changes_nothing_but_the_scale() -> None:
    """Data and units in other units of measurement: the same hidden means, visible units scaled."""
    plain = random_rbm("gaussian", scale=0.3, variance=True)
    factor = torch.tensor([0.1, 3.0, 1.0, 20.0, 0.5], dtype=torch.float64)
    assert plain.log_variance is not None
    scaled = Rbm(
        "gaussian",
        "bernoulli",
        plain.weights * factor[:, None],
        plain.visible_bias * factor,
        plain.hidden_bias.clone(),
        plain.log_variance + 2 * torch.log(factor),
    )
    for rbm, size in ((plain, torch.ones(5)), (scaled, factor)):
        trainer = ContrastiveDivergence(rbm, replace(PLAIN, centered=True, learning_rate=0.05), learn_variance=True)
        for number in range(10):
            trainer.step(frames_of(rbm, 20, seed=number) * size, Draws(number, "steps"))
    torch.testing.assert_close(scaled.weights, plain.weights * factor[:, None])
    torch.testing.assert_close(scaled.visible_bias, plain.visible_bias * factor)
    torch.testing.assert_close(scaled.hidden_bias, plain.hidden_bias)
    torch.testing.assert_close(scaled.log_variance, plain.log_variance + 2 * torch.log(factor))


def test_the_cost_itself_is_right_by_finite_differences() -> None:
    for visible, hidden, variance in CASES:
        rbm = random_rbm(visible, hidden, scale=0.3, variance=variance)
        data, ends = frames_of(rbm, 5), frames_of(rbm, 4, seed=2)
        names = list(rbm.parameters())
        values = [value.requires_grad_() for value in rbm.parameters().values()]

        def cost(*tensors: torch.Tensor) -> torch.Tensor:
            return contrastive_cost(Rbm(visible, hidden, **dict(zip(names, tensors))), data, ends)  # type: ignore[arg-type]  # noqa: B023

        assert torch.autograd.gradcheck(cost, values)


def exact_gradient(rbm: Rbm, data: torch.Tensor) -> torch.Tensor:
    """Return the derivative of mean log p(v) by the weights: E_data[v h] - E_model[v h], over all configurations."""
    probability = joint(rbm)
    model = configurations(rbm.num_visible).T @ probability @ configurations(rbm.num_hidden)
    return data.T @ rbm.hidden_mean(data) / len(data) - model


@pytest.mark.parametrize(("steps", "reached"), [(1, False), (60, True)])
def test_long_chains_find_the_gradient_of_the_likelihood(steps: int, reached: bool) -> None:
    """Averaged over many chains CD-60 gives the exact gradient within the spread of its chains, and CD-1 does not."""
    rbm = random_rbm(num_visible=4, num_hidden=3, seed=3)
    data = configurations(4)[[1, 2, 7, 7, 14]]
    expected = exact_gradient(rbm, data)
    before, repeats = copy_of(rbm), 20_000
    config = replace(PLAIN, steps=steps, chain_visible="samples")
    ContrastiveDivergence(rbm, config).step(data.repeat(repeats, 1), Draws(4, "long chains"))
    error = moved(rbm, before)["weights"] - expected
    # v_i E[h_j | v] lies in [0, 1]: the mean of independent chains errs by 0.5 / sqrt(n) at most.
    limit = 5 * 0.5 / math.sqrt(len(data) * repeats)
    assert bool((error.abs() < limit).all()) == reached


def train(rbm: Rbm, data: torch.Tensor, config: CdConfig, epochs: int, batch: int = 100, seed: int = 0) -> Rbm:
    trainer = ContrastiveDivergence(rbm, config)
    for epoch in range(epochs):
        draws = Draws(seed, "training", str(epoch))
        order = torch.randperm(len(data), generator=torch.Generator().manual_seed(epoch))
        for start in range(0, len(data), batch):
            trainer.step(data[order[start : start + batch]], draws, epoch)
    return rbm


def divergence(exact: torch.Tensor, rbm: Rbm) -> float:
    """Return KL(exact || rbm) over all visible configurations."""
    return float((exact * (exact.log() - joint(rbm).sum(1).log())).sum())


def planted() -> tuple[torch.Tensor, torch.Tensor]:
    """Return the distribution of a planted RBM over (2^6,) configurations, and 20000 draws from it."""
    weights = torch.tensor([[4, -4], [4, 4], [-4, 4], [5, 0], [0, 5], [-3, -3]], dtype=torch.float64)
    truth = Rbm("bernoulli", "bernoulli", weights, -weights.sum(1) / 2, weights.new_tensor([-4.0, -2.0]))
    exact = joint(truth).sum(1)
    chosen = torch.multinomial(exact, 20_000, replacement=True, generator=torch.Generator().manual_seed(1))
    return exact, configurations(6)[chosen]


@pytest.mark.parametrize("persistent", [False, True])
def test_a_planted_rbm_is_recovered(persistent: bool) -> None:
    exact, data = planted()
    config = CdConfig(
        steps=1 if persistent else 5,
        persistent=persistent,
        chain_visible="samples",
        learning_rate=1.0,
        learning_rate_decay=0.9,
        momentum_frames=100_000,
        l2=0.0,
    )
    config = replace(config, num_chains=200 if persistent else 0)
    start = new_rbm("bernoulli", 2, data.mean(0), data.var(0), RbmConfig(), Draws(5, "planted"))
    unlearned = divergence(exact, start)
    learned = divergence(exact, train(start, data, config, epochs=40))
    # 20 parameters fitted to 20000 draws cannot come nearer than about 20 / 40000.
    assert unlearned > 0.3
    assert learned < 0.01


def test_gaussian_units_learn_the_variance_of_their_noise() -> None:
    """Two clusters in four dimensions with noise of four sizes."""
    draws = Draws(6, "clusters")
    deviations = torch.tensor([0.2, 0.5, 1.0, 0.3], dtype=torch.float64)
    side = draws.bernoulli(torch.full((8000, 1), 0.5, dtype=torch.float64))
    data = (2 * side - 1) * torch.tensor([1.0, -1.0, 1.5, 0.0], dtype=torch.float64)
    data += deviations * draws.normal(data)
    rbm = new_rbm("gaussian", 2, data.mean(0), data.var(0), RbmConfig(learn_variance=True), draws)
    config = CdConfig(
        learning_rate=0.05,
        learning_rate_decay=0.97,
        momentum_frames=0,
        l2=0.0,
        variance_rate=0.5,
        persistent=True,
        chain_visible="samples",
    )
    trainer = ContrastiveDivergence(rbm, config, learn_variance=True)
    for epoch in range(80):
        for batch in data.split(100):
            trainer.step(batch, draws, epoch)
    assert rbm.log_variance is not None
    np.testing.assert_allclose(torch.exp(0.5 * rbm.log_variance), deviations, rtol=0.15)


# Penalties and limits


def test_l2_and_momentum_are_those_of_their_recursion() -> None:
    config = CdConfig(False, learning_rate=0.3, momentum=0.5, final_momentum=0.9, momentum_frames=30, l2=0.01)
    rbm = random_rbm(scale=0.3)
    trainer, twin = ContrastiveDivergence(rbm, config), copy_of(rbm)
    velocity = torch.zeros_like(rbm.weights)
    for number in range(5):
        data = frames_of(rbm, 12, seed=number)
        trainer.step(data, Draws(number, "momentum"))
        momentum = min(0.9, 0.5 + 0.4 * 12 * number / 30)
        end = trainer.chain_end
        gradient = end.T @ twin.hidden_mean(end) / 12 - data.T @ twin.hidden_mean(data) / 12
        velocity = momentum * velocity - 0.3 * (1 - momentum) * (gradient + 0.01 * twin.weights)
        twin.weights += velocity
        torch.testing.assert_close(rbm.weights, twin.weights)
        twin = copy_of(rbm)


def test_the_learning_rate_decays_by_epochs() -> None:
    steps = []
    for epoch in (0, 3):
        rbm = random_rbm(scale=0.3)
        before = copy_of(rbm)
        config = replace(PLAIN, learning_rate_decay=0.5)
        ContrastiveDivergence(rbm, config).step(frames_of(rbm, 9), Draws(1, "decay"), epoch)
        steps.append(moved(rbm, before)["weights"])
    torch.testing.assert_close(steps[0] / 8, steps[1])


def test_sparsity_follows_the_cross_entropy_of_target_and_activity() -> None:
    rbm = random_rbm(scale=0.3)
    before, data = copy_of(rbm), frames_of(rbm, 9)
    config = replace(PLAIN, sparsity_cost=0.7, sparsity_target=0.2)
    ContrastiveDivergence(rbm, config).step(data, Draws(1, "sparse"))
    plain = copy_of(before)
    ContrastiveDivergence(plain, PLAIN).step(data, Draws(1, "sparse"))
    pull = 0.7 * (before.hidden_mean(data).mean(0) - 0.2)
    torch.testing.assert_close(rbm.hidden_bias - plain.hidden_bias, -pull)
    torch.testing.assert_close(rbm.weights - plain.weights, -torch.outer(data.mean(0), pull))


def test_sparse_units_come_to_their_target() -> None:
    _, data = planted()
    activity = []
    for cost in (0.0, 3.0):
        rbm = new_rbm("bernoulli", 4, data.mean(0), data.var(0), RbmConfig(), Draws(5, "sparse"))
        train(rbm, data, CdConfig(learning_rate=0.1, sparsity_target=0.15, sparsity_cost=cost), epochs=5)
        activity.append((rbm.hidden_mean(data).mean(0) - 0.15).abs().max().item())
    assert activity[1] < 0.05 < activity[0]


def test_weights_stay_within_their_norm() -> None:
    rbm = random_rbm(scale=2.0)
    before = torch.linalg.vector_norm(rbm.weights, dim=0)
    limit = float(before.median())
    config = replace(PLAIN, learning_rate=1e-9, max_norm=limit)
    ContrastiveDivergence(rbm, config).step(frames_of(rbm, 9), Draws(1, "norm"))
    torch.testing.assert_close(torch.linalg.vector_norm(rbm.weights, dim=0), before.clamp(max=limit))
    assert before.min() < limit < before.max()


# The guard


def test_the_guard_keeps_gaussian_units_from_exploding() -> None:
    draws = Draws(7, "guard")
    data = draws.normal(torch.empty((2000, 20)))
    start = new_rbm("gaussian", 60, data.mean(0), torch.ones(20), RbmConfig(weight_std=1.0), draws)
    config = CdConfig(learning_rate=0.02, l2=0.0)
    guarded = ContrastiveDivergence(copy_of(start), config)
    for batch in data.split(50):
        guarded.step(batch, draws)
    assert guarded.num_guarded > 0
    error = guarded.take_error()
    assert guarded.rbm.weights.abs().max() < start.weights.abs().max()
    assert error is not None
    free = ContrastiveDivergence(copy_of(start), replace(config, guard_ratio=0.0, learning_rate=1e3))

    def explode() -> None:
        for batch in data.repeat(20, 1).split(50):
            free.step(batch, draws)

    with pytest.raises(ModelError, match="no longer finite"):
        explode()


def test_frames_that_are_all_the_same_say_nothing_to_the_guard() -> None:
    draws = Draws(7, "guard")
    start = new_rbm("gaussian", 6, torch.zeros(4), torch.ones(4), RbmConfig(weight_std=1.0), draws)
    guarded = ContrastiveDivergence(copy_of(start), CdConfig(learning_rate=1e-6))
    guarded.step(torch.zeros((5, 4)), draws)
    assert guarded.num_guarded == 0
    assert (guarded.rbm.weights - start.weights).abs().max() < 1e-3


def test_the_guard_scales_all_by_the_ratio_of_deviations_and_forgets_the_momentum() -> None:
    rbm = random_rbm("gaussian", num_visible=5, scale=6.0)
    before, data = copy_of(rbm), frames_of(rbm, 50)
    trainer = ContrastiveDivergence(rbm, replace(PLAIN, guard_ratio=2.0))
    trainer.step(data, Draws(1, "guard"))
    ratio = data.std(correction=0) / trainer.chain_end.std(correction=0)
    assert ratio < 0.5
    for name, value in rbm.parameters().items():
        torch.testing.assert_close(value, before.parameters()[name] * ratio)
    arrays, numbers = trainer.state()
    assert numbers["num_guarded"] == 1
    assert numbers["rate_scale"] == pytest.approx(0.9)
    assert not arrays["velocity.weights"].any()


# Going on


@pytest.mark.parametrize("persistent", [False, True])
def test_a_restored_trainer_goes_on_to_the_same_bits(persistent: bool) -> None:
    config = CdConfig(persistent=persistent, sparsity_cost=0.1, learning_rate=0.05)
    data = frames_of(random_rbm("gaussian"), 90).to(torch.float32)

    def fresh() -> ContrastiveDivergence:
        rbm = new_rbm("gaussian", 7, data.mean(0), data.var(0), RbmConfig(learn_variance=True), Draws(1, "new"))
        return ContrastiveDivergence(rbm, config, learn_variance=True)

    def run(trainer: ContrastiveDivergence, first: int, last: int) -> None:
        for number in range(first, last):
            trainer.step(data[10 * number : 10 * number + 10], Draws(1, "steps", str(number)))

    whole, part = fresh(), fresh()
    run(whole, 0, 9)
    run(part, 0, 4)
    arrays, numbers = part.state()
    run(part, 4, 6)  # what is done after a state is saved does not reach it
    resumed = fresh()
    resumed.restore(arrays, numbers)
    run(resumed, 4, 9)
    for name, value in whole.rbm.parameters().items():
        assert torch.equal(value, resumed.rbm.parameters()[name])
    assert resumed.take_error() == whole.take_error()
    assert resumed.num_frames == 90


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_comes_to_what_a_cpu_does() -> None:
    """Without draws, in double precision; with draws in single precision it still learns the planted RBM."""
    for visible, hidden, variance in CASES:
        on_cpu = random_rbm(visible, hidden, scale=0.3, variance=variance)
        moved_there = {name: value.cuda() for name, value in on_cpu.parameters().items()}
        on_gpu = Rbm(on_cpu.visible, on_cpu.hidden, **moved_there)
        config = replace(PLAIN, learning_rate=0.1, chain_hidden="means", steps=2)
        for rbm in (on_cpu, on_gpu):
            trainer = ContrastiveDivergence(rbm, config, learn_variance=variance)
            for number in range(20):
                data = frames_of(on_cpu, 9, seed=number).to(rbm.weights.device)
                trainer.step(data, Draws(number, "steps", device=rbm.weights.device))
        for name, value in on_gpu.parameters().items():
            torch.testing.assert_close(value.cpu(), on_cpu.parameters()[name], rtol=1e-9, atol=1e-9)
    exact, data = planted()
    data = data.float().cuda()
    draws = Draws(5, "planted", device=data.device)
    rbm = new_rbm("bernoulli", 2, data.mean(0), data.var(0), RbmConfig(), draws)
    trainer = ContrastiveDivergence(
        rbm,
        CdConfig(
            steps=5,
            chain_visible="samples",
            learning_rate=1.0,
            learning_rate_decay=0.9,
            momentum_frames=100_000,
            l2=0.0,
        ),
    )
    for epoch in range(40):
        for batch in data.split(100):
            trainer.step(batch, draws, epoch)
    learned = Rbm("bernoulli", "bernoulli", **{name: value.double().cpu() for name, value in rbm.parameters().items()})
    assert divergence(exact, learned) < 0.02


def test_what_cannot_be_is_refused() -> None:
    for options in (
        {"steps": 0},
        {"learning_rate": -1.0},
        {"momentum": 1.0},
        {"sparsity_target": 0.0},
        {"guard_ratio": 0.5},
        {"least_variance": 0.0},
        {"persistent": True, "chain_hidden": "means"},
    ):
        with pytest.raises(ConfigError):
            CdConfig(**options)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="needs Gaussian"):
        ContrastiveDivergence(random_rbm(), CdConfig(), learn_variance=True)
    with pytest.raises(ConfigError, match="sparsity_cost"):
        ContrastiveDivergence(random_rbm(hidden="relu"), CdConfig(sparsity_cost=1.0))
