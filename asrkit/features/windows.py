"""Window functions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError
from asrkit.features.config import WindowType


def window(kind: WindowType, length: int, blackman_coeff: float = 0.42) -> NDArray[np.float32]:
    """Return the symmetric window of ``length`` samples (Kaldi's feature-window.cc).

    Parameters
    ----------
    kind : str
        ``povey`` is a Hann window to the power 0.85: like Hamming, but zero at the edges.
    length : int
        Samples, >= 2.
    blackman_coeff : float
        The constant term of ``blackman``.

    Returns
    -------
    (length,) float32, in [0, 1]
    """
    phase = 2 * np.pi * np.arange(length) / (length - 1)
    hann = 0.5 - 0.5 * np.cos(phase)
    if kind == "povey":
        shape = hann**0.85
    elif kind == "hanning":
        shape = hann
    elif kind == "hamming":
        shape = 0.54 - 0.46 * np.cos(phase)
    elif kind == "sine":
        shape = np.sin(0.5 * phase)
    elif kind == "rectangular":
        shape = np.ones(length)
    elif kind == "blackman":
        shape = blackman_coeff - 0.5 * np.cos(phase) + (0.5 - blackman_coeff) * np.cos(2 * phase)
    else:
        raise ConfigError(f"window_type is {kind!r}, expected povey, hamming, hanning, rectangular, blackman or sine")
    return shape.astype(np.float32)
