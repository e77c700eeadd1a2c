"""Mel filterbank features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asrkit.features.config import FrontEndConfig
from asrkit.features.mel import MelBanks


class Fbank:
    """Turns power spectra into (log) mel energies, with the log energy in front or, as HTK does, behind.

    Source: Kaldi's feature-fbank.cc. Without ``use_log_fbank`` nothing is floored.
    """

    def __init__(self, config: FrontEndConfig, vtln_warp: float) -> None:
        self._config = config
        self._weights = MelBanks.build(config, vtln_warp).weights

    def __call__(self, power: NDArray[np.float32], log_energies: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (n, dim) float32 from ``power`` (n, fft_size / 2) and ``log_energies`` (n,)."""
        config = self._config
        mel: NDArray[np.float32] = (power if config.use_power else np.sqrt(power)) @ self._weights
        if config.use_log_fbank:
            np.maximum(mel, np.float32(config.mel_energy_floor), out=mel)
            np.log(mel, out=mel)
        if not config.with_energy:
            return mel
        columns = (mel, log_energies[:, None]) if config.htk_compat else (log_energies[:, None], mel)
        return np.concatenate(columns, axis=1)
