"""Posteriors of single Gaussians at each frame, given its pdfs: what transforms are estimated from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ModelError
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.stats import GmmStats

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]
Doubles = NDArray[np.float64]

FRAMES_AT_ONCE = 256
"""Frames whose outer products are held together: 1.7 MB of doubles at 40 dimensions."""


@dataclass(frozen=True)
class GaussianPosteriors:
    """For each frame the Gaussians that may have made it, in compressed rows (Kaldi's GaussPost).

    Attributes
    ----------
    starts : int64, shape (num_frames + 1,)
        The pairs ``starts[t]`` to ``starts[t + 1]`` belong to frame t.
    gaussians : int32, shape (num_pairs,)
        Row of the Gaussian in its :class:`DiagGmms`, 0-based.
    values : float64, shape (num_pairs,)
        Weight of the pdf at that frame times the posterior of the Gaussian within the pdf.
    loglike : float
        Sum over frames and pdfs of weight times log-likelihood, under the model that made the posteriors.
    """

    starts: NDArray[np.int64]
    gaussians: IntArray
    values: Doubles
    loglike: float

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return len(self.starts) - 1

    @property
    def count(self) -> float:
        """Sum of all posteriors."""
        return float(self.values.sum())

    def occupancy(self, num_gaussians: int) -> Doubles:
        """Return the sum of posteriors of each Gaussian, float64."""
        return np.bincount(self.gaussians, self.values, minlength=num_gaussians).astype(np.float64)

    def matrix(self, num_gaussians: int) -> Any:
        """Return the same as a scipy CSR array (num_frames, num_gaussians) float64."""
        from scipy.sparse import csr_array

        return csr_array((self.values, self.gaussians, self.starts), shape=(self.num_frames, num_gaussians))


def gaussian_posteriors(
    gmms: DiagGmms,
    features: FloatArray,
    pdf_ids: IntArray,
    weights: FloatArray | None = None,
    frame_index: IntArray | None = None,
) -> GaussianPosteriors:
    """Return the posteriors of the Gaussians of known pdfs (Kaldi's gmm-post-to-gpost).

    Parameters
    ----------
    features : float32, shape (num_frames, dim)
    pdf_ids : int32, shape (n,)
        A pdf at a frame, 0-based.
    weights : float32, shape (n,), optional
        Posterior of that pdf at that frame, or any other weight; default 1. Pairs of weight 0 cost nothing.
    frame_index : int32, shape (n,), optional
        The frame of each, 0-based; default one pdf a frame, in order.

    Raises
    ------
    ModelError
        Shapes disagree, or the model has another dimension.
    """
    from asrkit.gmm.transform_kernels import pair_posteriors

    pdf_ids = np.asarray(pdf_ids, np.int64)
    index = np.arange(len(pdf_ids)) if frame_index is None else np.asarray(frame_index, np.int64)
    weight = np.ones(len(pdf_ids)) if weights is None else np.asarray(weights, np.float64)
    _check(gmms, features, pdf_ids, weight, index, one_each=frame_index is None)
    kept = np.flatnonzero(weight)
    order = kept[np.argsort(index[kept], kind="stable")]
    pdfs, weight, index = pdf_ids[order], weight[order], index[order]
    sizes = np.diff(gmms.offsets)[pdfs].astype(np.int64)
    begins = np.cumsum(sizes) - sizes
    gaussians = np.empty(sizes.sum(), np.int32)
    values = np.empty(len(gaussians))
    loglike = pair_posteriors(
        np.ascontiguousarray(features, np.float32),
        *gmms.precision_form,
        gmms.offsets,
        index,
        pdfs,
        weight,
        begins,
        gaussians,
        values,
    )
    if not np.isfinite(loglike):
        raise ModelError("a frame has no likelihood under its pdf", remedy="are there NaN or infinite features?")
    pairs = np.bincount(index, sizes, minlength=len(features)).astype(np.int64)
    return GaussianPosteriors(np.concatenate([[0], np.cumsum(pairs)]), gaussians, values, float(loglike))


def accumulate_twofeats(
    gmms: DiagGmms,
    features: FloatArray,
    stats_features: FloatArray,
    pdf_ids: IntArray,
    weights: FloatArray | None = None,
    frame_index: IntArray | None = None,
) -> GmmStats:
    """Return statistics of one version of the features with posteriors from another (Kaldi's gmm-acc-stats-twofeats).

    With adapted features for the posteriors and unadapted ones for the statistics, the update gives the alignment
    model of speaker-adaptive training.

    Parameters
    ----------
    gmms : DiagGmms
        Model that makes the posteriors.
    features : float32, shape (num_frames, dim)
        What it sees.
    stats_features : float32, shape (num_frames, other_dim)
        What is summed, frame by frame the same.
    pdf_ids, weights, frame_index
        See :func:`gaussian_posteriors`.
    """
    if len(stats_features) != len(features):
        raise ModelError(f"{len(features)} frames for the posteriors, {len(stats_features)} for the statistics")
    posteriors = gaussian_posteriors(gmms, features, pdf_ids, weights, frame_index)
    turned = posteriors.matrix(gmms.num_gaussians).T.tocsr()
    summed = stats_features.astype(np.float64)
    return GmmStats(
        posteriors.occupancy(gmms.num_gaussians),
        turned @ summed,
        turned @ summed**2,
        posteriors.loglike,
        posteriors.count,
    )


def precision_sums(gmms: DiagGmms, posteriors: GaussianPosteriors) -> tuple[NDArray[np.int64], Doubles, Doubles]:
    """Return the frames of any weight, and for each the posterior sums of mean / variance and of 1 / variance.

    With these two rows a frame's part in the auxiliary function of any linear transform is known, however many
    Gaussians and pdfs it has.

    Returns
    -------
    frames : int64, shape (n,)
    linear, quadratic : float64, shape (n, dim)
    """
    frames = np.flatnonzero(np.diff(posteriors.starts))
    precisions = 1.0 / gmms.variances.astype(np.float64)
    rows = posteriors.matrix(gmms.num_gaussians)
    return frames, (rows @ (gmms.means * precisions))[frames], (rows @ precisions)[frames]


def weighted_scatters(weights: Doubles, features: Doubles) -> Doubles:
    """Return for each column j of the weights the matrix ``sum_n weights[n, j] x_n x_nᵀ``, shape (J, D, D).

    One matrix product: weights, transposed, times the upper triangles of the outer products.
    """
    from asrkit.gmm.transform_kernels import triangle_products

    num_frames, dim = features.shape
    rows, columns = np.triu_indices(dim)
    sums = np.zeros((weights.shape[1], len(rows)))
    products = np.empty((min(FRAMES_AT_ONCE, num_frames), len(rows)))
    for start in range(0, num_frames, FRAMES_AT_ONCE):
        piece = features[start : start + FRAMES_AT_ONCE]
        triangle_products(np.ascontiguousarray(piece), products)
        sums += weights[start : start + FRAMES_AT_ONCE].T @ products[: len(piece)]
    scatters = np.empty((weights.shape[1], dim, dim))
    scatters[:, rows, columns] = sums
    scatters[:, columns, rows] = sums
    return scatters


def _check(
    gmms: DiagGmms,
    features: FloatArray,
    pdf_ids: NDArray[Any],
    weights: Doubles,
    index: NDArray[np.int64],
    one_each: bool,
) -> None:
    if features.ndim != 2 or features.shape[1] != gmms.dim:
        raise ModelError(f"features of shape {features.shape}, the model expects {gmms.dim} columns")
    if len(weights) != len(pdf_ids) or len(index) != len(pdf_ids):
        raise ModelError(f"{len(pdf_ids)} pdfs, {len(weights)} weights and {len(index)} frame numbers")
    if one_each and len(pdf_ids) != len(features):
        raise ModelError(f"{len(pdf_ids)} pdfs for {len(features)} frames")
    for what, ids, number in (("pdf", pdf_ids, gmms.num_pdfs), ("frame", index, len(features))):
        if len(ids) and not 0 <= ids.min() <= ids.max() < number:
            raise ModelError(f"{what}s from {ids.min()} to {ids.max()}, there are {number} (0-based)")
