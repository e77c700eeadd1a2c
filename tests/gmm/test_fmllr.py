"""fMLLR against numerical maximisation, planted transforms, and the laws of its auxiliary function."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import norm

from asrkit.core.errors import ConfigError, ModelError
from asrkit.features.transform import apply_affine, compose, log_determinant
from asrkit.gmm import transform_kernels
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.fmllr import (
    FmllrConfig,
    FmllrStats,
    accumulate_fmllr,
    accumulate_fmllr_from_gaussians,
    estimate_fmllr,
    fmllr_objective,
)
from asrkit.gmm.posteriors import gaussian_posteriors
from asrkit.gmm.row_update import best_rows
from tests.gmm.models import random_gmms, sample

DIM = 4
IDENTITY = np.eye(DIM, DIM + 1)
FLOAT32_LOGITS = {"rtol": 1e-3, "atol": 1e-3}
SAME_PER_FRAME = 1e-6
"""Largest difference of two objectives per frame that count as the same maximum."""


def planted(seed: int = 0, count: int = 1500, spread: float = 0.15):
    """Return a model, a transform, frames that the transform makes fit the model, and their pdfs."""
    rng = np.random.default_rng(seed)
    gmms = random_gmms(rng, dim=DIM)
    pdf_ids = rng.integers(0, 3, count).astype(np.int32)
    matrix = np.eye(DIM) + spread * rng.normal(size=(DIM, DIM))
    offset = 3 * spread * rng.normal(size=DIM)
    distorted = (sample(gmms, pdf_ids, rng) - offset) @ np.linalg.inv(matrix).T
    return gmms, np.hstack([matrix, offset[:, None]]), distorted.astype(np.float32), pdf_ids


def random_stats(seed: int, count: int = 60) -> FmllrStats:
    """Statistics of frames that the model does not fit at all."""
    rng = np.random.default_rng(seed)
    gmms = random_gmms(rng, dim=DIM)
    features = rng.normal(rng.normal(), rng.uniform(0.5, 3), size=(count, DIM)).astype(np.float32)
    return accumulate_fmllr(gmms, features, rng.integers(0, 3, count).astype(np.int32))


def maximum(stats: FmllrStats, free: np.ndarray, start: np.ndarray = IDENTITY) -> float:
    """The greatest objective per frame that BFGS reaches from ``start``, changing only what ``free`` marks."""

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        transform = start.copy()
        transform[free] = values
        gradient = stats.linear - np.einsum("dij,dj->di", stats.quadratic, transform)
        gradient[:, :-1] += stats.count * np.linalg.inv(transform[:, :-1]).T
        return -fmllr_objective(stats, transform) / stats.count, -gradient[free] / stats.count

    return -minimize(loss, start[free], jac=True, method="BFGS", options={"gtol": 1e-7}).fun


FREE = {
    "full": np.ones((DIM, DIM + 1), bool),
    "diag": np.hstack([np.eye(DIM, dtype=bool), np.ones((DIM, 1), bool)]),
    "offset": np.hstack([np.zeros((DIM, DIM), bool), np.ones((DIM, 1), bool)]),
}
ANY_AMOUNT = {"min_count": 0.0, "diag_min_count": 0.0, "offset_min_count": 0.0}


def test_statistics_are_those_of_a_loop_over_frames_and_gaussians() -> None:
    gmms, _, features, pdf_ids = planted(count=40)
    weights = np.random.default_rng(0).uniform(0, 1, 40).astype(np.float32)
    posteriors = gaussian_posteriors(gmms, features, pdf_ids, weights).matrix(gmms.num_gaussians).toarray()
    count, linear, quadratic = 0.0, np.zeros((DIM, DIM + 1)), np.zeros((DIM, DIM + 1, DIM + 1))
    for x, row in zip(features, posteriors, strict=True):
        extended = np.append(x.astype(np.float64), 1.0)
        for mean, variance, posterior in zip(gmms.means, gmms.variances, row, strict=True):
            count += posterior
            linear += np.outer(posterior * mean / variance, extended)
            for d in range(DIM):
                quadratic[d] += posterior / variance[d] * np.outer(extended, extended)
    found = accumulate_fmllr(gmms, features, pdf_ids, weights)
    assert found.count == pytest.approx(count)
    np.testing.assert_allclose(found.linear, linear, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.quadratic, quadratic, rtol=1e-5, atol=1e-5)


def test_statistics_of_parts_add_up_and_zero_adds_nothing() -> None:
    gmms, _, features, pdf_ids = planted(count=50)
    whole = accumulate_fmllr(gmms, features, pdf_ids)
    parts = accumulate_fmllr(gmms, features[:17], pdf_ids[:17]) + accumulate_fmllr(gmms, features[17:], pdf_ids[17:])
    for name in ("count", "linear", "quadratic"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-10, atol=1e-9)
    with_zero = whole + FmllrStats.zero(DIM)
    assert (with_zero.quadratic == whole.quadratic).all()


def test_the_objective_rises_as_the_likelihood_of_gaussians_with_fixed_posteriors() -> None:
    gmms, transform, features, pdf_ids = planted(count=60)
    posteriors = gaussian_posteriors(gmms, features, pdf_ids)
    stats = accumulate_fmllr_from_gaussians(gmms, features, posteriors)
    rows = posteriors.matrix(gmms.num_gaussians).toarray()

    def expected_loglike(x: np.ndarray) -> float:
        densities = norm.logpdf(x[:, None, :].astype(np.float64), gmms.means, np.sqrt(gmms.variances)).sum(2)
        return float((rows * densities).sum())

    rise = expected_loglike(apply_affine(features, transform)) - expected_loglike(features)
    rise += stats.count * log_determinant(transform)
    assert fmllr_objective(stats, transform) - fmllr_objective(stats, IDENTITY) == pytest.approx(rise, rel=1e-4)


@pytest.mark.parametrize("kind", ["full", "diag", "offset"])
@pytest.mark.parametrize("seed", [0, 5])
def test_the_estimate_is_the_numerical_maximum(kind: str, seed: int) -> None:
    for stats in (random_stats(seed), accumulate_fmllr(*np.array(planted(seed), dtype=object)[[0, 2, 3]])):
        transform, report = estimate_fmllr(stats, FmllrConfig(kind, num_iters=300, **ANY_AMOUNT))
        best = maximum(stats, FREE[kind])
        assert report.kind == kind
        assert fmllr_objective(stats, transform) / stats.count == pytest.approx(best, abs=SAME_PER_FRAME)
        assert report.gain == pytest.approx(best - fmllr_objective(stats, IDENTITY) / stats.count, abs=SAME_PER_FRAME)


def check_that_every_sweep_rises(stats: FmllrStats) -> None:
    """Assert that the objective never falls from sweep to sweep, and ends where it cannot be climbed further."""
    found = [best_rows(stats.quadratic, stats.linear, stats.count, sweeps) for sweeps in (1, 2, 3, 4, 8, 400)]
    seen = [fmllr_objective(stats, transform) for transform in (IDENTITY, *found)]
    assert min(np.diff(seen)) >= -1e-9 * abs(seen[-1])
    # The determinant's two signs are two hills, so frames that fit nothing may have more than one maximum.
    assert seen[-1] / stats.count >= maximum(stats, FREE["full"], found[-1]) - SAME_PER_FRAME


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_the_objective_never_falls(seed: int) -> None:
    check_that_every_sweep_rises(random_stats(seed))


def stale_cofactors(inverses, free, linear, count, num_sweeps, transform, cofactors):
    for _ in range(num_sweeps):
        frozen = cofactors.copy()
        for _ in transform:
            transform_kernels_row_sweeps(inverses, free, linear, count, 1, transform, cofactors)
            cofactors[:] = frozen


def other_root(inverses, free, linear, count, num_sweeps, transform, cofactors):
    for d in range(len(transform)):
        cofactor = np.linalg.inv(transform[:, : len(transform)]).T[d]
        direction = inverses[d][:, : len(transform)] @ cofactor
        e1, e2 = cofactor @ direction[: len(transform)], direction @ linear[d]
        roots = (-e2 + np.array([1, -1]) * np.sqrt(e2 * e2 + 4 * e1 * count)) / (2 * e1)
        worse = np.argmin(count * np.log(abs(roots * e1 + e2)) - 0.5 * roots**2 * e1)
        transform[d] = free[d] + roots[worse] * direction


def forgotten_determinant(inverses, free, linear, count, num_sweeps, transform, cofactors):
    transform[:] = free


transform_kernels_row_sweeps = transform_kernels.row_sweeps


@pytest.mark.parametrize("broken", [stale_cofactors, other_root, forgotten_determinant])
def test_that_check_notices_a_broken_update(broken, monkeypatch) -> None:
    monkeypatch.setattr(transform_kernels, "row_sweeps", broken)
    with pytest.raises(AssertionError):
        check_that_every_sweep_rises(random_stats(0))


def test_cofactors_kept_up_row_by_row_are_those_computed_afresh() -> None:
    stats = random_stats(3)
    inverses = np.linalg.inv(stats.quadratic)
    transform = IDENTITY.copy()
    for _ in range(7):
        for d in range(DIM):
            cofactor = np.append(np.linalg.inv(transform[:, :-1]).T[d], 0.0)
            e1, e2 = cofactor @ inverses[d] @ cofactor, cofactor @ inverses[d] @ stats.linear[d]
            steps = (-e2 + np.array([1, -1]) * np.sqrt(e2 * e2 + 4 * e1 * stats.count)) / (2 * e1)
            best = steps[np.argmax(stats.count * np.log(abs(steps * e1 + e2)) - 0.5 * steps**2 * e1)]
            transform[d] = inverses[d] @ (best * cofactor + stats.linear[d])
    np.testing.assert_allclose(best_rows(stats.quadratic, stats.linear, stats.count, 7), transform, rtol=1e-8)


def test_richer_transforms_gain_more() -> None:
    stats = random_stats(4)
    gains = [estimate_fmllr(stats, FmllrConfig(kind, **ANY_AMOUNT))[1].gain for kind in ("none", *FREE)]
    none, full, diag, offset = gains
    assert none == 0 < offset < diag < full


def test_a_planted_transform_is_found_again() -> None:
    gmms, transform, features, pdf_ids = planted(count=6000, spread=0.1)
    found = IDENTITY.astype(np.float32)
    for _ in range(4):  # posteriors sharpen as the features come to fit
        posteriors = gaussian_posteriors(gmms, apply_affine(features, found), pdf_ids)
        found, _ = estimate_fmllr(accumulate_fmllr_from_gaussians(gmms, features, posteriors))
    np.testing.assert_allclose(found, transform, atol=0.06)
    assert abs(IDENTITY - transform).max() > 0.2


def test_data_that_fit_need_nearly_no_transform_and_others_do() -> None:
    rng = np.random.default_rng(5)
    gmms = random_gmms(rng, dim=DIM)
    pdf_ids = rng.integers(0, 3, 8000).astype(np.int32)
    features = sample(gmms, pdf_ids, rng)
    transform, report = estimate_fmllr(accumulate_fmllr(gmms, features, pdf_ids))
    np.testing.assert_allclose(transform, IDENTITY, atol=0.08)
    assert report.gain < 0.005
    assert abs(report.log_determinant) < 0.05
    _, other = estimate_fmllr(accumulate_fmllr(gmms, 1.2 * features, pdf_ids))
    assert other.gain > 0.05
    assert other.log_determinant == pytest.approx(-DIM * np.log(1.2), abs=0.05)


def test_held_out_frames_become_more_likely_determinant_included() -> None:
    gmms, _, features, pdf_ids = planted(count=3000)
    transform, report = estimate_fmllr(accumulate_fmllr(gmms, features[:1500], pdf_ids[:1500]))
    before = gaussian_posteriors(gmms, features[1500:], pdf_ids[1500:]).loglike
    after = gaussian_posteriors(gmms, apply_affine(features[1500:], transform), pdf_ids[1500:]).loglike
    assert report.log_determinant == pytest.approx(log_determinant(transform))
    assert after + 1500 * report.log_determinant > before + 1500 * 0.8 * report.gain
    # Without the determinant anything becomes likely that is shrunk to where the density is high.
    shrunk = np.hstack([0.01 * np.eye(DIM), gmms.means.mean(0)[:, None]])
    spread = gaussian_posteriors(random_gmms_at_one_point(), features, pdf_ids).loglike
    drawn = gaussian_posteriors(random_gmms_at_one_point(), apply_affine(features, shrunk), pdf_ids).loglike
    assert drawn > spread
    assert drawn + 3000 * log_determinant(shrunk) < spread


def random_gmms_at_one_point() -> DiagGmms:
    """Gaussians that all lie where the mean of the planted model's means is, wide enough for its frames."""
    gmms = planted(count=2)[0]
    means = np.tile(gmms.means.mean(0), (gmms.num_gaussians, 1))
    return DiagGmms(gmms.weights, means, np.full_like(means, 10.0), gmms.offsets)


