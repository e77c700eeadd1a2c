"""MLLT against numerical maximisation, a planted rotation, and the likelihood it promises."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy.optimize import minimize

from asrkit.core.errors import ModelError
from asrkit.features.transform import apply_affine, log_determinant
from asrkit.gmm import transform_kernels
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.mllt import MlltStats, accumulate_mllt, estimate_mllt, mllt_objective, transform_means
from asrkit.gmm.posteriors import gaussian_posteriors
from asrkit.gmm.row_update import best_rows
from asrkit.gmm.stats import accumulate
from asrkit.gmm.update import GmmUpdateConfig, update
from tests.gmm.models import random_gmms, sample

DIM = 4


def planted(seed: int = 0, count: int = 6000):
    """Return the matrix that makes the Gaussians of some frames diagonal, and what is known without it.

    Frames are drawn from diagonal mixtures and then multiplied by the inverse of the matrix; the model returned has
    the right means and, in the frames' own axes, the variances only.
    """
    rng = np.random.default_rng(seed)
    gmms = random_gmms(rng, dim=DIM)
    pdf_ids = rng.integers(0, 3, count).astype(np.int32)
    matrix = np.eye(DIM) + 0.4 * rng.normal(size=(DIM, DIM))
    back = np.linalg.inv(matrix)
    variances = np.einsum("ij,gj,ij->gi", back, gmms.variances, back)
    seen = DiagGmms(gmms.weights, apply_affine(gmms.means, back), variances.astype(np.float32), gmms.offsets)
    return matrix, seen, apply_affine(sample(gmms, pdf_ids, rng), back), pdf_ids


def test_statistics_are_those_of_a_loop_over_frames_and_gaussians() -> None:
    _, gmms, features, pdf_ids = planted(count=40)
    weights = np.random.default_rng(0).uniform(0, 1, 40).astype(np.float32)
    posteriors = gaussian_posteriors(gmms, features, pdf_ids, weights).matrix(gmms.num_gaussians).toarray()
    scatters = np.zeros((DIM, DIM, DIM))
    for x, row in zip(features, posteriors, strict=True):
        for mean, variance, posterior in zip(gmms.means, gmms.variances, row, strict=True):
            apart = x.astype(np.float64) - mean
            scatters += posterior * np.outer(apart, apart) / variance[:, None, None]
    found = accumulate_mllt(gmms, features, pdf_ids, weights)
    assert found.count == pytest.approx(weights.sum(), rel=1e-6)
    np.testing.assert_allclose(found.scatters, scatters, rtol=1e-5, atol=1e-4)


def test_statistics_of_parts_add_up_and_zero_adds_nothing() -> None:
    _, gmms, features, pdf_ids = planted(count=50)
    whole = accumulate_mllt(gmms, features, pdf_ids)
    parts = accumulate_mllt(gmms, features[:17], pdf_ids[:17]) + accumulate_mllt(gmms, features[17:], pdf_ids[17:])
    np.testing.assert_allclose(parts.scatters, whole.scatters, rtol=1e-9, atol=1e-9)
    assert ((whole + MlltStats.zero(DIM)).scatters == whole.scatters).all()
    assert parts.count == pytest.approx(whole.count)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_estimate_is_the_numerical_maximum(seed: int) -> None:
    stats = accumulate_mllt(*planted(seed, 800)[1:])

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        matrix = values.reshape(DIM, DIM)
        slope = np.linalg.inv(matrix).T - np.einsum("dij,dj->di", stats.scatters, matrix) / stats.count
        return -mllt_objective(stats, matrix), -slope.ravel()

    best = -minimize(loss, np.eye(DIM).ravel(), jac=True, method="BFGS", options={"gtol": 1e-8}).fun
    matrix, gain = estimate_mllt(stats)
    assert mllt_objective(stats, matrix) == pytest.approx(best, abs=1e-6)
    assert gain == pytest.approx(best - mllt_objective(stats, np.eye(DIM)), abs=1e-6)
    assert gain > 0.05


def check_that_every_sweep_rises(stats: MlltStats) -> None:
    sweep = partial(best_rows, stats.scatters, np.zeros((DIM, DIM)), stats.count)
    seen = [mllt_objective(stats, matrix) for matrix in (np.eye(DIM), *map(sweep, (1, 2, 3, 5, 9, 200)))]
    assert min(np.diff(seen)) >= -1e-12
    assert seen[-1] > seen[1] > seen[0]
    last = sweep(500)
    slope = np.linalg.inv(last).T - np.einsum("dij,dj->di", stats.scatters, last) / stats.count
    assert abs(slope).max() < 1e-3


@pytest.mark.parametrize("seed", range(5))
def test_the_objective_never_falls(seed: int) -> None:
    check_that_every_sweep_rises(accumulate_mllt(*planted(seed, 60)[1:]))


def with_another_count(right, inverses, free, linear, count, *rest):
    right(inverses, free, linear, 1.1 * count, *rest)


def with_stale_cofactors(_, inverses, free, linear, count, num_sweeps, transform, cofactors):
    directions = np.einsum("dij,dj->di", inverses, cofactors)
    transform[:] = directions * np.sqrt(count / np.sum(directions * cofactors, axis=1))[:, None]


@pytest.mark.parametrize("broken", [with_another_count, with_stale_cofactors])
def test_that_check_notices_a_broken_update(broken, monkeypatch) -> None:
    monkeypatch.setattr(transform_kernels, "row_sweeps", partial(broken, transform_kernels.row_sweeps))
    with pytest.raises(AssertionError):
        check_that_every_sweep_rises(accumulate_mllt(*planted(0, 60)[1:]))


def test_a_planted_transform_is_found_up_to_scales_and_order_of_its_rows() -> None:
    matrix, gmms, features, pdf_ids = planted(3, 12000)
    total = np.eye(DIM)
    for _ in range(12):  # variances follow the axes, and the axes the variances
        step, gain = estimate_mllt(accumulate_mllt(gmms, features, pdf_ids))
        features, gmms = apply_affine(features, step), transform_means(gmms, step)
        gmms, _ = update(gmms, accumulate(gmms, features, pdf_ids), GmmUpdateConfig())
        total = step @ total
    assert 0 <= gain < 1e-4
    likeness = total @ np.linalg.inv(matrix)  # one element stands out in each row where each row is one of the planted
    likeness = np.sort(abs(likeness) / abs(likeness).max(1, keepdims=True), axis=1)
    assert likeness[:, -2].max() < 0.1
    unlike = np.sort(abs(np.linalg.inv(matrix)) / abs(np.linalg.inv(matrix)).max(1, keepdims=True), axis=1)
    assert unlike[:, -2].max() > 0.3


def test_the_gain_is_that_of_the_likelihood_determinant_included() -> None:
    _, gmms, features, pdf_ids = planted(count=3000)
    posteriors = gaussian_posteriors(gmms, features, pdf_ids)
    matrix, gain = estimate_mllt(accumulate_mllt(gmms, features, pdf_ids))
    moved, moved_gmms = apply_affine(features, matrix), transform_means(gmms, matrix)

    def expected(x: np.ndarray, model: DiagGmms) -> float:
        rows = posteriors.matrix(model.num_gaussians).toarray()
        return float(-0.5 * (rows * ((x[:, None] - model.means) ** 2 / model.variances).sum(2)).sum())

    rise = (expected(moved, moved_gmms) - expected(features, gmms)) / 3000 + log_determinant(matrix)
    assert rise == pytest.approx(gain, abs=1e-4)
    likelier = gaussian_posteriors(moved_gmms, moved, pdf_ids).loglike / 3000 + log_determinant(matrix)
    assert likelier > posteriors.loglike / 3000 + gain - 1e-4


def test_frames_that_diagonal_gaussians_made_need_no_transform_and_correlated_ones_do() -> None:
    rng = np.random.default_rng(7)
    gmms = random_gmms(rng, dim=DIM)
    pdf_ids = rng.integers(0, 3, 20000).astype(np.int32)
    matrix, gain = estimate_mllt(accumulate_mllt(gmms, sample(gmms, pdf_ids, rng), pdf_ids))
    np.testing.assert_allclose(matrix, np.eye(DIM), atol=0.05)
    assert gain < 2e-3
    assert estimate_mllt(accumulate_mllt(*planted(7, 20000)[1:]))[1] > 0.1


def test_transformed_means_keep_the_rest() -> None:
    gmms = random_gmms(np.random.default_rng(0), dim=DIM)
    matrix = np.arange(DIM * DIM, dtype=np.float32).reshape(DIM, DIM)
    moved = transform_means(gmms, matrix)
    np.testing.assert_allclose(moved.means[2], matrix @ gmms.means[2], rtol=1e-5)
    assert (moved.variances == gmms.variances).all()
    assert (moved.weights == gmms.weights).all()
    with pytest.raises(ModelError, match="for means of dimension 4"):
        transform_means(gmms, matrix[:, :3])


def test_too_few_frames_are_an_error() -> None:
    _, gmms, features, _ = planted(count=3)
    with pytest.raises(ModelError, match="from 3 frames, which do not span them"):
        estimate_mllt(accumulate_mllt(gmms, features, np.ones(3, np.int32)))  # pdf 1 has one Gaussian


def test_the_same_data_give_the_same_bits() -> None:
    first, second = (estimate_mllt(accumulate_mllt(*planted(count=500)[1:]))[0] for _ in range(2))
    assert (first == second).all()
