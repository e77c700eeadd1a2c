"""Statistics against a loop over frames and Gaussians, and the laws of a monoid."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

from asrkit.core.errors import ModelError
from asrkit.gmm.diag import DiagGmms, flat_start
from asrkit.gmm.stats import GmmStats, accumulate
from tests.gmm.models import random_gmms

FLOAT32_SUMS = {"rtol": 2e-4, "atol": 2e-4}


def loop(gmms: DiagGmms, features: np.ndarray, pdf_ids: np.ndarray, weights: np.ndarray) -> GmmStats:
    zero = GmmStats.zero(gmms)
    loglike = 0.0
    for x, pdf, weight in zip(features, pdf_ids, weights, strict=True):
        rows = np.arange(gmms.offsets[pdf], gmms.offsets[pdf + 1])
        logits = np.log(gmms.weights[rows]) + norm.logpdf(x, gmms.means[rows], np.sqrt(gmms.variances[rows])).sum(1)
        posterior = weight * np.exp(logits - logsumexp(logits))
        loglike += weight * logsumexp(logits)
        zero.occupancy[rows] += posterior
        zero.first[rows] += np.outer(posterior, x)
        zero.second[rows] += np.outer(posterior, x.astype(float) ** 2)
    return GmmStats(zero.occupancy, zero.first, zero.second, loglike, weights.sum())


def case(seed: int = 0, count: int = 40):
    rng = np.random.default_rng(seed)
    gmms = random_gmms(rng)
    features = rng.normal(scale=3.0, size=(count, 5)).astype(np.float32)
    return gmms, features, rng.integers(0, 3, count).astype(np.int32), rng.uniform(0, 1, count).astype(np.float32)


def assert_same(a: GmmStats, b: GmmStats) -> None:
    for name in ("occupancy", "first", "second", "loglike", "num_frames"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), err_msg=name, **FLOAT32_SUMS)


def test_statistics_are_those_of_a_loop() -> None:
    gmms, features, pdf_ids, weights = case()
    assert_same(accumulate(gmms, features, pdf_ids, weights), loop(gmms, features, pdf_ids, weights))


def test_no_weights_means_ones() -> None:
    gmms, features, pdf_ids, weights = case()
    assert_same(accumulate(gmms, features, pdf_ids), accumulate(gmms, features, pdf_ids, np.ones_like(weights)))


def test_statistics_of_parts_add_up_and_zero_adds_nothing() -> None:
    gmms, features, pdf_ids, weights = case()
    whole = accumulate(gmms, features, pdf_ids, weights)
    parts = accumulate(gmms, features[:13], pdf_ids[:13], weights[:13]) + accumulate(
        gmms, features[13:], pdf_ids[13:], weights[13:]
    )
    assert_same(whole, parts)
    with_zero = whole + GmmStats.zero(gmms)
    assert (with_zero.first == whole.first).all()
    assert with_zero.loglike == whole.loglike


def test_a_large_mean_costs_no_variance() -> None:
    rng = np.random.default_rng(5)
    features = (1000.0 + rng.normal(size=(20000, 3))).astype(np.float32)
    gmms = flat_start(features.mean(0, dtype=np.float64), np.ones(3), 1)
    stats = accumulate(gmms, features, np.zeros(20000, np.int32))
    variance = stats.second[0] / stats.occupancy[0] - (stats.first[0] / stats.occupancy[0]) ** 2
    np.testing.assert_allclose(variance, features.var(axis=0, dtype=np.float64), rtol=1e-3)


def test_order_of_frames_does_not_matter_but_their_pdfs_do() -> None:
    gmms, features, pdf_ids, weights = case()
    turned = accumulate(gmms, features[::-1], pdf_ids[::-1], weights[::-1])
    assert_same(turned, accumulate(gmms, features, pdf_ids, weights))
    wrong = accumulate(gmms, features, (pdf_ids + 1) % 3, weights)
    assert abs(wrong.occupancy - turned.occupancy).max() > 0.1


def test_pdfs_and_columns_that_the_model_lacks_are_refused() -> None:
    gmms, features, pdf_ids, _ = case()
    with pytest.raises(ModelError, match="pdfs from 3 to"):
        accumulate(gmms, features, pdf_ids + 3)
    with pytest.raises(ModelError, match="expects 5 columns"):
        accumulate(gmms, features[:, :4], pdf_ids)
