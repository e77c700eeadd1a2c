"""How well differently warped features of the same speech fit a model: a score that no scaling can raise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ModelError
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.posteriors import gaussian_posteriors

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class WarpStats:
    """Weighted sums over frames x of a speaker, for one warp: a monoid under ``+`` with :meth:`zero`.

    Densities of features x and y = A x + b of the same frames cannot be compared: p(x) = p(y) |det A|, and features
    that shrink to a point have the highest density of all. A warp is close to such a map (Pitz and Ney 2005, "Vocal
    tract normalization equals linear transformation in cepstral space"), with an A that nobody has written
    down; but whatever A is, log |det A| = ½ log det cov(y) − ½ log det cov(x). So

        score = sum of log p(y) + n · ½ log det cov(y)

    is, but for a constant of the speaker, the log-likelihood of x under the model seen through the map. (Uebel and
    Woodland 1999 reach the same end by normalising variances.) Read otherwise, it is the log ratio of the model's
    likelihood and that of the single Gaussian that fits y best, which no scaling changes.

    Attributes
    ----------
    loglike : float
        Sum of weighted log-likelihoods, natural log.
    count : float
        Sum of weights, n.
    total : (D,) float64
        Sum of x.
    scatter : (D, D) float64
        Sum of x xᵀ.
    """

    loglike: float
    count: float
    total: Doubles
    scatter: Doubles

    @classmethod
    def zero(cls, dim: int) -> WarpStats:
        """Return the statistics of no frames."""
        return cls(0.0, 0.0, np.zeros(dim), np.zeros((dim, dim)))

    @classmethod
    def of(
        cls, gmms: DiagGmms, features: NDArray[np.float32], pdf_ids: NDArray[np.int32], weights: NDArray[Any]
    ) -> WarpStats:
        """Return the statistics of frames (T, D) whose pdfs (T,) are known; frames of weight 0 play no part."""
        loglike = gaussian_posteriors(gmms, features, pdf_ids, weights.astype(np.float32)).loglike
        values, weight = features.astype(np.float64), weights.astype(np.float64)
        weighted = values * weight[:, None]
        return cls(loglike, float(weight.sum()), weighted.sum(axis=0), weighted.T @ values)

    def __add__(self, other: WarpStats) -> WarpStats:
        return WarpStats(
            self.loglike + other.loglike,
            self.count + other.count,
            self.total + other.total,
            self.scatter + other.scatter,
        )

    @property
    def log_volume(self) -> float:
        """½ log det of the covariance, −inf where the frames span no volume."""
        mean = self.total / self.count
        sign, log_det = np.linalg.slogdet(self.scatter / self.count - np.outer(mean, mean))
        return 0.5 * float(log_det) if sign > 0 else -np.inf

    @property
    def score(self) -> float:
        """The log-likelihood that can be compared between warps, up to a constant of the speaker.

        Raises
        ------
        ModelError
            There are too few frames for a covariance.
        """
        if self.count <= len(self.total) or not np.isfinite(self.log_volume):
            raise ModelError(f"{self.count:g} frames have no covariance of {len(self.total)} dimensions")
        return self.loglike + self.count * self.log_volume
