"""MLLT (one global semi-tied covariance): the square transform under which diagonal Gaussians fit best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ModelError
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.posteriors import GaussianPosteriors, gaussian_posteriors, precision_sums, weighted_scatters
from asrkit.gmm.row_update import best_rows

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]
Doubles = NDArray[np.float64]

NUM_ITERS = 200
"""Sweeps over the rows, Kaldi's number."""

GAUSSIANS_AT_ONCE = 512
"""Gaussians whose outer products are held together: 6.5 MB of doubles at 40 dimensions."""


@dataclass(frozen=True)
class MlltStats:
    """Statistics of the transform; a monoid (Kaldi's MlltAccs).

    Attributes
    ----------
    count : float
        Sum of posteriors (beta).
    scatters : float64, shape (dim, dim, dim)
        For each dimension d the sum of ``posterior / variance[d] (x − mean)(x − mean)ᵀ`` (G).
    """

    count: float
    scatters: Doubles

    @classmethod
    def zero(cls, dim: int) -> MlltStats:
        """Return the neutral element."""
        return cls(0.0, np.zeros((dim, dim, dim)))

    def __add__(self, other: MlltStats) -> MlltStats:
        return MlltStats(self.count + other.count, self.scatters + other.scatters)


def accumulate_mllt(
    gmms: DiagGmms,
    features: FloatArray,
    pdf_ids: IntArray,
    weights: FloatArray | None = None,
    frame_index: IntArray | None = None,
) -> MlltStats:
    """Return the statistics of frames whose pdfs are known (Kaldi's gmm-acc-mllt).

    Parameters
    ----------
    features : float32, shape (num_frames, dim)
        As the model sees them: after the transform that is to be followed by the new one.
    pdf_ids, weights, frame_index
        See :func:`asrkit.gmm.posteriors.gaussian_posteriors`. Kaldi gives silence the weight 0.

    Notes
    -----
    Kaldi prunes posteriors at random (``--rand-prune=4``) because it adds an outer product for each Gaussian. Here
    the sum over the Gaussians of a frame is taken first, so all of them cost no more than one, and the sums are the
    ones that Kaldi's estimate on average.
    """
    return accumulate_mllt_from_gaussians(
        gmms, features, gaussian_posteriors(gmms, features, pdf_ids, weights, frame_index)
    )


def accumulate_mllt_from_gaussians(gmms: DiagGmms, features: FloatArray, posteriors: GaussianPosteriors) -> MlltStats:
    """Return the statistics with given posteriors of the model's Gaussians."""
    frames, _, quadratic = precision_sums(gmms, posteriors)
    x = features.astype(np.float64)
    means = gmms.means.astype(np.float64)
    precisions = 1.0 / gmms.variances.astype(np.float64)
    occupancy = posteriors.occupancy(gmms.num_gaussians)
    first = posteriors.matrix(gmms.num_gaussians).T.tocsr() @ x
    # sum of γ (x − μ)(x − μ)ᵀ = sum of γ x xᵀ − (crossed + crossedᵀ), with half of n μ μᵀ taken from each side
    crossed = first - 0.5 * occupancy[:, None] * means
    dim = gmms.dim
    sums = np.zeros((dim, dim * dim))
    for start in range(0, gmms.num_gaussians, GAUSSIANS_AT_ONCE):
        rows = slice(start, start + GAUSSIANS_AT_ONCE)
        pairs = crossed[rows, :, None] * means[rows, None, :]
        sums += precisions[rows].T @ pairs.reshape(-1, dim * dim)
    mixed = sums.reshape(dim, dim, dim)
    scatters = weighted_scatters(quadratic, x[frames]) - mixed - mixed.transpose(0, 2, 1)
    return MlltStats(posteriors.count, scatters)


def mllt_objective(stats: MlltStats, matrix: NDArray[np.floating]) -> float:
    """Return the part of the log-likelihood per frame that depends on the transform (Gales 1999, eq. 21)."""
    rows = matrix.astype(np.float64)
    quadratic = np.einsum("di,dij,dj->", rows, stats.scatters, rows)
    return float(np.linalg.slogdet(rows)[1] - 0.5 * quadratic / stats.count)


def estimate_mllt(stats: MlltStats, num_iters: int = NUM_ITERS) -> tuple[FloatArray, float]:
    """Return the transform of the greatest likelihood, its rows updated in turn (Kaldi's est-mllt).

    Each row is replaced by the best one given the others (Gales 1999, Semi-tied covariance matrices for hidden
    Markov models, eq. 22), so the objective never falls.

    Parameters
    ----------
    num_iters : int
        Sweeps over all rows.

    Returns
    -------
    matrix : float32, shape (dim, dim)
        Multiplies features and, by :func:`transform_means`, the model's means.
    gain : float
        Rise of the objective over that of the identity, per frame, natural log.

    Raises
    ------
    ModelError
        Too few frames for the statistics to have full rank.
    """
    dim = len(stats.scatters)
    try:
        matrix = best_rows(stats.scatters, np.zeros((dim, dim)), stats.count, num_iters)
    except np.linalg.LinAlgError:
        raise ModelError(f"MLLT of {dim} dimensions from {stats.count:.0f} frames, which do not span them") from None
    return matrix.astype(np.float32), mllt_objective(stats, matrix) - mllt_objective(stats, np.eye(dim))


def transform_means(gmms: DiagGmms, matrix: NDArray[np.floating]) -> DiagGmms:
    """Return the model with its means multiplied by the matrix, variances kept (Kaldi's gmm-transform-means).

    Parameters
    ----------
    matrix : shape (dim, dim)

    Raises
    ------
    ModelError
        The shape does not fit.
    """
    if matrix.shape != (gmms.dim, gmms.dim):
        raise ModelError(f"a transform of shape {matrix.shape} for means of dimension {gmms.dim}")
    means = gmms.means.astype(np.float64) @ matrix.astype(np.float64).T
    return DiagGmms(gmms.weights, means.astype(np.float32), gmms.variances, gmms.offsets)
