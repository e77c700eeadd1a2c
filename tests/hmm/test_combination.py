"""Averages of several systems, against their definition in float64."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from asrkit.core.errors import ConfigError
from asrkit.hmm.combination import CombinationConfig, mean_loglikes, mean_posteriors

FRAMES, PDFS = 7, 5


def systems(num: int, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Log posteriors and log priors of some systems."""
    rng = np.random.default_rng(seed)
    posteriors = rng.dirichlet(np.full(PDFS, 0.1), size=(num, FRAMES)) + 1e-12
    priors = rng.dirichlet(np.ones(PDFS), size=num)
    return list(np.log(posteriors).astype(np.float32)), list(np.log(priors).astype(np.float32))


def test_averages_are_what_they_are_defined_as() -> None:
    posteriors, priors = systems(3)
    shares = (0.5, 0.3, 0.2)
    loglikes = [one - prior for one, prior in zip(posteriors, priors)]
    exact = sum(share * one.astype(np.float64) for share, one in zip(shares, loglikes))
    assert_allclose(mean_loglikes(loglikes, shares), exact, rtol=1e-5, atol=1e-5)
    linear = sum(share * np.exp(one.astype(np.float64)) for share, one in zip(shares, posteriors))
    prior = sum(share * np.exp(one.astype(np.float64)) for share, one in zip(shares, priors))
    found = mean_posteriors(posteriors, priors, shares)
    assert found.dtype == np.float32
    assert_allclose(found, np.log(linear) - np.log(prior), rtol=1e-5, atol=1e-5)
    # The two kinds are not the same thing.
    assert np.abs(found - exact).max() > 1


@pytest.mark.parametrize("num", [2, 3])
def test_a_system_with_itself_is_that_system(num: int) -> None:
    (posterior,), (prior,) = systems(1)
    shares = CombinationConfig().shares(num)
    assert_allclose(mean_loglikes([posterior - prior] * num, shares), posterior - prior, rtol=1e-6)
    both = mean_posteriors([posterior] * num, [prior] * num, shares)
    assert_allclose(both, posterior - prior, rtol=1e-5, atol=1e-5)


def test_the_arrays_that_are_averaged_stay_as_they_were() -> None:
    posteriors, priors = systems(2)
    before = [one.copy() for one in (*posteriors, *priors)]
    mean_loglikes(posteriors, (0.5, 0.5))
    mean_posteriors(posteriors, priors, (0.5, 0.5))
    for one, kept in zip((*posteriors, *priors), before, strict=True):
        assert_array_equal(one, kept)


def test_an_impossible_pdf_stays_impossible_in_a_product_and_not_in_a_sum() -> None:
    posteriors, priors = systems(2)
    posteriors[0][3, 1] = -np.inf
    assert mean_loglikes(posteriors, (0.5, 0.5))[3, 1] == -np.inf
    summed = mean_posteriors(posteriors, priors, (0.5, 0.5))[3, 1]
    prior = np.log(0.5 * np.exp(priors[0][1]) + 0.5 * np.exp(priors[1][1]))
    assert summed == pytest.approx(np.log(0.5) + posteriors[1][3, 1] - prior, rel=1e-4)


def test_only_ratios_of_weights_matter() -> None:
    assert CombinationConfig().shares(4) == (0.25,) * 4
    assert CombinationConfig((3.0, 1.0)).shares(2) == (0.75, 0.25)
    assert CombinationConfig((0.0, 2.0)).shares(2) == (0.0, 1.0)
    for weights in ((-1.0, 2.0), (0.0, 0.0), (float("inf"), 1.0)):
        with pytest.raises(ConfigError, match="the weights of the systems are"):
            CombinationConfig(weights)
    with pytest.raises(ConfigError, match="3 weights for 2 systems"):
        CombinationConfig((1.0, 1.0, 1.0)).shares(2)
