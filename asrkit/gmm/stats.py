"""Sufficient statistics of Gaussian mixtures: a monoid, in double precision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ModelError
from asrkit.gmm.diag import DiagGmms

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]


@dataclass(frozen=True)
class GmmStats:
    """Zeroth, first and second order statistics of every Gaussian.

    Attributes
    ----------
    occupancy : float64, shape (num_gaussians,)
        Sum of posteriors.
    first, second : float64, shape (num_gaussians, dim)
        Posterior-weighted sums of x and of x².
    loglike : float
        Sum over frames of the weighted log-likelihood under the model that made the posteriors.
    num_frames : float
        Sum of the frames' weights.
    """

    occupancy: NDArray[np.float64]
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    loglike: float = 0.0
    num_frames: float = 0.0

    @classmethod
    def zero(cls, gmms: DiagGmms) -> GmmStats:
        """Return the neutral element for a model of this shape."""
        return cls(np.zeros(gmms.num_gaussians), np.zeros(gmms.means.shape), np.zeros(gmms.means.shape))

    def __add__(self, other: GmmStats) -> GmmStats:
        return GmmStats(
            self.occupancy + other.occupancy,
            self.first + other.first,
            self.second + other.second,
            self.loglike + other.loglike,
            self.num_frames + other.num_frames,
        )


def accumulate(gmms: DiagGmms, features: FloatArray, pdf_ids: IntArray, weights: FloatArray | None = None) -> GmmStats:
    """Return the statistics of frames whose pdfs are known, the Gaussian within the pdf being hidden.

    Parameters
    ----------
    features : float32, shape (n, dim)
        Frames; the same frame may occur several times, with different pdfs.
    pdf_ids : int32, shape (n,)
        The pdf of each.
    weights : float32, shape (n,), optional
        Posterior of the pdf at that frame; default 1.

    Raises
    ------
    ModelError
        The features have another dimension than the model, or it has no such pdf.
    """
    from asrkit.gmm.kernels import mixture_sums

    gmms.check_features(features)
    if len(pdf_ids) and not 0 <= pdf_ids.min() <= pdf_ids.max() < gmms.num_pdfs:
        raise ModelError(f"pdfs from {pdf_ids.min()} to {pdf_ids.max()}, there are {gmms.num_pdfs} (0-based)")
    stats = GmmStats.zero(gmms)
    weights = np.ones(len(pdf_ids), np.float32) if weights is None else np.ascontiguousarray(weights, np.float32)
    loglike = mixture_sums(
        np.ascontiguousarray(features, np.float32),
        *gmms.precision_form,
        gmms.offsets,
        np.ascontiguousarray(pdf_ids, np.int32),
        weights,
        stats.occupancy,
        stats.first,
        stats.second,
    )
    return GmmStats(stats.occupancy, stats.first, stats.second, loglike, float(weights.sum(dtype=np.float64)))
