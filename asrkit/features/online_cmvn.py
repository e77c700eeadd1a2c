"""Cepstral mean and variance normalisation of a stream, from what has been heard and what was known before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError, DataError
from asrkit.features.cmvn import CmvnStats


@dataclass(frozen=True)
class OnlineCmvnConfig:
    """How statistics are gathered while a stream runs (Kaldi's OnlineCmvnOptions).

    The names are Kaldi's. Its windows are of 600 frames; models whose training saw the mean of a whole speaker hear
    better with longer ones.

    Attributes
    ----------
    cmn_window : int
        Frames before and with the frame at hand whose statistics count.
    speaker_frames : int
        While there are fewer, statistics of the speaker's earlier speech stand in for at most so many.
    global_frames : int
        And for what is still missing, those of the training data, for at most so many.
    """

    cmn_window: int = 2000
    speaker_frames: int = 2000
    global_frames: int = 200

    def __post_init__(self) -> None:
        if self.cmn_window < 1:
            raise ConfigError(f"cmn_window is {self.cmn_window}, expected 1 or more")
        for name in ("speaker_frames", "global_frames"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 0 or more")


class OnlineCmvn:
    """Normalises frames as they come (Kaldi's OnlineCmvn), with the same bits whatever blocks they come in.

    Parameters
    ----------
    config : OnlineCmvnConfig
    dim : int
        Features a frame.
    prior : CmvnStats, optional
        Of the training data. Without it the first frames are normalised by very little.
    speaker : CmvnStats, optional
        Of what the same speaker said before.
    norm_means, norm_vars : bool
    variance_floor : float
        Smallest variance that is divided by.

    Raises
    ------
    DataError
        Statistics of another dimension.
    """

    def __init__(
        self,
        config: OnlineCmvnConfig,
        dim: int,
        prior: CmvnStats | None = None,
        speaker: CmvnStats | None = None,
        norm_means: bool = True,
        norm_vars: bool = False,
        variance_floor: float = 1e-20,
    ) -> None:
        for stats in (prior, speaker):
            if stats is not None and stats.dim != dim:
                raise DataError(f"CMVN statistics of dimension {stats.dim} for features of dimension {dim}")
        self.config = config
        self._norm_means, self._norm_vars, self._floor = norm_means, norm_vars, variance_floor
        self._global = _at_most(prior, config.global_frames)
        self._earlier = speaker
        self._speaker = _at_most(speaker, config.speaker_frames)
        # Running sums of the features and of their squares behind frame 0, 1, ... of the last `cmn_window`.
        self._sums = np.zeros((1, 2 * dim))
        self._num_frames = 0

    @property
    def stats(self) -> CmvnStats:
        """Statistics of all frames so far, and of the speaker before them: where the speaker's next stream starts."""
        dim = self._sums.shape[1] // 2
        heard = CmvnStats(float(self._num_frames), self._sums[-1, :dim].copy(), self._sums[-1, dim:].copy())
        return heard if self._earlier is None else heard + self._earlier

    def push(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the next frames (T, D) float32, normalised."""
        if not len(features):
            return features
        window, dim = self.config.cmn_window, features.shape[1]
        values = features.astype(np.float64)
        # Added up one frame after the other, from the sum so far: blocks leave no trace.
        new = np.add.accumulate(np.vstack([self._sums[-1:], np.hstack([values, values**2])]))
        sums = np.vstack([self._sums[:-1], new])
        ends = np.arange(len(self._sums), len(sums))
        total_frames = self._num_frames + 1 + np.arange(len(features))
        count = np.minimum(total_frames, window)
        totals = sums[ends] - sums[ends - count]
        filled = count.astype(np.float64)
        # The speaker stands in for as many frames as were heard; the training data, whatever their number, for any.
        heard = 0.0 if self._speaker is None else self._speaker.count
        mosts = (min(self.config.speaker_frames, heard), float(self.config.global_frames))
        for stats, most in zip((self._speaker, self._global), mosts):
            if stats is not None:
                share = np.clip(window - filled, 0, most)
                totals = totals + (share / stats.count)[:, None] * np.concatenate([stats.total, stats.squares])
                filled = filled + share
        self._sums, self._num_frames = sums[-(window + 1) :], int(total_frames[-1])
        return self._normalise(values, totals[:, :dim] / filled[:, None], totals[:, dim:] / filled[:, None])

    def _normalise(
        self, values: NDArray[np.float64], mean: NDArray[np.float64], square: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        moved = values - mean if self._norm_means else values
        if self._norm_vars:
            moved = moved / np.sqrt(np.maximum(square - mean**2, self._floor))
        return moved.astype(np.float32)


def _at_most(stats: CmvnStats | None, frames: int) -> CmvnStats | None:
    """Return statistics that can stand in for frames, or None."""
    return stats if stats is not None and stats.count > 0 and frames > 0 else None
