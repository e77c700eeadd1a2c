"""RBMs against their definition: everything follows from the energy, summed over all configurations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from asrkit.core.errors import ConfigError, ModelError
from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.config import RbmConfig
from asrkit.nnet.energy.rbm import Rbm, new_rbm, noisy_rectified, softplus_integral
from tests.nnet.energy.enumeration import configurations, joint, random_rbm

VISIBLE = [("bernoulli", False), ("gaussian", False), ("gaussian", True)]


def frames_of(rbm: Rbm, count: int, seed: int = 1) -> torch.Tensor:
    normal = Draws(seed, "frames").normal(torch.empty((count, rbm.num_visible), dtype=torch.float64))
    return (normal > 0).to(torch.float64) if rbm.visible == "bernoulli" else 1.5 * normal


def test_the_energy_is_the_sum_over_units_and_connections() -> None:
    for visible, variance in VISIBLE:
        rbm = random_rbm(visible, variance=variance)
        v, h = frames_of(rbm, 4), configurations(3)[[1, 4, 6, 7]]
        s = torch.ones(5) if rbm.log_variance is None else torch.exp(rbm.log_variance)
        for n in range(4):
            expected = -sum(float(rbm.hidden_bias[j] * h[n, j]) for j in range(3))
            for i in range(5):
                if visible == "bernoulli":
                    expected -= float(rbm.visible_bias[i] * v[n, i])
                else:
                    expected += float((v[n, i] - rbm.visible_bias[i]) ** 2 / (2 * s[i]))
                expected -= sum(float(v[n, i] / s[i] * rbm.weights[i, j] * h[n, j]) for j in range(3))
            assert rbm.energy(v[n : n + 1], h[n : n + 1]).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("visible", "variance"), VISIBLE)
def test_free_energy_and_hidden_conditionals_are_sums_over_hidden_units(visible: str, variance: bool) -> None:
    rbm = random_rbm(visible, variance=variance)
    v, h = frames_of(rbm, 7), configurations(3)
    energies = torch.stack([rbm.energy(v, one.expand(len(v), -1)) for one in h], dim=1)
    torch.testing.assert_close(rbm.free_energy(v), -torch.logsumexp(-energies, dim=1))
    torch.testing.assert_close(rbm.hidden_mean(v), torch.softmax(-energies, dim=1) @ h)


def test_bernoulli_visible_conditionals_are_sums_over_visible_units() -> None:
    rbm = random_rbm()
    v, h = configurations(5), configurations(3)
    probability = joint(rbm)
    torch.testing.assert_close(rbm.visible_mean(h), (probability / probability.sum(0)).T @ v)
    energies = torch.stack([rbm.energy(one.expand(len(h), -1), h) for one in v], dim=1)
    torch.testing.assert_close(rbm.hidden_free_energy(h), -torch.logsumexp(-energies, dim=1))


@pytest.mark.parametrize("variance", [False, True])
def test_gaussian_visible_conditionals_are_the_density_that_the_energy_has(variance: bool) -> None:
    rbm = random_rbm("gaussian", variance=variance)
    h = configurations(3)
    v = frames_of(rbm, len(h))
    s = torch.ones(5, dtype=torch.float64) if rbm.log_variance is None else torch.exp(rbm.log_variance)
    log_density = torch.distributions.Normal(rbm.visible_mean(h), s.sqrt().expand(len(h), -1)).log_prob(v).sum(dim=1)
    torch.testing.assert_close(log_density, rbm.hidden_free_energy(h) - rbm.energy(v, h))


@pytest.mark.parametrize(("visible", "variance"), VISIBLE)
def test_draws_have_the_conditional_moments(visible: str, variance: bool) -> None:
    rbm, draws, count = random_rbm(visible, variance=variance), Draws(2, "moments"), 40_000
    v = frames_of(rbm, 1).expand(count, -1)
    h = rbm.sample_hidden(v, draws)
    assert set(h.unique().tolist()) <= {0.0, 1.0}
    np.testing.assert_allclose(h.mean(0), rbm.hidden_mean(v)[0], atol=5 * 0.5 / math.sqrt(count))
    given = configurations(3)[5].expand(count, -1)
    drawn, mean = rbm.sample_visible(given, draws), rbm.visible_mean(given)[0]
    if visible == "bernoulli":
        spread = mean * (1 - mean)
    else:
        spread = torch.ones(5, dtype=torch.float64) if rbm.log_variance is None else torch.exp(rbm.log_variance)
        np.testing.assert_allclose(drawn.var(0), spread, rtol=5 * math.sqrt(2 / count))
    error = (drawn.mean(0) - mean) / torch.sqrt(spread / count)
    assert error.abs().max() < 5


def test_gibbs_steps_keep_the_distribution_of_the_model() -> None:
    rbm, draws = random_rbm(num_visible=3, num_hidden=2), Draws(3, "gibbs")
    exact = joint(rbm).sum(1)
    start = torch.multinomial(exact, 40_000, replacement=True, generator=torch.Generator().manual_seed(1))
    after = rbm.gibbs(configurations(3)[start], draws) @ torch.tensor([4.0, 2.0, 1.0], dtype=torch.float64)
    found = torch.bincount(after.long(), minlength=8) / len(after)
    np.testing.assert_allclose(found, exact, atol=5 * 0.5 / math.sqrt(len(after)))


# Rectified units


def test_the_integral_of_the_softplus_is_what_quadrature_finds() -> None:
    x = torch.tensor([-40.0, -8.0, -1.0, -1e-3, 0.0, 1e-3, 0.7, 5.0, 60.0], dtype=torch.float64)
    expected = [quad(lambda t: np.logaddexp(0.0, t), min(one, 0.0) - 60.0, one, limit=200)[0] for one in x.tolist()]
    np.testing.assert_allclose(softplus_integral(x), expected, rtol=1e-8, atol=1e-18)


def test_rectified_units_are_infinitely_many_binary_copies() -> None:
    """Mean and free energy of the copies with inputs x - 1/2, x - 3/2, ... within what the module states."""
    x = torch.linspace(-6, 6, 49, dtype=torch.float64)
    inputs = x[:, None] - torch.arange(80, dtype=torch.float64) - 0.5
    copies = torch.sigmoid(inputs)
    rbm = random_rbm(hidden="relu", num_hidden=49)
    assert (rbm.mean_of_input(x) - copies.sum(1)).abs().max() < 0.011
    assert (softplus_integral(x) - torch.nn.functional.softplus(inputs).sum(1)).abs().max() < 1 / 24 + 0.01
    drawn = noisy_rectified(x[24:].expand(40_000, -1), Draws(4, "copies"))
    short = copies.sum(1)[24:] - drawn.mean(0)
    assert short.max() < 0.42
    assert short[12:].abs().max() < 0.06
    np.testing.assert_allclose(drawn.std(0)[12:], torch.sqrt((copies * (1 - copies)).sum(1))[36:], rtol=0.05)


@pytest.mark.parametrize("hidden", ["bernoulli", "relu"])
def test_the_derivative_of_the_free_energy_has_the_hidden_means(hidden: str) -> None:
    rbm = random_rbm(hidden=hidden)
    v = frames_of(rbm, 6)
    rbm.hidden_bias.requires_grad_()
    rbm.free_energy(v).sum().backward()
    torch.testing.assert_close(rbm.hidden_bias.grad, -rbm.hidden_mean(v).sum(0).detach())


def test_rectified_units_have_no_energy_of_their_sum() -> None:
    rbm = random_rbm(hidden="relu")
    with pytest.raises(ModelError, match="not an energy"):
        rbm.energy(configurations(5)[:2], configurations(3)[:2])
    with pytest.raises(ModelError, match="not a free energy of hidden units"):
        rbm.hidden_free_energy(configurations(3))


# Beginnings, and layers of a stack


def test_an_rbm_begins_with_the_mean_and_the_variance_of_the_data() -> None:
    mean, variance = torch.tensor([0.0, 0.2, 1.0]), torch.tensor([1.0, 4.0, 0.25])
    config = RbmConfig(weight_std=0.0)
    bernoulli = new_rbm("bernoulli", 4, mean, variance, config, Draws(0, "new"))
    np.testing.assert_allclose(bernoulli.visible_mean(torch.ones(1, 4))[0], [1e-4, 0.2, 1 - 1e-4], rtol=1e-3)
    gaussian = new_rbm("gaussian", 4, mean, variance, config, Draws(0, "new"))
    assert gaussian.log_variance is not None
    torch.testing.assert_close(torch.exp(gaussian.log_variance), variance)
    torch.testing.assert_close(gaussian.visible_bias, mean)
    assert new_rbm("gaussian", 4, mean, torch.ones(3), config, Draws(0, "new")).log_variance is None
    learned = new_rbm("gaussian", 4, mean, torch.ones(3), RbmConfig(learn_variance=True), Draws(0, "new"))
    assert learned.log_variance is not None


def test_initial_weights_have_the_deviation_that_is_asked_for() -> None:
    rbm = new_rbm("gaussian", 300, torch.zeros(200), torch.ones(200), RbmConfig(weight_std=0.02), Draws(5, "new"))
    assert rbm.weights.std().item() == pytest.approx(0.02, rel=0.02)
    assert rbm.weights.mean().item() == pytest.approx(0.0, abs=5 * 0.02 / math.sqrt(60_000))


@pytest.mark.parametrize(("visible", "variance"), VISIBLE)
def test_a_layer_of_a_stack_computes_the_hidden_means(visible: str, variance: bool) -> None:
    rbm = random_rbm(visible, variance=variance)
    layer = rbm.layer()
    v = frames_of(rbm, 6).to(torch.float32)
    again = Rbm.of_layer(layer)
    expected = 1 / (1 + np.exp(-(v.numpy() @ layer.weights + layer.bias)))
    np.testing.assert_allclose(again.hidden_mean(v), expected, rtol=2e-6)
    np.testing.assert_allclose(again.free_energy(v), rbm.free_energy(v.double()), rtol=1e-5, atol=1e-5)


def test_what_is_no_rbm_is_refused() -> None:
    with pytest.raises(ModelError, match="have no variance"):
        random_rbm("bernoulli", variance=True)
    with pytest.raises(ConfigError, match="weight_std"):
        RbmConfig(weight_std=-1.0)
