"""Deltas: slopes of the features over time, of any order (Kaldi's add-deltas)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def delta_filters(order: int, window: int) -> list[NDArray[np.float32]]:
    """Return the filters of orders 0 .. ``order``; filter i has ``2 i window + 1`` taps, centred.

    Each order is the regression slope over ``2 window + 1`` points of the one before:
    ``sum_j j x[t + j] / sum_j j**2``.
    """
    slope = np.arange(-window, window + 1, dtype=np.float64)
    slope /= np.sum(slope**2)
    filters = [np.ones(1)]
    for _ in range(order):
        filters.append(np.convolve(filters[-1], slope))
    return [taps.astype(np.float32) for taps in filters]


def add_deltas(features: NDArray[np.float32], order: int = 2, window: int = 2) -> NDArray[np.float32]:
    """Return the features with their deltas of orders 1 .. ``order`` behind them.

    Parameters
    ----------
    features : (T, D) float32
    order : int
        >= 0.
    window : int
        Frames to each side, >= 1.

    Returns
    -------
    (T, D * (order + 1)) float32
        The first and last frame stand for those beyond the ends.
    """
    num_frames, dim = features.shape
    result = np.zeros((num_frames, dim * (order + 1)), dtype=np.float32)
    if num_frames == 0:
        return result
    reach = order * window
    padded = np.pad(features, ((reach, reach), (0, 0)), mode="edge")
    for i, taps in enumerate(delta_filters(order, window)):
        column = result[:, i * dim : (i + 1) * dim]
        first = reach - len(taps) // 2
        for j, tap in enumerate(taps):
            if tap != 0:
                column += tap * padded[first + j : first + j + num_frames]
    return result
