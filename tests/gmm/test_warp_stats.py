"""Scores of warps: against densities written out, exact for linear maps, and not raised by shrinking."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from asrkit.core.errors import ModelError
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.warp_stats import WarpStats

DIM = 3
NUM_FRAMES = 4000
SHRINKING = (0.25, 0.5, 0.8, 0.9, 1.0, 1.1, 1.25, 2.0)


def make_gmms() -> DiagGmms:
    """Two pdfs that overlap, the second a mixture of two Gaussians."""
    rng = np.random.default_rng(5)
    means = rng.normal(size=(3, DIM)).astype(np.float32)
    means -= (0.5 * means[0] + 0.5 * (0.25 * means[1] + 0.75 * means[2])).astype(np.float32)
    variances = rng.uniform(1.0, 2.0, (3, DIM)).astype(np.float32)
    return DiagGmms(np.float32([1.0, 0.25, 0.75]), means, variances, np.int32([0, 1, 3]))


GMMS = make_gmms()


def draw() -> tuple[np.ndarray, np.ndarray]:
    """Return frames of the model and their pdfs."""
    rng = np.random.default_rng(6)
    pdfs = rng.integers(0, 2, NUM_FRAMES)
    rows = np.where(pdfs == 0, 0, 1 + (rng.random(NUM_FRAMES) < 0.75))
    return rng.normal(GMMS.means[rows], np.sqrt(GMMS.variances[rows])), pdfs.astype(np.int32)


def density(frame: np.ndarray, pdf: int) -> float:
    rows = range(GMMS.offsets[pdf], GMMS.offsets[pdf + 1])
    parts = [
        GMMS.weights[row] * multivariate_normal.pdf(frame, GMMS.means[row], np.diag(GMMS.variances[row]))
        for row in rows
    ]
    return float(np.log(sum(parts)))


def stats_of(frames: np.ndarray, pdfs: np.ndarray, weights: np.ndarray | None = None) -> WarpStats:
    weights = np.ones(len(frames)) if weights is None else weights
    return WarpStats.of(GMMS, frames.astype(np.float32), pdfs, weights)


def test_the_score_is_what_the_docstring_says() -> None:
    frames, pdfs = draw()
    frames, pdfs = frames[:40], pdfs[:40]
    weights = np.where(np.arange(40) % 3 == 0, 0.0, 0.5)
    stats = stats_of(frames, pdfs, weights)
    loglike = sum(w * density(frame, pdf) for frame, pdf, w in zip(frames, pdfs, weights, strict=True))
    covariance = np.cov(frames.T, aweights=weights, bias=True)
    assert stats.loglike == pytest.approx(loglike, rel=1e-5)
    assert stats.log_volume == pytest.approx(0.5 * np.linalg.slogdet(covariance)[1], rel=1e-5)
    assert stats.score == pytest.approx(loglike + 13 * 0.5 * np.linalg.slogdet(covariance)[1], rel=1e-5)


def test_parts_add_up_to_the_whole() -> None:
    frames, pdfs = draw()
    whole = stats_of(frames, pdfs)
    parts = WarpStats.zero(DIM) + stats_of(frames[:999], pdfs[:999]) + stats_of(frames[999:], pdfs[999:])
    assert parts.score == pytest.approx(whole.score, rel=1e-9)


def test_a_linear_map_adds_the_logarithm_of_its_determinant() -> None:
    """And so the score is that of the frames before the map, under the model behind it, whatever the map."""
    frames, pdfs = draw()
    rng = np.random.default_rng(8)
    matrix, offset = np.eye(DIM) + 0.3 * rng.normal(size=(DIM, DIM)), rng.normal(size=DIM)
    before, after = stats_of(frames, pdfs), stats_of(frames @ matrix.T + offset, pdfs)
    log_det = np.log(abs(np.linalg.det(matrix)))
    assert abs(log_det) > 0.1
    assert after.log_volume - before.log_volume == pytest.approx(log_det, abs=1e-5)
    gained = (after.score - before.score) - (after.loglike - before.loglike)
    assert gained / NUM_FRAMES == pytest.approx(log_det, abs=1e-5)


def test_shrinking_is_not_favoured() -> None:
    frames, pdfs = draw()
    tried = {factor: stats_of(factor * frames, pdfs) for factor in SHRINKING}
    assert max(tried, key=lambda factor: tried[factor].score) == 1.0
    # Without the volume the densest features win.
    assert max(tried, key=lambda factor: tried[factor].loglike) == min(SHRINKING)


def test_too_few_frames_have_no_score() -> None:
    frames, pdfs = draw()
    with pytest.raises(ModelError, match="3 frames have no covariance of 3 dimensions"):
        _ = stats_of(frames[:3], pdfs[:3]).score
    flat = frames[:50] * [1, 1, 0]
    with pytest.raises(ModelError, match="no covariance"):
        _ = stats_of(flat, pdfs[:50]).score
