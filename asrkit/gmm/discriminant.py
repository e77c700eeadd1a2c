"""Gaussian discriminant analysis: one Gaussian a class, one covariance for all, shrunk towards a sphere.

With class means μ_c, the covariance Σ within classes, and the share π_c of the examples, ::

    log p(c | x) = x·Σ⁻¹μ_c - μ_c·Σ⁻¹μ_c / 2 + log π_c + constant

(Hastie, Tibshirani and Friedman 2009, section 4.3). Of fewer examples than dimensions the covariance is singular, so it
is (1 - λ) times the one within classes (over the number of examples less classes), and λ times the mean variance of a
dimension on the diagonal (Friedman 1989, "Regularized discriminant analysis"). With one example a class nothing is
known of the covariance but that diagonal, and the class is that of the nearest mean.

The scale of the dimensions then matters. Where they are measures of unlike things each may be divided by its standard
deviation over the examples; but of few examples that knows little, and of two it makes all dimensions alike, those
that tell the classes apart and those that do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import DataError

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GaussianDiscriminant:
    """A classifier of vectors of D dimensions into C classes.

    Attributes
    ----------
    shift, scale : (D,) float64
        Bring the training examples to zero mean, and the mean variance of a dimension, or that of each, to 1.
    weights : (D, C) float64
    bias : (C,) float64
    """

    shift: Values
    scale: Values
    weights: Values
    bias: Values

    @property
    def dim(self) -> int:
        """D."""
        return len(self.shift)

    def log_posteriors(self, examples: NDArray[Any]) -> Values:
        """Return the natural log of the probability of each class, (N, C) float64, of examples (N, D)."""
        scores = ((examples - self.shift) * self.scale) @ self.weights + self.bias
        scores -= scores.max(axis=1, keepdims=True)
        posteriors: Values = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return posteriors

    @classmethod
    def fit(
        cls, examples: NDArray[Any], classes: NDArray[np.int64], shrinkage: float, standardise: bool = True
    ) -> GaussianDiscriminant:
        """Return the classifier of some examples.

        Parameters
        ----------
        examples : (N, D)
        classes : (N,) int64
            0-based; each has an example.
        shrinkage : float
            λ, in (0, 1].
        standardise : bool
            Divide each dimension by its standard deviation.

        Raises
        ------
        DataError
            A class without examples, or values that are not finite.
        """
        counts = np.bincount(classes)
        if not counts.all() or len(counts) < 2:
            raise DataError(f"{np.count_nonzero(counts)} of {len(counts)} classes have examples, expected two or more")
        if not np.isfinite(examples).all():
            raise DataError("examples with values that are not finite")
        shift, deviation = examples.mean(axis=0, dtype=np.float64), examples.std(axis=0, dtype=np.float64)
        if standardise:
            varying = deviation > 1e-10 * np.maximum(1.0, np.abs(shift))
            scale = np.where(varying, 1.0 / np.where(varying, deviation, 1.0), 0.0)
        else:
            scale = np.full(len(shift), 1.0 / max(float(np.sqrt(np.mean(deviation**2))), 1e-30))
        scaled = (examples - shift) * scale
        sums = np.zeros((len(counts), scaled.shape[1]))
        np.add.at(sums, classes, scaled)
        means = sums / counts[:, None]
        within = scaled - means[classes]
        diagonal = shrinkage * (float(scaled.var(axis=0).mean()) or 1.0)
        share = (1 - shrinkage) / max(1, len(classes) - len(counts))
        weights = _solve(within, share, diagonal, means.T)
        bias = np.log(counts / counts.sum()) - 0.5 * (means.T * weights).sum(axis=0)
        return cls(shift, scale, weights, bias)


def _solve(within: Values, share: float, diagonal: float, right: Values) -> Values:
    """Return the x of ``(share * within.T @ within + diagonal * I) x = right``, by the smaller of two systems."""
    num_examples, dim = within.shape
    if dim <= num_examples:
        return np.asarray(np.linalg.solve(share * (within.T @ within) + diagonal * np.eye(dim), right), np.float64)
    # Woodbury's identity.
    inner = np.linalg.solve(diagonal * np.eye(num_examples) + share * (within @ within.T), share * (within @ right))
    solved: Values = (right - within.T @ inner) / diagonal
    return solved
