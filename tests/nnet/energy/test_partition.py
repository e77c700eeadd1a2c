"""Partition functions: enumeration from either side, and annealed importance sampling within its stated error."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy.integrate import dblquad

from asrkit.core.errors import ConfigError, ModelError
from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.config import AisConfig
from asrkit.nnet.energy.partition import (
    binary_states,
    estimate_log_partition,
    exact_log_partition,
)
from tests.nnet.energy.enumeration import configurations, random_rbm

FEW = AisConfig(num_runs=100, num_steps=(100, 200, 200))


def brute_force(num_visible: int, num_hidden: int, seed: int) -> tuple[float, float]:
    rbm = random_rbm(num_visible=num_visible, num_hidden=num_hidden, seed=seed)
    v, h = configurations(num_visible), configurations(num_hidden)
    energies = torch.stack([rbm.energy(v, one.expand(len(v), -1)) for one in h])
    return exact_log_partition(rbm), float(torch.logsumexp(-energies.reshape(-1), 0))


@pytest.mark.parametrize(("num_visible", "num_hidden"), [(5, 3), (3, 6), (1, 1)])
def test_enumeration_of_either_layer_is_the_sum_over_both(num_visible: int, num_hidden: int) -> None:
    found, expected = brute_force(num_visible, num_hidden, seed=2)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("variance", [False, True])
def test_gaussian_units_are_integrated_out(variance: bool) -> None:
    rbm = random_rbm("gaussian", num_visible=2, num_hidden=3, variance=variance, scale=0.7)

    def density(y: float, x: float) -> float:
        return math.exp(-float(rbm.free_energy(torch.tensor([[x, y]], dtype=torch.float64))))

    assert exact_log_partition(rbm) == pytest.approx(math.log(dblquad(density, -10, 10, -10, 10)[0]), rel=1e-5)


def test_rectified_units_leave_the_visible_ones_to_enumerate() -> None:
    rbm = random_rbm(hidden="relu", num_visible=4, num_hidden=9)
    expected = torch.logsumexp(-rbm.free_energy(configurations(4)), 0)
    assert exact_log_partition(rbm) == pytest.approx(float(expected), rel=1e-12)


def test_states_come_in_blocks_and_each_once() -> None:
    like = torch.empty(0, dtype=torch.float64)
    assert torch.equal(torch.cat(list(binary_states(5, like))), configurations(5))
    blocks = list(binary_states(15, like))
    assert len(blocks) > 1
    assert len(torch.unique(torch.cat(blocks), dim=0)) == 1 << 15


@pytest.mark.parametrize(
    ("visible", "variance", "scale"),
    [("bernoulli", False, 0.5), ("bernoulli", False, 2.0), ("gaussian", False, 0.6), ("gaussian", True, 0.6)],
)
@pytest.mark.parametrize("from_data", [False, True])
def test_annealed_importance_sampling_is_within_its_stated_error(
    visible: str, variance: bool, scale: float, from_data: bool
) -> None:
    rbm = random_rbm(visible, num_visible=8, num_hidden=6, scale=scale, variance=variance)
    exact = exact_log_partition(rbm)
    start = Draws(1, "data")
    mean = spread = None
    if from_data:
        v = rbm.visible_mean(start.bernoulli(torch.full((500, 6), 0.5, dtype=torch.float64)))
        for _ in range(20):
            v = rbm.gibbs(v, start)
        mean, spread = v.mean(0), v.var(0)
    found = estimate_log_partition(rbm, Draws(3, "AIS"), FEW, mean, spread)
    assert found.low < exact < found.high
    assert found.high - found.low < 1.5
    assert 1 < found.effective_runs <= 100


def test_more_models_between_make_the_error_smaller() -> None:
    rbm = random_rbm(num_visible=8, num_hidden=6, scale=1.5)
    width = []
    for steps in (10, 1000):
        found = estimate_log_partition(rbm, Draws(3, "AIS"), AisConfig(200, (steps,), (0.0, 1.0)))
        width.append(found.high - found.low)
    assert width[1] < 0.3 * width[0]


def test_an_rbm_without_connections_is_known_from_the_start() -> None:
    rbm = random_rbm(scale=0.0)
    rbm.hidden_bias.zero_()
    mean = torch.sigmoid(rbm.visible_bias)
    found = estimate_log_partition(rbm, Draws(0, "AIS"), FEW, mean)
    assert found.log_partition == pytest.approx(exact_log_partition(rbm), abs=1e-6)
    assert found.effective_runs == pytest.approx(100)


def test_what_cannot_be_computed_is_refused() -> None:
    with pytest.raises(ConfigError, match="25 hidden units have too many"):
        exact_log_partition(random_rbm("gaussian", num_visible=2, num_hidden=25))
    with pytest.raises(ModelError, match="neither Gaussian nor rectified"):
        exact_log_partition(random_rbm("gaussian", "relu"))
    with pytest.raises(ModelError, match="relu hidden units"):
        estimate_log_partition(random_rbm(hidden="relu"), Draws(0, "AIS"))
    for arguments in ((1,), (10, (5,), (0.0, 0.5, 1.0)), (10, (5,), (0.1, 1.0)), (10, (0,), (0.0, 1.0))):
        with pytest.raises(ConfigError):
            AisConfig(*arguments)  # type: ignore[arg-type]


def test_inverse_temperatures_are_those_of_the_paper() -> None:
    betas = AisConfig().inverse_temperatures()
    assert len(betas) == 14_501
    assert (betas[0], betas[500], betas[4500], betas[-1]) == pytest.approx((0.0, 0.5, 0.9, 1.0))
    assert all(one < other for one, other in itertools.pairwise(betas))
