"""Spectrograms: the log power of each point of the FFT."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError
from asrkit.features.config import FrontEndConfig


class Spectrogram:
    """Turns power spectra into their logs, with the log energy in the place of the power at 0 Hz.

    Source: Kaldi's feature-spectrogram.cc. Points are ``sample_rate_hz / fft_size`` apart, from 0 Hz to Nyquist.

    Raises
    ------
    ConfigError
        A warp: there is no filterbank that could be warped.
    """

    def __init__(self, config: FrontEndConfig, vtln_warp: float) -> None:
        if vtln_warp != 1.0:
            raise ConfigError(
                f"vtln_warp is {vtln_warp:g}, and a spectrogram has no filterbank to warp",
                remedy="use kind=fbank, or leave out the warp factors (spk2warp, utt2warp)",
            )
        self._config = config

    def __call__(self, power: NDArray[np.float32], log_energies: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (n, fft_size / 2 + 1) float32 from ``power`` of that shape and ``log_energies`` (n,)."""
        logs = np.maximum(power, np.float32(self._config.frame_energy_floor))
        np.log(logs, out=logs)
        if self._config.with_energy:
            logs[:, 0] = log_energies
        return logs
