"""Features of a stretch of time as one vector: statistics of an utterance, means over the parts of a segment."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import DataError

Statistic = Literal["mean", "max", "sd"]

SEGMENT_PARTS = (0.3, 0.7)
"""Where a segment is parted into beginning, middle and end (Clarkson and Moreno 1999: three parts, as 3 to 4 to 3)."""


def summary(frames: NDArray[np.float32], statistics: Sequence[Statistic]) -> NDArray[np.float32]:
    """Return statistics over time of each dimension, one statistic after the other.

    Parameters
    ----------
    frames : (T, D) float32
    statistics : sequence of {'mean', 'max', 'sd'}
        ``sd`` is the standard deviation, over T.

    Returns
    -------
    (len(statistics) * D,) float32

    Raises
    ------
    DataError
        There are no frames.
    """
    if not len(frames):
        raise DataError("no frames")
    wide = frames.astype(np.float64)
    made = {"mean": lambda: wide.mean(axis=0), "max": lambda: wide.max(axis=0), "sd": lambda: wide.std(axis=0)}
    return np.concatenate([made[name]() for name in statistics]).astype(np.float32)


def segment_summary(frames: NDArray[np.float32], start: float, end: float) -> NDArray[np.float32]:
    """Return the means over beginning, middle and end of a segment, and the log of its length.

    Parameters
    ----------
    frames : (T, D) float32
        Frame t stands for the time from t to t + 1.
    start, end : float
        Of the segment, in frames. Where it reaches beyond the frames, the nearest frame stands for what is not there.

    Returns
    -------
    (3 * D + 1,) float32
        A frame counts by what of it lies in a part. The length is in frames, its logarithm natural.

    Raises
    ------
    DataError
        There are no frames, or the segment ends where it starts or before.
    """
    if not len(frames) or not 0 <= start < end:
        raise DataError(f"a segment from {start:g} to {end:g} in {len(frames)} frames")
    edges = [start, *(start + share * (end - start) for share in SEGMENT_PARTS), end]
    last = len(frames) - 1
    parts = []
    for low, high in itertools.pairwise(edges):
        rows = np.arange(int(low), max(int(np.ceil(high)), int(low) + 1))
        weights = np.minimum(rows + 1, high) - np.maximum(rows, low)
        parts.append(weights @ frames[np.minimum(rows, last)] / weights.sum())
    return np.concatenate([*parts, [np.log(end - start)]]).astype(np.float32)
