"""Extended Baum-Welch against numerical optima, its two limits, and an MMI objective over listed hypotheses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize

from asrkit.core.errors import ConfigError, ModelError
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.ebw import EbwConfig, ebw_update
from asrkit.gmm.stats import GmmStats, accumulate
from asrkit.gmm.update import GmmUpdateConfig, update
from tests.gmm.models import random_gmms, sample

BARE = EbwConfig(e=0.0, tau=0.0, weight_tau=0.0, min_weight_count=0.0, min_gaussian_weight=0.0, min_ml_occupancy=0.0)
PARTS = ("means", "variances", "weights")


def two_sided(seed: int = 0, count: int = 300) -> tuple[DiagGmms, GmmStats, GmmStats]:
    """A model with statistics of frames that it should draw to and others that it should leave, weights of each."""
    rng = np.random.default_rng(seed)
    gmms = random_gmms(rng)
    sides = []
    for shift in (0.4, -0.3):
        pdf_ids = rng.integers(0, 3, count).astype(np.int32)
        frames = sample(gmms, pdf_ids, rng) + np.float32(shift)
        sides.append(accumulate(gmms, frames, pdf_ids, rng.uniform(0, 1, count).astype(np.float32)))
    return gmms, sides[0], sides[1]


def new_moments(gmms: DiagGmms, num: GmmStats, den: GmmStats, g: int, smoothing: float):
    """Mean and variance of one Gaussian by the formulas of Povey's thesis, uncentred."""
    mean, variance = gmms.means[g].astype(np.float64), gmms.variances[g].astype(np.float64)
    count = num.occupancy[g] - den.occupancy[g] + smoothing
    new = (num.first[g] - den.first[g] + smoothing * mean) / count
    return new, (num.second[g] - den.second[g] + smoothing * (variance + mean**2)) / count - new**2


def test_without_denominator_and_smoothing_it_is_the_maximum_likelihood_update() -> None:
    gmms, num, _ = two_sided()
    found, report = ebw_update(gmms, num, GmmStats.zero(gmms), BARE)
    likely, _ = update(gmms, num, GmmUpdateConfig(0.0, 0.0, 1e-3, False))
    for name in PARTS:
        np.testing.assert_allclose(getattr(found, name), getattr(likely, name), rtol=1e-5, atol=1e-6)
    assert report.raised == report.floored == 0
    assert report.gain > 0
    # I-smoothing to maximum likelihood changes nothing there, I-smoothing to the model does.
    smooth = replace(BARE, tau=80.0)
    same, _ = ebw_update(gmms, num, GmmStats.zero(gmms), smooth)
    other, _ = ebw_update(gmms, num, GmmStats.zero(gmms), replace(smooth, smooth_to="model"))
    np.testing.assert_allclose(same.means, likely.means, rtol=1e-5, atol=1e-6)
    assert abs(other.means - likely.means).max() > 0.02


@pytest.mark.parametrize("change", [{"e": 1e9}, {"tau": 1e9, "smooth_to": "model"}])
def test_endless_smoothing_leaves_the_model(change: dict[str, object]) -> None:
    gmms, num, den = two_sided()
    found, _ = ebw_update(gmms, num, den, EbwConfig(**{**change, "weight_tau": 1e9}))  # type: ignore[arg-type]
    for name in PARTS:
        np.testing.assert_allclose(getattr(found, name), getattr(gmms, name), rtol=1e-4, atol=1e-5)
    moved, _ = ebw_update(gmms, num, den, EbwConfig())
    assert abs(moved.means - gmms.means).max() > 0.01


def test_smoothing_is_what_the_occupancy_says_or_twice_what_the_variances_need() -> None:
    gmms, num, den = two_sided(1)
    num = replace(num, occupancy=0.2 * num.occupancy, first=0.2 * num.first, second=0.2 * num.second)
    config = EbwConfig(tau=0.0)
    found, report = ebw_update(gmms, num, den, config)
    raised = 0
    for g in range(gmms.num_gaussians):
        lowest = max(den.occupancy[g] - num.occupancy[g], 0.0) * (1 + 1e-9) + 1e-9

        def smallest(smoothing: float, g: int = g) -> float:
            return float(new_moments(gmms, num, den, g, smoothing)[1].min())

        needed = brentq(smallest, lowest, 1e6) if smallest(lowest) < 0 else lowest
        smoothing = max(2.0 * den.occupancy[g], 2 * needed)
        raised += 2 * needed > 2.0 * den.occupancy[g]
        mean, variance = new_moments(gmms, num, den, g, smoothing)
        np.testing.assert_allclose(found.means[g], mean, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found.variances[g], np.maximum(variance, 1e-3), rtol=1e-3, atol=1e-4)
    assert report.raised == raised > 0


