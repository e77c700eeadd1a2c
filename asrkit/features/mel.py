"""The mel scale and its triangular filterbank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from asrkit.core.errors import ConfigError
from asrkit.features.config import FrontEndConfig
from asrkit.features.warp import Warp


def mel_scale(frequency_hz: ArrayLike) -> NDArray[np.float64]:
    """Return the mel value of frequencies in Hz: 1127 log(1 + f / 700)."""
    return 1127.0 * np.log1p(np.asarray(frequency_hz, dtype=np.float64) / 700.0)


def inverse_mel_scale(mel: ArrayLike) -> NDArray[np.float64]:
    """Return the frequencies in Hz of mel values."""
    return 700.0 * np.expm1(np.asarray(mel, dtype=np.float64) / 1127.0)


@dataclass(frozen=True)
class MelBanks:
    """Triangular bins, equidistant on the mel scale, as one matrix over the bins of the FFT.

    Attributes
    ----------
    weights : (fft_size / 2, num_mel_bins) float32
        ``power @ weights`` are the mel energies; the Nyquist bin is left out, as Kaldi does.
    centers_hz : (num_mel_bins,) float64
        Frequencies of the peaks.
    """

    weights: NDArray[np.float32]
    centers_hz: NDArray[np.float64]

    @classmethod
    def build(cls, config: FrontEndConfig, vtln_warp: float) -> MelBanks:
        """Build the filterbank of a front end for one VTLN warp factor.

        Raises
        ------
        ConfigError
            A bin is so narrow that no point of the FFT falls into it, or the warp does not fit.
        """
        edges = np.linspace(mel_scale(config.low_freq), mel_scale(config.high_hz), config.num_mel_bins + 2)
        if vtln_warp != 1.0:
            warp = Warp(vtln_warp, config.low_freq, config.high_hz, config.vtln_low, config.vtln_high_hz)
            edges = mel_scale(warp(inverse_mel_scale(edges)))
        left, center, right = edges[:-2], edges[1:-1], edges[2:]
        points = np.arange(config.fft_size // 2) * (config.sample_rate_hz / config.fft_size)
        mel = mel_scale(points)[:, None]
        rising = (mel - left) / (center - left)
        falling = (right - mel) / (right - center)
        weights = np.maximum(0.0, np.minimum(rising, falling))
        empty = np.flatnonzero(~weights.any(axis=0))
        if empty.size:
            raise ConfigError(
                f"mel bin {empty[0]} of {config.num_mel_bins} holds no point of the FFT of {config.fft_size}",
                remedy="lower num_mel_bins, or widen low_freq .. high_freq or frame_length_ms",
            )
        return cls(np.ascontiguousarray(weights, dtype=np.float32), inverse_mel_scale(center))