def test_a_transform_on_top_of_another_composes_to_the_one_of_both() -> None:
    gmms, _, features, pdf_ids = planted(count=2000)
    first, _ = estimate_fmllr(accumulate_fmllr(gmms, features, pdf_ids))
    second, _ = estimate_fmllr(accumulate_fmllr(gmms, apply_affine(features, first), pdf_ids))
    both = compose(second, first)
    twice = apply_affine(apply_affine(features, first), second)
    np.testing.assert_allclose(apply_affine(features, both), twice, rtol=1e-4, atol=1e-4)
    assert log_determinant(both) == pytest.approx(log_determinant(first) + log_determinant(second), abs=1e-5)
    likely = [gaussian_posteriors(gmms, apply_affine(features, w), pdf_ids).loglike for w in (IDENTITY, first, both)]
    total = np.array(likely) + 2000 * np.array([log_determinant(w) for w in (IDENTITY, first, both)])
    assert total[0] < total[1] < total[2]


def test_posteriors_of_an_alignment_model_are_used_and_not_those_of_the_adapted_one() -> None:
    gmms, transform, features, pdf_ids = planted(count=4000, spread=0.3)
    unadapted = DiagGmms(  # the same Gaussians as they look before the transform
        gmms.weights,
        apply_affine(gmms.means - transform[:, -1].astype(np.float32), np.linalg.inv(transform[:, :-1])),
        gmms.variances,
        gmms.offsets,
    )
    posteriors = gaussian_posteriors(unadapted, features, pdf_ids)
    two, _ = estimate_fmllr(accumulate_fmllr_from_gaussians(gmms, features, posteriors))
    one, _ = estimate_fmllr(accumulate_fmllr(gmms, features, pdf_ids))
    assert abs(two - transform).max() < 0.5 * abs(one - transform).max()


