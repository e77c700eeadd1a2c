"""Posteriors of Gaussians against a loop, and statistics of one feature version with posteriors of another."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

from asrkit.core.errors import ModelError
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.posteriors import accumulate_twofeats, gaussian_posteriors, weighted_scatters
from asrkit.gmm.stats import accumulate
from tests.gmm.models import random_gmms

FLOAT32_LOGITS = {"rtol": 2e-4, "atol": 2e-4}


def case(seed: int = 0):
    """Three frames in five (frame, pdf) entries, out of order, one with no weight; frame 1 has no pdf of any weight."""
    rng = np.random.default_rng(seed)
    gmms = random_gmms(rng)
    features = rng.normal(scale=2.0, size=(4, 5)).astype(np.float32)
    frames = np.array([3, 0, 1, 0, 2], np.int32)
    pdf_ids = np.array([2, 2, 0, 0, 1], np.int32)
    weights = np.array([0.5, 0.7, 0.0, 0.3, 2.0], np.float32)
    return gmms, features, pdf_ids, weights, frames


def loop(gmms: DiagGmms, features, pdf_ids, weights, frames) -> tuple[np.ndarray, float]:
    posteriors, loglike = np.zeros((len(features), gmms.num_gaussians)), 0.0
    for pdf, weight, t in zip(pdf_ids, weights, frames, strict=True):
        rows = np.arange(gmms.offsets[pdf], gmms.offsets[pdf + 1])
        logits = np.log(gmms.weights[rows]) + norm.logpdf(
            features[t], gmms.means[rows], np.sqrt(gmms.variances[rows])
        ).sum(1)
        posteriors[t, rows] += weight * np.exp(logits - logsumexp(logits))
        loglike += weight * logsumexp(logits)
    return posteriors, loglike


def test_posteriors_are_those_of_a_loop() -> None:
    found = gaussian_posteriors(*case())
    posteriors, loglike = loop(*case())
    np.testing.assert_allclose(found.matrix(8).toarray(), posteriors, **FLOAT32_LOGITS)
    np.testing.assert_allclose(found.occupancy(8), posteriors.sum(0), **FLOAT32_LOGITS)
    assert found.loglike == pytest.approx(loglike, rel=1e-5)
    assert found.count == pytest.approx(3.5)
    assert np.diff(found.starts).tolist() == [3 + 4, 0, 1, 4]


def test_order_of_entries_does_not_matter_but_their_frames_do() -> None:
    gmms, features, pdf_ids, weights, frames = case()
    found = gaussian_posteriors(gmms, features, pdf_ids, weights, frames).matrix(8).toarray()
    turned = gaussian_posteriors(gmms, features, pdf_ids[::-1], weights[::-1], frames[::-1]).matrix(8).toarray()
    np.testing.assert_allclose(turned, found, rtol=1e-12)
    moved = gaussian_posteriors(gmms, features, pdf_ids, weights, (frames + 1) % 4).matrix(8).toarray()
    assert abs(moved - found).max() > 0.1


def test_no_weights_and_no_frames_mean_one_pdf_a_frame() -> None:
    gmms, features, *_ = case()
    pdf_ids = np.array([0, 1, 2, 2], np.int32)
    bare = gaussian_posteriors(gmms, features, pdf_ids)
    full = gaussian_posteriors(gmms, features, pdf_ids, np.ones(4, np.float32), np.arange(4, dtype=np.int32))
    assert (bare.values == full.values).all()
    assert bare.count == pytest.approx(4)


def test_nothing_gives_nothing() -> None:
    gmms, features, pdf_ids, *_ = case()
    found = gaussian_posteriors(gmms, features, pdf_ids[:4], np.zeros(4, np.float32))
    assert (found.count, found.loglike, found.num_frames) == (0.0, 0.0, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": np.zeros((4, 6), np.float32)}, "expects 5 columns"),
        ({"features": np.full((4, 5), np.nan, np.float32)}, "has no likelihood under its pdf"),
        ({"weights": np.ones(3, np.float32)}, "5 pdfs, 3 weights"),
        ({"frames": None}, "5 pdfs for 4 frames"),
        ({"pdf_ids": np.array([0, 1, 2, 3, 0], np.int32)}, "pdfs from 0 to 3, there are 3"),
        ({"pdf_ids": np.array([0, 1, -1, 1, 0], np.int32)}, "pdfs from -1 to 1"),
        ({"frames": np.array([0, 1, 2, 3, 4], np.int32)}, "frames from 0 to 4, there are 4"),
    ],
)
def test_what_does_not_fit_is_refused(change, message: str) -> None:
    named = dict(zip(("gmms", "features", "pdf_ids", "weights", "frames"), case(), strict=True)) | change
    with pytest.raises(ModelError, match=message):
        gaussian_posteriors(*named.values())


def test_two_feature_versions_that_are_one_give_the_plain_statistics_and_others_do_not() -> None:
    rng = np.random.default_rng(1)
    gmms = random_gmms(rng)
    features = rng.normal(scale=2.0, size=(30, 5)).astype(np.float32)
    pdf_ids = rng.integers(0, 3, 30).astype(np.int32)
    weights = rng.uniform(0, 1, 30).astype(np.float32)
    plain = accumulate(gmms, features, pdf_ids, weights)
    same = accumulate_twofeats(gmms, features, features, pdf_ids, weights)
    moved = accumulate_twofeats(gmms, features, features + np.float32(1), pdf_ids, weights)
    for name in ("occupancy", "first", "second", "loglike", "num_frames"):
        np.testing.assert_allclose(getattr(same, name), getattr(plain, name), err_msg=name, **FLOAT32_LOGITS)
    np.testing.assert_allclose(moved.occupancy, same.occupancy, rtol=1e-12)
    np.testing.assert_allclose(moved.first, same.first + same.occupancy[:, None], **FLOAT32_LOGITS)
    posterior_moved = accumulate_twofeats(gmms, features + np.float32(1), features, pdf_ids, weights)
    assert abs(posterior_moved.occupancy - same.occupancy).max() > 0.1
    with pytest.raises(ModelError, match="30 frames for the posteriors, 29 for the statistics"):
        accumulate_twofeats(gmms, features, features[:29], pdf_ids)


def test_weighted_scatters_are_sums_of_outer_products() -> None:
    rng = np.random.default_rng(2)
    weights, x = rng.normal(size=(300, 2)), rng.normal(size=(300, 3))  # more frames than are held together
    direct = np.einsum("nj,na,nb->jab", weights, x, x)
    np.testing.assert_allclose(weighted_scatters(weights, x), direct, rtol=1e-10, atol=1e-10)
    assert (weighted_scatters(weights[:0], x[:0]) == 0).all()
