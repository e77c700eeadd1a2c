"""What is watched, against enumeration and quadrature."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from asrkit.core.errors import ModelError
from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.monitor import (
    Histogram,
    free_energy_gap,
    histograms,
    pseudo_likelihood,
    reconstruction_error,
)
from asrkit.nnet.energy.partition import exact_log_partition
from asrkit.nnet.energy.rbm import Rbm
from tests.nnet.energy.enumeration import configurations, joint, random_rbm


@pytest.mark.parametrize("hidden", ["bernoulli", "relu"])
def test_pseudo_likelihood_is_the_sum_of_conditionals(hidden: str) -> None:
    rbm = random_rbm(hidden=hidden)
    exact = torch.softmax(-rbm.free_energy(configurations(5)), 0).view(2, 2, 2, 2, 2)
    frame = (1, 0, 1, 1, 0)
    expected = 0.0
    for unit in range(5):
        others = tuple(slice(None) if i == unit else frame[i] for i in range(5))
        expected += math.log(float(exact[frame] / exact[others].sum()))
    v = torch.tensor([frame] * 20_000, dtype=torch.float64)
    assert pseudo_likelihood(rbm, v, Draws(1, "units")) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("variance", [False, True])
def test_the_density_of_a_gaussian_unit_is_normalised(variance: bool) -> None:
    rbm = random_rbm("gaussian", num_visible=1, variance=variance, scale=2.0)

    def density(t: float) -> float:
        return math.exp(-float(rbm.free_energy(torch.tensor([[t]], dtype=torch.float64))))

    v = torch.tensor([[-3.0], [0.2], [4.0]], dtype=torch.float64)
    total = quad(density, -40, 40, limit=400)[0]
    expected = np.mean([math.log(density(t) / total) for t in v[:, 0].tolist()])
    # One visible unit has no others: the pseudo-likelihood is the likelihood.
    assert pseudo_likelihood(rbm, v, Draws(1, "units")) == pytest.approx(expected, rel=1e-6)
    assert expected == pytest.approx(float((-rbm.free_energy(v)).mean()) - exact_log_partition(rbm), rel=1e-6)


def test_a_wide_gaussian_rbm_is_still_summed_finely_enough() -> None:
    """A grid of the spread of all hidden units resolves the noise of one setting."""
    rbm = random_rbm("gaussian", num_visible=1, num_hidden=12, scale=2.0)
    v = rbm.sample_visible(configurations(12)[torch.arange(0, 4096, 41)], Draws(1, "wide"))
    exact = float((-rbm.free_energy(v)).mean()) - exact_log_partition(rbm)
    assert pseudo_likelihood(rbm, v, Draws(2, "units")) == pytest.approx(exact, rel=1e-4)


def test_probabilities_count_as_parts_of_ones_and_zeros() -> None:
    rbm = random_rbm(num_visible=1)
    v = torch.tensor([[0.3]], dtype=torch.float64)
    exact = joint(rbm).sum(1)
    # The rest of the frame is empty, so that only the unit's own value counts.
    expected = 0.7 * math.log(exact[0]) + 0.3 * math.log(exact[1])
    assert pseudo_likelihood(rbm, v, Draws(1, "units")) == pytest.approx(expected, rel=1e-9)


def test_the_gap_is_the_log_ratio_of_likelihoods() -> None:
    rbm = random_rbm()
    log_p = joint(rbm).sum(1).log()
    v = configurations(5)
    expected = float(log_p[:9].mean() - log_p[9:].mean())
    assert free_energy_gap(rbm, v[:9], v[9:]) == pytest.approx(expected)


def test_reconstruction_is_of_the_mean_by_the_mean() -> None:
    rbm = random_rbm()
    v = configurations(5)[3:8]
    hidden = 1 / (1 + np.exp(-(v.numpy() @ rbm.weights.numpy() + rbm.hidden_bias.numpy())))
    again = 1 / (1 + np.exp(-(hidden @ rbm.weights.numpy().T + rbm.visible_bias.numpy())))
    assert reconstruction_error(rbm, v) == pytest.approx(np.mean((again - v.numpy()) ** 2))


def test_histograms_count_every_value_once() -> None:
    rbm = random_rbm()
    found = histograms(rbm, configurations(5), num_bins=10)
    assert {name: sum(one.counts) for name, one in found.items()} == {
        "weights": 15,
        "hidden_means": 32 * 3,
        "unit_activities": 3,
    }
    counts, edges = np.histogram(rbm.weights.float().numpy(), bins=10)
    assert found["weights"].counts == tuple(counts)
    assert (found["weights"].low, found["weights"].high) == pytest.approx((edges[0], edges[-1]))
    assert Histogram.of(torch.full((7,), 2.0), 4).counts == (7, 0, 0, 0)
    assert Histogram.of(torch.tensor([0.0, 1.0]), 2).to_json() == {"low": 0.0, "high": 1.0, "counts": [1, 1]}
    for wrong in (math.nan, math.inf):
        with pytest.raises(ModelError, match="no longer finite"):
            Histogram.of(torch.tensor([0.0, wrong]), 2)


def test_rectified_units_over_gaussian_ones_are_refused() -> None:
    rbm: Rbm = random_rbm("gaussian", "relu")
    with pytest.raises(ModelError, match="pseudo-likelihood"):
        pseudo_likelihood(rbm, torch.zeros(2, 5, dtype=torch.float64), Draws(0, "units"))
