"""Cepstral mean and variance normalisation: statistics, and their use per speaker, utterance or sliding window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import DataError

VARIANCE_FLOOR = 1.0e-20
SLIDING_VARIANCE_FLOOR = 1.0e-10


@dataclass(frozen=True, eq=False)
class CmvnStats:
    """Sums over frames: a monoid under ``+`` with :meth:`zero`.

    Attributes
    ----------
    count : float
        Frames.
    total, squares : (D,) float64
        Sums of the features and of their squares.
    """

    count: float
    total: NDArray[np.float64]
    squares: NDArray[np.float64]

    @classmethod
    def zero(cls, dim: int) -> CmvnStats:
        """Return the statistics of no frames."""
        return cls(0.0, np.zeros(dim), np.zeros(dim))

    @classmethod
    def of(cls, features: NDArray[Any]) -> CmvnStats:
        """Return the statistics of features (T, D)."""
        values = features.astype(np.float64)
        return cls(float(len(values)), values.sum(axis=0), np.einsum("td,td->d", values, values))

    @classmethod
    def from_matrix(cls, matrix: NDArray[Any]) -> CmvnStats:
        """Read Kaldi's (2, D + 1) matrix: sums and count, then squares and 0.

        Raises
        ------
        DataError
            The matrix has another shape.
        """
        if matrix.ndim != 2 or matrix.shape[0] != 2 or matrix.shape[1] < 2:
            raise DataError(f"CMVN statistics of shape {matrix.shape}, expected (2, dimension + 1)")
        values = matrix.astype(np.float64)
        return cls(float(values[0, -1]), values[0, :-1], values[1, :-1])

    def to_matrix(self) -> NDArray[np.float64]:
        """Return Kaldi's (2, D + 1) matrix."""
        matrix = np.zeros((2, len(self.total) + 1))
        matrix[0, :-1], matrix[1, :-1], matrix[0, -1] = self.total, self.squares, self.count
        return matrix

    def __add__(self, other: CmvnStats) -> CmvnStats:
        return CmvnStats(self.count + other.count, self.total + other.total, self.squares + other.squares)

    @property
    def dim(self) -> int:
        """Features a frame."""
        return len(self.total)

    def mean(self) -> NDArray[np.float64]:
        """Return the mean of each feature, (D,)."""
        return self.total / self.count

    def variance(self, floor: float = VARIANCE_FLOOR) -> NDArray[np.float64]:
        """Return the variance of each feature, (D,), at least ``floor``."""
        return np.maximum(self.squares / self.count - self.mean() ** 2, floor)


def apply_cmvn(
    features: NDArray[np.float32],
    stats: CmvnStats,
    norm_means: bool = True,
    norm_vars: bool = False,
    variance_floor: float = VARIANCE_FLOOR,
) -> NDArray[np.float32]:
    """Subtract the mean and, with ``norm_vars``, divide by the standard deviation (Kaldi's apply-cmvn).

    Parameters
    ----------
    features : (T, D) float32
    stats : CmvnStats
        Of the speaker or utterance; at least one frame.

    Returns
    -------
    (T, D) float32

    Raises
    ------
    DataError
        The statistics are of another dimension, or of no frames.
    """
    if not norm_means and not norm_vars:
        return features
    if stats.dim != features.shape[1]:
        raise DataError(
            f"CMVN statistics of dimension {stats.dim} for features of dimension {features.shape[1]}",
            remedy="extract features and statistics again, together",
        )
    if stats.count < 1.0:
        raise DataError(f"CMVN statistics of {stats.count:g} frames", remedy="leave out speakers without speech")
    scale = 1.0 / np.sqrt(stats.variance(variance_floor)) if norm_vars else np.ones(stats.dim)
    offset = -stats.mean() * scale if norm_means else np.zeros(stats.dim)
    return (features * scale + offset).astype(np.float32)


def sliding_windows(num_frames: int, cmn_window: int, min_window: int, center: bool) -> NDArray[np.int64]:
    """Return the window of each frame as (T, 2) [start, end), moved inwards at the ends (Kaldi's SlidingWindowCmn)."""
    t = np.arange(num_frames, dtype=np.int64)
    if center:
        start = t - cmn_window // 2
        end = start + cmn_window
    else:
        start = t - cmn_window
        end = t + 1
    end = np.where(start < 0, end - start, end)
    start = np.maximum(start, 0)
    if not center:
        end = np.where(end > t, np.maximum(t + 1, min_window), end)
    over = np.maximum(end - num_frames, 0)
    return np.stack([np.maximum(start - over, 0), end - over], axis=1)


def apply_sliding_cmvn(
    features: NDArray[np.float32],
    cmn_window: int = 600,
    min_cmn_window: int = 100,
    center: bool = False,
    norm_vars: bool = False,
    variance_floor: float = SLIDING_VARIANCE_FLOOR,
) -> NDArray[np.float32]:
    """Normalise each frame by the mean (and variance) of a window around or before it (Kaldi's apply-cmvn-sliding).

    Parameters
    ----------
    features : (T, D) float32
    cmn_window : int
        Frames of the window.
    min_cmn_window : int
        Smallest window at the beginning of an utterance; of no effect with ``center``.
    center : bool
        The window lies around the frame, not before it.
    norm_vars : bool
        A window of a single frame gives 0, as in Kaldi.

    Returns
    -------
    (T, D) float32
    """
    values = features.astype(np.float64)
    window = sliding_windows(len(values), cmn_window, min_cmn_window, center)
    start, end = window[:, 0], window[:, 1]
    count = (end - start)[:, None].astype(np.float64)
    # Sums of differences from a constant lose no digits to a large offset.
    values -= values.mean(axis=0) if len(values) else 0.0
    mean = _window_sums(values, start, end) / count
    result = values - mean
    if norm_vars:
        variance = np.maximum(_window_sums(values**2, start, end) / count - mean**2, variance_floor)
        result = np.where(count == 1, 0.0, result / np.sqrt(variance))
    return result.astype(np.float32)


def _window_sums(values: NDArray[np.float64], start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.float64]:
    sums = np.zeros((len(values) + 1, values.shape[1]))
    np.cumsum(values, axis=0, out=sums[1:])
    return sums[end] - sums[start]
