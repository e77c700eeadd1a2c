"""Perceptual linear prediction: from the power spectrum to the cepstra of an all-pole model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asrkit.features.config import FrontEndConfig
from asrkit.features.mel import MelBanks
from asrkit.features.mfcc import lifter


def equal_loudness(frequency_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the approximate equal-loudness weight of frequencies (Hermansky 1990, eq. 4, as in HTK and Kaldi)."""
    squared = frequency_hz**2
    return (squared / (squared + 1.6e5)) ** 2 * (squared + 1.44e6) / (squared + 9.61e6)


def autocorrelation_bases(order: int, num_bins: int) -> NDArray[np.float64]:
    """Return (num_bins, order + 1): a real spectrum times this is its autocorrelation at lags 0 .. order.

    The spectrum is continued at both ends by its first and last value (they fold into the first and last row).
    """
    points = num_bins + 2
    lags = np.arange(order + 1)
    angles = np.pi / (points - 1) * np.arange(points)[:, None] * lags
    bases = np.cos(angles) / (points - 1)
    bases[[0, -1]] *= 0.5
    folded = bases[1:-1].copy()
    folded[0] += bases[0]
    folded[-1] += bases[-1]
    return folded


class Plp:
    """Turns power spectra into PLP cepstra (Kaldi's feature-plp.cc, Hermansky 1990).

    Mel energies are floored by ``mel_energy_floor``, which Kaldi does not do: it gives NaN for digital silence.
    """

    def __init__(self, config: FrontEndConfig, vtln_warp: float) -> None:
        self._config = config
        banks = MelBanks.build(config, vtln_warp)
        self._weights = banks.weights
        self._loudness = equal_loudness(banks.centers_hz).astype(np.float32)
        self._bases = autocorrelation_bases(config.lpc_order, config.num_mel_bins).astype(np.float32)
        self._scale = (lifter(config.cepstral_lifter, config.num_ceps) * config.cepstral_scale).astype(np.float32)

    def __call__(self, power: NDArray[np.float32], log_energies: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (n, num_ceps) float32 from ``power`` (n, fft_size / 2) and ``log_energies`` (n,)."""
        from asrkit.features.kernels import lpc_cepstra

        config = self._config
        mel: NDArray[np.float32] = power @ self._weights
        np.maximum(mel, np.float32(config.mel_energy_floor), out=mel)
        mel *= self._loudness
        np.power(mel, np.float32(config.compress_factor), out=mel)
        autocorrelation = mel @ self._bases
        cepstra = np.empty((len(mel), config.lpc_order), dtype=np.float32)
        residual = np.empty(len(mel), dtype=np.float32)
        lpc_cepstra(autocorrelation, np.float32(config.lpc_error_floor), cepstra, residual)
        features = np.empty((len(mel), config.num_ceps), dtype=np.float32)
        features[:, 0] = np.maximum(np.log(residual), np.float32(config.residual_log_energy_floor))
        features[:, 1:] = cepstra[:, : config.num_ceps - 1]
        features *= self._scale
        if config.with_energy:
            features[:, 0] = log_energies
        return np.roll(features, -1, axis=1) if config.htk_compat else features