def test_weights_are_the_numerical_maximum_of_their_auxiliary_function() -> None:
    gmms, num, den = two_sided(2)
    config = EbwConfig(weight_tau=7.0)
    found, _ = ebw_update(gmms, num, den, config)
    for pdf in (0, 2):
        rows = slice(gmms.offsets[pdf], gmms.offsets[pdf + 1])
        old = gmms.weights[rows].astype(np.float64)
        drawn, pushed = num.occupancy[rows] + 7.0 * old, den.occupancy[rows] / old

        def value(v: np.ndarray, drawn: np.ndarray = drawn, pushed: np.ndarray = pushed) -> float:
            weights = np.exp(v - np.logaddexp.reduce(v))
            return float(drawn @ np.log(weights) - pushed @ weights)

        best = minimize(lambda v, value=value: -value(v), np.log(old), tol=1e-12).x
        np.testing.assert_allclose(found.weights[rows], np.exp(best - np.logaddexp.reduce(best)), atol=2e-3)
        assert abs(found.weights[rows] - old).max() > 0.01


def test_what_was_never_seen_stays_and_floors_hold() -> None:
    gmms, num, den = two_sided(3)
    unseen = np.zeros(gmms.num_gaussians)
    unseen[gmms.offsets[1] : gmms.offsets[2]] = 1
    keep = 1 - unseen
    num, den = (GmmStats(s.occupancy * keep, s.first * keep[:, None], s.second * keep[:, None]) for s in (num, den))
    found, report = ebw_update(gmms, num, den, EbwConfig(min_variance=0.9, min_gaussian_weight=0.02))
    assert report.updated == int(keep.sum())
    for name in PARTS:
        assert (getattr(found, name)[unseen > 0] == getattr(gmms, name)[unseen > 0]).all()
    assert (found.variances[keep > 0] >= np.float32(0.9)).all()
    assert report.floored > 0
    assert found.weights.min() > 0.018
    np.testing.assert_allclose(np.add.reduceat(found.weights, found.offsets[:-1]), 1, atol=1e-5)


def test_weights_do_not_depend_on_what_is_left_out_of_both_sides() -> None:
    gmms, num, den = two_sided(5)
    shared = 0.9 * np.minimum(num.occupancy, den.occupancy)
    left = [replace(side, occupancy=side.occupancy - shared) for side in (num, den)]
    whole, _ = ebw_update(gmms, num, den, EbwConfig(), num)
    rest, _ = ebw_update(gmms, *left, EbwConfig(), num)
    np.testing.assert_allclose(rest.weights, whole.weights, rtol=1e-5)
    # Without the statistics of the references it would be taken for all there is.
    blind, _ = ebw_update(gmms, *left, EbwConfig())
    assert abs(blind.weights / whole.weights - 1).max() > 0.1


def test_a_gaussian_with_hardly_any_likely_frames_is_smoothed_to_itself() -> None:
    gmms, num, den = two_sided(4)
    rare = int(np.argmin(num.occupancy))
    config = EbwConfig(e=0.0, tau=1e7, min_ml_occupancy=float(num.occupancy[rare]) + 1e-6, weight_tau=0.0)
    found, _ = ebw_update(gmms, num, den, config)
    means = num.first / num.occupancy[:, None]
    np.testing.assert_allclose(found.means[rare], gmms.means[rare], atol=1e-3)
    others = np.arange(gmms.num_gaussians) != rare
    np.testing.assert_allclose(found.means[others], means[others], atol=1e-3)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0, 1), e=st.floats(0, 3), tau=st.floats(0, 50))
def test_variances_stay_positive_and_nothing_is_nan(seed: int, share: float, e: float, tau: float) -> None:
    rng = np.random.default_rng(seed)
    gmms = random_gmms(rng, sizes=(2, 3), dim=3)
    gmms = replace(gmms, means=gmms.means + np.float32(100))  # sums about zero would lose their spread
    frames = (100 + rng.normal(scale=4, size=(12, 3))).astype(np.float32)
    pdf_ids = rng.integers(0, 2, 12).astype(np.int32)
    weights = np.where(rng.random(12) < share, rng.random(12), 0).astype(np.float32)
    num = accumulate(gmms, frames, pdf_ids, weights)
    den = accumulate(gmms, frames[::-1], pdf_ids, weights)
    found, report = ebw_update(gmms, num, den, EbwConfig(e=e, tau=tau, min_variance=1e-6))
    assert (found.variances > 0).all()
    assert np.isfinite(found.means).all()
    np.testing.assert_allclose(np.add.reduceat(found.weights, found.offsets[:-1]), 1, atol=1e-5)
    assert report.gain >= -1e-3


