"""Speech by its energy: how far each frame stands above the noise floor of the bands around it in time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError
from asrkit.features.config import FrontEndConfig
from asrkit.features.context_windows import ContextWindow

QUANTISATION_LOG_ENERGY = 5.0
"""Log of a mel band's energy where the samples are no more than rounding: what lies below is digital silence."""

LEAST_QUANTILE = 0.02
"""What ``floor_quantile`` falls to, of the frames that are left, where much is digital silence."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class EnergySpeechConfig:
    """How the score of a frame is found from the log energies of its mel bands.

    Attributes
    ----------
    num_bands : int
        Mel bands; each has a noise floor of its own, so that speech stands out in some where noise fills others.
    low_freq, high_freq : float
        Their range in Hz; it ends at the Nyquist frequency where that is lower.
    smoothing_secs : float
        Energies are averaged over so long, as logarithms.
    context_secs : float
        The noise floor of a frame is that of the recording so long before and behind it.
    floor_quantile : float
        This fraction of the frames lies below the noise floor, and of the levels below the resting level.
    peak_quantile : float
        And this one below the level of speech.
    threshold : float
        Where between the resting level (0) and that of speech (1) speech begins.
    min_rise : float
        Least rise above the resting level that can be speech, in nats of energy averaged over the bands.
    """

    num_bands: int = 23
    low_freq: float = 100.0
    high_freq: float = 8000.0
    smoothing_secs: float = 0.1
    context_secs: float = 30.0
    floor_quantile: float = 0.1
    peak_quantile: float = 0.9
    threshold: float = 0.2
    min_rise: float = 0.25

    def __post_init__(self) -> None:
        if not 3 <= self.num_bands <= 200:
            raise ConfigError(f"num_bands is {self.num_bands}, expected 3 to 200")
        for name in ("smoothing_secs", "context_secs"):
            if not 0 <= getattr(self, name) <= 600:
                raise ConfigError(f"{name} is {getattr(self, name):g}, expected 0 to 600")
        if not 0 < self.floor_quantile < self.peak_quantile < 1:
            raise ConfigError(
                f"floor_quantile {self.floor_quantile:g} and peak_quantile {self.peak_quantile:g} do not lie in order "
                "between 0 and 1"
            )
        if not 0 < self.threshold < 1:
            raise ConfigError(f"threshold is {self.threshold:g}, expected a number between 0 and 1")
        if not 0 < self.min_rise < math.inf:
            raise ConfigError(f"min_rise is {self.min_rise:g}, expected a positive number")

    def front_end(self, like: FrontEndConfig) -> FrontEndConfig:
        """Return the filterbank that is looked at, with the sample rate and the frames of another front end."""
        return FrontEndConfig(
            kind="fbank",
            sample_rate_hz=like.sample_rate_hz,
            frame_length_ms=like.frame_length_ms,
            frame_shift_ms=like.frame_shift_ms,
            snip_edges=like.snip_edges,
            num_mel_bins=self.num_bands,
            low_freq=min(self.low_freq, 0.1 * like.nyquist_hz),
            high_freq=min(self.high_freq, like.nyquist_hz),
            mel_energy_floor=math.exp(QUANTISATION_LOG_ENERGY),
        )


def energy_scores(window: ContextWindow, config: EnergySpeechConfig, frame_secs: float) -> Floats:
    """Return how much like speech each frame of a window is.

    In each band the noise floor is a low quantile of the smoothed log energies (as in Martin's minimum statistics,
    2001); a frame's level is its mean rise above the floors. The threshold lies between the quiet and the loud levels
    of the same stretch, so a recording needs no setting of its own. Digital silence is no speech and sets no floor, for
    beside it the noise of a microphone would pass for speech; but where there is much of it, what is left may be speech
    alone, and the floor is the quietest of that.

    Parameters
    ----------
    window : ContextWindow
        Log mel energies (W, num_bands) of :meth:`EnergySpeechConfig.front_end`.

    Returns
    -------
    (W,) float32
        Of all frames of the window, in [-1, 1]: positive is speech, -1 the resting level or below.
    """
    energies = window.features
    alive: NDArray[np.bool_] = np.any(energies > np.float32(QUANTISATION_LOG_ENERGY + 1e-3), axis=1)
    scores = np.full(len(energies), -1.0, dtype=np.float32)
    if not alive.any():
        return scores
    width = max(1, round(config.smoothing_secs / frame_secs))
    smoothed = moving_average(energies, width)
    num_alive = int(alive.sum())
    left = (config.floor_quantile * len(alive) - (len(alive) - num_alive)) / num_alive
    low = max(left, min(LEAST_QUANTILE, config.floor_quantile))
    floors = np.quantile(smoothed[alive], low, axis=0)
    rises = np.maximum(smoothed - floors.astype(np.float32), 0).mean(axis=1, dtype=np.float32)
    levels = moving_average(rises[:, None], width)[:, 0]
    resting, loud = np.quantile(levels[alive], [low, config.peak_quantile])
    threshold = max(config.min_rise, config.threshold * (loud - resting))
    scores[alive] = np.clip((levels[alive] - resting) / threshold - 1.0, -1.0, 1.0)
    return scores


def moving_average(values: Floats, width: int) -> Floats:
    """Return the mean of ``width`` rows around each row of (T, D), of fewer at the ends."""
    sums = np.zeros((len(values) + 1, values.shape[1]))
    np.cumsum(values, axis=0, dtype=np.float64, out=sums[1:])
    t = np.arange(len(values))
    start = np.maximum(t - (width - 1) // 2, 0)
    end = np.minimum(t + width // 2 + 1, len(values))
    return ((sums[end] - sums[start]) / (end - start)[:, None]).astype(np.float32)
