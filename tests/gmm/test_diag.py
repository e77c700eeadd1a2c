"""Likelihoods of mixtures against scipy's densities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import norm

from asrkit.core.errors import ModelError
from asrkit.gmm.diag import FRAMES_AT_ONCE, DiagGmms
from tests.gmm.models import random_gmms

FLOAT32_LOGLIKE = 2e-4
"""Absolute error of log-likelihoods of a few hundred nats in float32."""


def oracle(gmms: DiagGmms, features: np.ndarray) -> np.ndarray:
    out = np.empty((len(features), gmms.num_pdfs))
    for pdf in range(gmms.num_pdfs):
        rows = range(gmms.offsets[pdf], gmms.offsets[pdf + 1])
        terms = [
            np.log(gmms.weights[g]) + norm.logpdf(features, gmms.means[g], np.sqrt(gmms.variances[g])).sum(1)
            for g in rows
        ]
        out[:, pdf] = logsumexp(np.stack(terms), axis=0)
    return out


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(1, 7))
def test_loglikes_are_those_of_scipy(seed: int, sizes: list[int], dim: int) -> None:
    rng = np.random.default_rng(seed)
    gmms = random_gmms(rng, tuple(sizes), dim)
    features = rng.normal(scale=3.0, size=(17, dim)).astype(np.float32)
    np.testing.assert_allclose(gmms.loglikes(features), oracle(gmms, features), atol=FLOAT32_LOGLIKE, rtol=1e-5)


def test_blocks_of_frames_do_not_show() -> None:
    rng = np.random.default_rng(1)
    gmms = random_gmms(rng)
    features = rng.normal(size=(2 * FRAMES_AT_ONCE + 3, 5)).astype(np.float32)
    np.testing.assert_allclose(gmms.loglikes(features)[-5:], gmms.loglikes(features[-5:]), atol=FLOAT32_LOGLIKE)


@pytest.mark.parametrize("size", [1, 7, 33, 100])
def test_the_size_of_blocks_changes_no_bit(size: int) -> None:
    rng = np.random.default_rng(7)
    gmms = random_gmms(rng, (3, 8, 1, 5))
    features = rng.normal(size=(301, 5)).astype(np.float32)
    blocks = [gmms.loglikes(features[start : start + size]) for start in range(0, 301, size)]
    assert (np.concatenate(blocks) == gmms.loglikes(features)).all()


def test_chosen_pdfs_in_their_order() -> None:
    rng = np.random.default_rng(2)
    gmms = random_gmms(rng)
    features = rng.normal(size=(9, 5)).astype(np.float32)
    chosen = np.array([2, 0], dtype=np.int32)
    np.testing.assert_allclose(
        gmms.loglikes(features, chosen), gmms.loglikes(features)[:, chosen], atol=FLOAT32_LOGLIKE
    )


def test_a_frame_far_from_everything_is_improbable_not_impossible() -> None:
    gmms = random_gmms(np.random.default_rng(3))
    loglikes = gmms.loglikes(np.full((1, 5), 1e4, dtype=np.float32))
    assert np.isfinite(loglikes).all()
    assert (loglikes < -1e6).all()


def test_boosting_adds_its_log_to_the_chosen_pdfs_alone() -> None:
    rng = np.random.default_rng(4)
    gmms = random_gmms(rng)
    features = rng.normal(size=(6, 5)).astype(np.float32)
    gain = gmms.boosted([2], 1.5).loglikes(features) - gmms.loglikes(features)
    np.testing.assert_allclose(gain[:, 2], np.log(1.5), atol=FLOAT32_LOGLIKE)
    np.testing.assert_allclose(gain[:, :2], 0.0, atol=FLOAT32_LOGLIKE)


def test_the_precision_form_gives_the_same_densities() -> None:
    rng = np.random.default_rng(5)
    gmms = random_gmms(rng)
    features = rng.normal(size=(6, 5)).astype(np.float32)
    means, precisions, constants = gmms.precision_form
    logits = constants - 0.5 * ((features[:, None] - means) ** 2 * precisions).sum(axis=2)
    first, last = gmms.offsets[2:4]
    total = logsumexp(logits[:, first:last], axis=1)
    np.testing.assert_allclose(total, gmms.loglikes(features)[:, 2], atol=FLOAT32_LOGLIKE)


def test_features_of_another_dimension_are_refused() -> None:
    gmms = random_gmms(np.random.default_rng(6))
    with pytest.raises(ModelError, match="expects 5 columns"):
        gmms.loglikes(np.zeros((3, 4), dtype=np.float32))


def test_numbers_beyond_float32_are_refused_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    good = DiagGmms(np.ones(2, np.float32), np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32), np.arange(3))
    means, variances = good.means.copy(), good.variances.copy()
    means[1, 2], variances[1, 2] = 1e30, 1e-30
    damaged = DiagGmms(good.weights, means, variances, good.offsets)
    with pytest.raises(ModelError, match="Gaussian 1 has means too large"):
        damaged.loglikes(np.zeros((4, 3), np.float32))
    assert not list(recwarn)


def test_a_variance_of_zero_is_refused() -> None:
    with pytest.raises(ModelError, match="variance"):
        DiagGmms(
            np.ones(1, np.float32),
            np.zeros((1, 2), np.float32),
            np.zeros((1, 2), np.float32),
            np.array([0, 1], np.int32),
        )


def test_single_pairs_are_those_of_the_whole_matrix() -> None:
    rng = np.random.default_rng(8)
    gmms = random_gmms(rng)
    gmms = replace(gmms, weights=np.where(np.arange(gmms.num_gaussians) == 1, 0, gmms.weights).astype(np.float32))
    features = (30 * rng.normal(size=(20, gmms.dim))).astype(np.float32)
    frames, pdfs = rng.integers(0, 20, 50).astype(np.int32), rng.integers(0, 3, 50).astype(np.int32)
    whole = gmms.loglikes(features)
    np.testing.assert_allclose(gmms.pair_loglikes(features, frames, pdfs), whole[frames, pdfs], rtol=1e-4)
    for bad in ((frames + 20, pdfs), (frames, pdfs + 3), (frames - 20, pdfs)):
        with pytest.raises(ModelError, match="there are"):
            gmms.pair_loglikes(features, *bad)
    with pytest.raises(ModelError, match="columns"):
        gmms.pair_loglikes(features[:, 1:], frames, pdfs)
