"""From a score of each frame to whether it is speech: the best path through two states with least durations."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError

Scores = NDArray[np.float32]
Labels = NDArray[np.bool_]

CHUNK_FRAMES = 100
"""Frames that the search advances at once, so that what it decides does not depend on how the scores arrive."""

MAX_CHAIN = 30_000
"""States of a chain at most; far beyond any use."""


@dataclass(frozen=True)
class SmoothingConfig:
    """How scores become decisions.

    Attributes
    ----------
    min_speech_secs, min_nonspeech_secs : float
        Least duration of each; the first and the last stretch of a recording may be shorter.
    switch_penalty : float
        What each change costs, in units of the score: a score of 1 for so many frames buys one.
    max_pending_secs : float
        Where the two ways to go on stay open for so long, the better one is taken, so that memory is bounded.
    """

    min_speech_secs: float = 0.1
    min_nonspeech_secs: float = 0.15
    switch_penalty: float = 4.0
    max_pending_secs: float = 30.0

    def __post_init__(self) -> None:
        for name in ("min_speech_secs", "min_nonspeech_secs", "switch_penalty"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ConfigError(f"{name} is {value}, expected a number that is not negative")
        if not 1 <= self.max_pending_secs < math.inf:
            raise ConfigError(f"max_pending_secs is {self.max_pending_secs:g}, expected 1 or more")


class SpeechPath:
    """Decides frame by frame, in order, as soon as nothing that follows can change a decision.

    The path maximises the sum of the scores of its speech frames less ``switch_penalty`` for each change. It is the
    best one of the whole recording (Viterbi 1967) unless ``max_pending_secs`` cut it short.

    Parameters
    ----------
    config : SmoothingConfig
    frame_secs : float
        Frame shift.
    """

    def __init__(self, config: SmoothingConfig, frame_secs: float) -> None:
        self._num_speech = _chain(config.min_speech_secs, frame_secs)
        num_states = self._num_speech + _chain(config.min_nonspeech_secs, frame_secs)
        self._penalty = config.switch_penalty
        self._max_pending = max(2 * CHUNK_FRAMES, math.ceil(config.max_pending_secs / frame_secs))
        # A recording may begin in the middle of either.
        self._totals = np.full(num_states, -np.inf)
        self._totals[[self._num_speech - 1, num_states - 1]] = 0.0
        self._origins = np.empty((0, num_states), dtype=np.uint16)
        self._waiting: Scores = np.empty(0, dtype=np.float32)

    def push(self, scores: Scores) -> Labels:
        """Take the scores of the next frames, (n,), positive for speech; return the decisions that they settle."""
        if not np.isfinite(scores).all():
            raise ValueError("scores that are not finite")
        self._waiting = np.concatenate([self._waiting, scores.astype(np.float32, copy=False)])
        settled = [np.empty(0, dtype=np.bool_)]
        while len(self._waiting) >= CHUNK_FRAMES:
            self._advance(CHUNK_FRAMES)
            if len(self._origins) > self._max_pending:
                self._force()
            settled.append(self._settle(np.flatnonzero(self._totals > -np.inf)))
        return np.concatenate(settled)

    def finish(self) -> Labels:
        """Return the decisions of all frames that were still open."""
        self._advance(len(self._waiting))
        return self._settle(np.array([np.argmax(self._totals)], dtype=np.int64))

    def _advance(self, count: int) -> None:
        from asrkit.features.speech_kernels import advance_path

        origins = np.empty((count, len(self._totals)), dtype=np.uint16)
        advance_path(
            np.ascontiguousarray(self._waiting[:count]), self._num_speech, self._penalty, self._totals, origins
        )
        self._waiting = self._waiting[count:]
        self._origins = np.concatenate([self._origins, origins])

    def _settle(self, states: NDArray[np.int64]) -> Labels:
        from asrkit.features.speech_kernels import settle

        labels = np.empty(len(self._origins), dtype=np.bool_)
        count = settle(self._origins, states.copy(), self._num_speech, labels)
        self._origins = self._origins[count:].copy()
        return labels[:count]

    def _force(self) -> None:
        """Give up the paths that part from the best one in the older half of the open frames."""
        from asrkit.features.speech_kernels import trace_back

        states = np.arange(len(self._totals))
        best = int(np.argmax(self._totals))
        trace_back(self._origins, len(self._origins) // 2, states)
        self._totals[states != states[best]] = -np.inf


def smooth(scores: Scores, config: SmoothingConfig, frame_secs: float) -> Labels:
    """Return which frames of a whole recording are speech, (T,) bool; see :class:`SpeechPath`."""
    path = SpeechPath(config, frame_secs)
    return np.concatenate([path.push(scores), path.finish()])


def _chain(secs: float, frame_secs: float) -> int:
    length = max(1, round(secs / frame_secs))
    if length > MAX_CHAIN:
        raise ConfigError(f"a least duration of {secs:g} s has {length} frames, expected {MAX_CHAIN} at most")
    return length
