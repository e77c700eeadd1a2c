"""Sufficient statistics of Gaussian mixtures: a monoid, in double precision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    """
    order = np.argsort(pdf_ids, kind="stable")
    bounds = np.searchsorted(pdf_ids[order], np.arange(gmms.num_pdfs + 1))
    features = features[order]
    weights = np.ones(len(order), np.float32) if weights is None else weights[order]
    stats = GmmStats.zero(gmms)
    loglike = 0.0
    for pdf in np.flatnonzero(np.diff(bounds)):
        frames = slice(bounds[pdf], bounds[pdf + 1])
        rows = slice(gmms.offsets[pdf], gmms.offsets[pdf + 1])
        posteriors = gmms.component_logits(features[frames], int(pdf))
        largest = posteriors.max(axis=1, keepdims=True)
        posteriors -= largest
        np.exp(posteriors, out=posteriors)
        total = posteriors.sum(axis=1, keepdims=True)
        loglike += float(np.dot(weights[frames].astype(np.float64), (largest + np.log(total))[:, 0]))
        posteriors *= weights[frames, None] / total
        stats.occupancy[rows] = posteriors.sum(axis=0, dtype=np.float64)
        # Sums around the frames' own mean: in float32 those of x and x² lose the variance where the mean is large.
        centre = features[frames].mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = features[frames] - centre
        first, mass = (posteriors.T @ centred).astype(np.float64), stats.occupancy[rows, None]
        stats.first[rows] = first + mass * centre
        stats.second[rows] = (
            posteriors.T @ (centred * centred) + 2.0 * centre * first + mass * centre.astype(np.float64) ** 2
        )
    return GmmStats(stats.occupancy, stats.first, stats.second, loglike, float(weights.sum(dtype=np.float64)))