def test_posteriors_of_another_model_are_refused() -> None:
    gmms, _, features, pdf_ids = planted(count=20)
    posteriors = gaussian_posteriors(gmms, features, pdf_ids)
    with pytest.raises(ModelError, match="posteriors of 20 frames"):
        accumulate_fmllr_from_gaussians(gmms, features[:19], posteriors)
    smaller = random_gmms(np.random.default_rng(0), (1, 1, 1), dim=DIM)
    with pytest.raises(ModelError, match="the model has 3"):
        accumulate_fmllr_from_gaussians(smaller, features, posteriors)


@pytest.mark.parametrize(
    ("update", "count", "kind"),
    [
        ("full", 501, "full"),
        ("full", 500, "diag"),
        ("full", 100, "offset"),
        ("full", 30, "none"),
        ("diag", 5000, "diag"),
        ("offset", 5000, "offset"),
        ("none", 5000, "none"),
    ],
)
def test_the_kind_goes_by_the_amount_of_data(update, count: int, kind: str) -> None:
    assert FmllrConfig(update).kind(count) == kind
    gmms, _, features, pdf_ids = planted(count=count)
    transform, report = estimate_fmllr(accumulate_fmllr(gmms, features, pdf_ids), FmllrConfig(update))
    assert report.kind == kind
    assert ((transform != IDENTITY) <= FREE.get(kind, np.zeros(1, bool))).all()
    assert (report.gain > 0) == (kind != "none")


