"""Gaussian mixtures as the emissions of a stand-alone HMM, on the mixtures and updates of the recogniser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import DataError, ModelError
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.stats import GmmStats, accumulate
from asrkit.gmm.update import GmmUpdateConfig, update
from asrkit.hmm.emissions import spread_seeds

Array = NDArray[Any]
Floats = NDArray[np.float64]

PLAIN_EM = GmmUpdateConfig(
    min_gaussian_occupancy=1e-3, min_gaussian_weight=0.0, min_variance=1e-6, remove_starved=False
)
"""Updates without Kaldi's thresholds for speech: nothing is removed, and floors are small."""


@dataclass(frozen=True, eq=False)
class GmmEmissions:
    """A diagonal-covariance Gaussian mixture a state; observations are (T, D). Follows ``hmm.emissions.Emissions``.

    Attributes
    ----------
    gmms : DiagGmms
        The mixture of state s is pdf s; its means are relative to ``origin``.
    origin : (D,) float64
        Taken off every observation before it becomes float32, so that data far from zero keep their digits.
    update_config : GmmUpdateConfig
        Floors of ``estimate`` (its mixing-up fields are not used).
    """

    gmms: DiagGmms
    origin: Floats
    update_config: GmmUpdateConfig = PLAIN_EM

    def __post_init__(self) -> None:
        if self.origin.shape != (self.gmms.dim,):
            raise ModelError(f"an origin of shape {self.origin.shape}, expected ({self.gmms.dim},)")

    @classmethod
    def from_parameters(
        cls, weights: Array, means: Array, variances: Array, update_config: GmmUpdateConfig = PLAIN_EM
    ) -> GmmEmissions:
        """Build from weights (S, M) that sum to 1 a state, means and variances (S, M, D)."""
        weights, means, variances = (np.asarray(array, dtype=np.float64) for array in (weights, means, variances))
        if means.ndim != 3 or weights.shape != means.shape[:2] or variances.shape != means.shape:
            raise ModelError(
                f"weights {weights.shape}, means {means.shape} and variances {variances.shape}, "
                "expected (S, M), (S, M, D) and (S, M, D)"
            )
        if not ((weights >= 0).all() and np.allclose(weights.sum(axis=1), 1, rtol=0, atol=1e-6)):
            raise ModelError(f"mixture weights {weights.tolist()}, expected rows that sum to 1")
        num_states, per_state, dim = means.shape
        origin = means.mean(axis=(0, 1))
        gmms = DiagGmms(
            weights.reshape(-1).astype(np.float32),
            (means - origin).reshape(-1, dim).astype(np.float32),
            variances.reshape(-1, dim).astype(np.float32),
            (per_state * np.arange(num_states + 1)).astype(np.int32),
        )
        return cls(gmms, origin, update_config)

    @classmethod
    def from_sequences(
        cls, sequences: Sequence[Array], num_states: int, per_state: int, rng: np.random.Generator
    ) -> GmmEmissions:
        """Return where EM can start: means around a k-means++ seed a state, the variance of all data."""
        frames = np.concatenate(sequences).astype(np.float64)
        centres = spread_seeds(frames, num_states, rng)
        spread = frames.std(axis=0)
        means = centres[:, None, :] + 0.3 * spread * rng.standard_normal((num_states, per_state, frames.shape[1]))
        variances = np.broadcast_to(np.maximum(spread**2, PLAIN_EM.min_variance), means.shape)
        return cls.from_parameters(np.full(means.shape[:2], 1.0 / per_state), means, variances)

    @property
    def num_states(self) -> int:
        """S."""
        return self.gmms.num_pdfs

    @property
    def means(self) -> Floats:
        """(num_gaussians, D) means, in the observations' own coordinates."""
        return self.gmms.means.astype(np.float64) + self.origin

    def loglikes(self, observations: Array) -> NDArray[np.float32]:
        """Return (T, S) log densities."""
        return self.gmms.loglikes(self._frames(observations))

    def zero_stats(self) -> GmmStats:
        """Return no moments."""
        return GmmStats.zero(self.gmms)

    def accumulate(self, stats: GmmStats, observations: Array, posteriors: Array) -> GmmStats:
        """Add the moments of every Gaussian: posterior of the state times that of the Gaussian within it."""
        times, states = np.nonzero(posteriors)
        frames = self._frames(observations)[times]
        weights = posteriors[times, states].astype(np.float32)
        return stats + accumulate(self.gmms, frames, states.astype(np.int32), weights)

    def estimate(self, stats: GmmStats) -> GmmEmissions:
        """Return the mixtures of greatest expected log-likelihood within the floors."""
        return replace(self, gmms=update(self.gmms, stats, self.update_config)[0])

    def sample(self, state: int, rng: np.random.Generator) -> Array:
        """Draw a (D,) vector."""
        first, end = self.gmms.offsets[state : state + 2]
        weights = self.gmms.weights[first:end].astype(np.float64)
        row = first + rng.choice(end - first, p=weights / weights.sum())
        noise = rng.standard_normal(self.gmms.dim)
        return self.origin + self.gmms.means[row] + np.sqrt(self.gmms.variances[row]) * noise

    def _frames(self, observations: Array) -> NDArray[np.float32]:
        if observations.ndim != 2 or observations.shape[1] != self.gmms.dim:
            raise DataError(f"observations of shape {observations.shape}, expected (T, {self.gmms.dim})")
        if not np.isfinite(observations).all():
            raise DataError(f"observation {np.flatnonzero(~np.isfinite(observations).all(axis=1))[0]} is not finite")
        return (observations - self.origin).astype(np.float32)