class Sentences:
    """Utterances of four frames, each one of eight sequences of pdfs: a recogniser whose hypotheses can be listed."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.truth_gmms = random_gmms(rng, dim=3)
        self.hypotheses = rng.integers(0, 3, size=(8, 4)).astype(np.int32)
        self.said = rng.integers(0, 8, 150)
        spread = rng.normal(scale=2.5, size=(150 * 4, 3))  # so much noise that the hypotheses compete
        frames = sample(self.truth_gmms, self.hypotheses[self.said].ravel(), rng) + spread
        self.frames = frames.astype(np.float32).reshape(150, 4, 3)
        whole = self.frames.reshape(-1, 3)
        start = replace(self.truth_gmms, variances=self.truth_gmms.variances + np.float32(4))
        self.gmms, _ = update(start, accumulate(start, whole, self.hypotheses[self.said].ravel()), GmmUpdateConfig())

    def scores(self, gmms: DiagGmms) -> np.ndarray:
        """Log-likelihood of each hypothesis for each utterance, (150, 8), scaled."""
        loglikes = gmms.loglikes(self.frames.reshape(-1, 3)).reshape(150, 4, 3).astype(np.float64)
        frames = np.arange(4)
        return 0.5 * np.stack([loglikes[:, frames, path].sum(axis=1) for path in self.hypotheses], axis=1)

    def objective(self, gmms: DiagGmms) -> float:
        scores = self.scores(gmms)
        return float((scores[np.arange(150), self.said] - np.logaddexp.reduce(scores, axis=1)).sum())

    def stats(self, gmms: DiagGmms) -> tuple[GmmStats, GmmStats]:
        """Numerator and denominator, by listing every hypothesis."""
        scores = self.scores(gmms)
        posteriors = np.exp(scores - np.logaddexp.reduce(scores, axis=1)[:, None])
        num = accumulate(gmms, self.frames.reshape(-1, 3), self.hypotheses[self.said].ravel())
        den = GmmStats.zero(gmms)
        for h, path in enumerate(self.hypotheses):
            weights = np.repeat(posteriors[:, h], 4).astype(np.float32)
            den = den + accumulate(gmms, self.frames.reshape(-1, 3), np.tile(path, 150), weights)
        return num, den


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("cancel", [False, True])
def test_the_mmi_objective_rises_with_every_update(seed: int, cancel: bool) -> None:
    sentences = Sentences(seed)
    gmms = sentences.gmms
    values = [sentences.objective(gmms)]
    for _ in range(4):
        num, den = sentences.stats(gmms)
        likely = num
        if cancel:  # half of the denominator is taken from both sides
            half = GmmStats(-0.5 * den.occupancy, -0.5 * den.first, -0.5 * den.second)
            num, den = num + half, den + half
            assert num.occupancy.min() > 0
        gmms, report = ebw_update(gmms, num, den, EbwConfig(tau=20.0), likely)
        assert report.gain > 0
        values.append(sentences.objective(gmms))
    assert np.all(np.diff(values) > 0)
    assert values[-1] - values[0] > 5
    assert values[-1] < 0
    # Maximum likelihood, from the same start, does not do that.
    likely_gmms, _ = update(sentences.gmms, sentences.stats(sentences.gmms)[0], GmmUpdateConfig())
    assert sentences.objective(likely_gmms) - values[0] < 0.5 * (values[-1] - values[0])


def test_a_small_step_follows_the_gradient_of_the_objective() -> None:
    sentences = Sentences(5)
    num, den = sentences.stats(sentences.gmms)
    for swap in (False, True):
        first, second = (den, num) if swap else (num, den)
        found, _ = ebw_update(sentences.gmms, first, second, EbwConfig(e=2e3, tau=0.0, weight_tau=1e6))
        step = found.means.astype(np.float64) - sentences.gmms.means
        difference = num.first - den.first - (num.occupancy - den.occupancy)[:, None] * sentences.gmms.means
        expected = 0.5 * (difference / sentences.gmms.variances * step).sum()
        alone = replace(sentences.gmms, means=found.means)
        risen = sentences.objective(alone) - sentences.objective(sentences.gmms)
        assert risen == pytest.approx(expected, rel=0.1)
        assert (risen < 0) == swap


def test_bad_numbers_and_foreign_statistics_are_refused() -> None:
    for field in ("e", "tau", "weight_tau", "min_ml_occupancy", "min_weight_count"):
        with pytest.raises(ConfigError, match=field):
            EbwConfig(**{field: -1.0})
    with pytest.raises(ConfigError, match="min_variance"):
        EbwConfig(min_variance=0.0)
    with pytest.raises(ConfigError, match="min_gaussian_weight"):
        EbwConfig(min_gaussian_weight=1.0)
    gmms, num, den = two_sided()
    with pytest.raises(ModelError, match="statistics of shape"):
        ebw_update(gmms, num, GmmStats(den.occupancy[1:], den.first[1:], den.second[1:]), EbwConfig())