def test_silence_of_weight_zero_is_as_if_it_were_not_there() -> None:
    gmms, _, features, pdf_ids = planted(count=900)
    weights = (np.arange(900) % 3 != 0).astype(np.float32)
    kept = weights > 0
    weighted, _ = estimate_fmllr(accumulate_fmllr(gmms, features, pdf_ids, weights))
    alone, _ = estimate_fmllr(accumulate_fmllr(gmms, features[kept], pdf_ids[kept]))
    np.testing.assert_allclose(weighted, alone, rtol=1e-5, atol=1e-6)
    everything, _ = estimate_fmllr(accumulate_fmllr(gmms, features, pdf_ids))
    assert abs(everything - alone).max() > 1e-3


def test_a_dimension_that_does_not_vary_leaves_an_offset() -> None:
    gmms, _, features, pdf_ids = planted(count=800)
    features[:, 1] = 0.25
    transform, report = estimate_fmllr(accumulate_fmllr(gmms, features, pdf_ids))
    assert report.kind == "offset"
    assert report.gain > 0
    assert np.isfinite(transform).all()


def test_no_data_leave_the_identity() -> None:
    transform, report = estimate_fmllr(FmllrStats.zero(DIM), FmllrConfig(**ANY_AMOUNT))
    assert (transform == IDENTITY).all()
    assert (report.kind, report.gain, report.log_determinant) == ("none", 0.0, 0.0)


def test_the_same_data_give_the_same_bits() -> None:
    gmms, _, features, pdf_ids = planted()
    first, second = (estimate_fmllr(accumulate_fmllr(gmms, features, pdf_ids))[0] for _ in range(2))
    assert (first == second).all()


@pytest.mark.parametrize("options", [{"update": "fill"}, {"min_count": -1.0}, {"num_iters": 0}])
def test_wrong_options_are_refused(options) -> None:
    with pytest.raises(ConfigError):
        FmllrConfig(**options)
