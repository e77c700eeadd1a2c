"""Gaussian discriminant analysis: against densities, an independent package, and what it must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import scipy.stats
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from asrkit.core.errors import DataError
from asrkit.gmm.discriminant import GaussianDiscriminant


def planted(num_examples: int, dim: int, num_classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return examples of classes of unequal size, correlated, each dimension on a scale of its own."""
    rng = np.random.default_rng(seed)
    shares = np.arange(1, num_classes + 1)
    classes = rng.choice(num_classes, num_examples, p=shares / shares.sum())
    classes[:num_classes] = np.arange(num_classes)
    mixing = rng.normal(size=(dim, dim))
    means = 1.5 * rng.normal(size=(num_classes, dim))
    examples = (means[classes] + rng.normal(size=(num_examples, dim))) @ mixing
    return examples * np.geomspace(0.1, 100, dim) + 7, classes


@pytest.mark.parametrize(("num_examples", "dim"), [(200, 4), (20, 50)])
@pytest.mark.parametrize("shrinkage", [0.01, 0.4, 1.0])
@pytest.mark.parametrize("standardise", [True, False])
def test_posteriors_are_those_of_gaussians_with_the_shrunk_covariance(
    num_examples: int, dim: int, shrinkage: float, standardise: bool
) -> None:
    """Both ways of solving, by the definition: scale, estimate, shrink, and take densities and priors."""
    examples, classes = planted(num_examples, dim)
    scaled = (examples - examples.mean(0)) / (examples.std(0) if standardise else np.sqrt(examples.var(0).mean()))
    means = np.stack([scaled[classes == c].mean(0) for c in range(3)])
    within = scaled - means[classes]
    covariance = (1 - shrinkage) * within.T @ within / (num_examples - 3) + shrinkage * np.eye(dim)
    priors = np.bincount(classes) / num_examples
    densities = [scipy.stats.multivariate_normal(mean, covariance).logpdf(scaled) for mean in means]
    joint = np.log(priors) + np.stack(densities, axis=1)
    expected = joint - scipy.special.logsumexp(joint, axis=1, keepdims=True)
    found = GaussianDiscriminant.fit(examples, classes, shrinkage, standardise).log_posteriors(examples)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1)


def test_with_many_examples_and_hardly_any_shrinkage_it_is_linear_discriminant_analysis() -> None:
    examples, classes = planted(3000, 5)
    peer = LinearDiscriminantAnalysis(solver="lsqr").fit(examples, classes)
    found = GaussianDiscriminant.fit(examples, classes, 1e-6).log_posteriors(examples)
    np.testing.assert_allclose(np.exp(found), peer.predict_proba(examples), atol=5e-3)
    assert (found.argmax(1) == peer.predict(examples)).mean() > 0.998


def test_scales_and_shifts_of_dimensions_change_nothing_and_rotations_do() -> None:
    examples, classes = planted(30, 8)
    before = GaussianDiscriminant.fit(examples, classes, 0.3).log_posteriors(examples)
    moved = examples * np.geomspace(1e-3, 1e3, 8) - 5
    np.testing.assert_allclose(
        GaussianDiscriminant.fit(moved, classes, 0.3).log_posteriors(moved), before, rtol=1e-6, atol=1e-8
    )
    turned = examples @ np.linalg.qr(np.random.default_rng(1).normal(size=(8, 8)))[0]
    other = GaussianDiscriminant.fit(turned, classes, 0.3).log_posteriors(turned)
    assert np.abs(other - before).max() > 0.01


def test_without_standardising_rotations_and_one_scale_for_all_change_nothing_and_scales_of_dimensions_do() -> None:
    examples, classes = planted(30, 8)
    before = GaussianDiscriminant.fit(examples, classes, 0.3, False).log_posteriors(examples)
    turned = 50 * examples @ np.linalg.qr(np.random.default_rng(1).normal(size=(8, 8)))[0] - 5
    np.testing.assert_allclose(
        GaussianDiscriminant.fit(turned, classes, 0.3, False).log_posteriors(turned), before, rtol=1e-6, atol=1e-8
    )
    moved = examples * np.geomspace(1e-3, 1e3, 8)
    other = GaussianDiscriminant.fit(moved, classes, 0.3, False).log_posteriors(moved)
    assert np.abs(other - before).max() > 0.01


def test_one_example_a_class_names_the_nearest() -> None:
    examples, _ = planted(5, 20, num_classes=5, seed=3)
    classifier = GaussianDiscriminant.fit(examples, np.arange(5), 0.2)
    rng = np.random.default_rng(4)
    tried = examples[rng.integers(5, size=40)] + rng.normal(size=(40, 20)) * examples.std(0)
    distances = (((tried[:, None] - examples) / examples.std(0)) ** 2).sum(axis=2)
    np.testing.assert_array_equal(classifier.log_posteriors(tried).argmax(1), distances.argmin(1))


def test_a_dimension_that_never_changes_is_left_out() -> None:
    examples, classes = planted(40, 3)
    wider = np.column_stack([examples, np.full(40, 3.3)])
    found = GaussianDiscriminant.fit(wider, classes, 0.2)
    assert np.isfinite(found.log_posteriors(wider + 100 * np.array([0, 0, 0, 1]))).all()
    assert found.weights[3].tolist() == [0, 0, 0]


def test_what_cannot_be_is_refused() -> None:
    examples, classes = planted(10, 3)
    with pytest.raises(DataError, match="1 of 1 classes"):
        GaussianDiscriminant.fit(examples, np.zeros(10, dtype=np.int64), 0.2)
    with pytest.raises(DataError, match="2 of 3 classes"):
        GaussianDiscriminant.fit(examples, 2 * (classes > 0), 0.2)
    examples[0, 0] = np.nan
    with pytest.raises(DataError, match="not finite"):
        GaussianDiscriminant.fit(examples, classes, 0.2)
