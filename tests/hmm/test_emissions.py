"""Discrete and Gaussian emissions: densities against scipy, estimates, floors, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import DataError, ModelError
from asrkit.hmm.emissions import (
    CountStats,
    DiscreteEmissions,
    GaussianEmissions,
    relative_frequencies,
    spread_seeds,
)

TABLE = np.array([[0.5, 0.25, 0.25, 0.0], [0.1, 0.2, 0.3, 0.4]])


def _gaussians(full: bool, seed: int = 0, num_states: int = 2, dim: int = 3) -> GaussianEmissions:
    rng = np.random.default_rng(seed)
    roots = rng.normal(0, 1, (num_states, dim, dim))
    matrices = roots @ roots.transpose(0, 2, 1) + 0.1 * np.eye(dim)
    covariances = matrices if full else np.diagonal(matrices, axis1=1, axis2=2)
    return GaussianEmissions(rng.normal(0, 2, (num_states, dim)), covariances)


def test_discrete_densities_are_the_table() -> None:
    loglikes = DiscreteEmissions(TABLE).loglikes(np.array([3, 0, 2]))
    assert loglikes.shape == (3, 2)
    np.testing.assert_allclose(np.exp(loglikes), TABLE.T[[3, 0, 2]])
    assert loglikes[0, 0] == -np.inf


@pytest.mark.parametrize("full", [False, True])
def test_gaussian_densities_are_those_of_scipy(full: bool) -> None:
    from scipy.stats import multivariate_normal

    emissions = _gaussians(full)
    observations = np.random.default_rng(1).normal(0, 3, (5, 3))
    loglikes = emissions.loglikes(observations)
    for state in range(2):
        expected = multivariate_normal(emissions.means[state], emissions.covariances[state]).logpdf(observations)
        np.testing.assert_allclose(loglikes[:, state], expected, rtol=1e-10)


@pytest.mark.parametrize("full", [False, True])
def test_gaussian_estimates_are_weighted_moments_wherever_the_data_lie(full: bool) -> None:
    rng = np.random.default_rng(2)
    emissions = _gaussians(full)
    posteriors = rng.dirichlet([1, 1], 40)
    for offset in (0.0, 1e6):  # second moments about zero would lose every digit of the variance
        observations = rng.normal(0, 2, (40, 3)) + offset
        moved = GaussianEmissions(emissions.means + offset, emissions.covariances)
        stats = moved.accumulate(moved.zero_stats(), observations[:25], posteriors[:25])
        found = moved.estimate(moved.accumulate(stats, observations[25:], posteriors[25:]))
        for state in range(2):
            weights = posteriors[:, state]
            expected = np.cov(observations.T, aweights=weights, ddof=0)
            np.testing.assert_allclose(found.means[state], np.average(observations, axis=0, weights=weights), rtol=1e-9)
            np.testing.assert_allclose(
                found.covariances[state], expected if full else np.diag(expected), rtol=1e-6, atol=1e-8
            )


@pytest.mark.parametrize("full", [False, True])
def test_variances_do_not_fall_below_their_floor(full: bool) -> None:
    emissions = _gaussians(full)
    emissions = GaussianEmissions(emissions.means, emissions.covariances, variance_floor=0.05)
    line = np.outer(np.arange(20.0), [1.0, 1.0, 0.0])  # all in one direction, none in two others
    found = emissions.estimate(emissions.accumulate(emissions.zero_stats(), line, np.full((20, 2), 0.5)))
    if full:
        least = np.linalg.eigvalsh(found.covariances)
        np.testing.assert_allclose(least[:, :2], 0.05, rtol=1e-6)
        assert least[:, 2] == pytest.approx(2 * np.var(np.arange(20)), rel=1e-6)
    else:
        np.testing.assert_allclose(found.covariances, [[33.25, 33.25, 0.05]] * 2, rtol=1e-9)


def test_a_state_without_observations_keeps_its_parameters() -> None:
    emissions = _gaussians(False)
    posteriors = np.tile([1.0, 0.0], (6, 1))
    observations = np.random.default_rng(0).normal(0, 1, (6, 3))
    found = emissions.estimate(emissions.accumulate(emissions.zero_stats(), observations, posteriors))
    np.testing.assert_array_equal(found.means[1], emissions.means[1])
    np.testing.assert_array_equal(found.covariances[1], emissions.covariances[1])
    assert not np.allclose(found.means[0], emissions.means[0])
    table = DiscreteEmissions(TABLE).estimate(CountStats(np.array([[0.0, 0, 0, 0], [1, 0, 0, 3]])))
    np.testing.assert_allclose(table.probabilities, [TABLE[0], [0.25, 0, 0, 0.75]])


def test_discrete_counts_add_repeated_symbols() -> None:
    emissions = DiscreteEmissions(TABLE)
    posteriors = np.array([[0.25, 0.75], [0.5, 0.5], [1.0, 0.0]], dtype=np.float32)
    stats = emissions.accumulate(emissions.zero_stats(), np.array([2, 0, 2]), posteriors)
    np.testing.assert_allclose(stats.counts, [[0.5, 0, 1.25, 0], [0.5, 0, 0.75, 0]])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), floor=st.sampled_from([0.0, 0.02, 0.19]))
def test_floored_frequencies_are_the_constrained_maximum(seed: int, floor: float) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.gamma(0.3, 3.0, (1, 5))
    before = rng.dirichlet(np.ones(5))[None]
    before[0, seed % 4] = 0.0
    found = relative_frequencies(counts, before, floor)[0]
    assert found.sum() == pytest.approx(1)
    assert found[seed % 4] == 0
    possible = before[0] > 0
    assert (found[possible] >= floor - 1e-12).all()

    def objective(values: np.ndarray) -> float:
        with np.errstate(divide="ignore"):
            return float((counts[0, possible] * np.log(values[possible])).sum())

    for _ in range(20):
        other = floor + (1 - 4 * floor) * rng.dirichlet(np.ones(4))
        rival = np.zeros(5)
        rival[possible] = other
        assert objective(rival) <= objective(found) + 1e-9


def test_samples_have_the_moments_of_their_state() -> None:
    rng = np.random.default_rng(3)
    emissions = _gaussians(True)
    draws = np.stack([emissions.sample(1, rng) for _ in range(5_000)])
    np.testing.assert_allclose(draws.mean(axis=0), emissions.means[1], atol=0.15)
    np.testing.assert_allclose(np.cov(draws.T), emissions.covariances[1], rtol=0.15, atol=0.2)
    symbols = [int(DiscreteEmissions(TABLE).sample(0, rng)) for _ in range(4_000)]
    np.testing.assert_allclose(np.bincount(symbols, minlength=4) / 4_000, TABLE[0], atol=0.03)


def test_seeds_are_distinct_observations() -> None:
    rng = np.random.default_rng(0)
    frames = np.repeat(rng.normal(0, 1, (4, 2)) * [1, 1e-6], 10, axis=0)
    assert len(np.unique(spread_seeds(frames, 4, rng), axis=0)) == 4
    with pytest.raises(DataError, match="4 distinct observations, expected at least 5"):
        spread_seeds(frames, 5, rng)


def test_misfits_are_refused() -> None:
    discrete, gaussian = DiscreteEmissions(TABLE), _gaussians(False)
    with pytest.raises(DataError, match="symbols 0 to 4, expected 0 to 3"):
        discrete.loglikes(np.array([0, 4]))
    with pytest.raises(DataError, match="expected integers"):
        discrete.loglikes(np.array([0.5]))
    with pytest.raises(DataError, match=r"expected \(T, 3\)"):
        gaussian.loglikes(np.zeros((4, 2)))
    with pytest.raises(DataError, match="observation 2 is not finite"):
        gaussian.loglikes(np.array([[0.0] * 3, [1.0] * 3, [0.0, np.nan, 0.0]]))
    with pytest.raises(ModelError, match="distributions"):
        DiscreteEmissions(TABLE * 0.9)
    with pytest.raises(ModelError, match="floor 0.25 for 4 symbols"):
        DiscreteEmissions(TABLE, floor=0.25)
    with pytest.raises(ModelError, match="least variance is 0"):
        GaussianEmissions(np.zeros((2, 3)), np.zeros((2, 3)))
    with pytest.raises(ModelError, match="least variance"):
        GaussianEmissions(np.zeros((1, 2)), np.array([[[1.0, 2.0], [2.0, 1.0]]]))
    with pytest.raises(ModelError, match="expected"):
        GaussianEmissions(np.zeros((2, 3)), np.ones((2, 2)))
