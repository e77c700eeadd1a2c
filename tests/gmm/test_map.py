"""MAP adaptation against numerical maximisation of the posterior, and its two limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from asrkit.core.errors import ConfigError, ModelError
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.map import MapConfig, map_update
from asrkit.gmm.stats import GmmStats, accumulate
from asrkit.gmm.update import GmmUpdateConfig, update
from tests.gmm.models import random_gmms, sample

EVERYTHING = MapConfig(mean_tau=8.0, variance_tau=20.0, weight_tau=5.0, variances=True)


def moved_data(count: int = 400, seed: int = 0):
    """A model, and frames of its pdfs 0 and 2 moved away from it; pdf 1 is never seen."""
    rng = np.random.default_rng(seed)
    gmms = random_gmms(rng, dim=3)
    pdf_ids = rng.choice([0, 2], size=count).astype(np.int32)
    return gmms, (1.3 * sample(gmms, pdf_ids, rng) + 0.8).astype(np.float32), pdf_ids


def log_posterior(gmms: DiagGmms, stats: GmmStats, config: MapConfig, g: int, d: int, mean: float, log_var: float):
    """Expected log-likelihood of one dimension of a Gaussian plus the log of its normal and inverse-gamma prior."""
    variance, count = np.exp(log_var), stats.occupancy[g]
    spread = stats.second[g, d] - 2 * mean * stats.first[g, d] + count * mean**2
    value = -0.5 * (count * log_var + spread / variance)
    value -= 0.5 * config.mean_tau * (mean - gmms.means[g, d]) ** 2 / variance
    return value - 0.5 * config.variance_tau * (log_var + gmms.variances[g, d] / variance)


def test_means_and_variances_are_the_numerical_maximum_of_the_posterior() -> None:
    gmms, features, pdf_ids = moved_data()
    stats = accumulate(gmms, features, pdf_ids)
    adapted = map_update(gmms, stats, EVERYTHING)
    for g in (0, 2, 5, 7):
        for d in range(3):
            found = minimize(
                lambda v, g=g, d=d: -log_posterior(gmms, stats, EVERYTHING, g, d, v[0], v[1]),
                [float(gmms.means[g, d]), 0.0],
            )
            np.testing.assert_allclose(adapted.means[g, d], found.x[0], atol=1e-3)
            np.testing.assert_allclose(np.log(adapted.variances[g, d]), found.x[1], atol=1e-3)


def test_weights_are_the_numerical_maximum_of_the_posterior() -> None:
    gmms, features, pdf_ids = moved_data()
    stats = accumulate(gmms, features, pdf_ids)
    rows = slice(gmms.offsets[2], gmms.offsets[3])
    counts = stats.occupancy[rows] + EVERYTHING.weight_tau * gmms.weights[rows]
    found = minimize(lambda v: -(counts @ (v - np.logaddexp.reduce(v))), np.zeros(4)).x
    weights = map_update(gmms, stats, EVERYTHING).weights[rows]
    np.testing.assert_allclose(weights, np.exp(found - np.logaddexp.reduce(found)), atol=1e-4)


def test_an_endless_prior_leaves_the_model_and_a_vanishing_one_gives_maximum_likelihood() -> None:
    gmms, features, pdf_ids = moved_data()
    stats = accumulate(gmms, features, pdf_ids)
    huge, tiny = (map_update(gmms, stats, MapConfig(tau, tau, tau, variances=True)) for tau in (1e12, 1e-9))
    likely, _ = update(gmms, stats, GmmUpdateConfig(0.0, 0.0, 1e-3, False))
    seen = stats.occupancy > 0
    for name in ("means", "variances", "weights"):
        np.testing.assert_allclose(getattr(huge, name), getattr(gmms, name), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(getattr(tiny, name)[seen], getattr(likely, name)[seen], rtol=1e-3, atol=1e-4)
    assert abs(likely.means - gmms.means).max() > 0.3


def test_what_is_not_adapted_or_not_seen_stays() -> None:
    gmms, features, pdf_ids = moved_data()
    stats = accumulate(gmms, features, pdf_ids)
    usual = map_update(gmms, stats)
    assert (usual.variances == gmms.variances).all()
    for name in ("means", "variances", "weights"):
        unseen = slice(gmms.offsets[1], gmms.offsets[2])
        np.testing.assert_allclose(
            getattr(map_update(gmms, stats, EVERYTHING), name)[unseen], getattr(gmms, name)[unseen]
        )
    only_means = map_update(gmms, stats, MapConfig(weights=False))
    assert (only_means.weights == gmms.weights).all()
    assert (only_means.means == usual.means).all()
    assert (map_update(gmms, stats, MapConfig(means=False)).means == gmms.means).all()
    zero = map_update(gmms, GmmStats.zero(gmms), EVERYTHING)
    for name in ("means", "variances", "weights"):
        np.testing.assert_allclose(getattr(zero, name), getattr(gmms, name), rtol=1e-6)


def test_weights_sum_to_one_and_variances_keep_their_floor() -> None:
    gmms, features, pdf_ids = moved_data()
    stats = accumulate(gmms, features, pdf_ids)
    adapted = map_update(gmms, stats, replace(EVERYTHING, min_variance=1.5))
    np.testing.assert_allclose(np.add.reduceat(adapted.weights, gmms.offsets[:-1]), 1, rtol=1e-6)
    seen = stats.occupancy > 0
    assert adapted.variances[seen].min() == 1.5
    assert map_update(gmms, stats, EVERYTHING).variances[seen].min() < 1.5


def test_a_little_data_helps_held_out_frames_where_maximum_likelihood_does_not() -> None:
    gmms, features, pdf_ids = moved_data(2020, seed=4)
    few = accumulate(gmms, features[:20], pdf_ids[:20])

    def held_out(model: DiagGmms) -> float:
        return accumulate(model, features[20:], pdf_ids[20:]).loglike / 2000

    adapted = held_out(map_update(gmms, few, EVERYTHING))
    likely = held_out(update(gmms, few, GmmUpdateConfig(0.0, 0.0, 1e-3, False))[0])
    assert adapted > held_out(gmms) + 0.1
    assert adapted > likely


def test_bad_input_is_refused() -> None:
    gmms, *_ = moved_data()
    with pytest.raises(ModelError, match="statistics of shape"):
        map_update(gmms, GmmStats.zero(random_gmms(np.random.default_rng(0), dim=4)))
    with pytest.raises(ConfigError, match="mean_tau is 0"):
        MapConfig(mean_tau=0.0)
