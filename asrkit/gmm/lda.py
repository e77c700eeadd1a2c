"""Linear discriminant analysis: the directions in which classes lie farthest apart, within-class scatter whitened."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError, ModelError

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class LdaConfig:
    """How LDA is estimated (Kaldi's LdaEstimateOptions).

    Attributes
    ----------
    within_class_factor : float
        Within-class variance given to the transformed features; other than 1 for inputs of networks.
    remove_offset : bool
        Add a column that moves the mean of the data to zero.
    smoothing : float
        Added to the diagonal of a within-class covariance that is not positive definite, times its mean variance.
    """

    within_class_factor: float = 1.0
    remove_offset: bool = False
    smoothing: float = 1e-3

    def __post_init__(self) -> None:
        if self.within_class_factor < 0 or self.smoothing <= 0:
            raise ConfigError("within_class_factor must not be negative, and smoothing must be above 0")


@dataclass(frozen=True)
class LdaStats:
    """Statistics of labelled vectors; a monoid.

    Attributes
    ----------
    counts : float64, shape (num_classes,)
        Sum of weights.
    sums : float64, shape (num_classes, dim)
        Weighted sums of x.
    scatter : float64, shape (dim, dim)
        Weighted sum of x xᵀ of all classes.
    """

    counts: Doubles
    sums: Doubles
    scatter: Doubles

    @classmethod
    def zero(cls, num_classes: int, dim: int) -> LdaStats:
        """Return the neutral element."""
        return cls(np.zeros(num_classes), np.zeros((num_classes, dim)), np.zeros((dim, dim)))

    def __add__(self, other: LdaStats) -> LdaStats:
        return LdaStats(self.counts + other.counts, self.sums + other.sums, self.scatter + other.scatter)


def accumulate_lda(
    features: FloatArray, class_ids: IntArray, num_classes: int, weights: FloatArray | None = None
) -> LdaStats:
    """Return the statistics of labelled frames (Kaldi's acc-lda).

    Parameters
    ----------
    features : float32, shape (num_frames, dim)
        Usually spliced.
    class_ids : int32, shape (num_frames,)
        0-based; usually pdf_ids.
    num_classes : int
    weights : float32, shape (num_frames,), optional
        Default 1; 0 for silence, which Kaldi's steps/train_lda_mllt.sh leaves out.

    Raises
    ------
    ModelError
        Lengths disagree, or a class is not below ``num_classes``.
    """
    from scipy.sparse import csr_array

    if len(features) != len(class_ids) or (weights is not None and len(weights) != len(class_ids)):
        raise ModelError(f"{len(class_ids)} classes for {len(features)} frames")
    if len(class_ids) and not 0 <= class_ids.min() <= class_ids.max() < num_classes:
        raise ModelError(f"class {class_ids.max()} of {num_classes}")
    x = features.astype(np.float64)
    if weights is not None:
        kept = np.flatnonzero(weights)
        x, class_ids = x[kept], class_ids[kept]
        weight = weights[kept].astype(np.float64)
    else:
        weight = np.ones(len(x))
    members = csr_array((weight, class_ids, np.arange(len(x) + 1)), shape=(len(x), num_classes))
    counts: Doubles = np.bincount(class_ids, weight, minlength=num_classes).astype(np.float64)
    return LdaStats(counts, members.T.tocsr() @ x, (x.T * weight) @ x)


def estimate_lda(stats: LdaStats, target_dim: int, config: LdaConfig | None = None) -> tuple[FloatArray, Doubles]:
    """Return the projection that keeps the most discriminating directions (Kaldi's est-lda).

    In the projected space the within-class covariance is the identity, and the between-class covariance is diagonal
    with the eigenvalues, in falling order.

    Parameters
    ----------
    target_dim : int
        At most ``dim``, and less than the number of classes that were seen (there are no more directions).

    Returns
    -------
    matrix : float32, shape (target_dim, dim), or (target_dim, dim + 1) with ``remove_offset``
        Apply with :func:`asrkit.features.transform.apply_affine`. Of each row, the largest element is positive.
    eigenvalues : float64, shape (dim,)
        Ratio of between-class to within-class variance, falling; the first ``target_dim`` are kept.

    Raises
    ------
    ModelError
        Too few classes or dimensions, or constant features.
    """
    from scipy.linalg import cholesky, eigh, solve_triangular

    config = config or LdaConfig()
    dim = stats.sums.shape[1]
    seen = stats.counts > 0
    if not 0 < target_dim <= dim or target_dim >= seen.sum():
        raise ModelError(
            f"LDA to {target_dim} dimensions from {dim}, with {int(seen.sum())} classes seen",
            remedy="the target must be at most the dimension and less than the number of classes",
        )
    within, between, mean = _covariances(stats)
    try:
        root = cholesky(within, lower=True)
    except np.linalg.LinAlgError:
        within[np.diag_indices(dim)] += config.smoothing * np.trace(within) / dim
        try:
            root = cholesky(within, lower=True)
        except np.linalg.LinAlgError:
            raise ModelError("LDA of features that do not vary within their classes") from None
    whitened = solve_triangular(root, solve_triangular(root, between, lower=True).T, lower=True)
    eigenvalues, directions = eigh((whitened + whitened.T) / 2)
    eigenvalues, directions = eigenvalues[::-1].copy(), directions[:, ::-1]
    matrix = solve_triangular(root, directions[:, :target_dim], lower=True, trans="T").T
    # An eigenvector's sign means nothing and differs between LAPACKs: fix it.
    largest = np.argmax(np.abs(matrix), axis=1)
    matrix *= np.sign(matrix[np.arange(target_dim), largest])[:, None]
    if config.within_class_factor != 1.0:
        kept = np.maximum(eigenvalues[:target_dim], 0.0)
        matrix *= np.sqrt((config.within_class_factor + kept) / (1.0 + kept))[:, None]
    if config.remove_offset:
        matrix = np.hstack([matrix, -(matrix @ mean)[:, None]])
    return matrix.astype(np.float32), eigenvalues


def _covariances(stats: LdaStats) -> tuple[Doubles, Doubles, Doubles]:
    """Return within-class and between-class covariance and the mean."""
    total = stats.counts.sum()
    mean = stats.sums.sum(axis=0) / total
    seen = stats.counts > 0
    class_means = stats.sums[seen] / stats.counts[seen, None]
    between = (class_means.T * (stats.counts[seen] / total)) @ class_means - np.outer(mean, mean)
    covariance = stats.scatter / total - np.outer(mean, mean)
    return covariance - between, between, mean
