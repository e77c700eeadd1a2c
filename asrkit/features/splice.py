"""Splicing: each frame with its neighbours (Kaldi's splice-feats)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def splice(features: NDArray[np.float32], left: int, right: int) -> NDArray[np.float32]:
    """Return each frame together with ``left`` frames before and ``right`` frames after it, earliest first.

    Parameters
    ----------
    features : (T, D) float32
    left, right : int
        >= 0.

    Returns
    -------
    (T, D * (left + 1 + right)) float32
        The first and last frame stand for those beyond the ends.
    """
    if left == 0 and right == 0:
        return features
    num_frames, dim = features.shape
    width = left + 1 + right
    if num_frames == 0:
        return np.zeros((0, dim * width), dtype=features.dtype)
    padded = np.ascontiguousarray(np.pad(features, ((left, right), (0, 0)), mode="edge"))
    # Neighbouring frames lie side by side in memory: a spliced row is a stretch of `width * dim` values.
    rows = np.lib.stride_tricks.as_strided(padded, (num_frames, width * dim), padded.strides, writeable=False)
    return np.ascontiguousarray(rows)
