"""LDA against the generalised eigenproblem, numerical maximisation, and what it must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import eigh, subspace_angles
from scipy.optimize import minimize

from asrkit.core.errors import ConfigError, ModelError
from asrkit.features.transform import apply_affine
from asrkit.gmm.lda import LdaConfig, LdaStats, accumulate_lda, estimate_lda

DIM, CLASSES = 6, 5


def labelled(seed: int = 0, count: int = 900):
    """Correlated frames of five classes of unequal size around distinct means; class 3 of six is never seen."""
    rng = np.random.default_rng(seed)
    classes = rng.choice([0, 1, 2, 4, 5], size=count, p=[0.4, 0.3, 0.1, 0.1, 0.1]).astype(np.int32)
    means = rng.normal(size=(6, DIM)) * np.array([3, 2, 1, 0.5, 0.2, 0.1])
    mixing = rng.normal(size=(DIM, DIM))
    frames = (means[classes] + rng.normal(size=(count, DIM))) @ mixing.T + 2.0
    return frames.astype(np.float32), classes


def covariances(frames: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Within-class and between-class covariance by their definitions."""
    frames = frames.astype(np.float64)
    means = {c: frames[classes == c].mean(0) for c in np.unique(classes)}
    own = np.array([means[c] for c in classes])
    return np.cov((frames - own).T, bias=True), np.cov(own.T, bias=True)


def test_statistics_of_parts_add_up_and_weights_count_frames() -> None:
    frames, classes = labelled()
    whole = accumulate_lda(frames, classes, 6)
    parts = accumulate_lda(frames[:123], classes[:123], 6) + accumulate_lda(frames[123:], classes[123:], 6)
    for name in ("counts", "sums", "scatter"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-10, atol=1e-8)
    assert ((whole + LdaStats.zero(6, DIM)).scatter == whole.scatter).all()
    assert whole.counts.tolist() == np.bincount(classes, minlength=6).tolist()
    weights = np.random.default_rng(0).integers(0, 3, len(frames))
    weighted = accumulate_lda(frames, classes, 6, weights.astype(np.float32))
    repeated = accumulate_lda(np.repeat(frames, weights, axis=0), np.repeat(classes, weights), 6)
    np.testing.assert_allclose(weighted.scatter, repeated.scatter, rtol=1e-10)
    np.testing.assert_allclose(weighted.sums, repeated.sums, rtol=1e-10)


def test_eigenvalues_and_directions_are_those_of_the_generalised_eigenproblem() -> None:
    frames, classes = labelled()
    matrix, eigenvalues = estimate_lda(accumulate_lda(frames, classes, 6), 3)
    within, between = covariances(frames, classes)
    expected, vectors = eigh(between, within)
    np.testing.assert_allclose(eigenvalues, expected[::-1], rtol=1e-6, atol=1e-9)
    likeness = np.abs(np.sum(matrix * vectors[:, ::-1].T[:3], axis=1)) / np.linalg.norm(matrix, axis=1)
    np.testing.assert_allclose(likeness, np.linalg.norm(vectors[:, ::-1][:, :3], axis=0), rtol=1e-4)


def test_projected_classes_are_white_within_and_diagonal_between() -> None:
    frames, classes = labelled()
    matrix, eigenvalues = estimate_lda(accumulate_lda(frames, classes, 6), 4)
    within, between = covariances(apply_affine(frames, matrix), classes)
    np.testing.assert_allclose(within, np.eye(4), atol=1e-4)
    np.testing.assert_allclose(between, np.diag(eigenvalues[:4]), atol=1e-4)
    assert (np.diff(eigenvalues) <= 1e-9).all()


def test_the_first_direction_is_the_numerical_maximum_of_the_ratio() -> None:
    frames, classes = labelled()
    within, between = covariances(frames, classes)
    found = minimize(lambda v: -(v @ between @ v) / (v @ within @ v), np.ones(DIM), method="BFGS")
    matrix, eigenvalues = estimate_lda(accumulate_lda(frames, classes, 6), 2)
    assert -found.fun == pytest.approx(eigenvalues[0], rel=1e-6)
    assert subspace_angles(found.x[:, None], matrix[:1].T.astype(float))[0] < 1e-3


def test_any_invertible_transform_of_the_features_changes_nothing_but_other_classes_do() -> None:
    frames, classes = labelled()
    _, eigenvalues = estimate_lda(accumulate_lda(frames, classes, 6), 3)
    turned = frames @ np.random.default_rng(9).normal(size=(DIM, DIM)).astype(np.float32)
    np.testing.assert_allclose(estimate_lda(accumulate_lda(turned, classes, 6), 3)[1], eigenvalues, atol=1e-4)
    mixed = np.random.default_rng(9).permutation(classes)
    assert estimate_lda(accumulate_lda(frames, mixed, 6), 3)[1][0] < 0.1 * eigenvalues[0]


def test_the_offset_is_removed_only_when_wanted() -> None:
    frames, classes = labelled()
    stats = accumulate_lda(frames, classes, 6)
    plain, _ = estimate_lda(stats, 3)
    shifted, _ = estimate_lda(stats, 3, LdaConfig(remove_offset=True))
    assert plain.shape == (3, DIM)
    assert shifted.shape == (3, DIM + 1)
    np.testing.assert_allclose(apply_affine(frames, shifted).mean(0), 0, atol=1e-3)
    assert abs(apply_affine(frames, plain).mean(0)).max() > 0.1


def test_the_within_class_factor_sets_the_variance() -> None:
    frames, classes = labelled()
    matrix, eigenvalues = estimate_lda(accumulate_lda(frames, classes, 6), 3, LdaConfig(within_class_factor=0.01))
    np.testing.assert_allclose(np.var(apply_affine(frames, matrix), axis=0), 0.01 + eigenvalues[:3], rtol=1e-3)


def test_a_dimension_that_never_varies_is_smoothed() -> None:
    frames, classes = labelled()
    frames[:, 2] = 1.5
    matrix, _ = estimate_lda(accumulate_lda(frames, classes, 6), 3)
    without, _ = estimate_lda(accumulate_lda(np.delete(frames, 2, axis=1), classes, 6), 3)
    assert np.isfinite(matrix).all()
    assert subspace_angles(np.delete(matrix, 2, axis=1).T, without.T).max() < 0.1


@pytest.mark.parametrize("target", [0, 5, 7])
def test_more_dimensions_than_classes_can_span_are_refused(target: int) -> None:
    with pytest.raises(ModelError, match=f"LDA to {target} dimensions from 6, with 5 classes seen"):
        estimate_lda(accumulate_lda(*labelled(), 6), target)


def test_bad_input_is_refused() -> None:
    frames, classes = labelled()
    with pytest.raises(ModelError, match="900 classes for 899 frames"):
        accumulate_lda(frames[:-1], classes, 6)
    with pytest.raises(ModelError, match="class 5 of 5"):
        accumulate_lda(frames, classes, 5)
    with pytest.raises(ModelError, match="do not vary within their classes"):
        estimate_lda(accumulate_lda(np.ones_like(frames), classes, 6), 2)
    with pytest.raises(ConfigError, match="smoothing"):
        LdaConfig(smoothing=0.0)


def test_the_same_data_give_the_same_bits() -> None:
    first, second = (estimate_lda(accumulate_lda(*labelled(), 6), 3)[0] for _ in range(2))
    assert (first == second).all()
