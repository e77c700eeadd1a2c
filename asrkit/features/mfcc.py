"""Mel-frequency cepstral coefficients: from the power spectrum to cepstra."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asrkit.features.config import FrontEndConfig
from asrkit.features.mel import MelBanks


def dct_matrix(num_ceps: int, num_bins: int) -> NDArray[np.float64]:
    """Return the orthonormal DCT-II, (num_bins, num_ceps): ``log_mel @ matrix`` are the cepstra."""
    k = np.arange(num_ceps)
    n = np.arange(num_bins)[:, None]
    matrix = np.sqrt(2.0 / num_bins) * np.cos(np.pi / num_bins * (n + 0.5) * k)
    matrix[:, 0] = np.sqrt(1.0 / num_bins)
    return matrix


def lifter(strength: float, num_ceps: int) -> NDArray[np.float64]:
    """Return the factors ``1 + Q/2 sin(pi i / Q)`` of the cepstra i = 0, 1, ...; all 1 when ``strength`` Q is 0."""
    if strength == 0:
        return np.ones(num_ceps)
    return 1.0 + 0.5 * strength * np.sin(np.pi * np.arange(num_ceps) / strength)


class Mfcc:
    """Turns power spectra into MFCCs (Kaldi's feature-mfcc.cc).

    The DCT, the lifter and HTK's order and scale are one matrix.
    """

    def __init__(self, config: FrontEndConfig, vtln_warp: float) -> None:
        self._config = config
        self._weights = MelBanks.build(config, vtln_warp).weights
        matrix = dct_matrix(config.num_ceps, config.num_mel_bins) * lifter(config.cepstral_lifter, config.num_ceps)
        if config.htk_compat:
            if not config.with_energy:
                matrix[:, 0] *= np.sqrt(2.0)
            matrix = np.roll(matrix, -1, axis=1)
        self._dct = np.ascontiguousarray(matrix, dtype=np.float32)
        self._energy_column = config.num_ceps - 1 if config.htk_compat else 0

    def __call__(self, power: NDArray[np.float32], log_energies: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (n, num_ceps) float32 from ``power`` (n, fft_size / 2) and ``log_energies`` (n,)."""
        mel: NDArray[np.float32] = power @ self._weights
        np.maximum(mel, np.float32(self._config.mel_energy_floor), out=mel)
        np.log(mel, out=mel)
        cepstra: NDArray[np.float32] = mel @ self._dct
        if self._config.with_energy:
            cepstra[:, self._energy_column] = log_energies
        return cepstra
