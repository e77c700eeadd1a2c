"""From which frames are speech to the segments that a recogniser takes: padded, split at pauses, not too long."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError
from asrkit.features.speech_energy import moving_average

Scores = NDArray[np.float32]
Labels = NDArray[np.bool_]


@dataclass(frozen=True)
class CuttingConfig:
    """How speech is cut into segments.

    Attributes
    ----------
    padding_secs : float
        What a segment keeps of the pause before and behind it.
    min_pause_secs : float
        A pause of this length parts segments; at least twice the padding.
    min_speech_secs : float
        Segments with less speech are left out, and counted.
    max_secs : float
        Longest segment. Speech that lasts longer is cut between a half and the whole of that, where the scores are
        lowest.
    cut_secs : float
        Scores are averaged over so long to find that place.
    overlap_secs : float
        Where even there the average is that of speech, windows of ``max_secs`` overlap by so much, so that no word is
        cut in both (see :mod:`asrkit.decode.stitching`); 0 cuts nevertheless.
    """

    padding_secs: float = 0.2
    min_pause_secs: float = 0.5
    min_speech_secs: float = 0.1
    max_secs: float = 30.0
    cut_secs: float = 0.1
    overlap_secs: float = 4.0

    def __post_init__(self) -> None:
        for name in ("padding_secs", "min_pause_secs", "min_speech_secs", "max_secs", "cut_secs", "overlap_secs"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ConfigError(f"{name} is {value}, expected a number that is not negative")
        if self.min_pause_secs < 2 * self.padding_secs or self.min_pause_secs == 0:
            raise ConfigError(
                f"min_pause_secs is {self.min_pause_secs:g}, expected more than 0 and at least twice padding_secs = "
                f"{self.padding_secs:g}"
            )
        if self.cut_secs > self.min_pause_secs:
            raise ConfigError(
                f"cut_secs is {self.cut_secs:g}, expected min_pause_secs = {self.min_pause_secs:g} or less"
            )
        if self.max_secs < max(1.0, 8 * self.padding_secs, 3 * self.overlap_secs, 3 * self.cut_secs):
            raise ConfigError(
                f"max_secs is {self.max_secs:g}, expected 1, 8 times padding_secs, and 3 times overlap_secs and "
                "cut_secs at least"
            )


@dataclass(frozen=True)
class FrameSegment:
    """Frames ``[start, end)`` of a recording, 0-based; the first ``overlap`` of them also end the segment before."""

    start: int
    end: int
    overlap: int = 0


class Segmenter:
    """Turns decisions into segments, in order, each as soon as what follows cannot change it.

    Segments are disjoint but for the overlap that they tell. Every speech frame lies in one, except those of stretches
    shorter than ``min_speech_secs``.

    Parameters
    ----------
    config : CuttingConfig
    frame_secs : float
        Frame shift.

    Attributes
    ----------
    num_frames, speech_frames, dropped_frames : int
        Frames so far; those of them that are speech; and the speech frames of stretches too short to be kept.
    """

    def __init__(self, config: CuttingConfig, frame_secs: float) -> None:
        def frames(secs: float) -> int:
            return round(secs / frame_secs)

        self._padding, self._min_pause = frames(config.padding_secs), max(1, frames(config.min_pause_secs))
        self._min_speech, self._overlap = frames(config.min_speech_secs), frames(config.overlap_secs)
        self._max, self._cut = frames(config.max_secs), max(1, frames(config.cut_secs))
        self.num_frames = self.speech_frames = self.dropped_frames = 0
        self._scores: Scores = np.empty(0, dtype=np.float32)
        self._base = 0  # frame of self._scores[0]
        self._group: _Group | None = None

    @property
    def needed_from(self) -> int:
        """The first frame that a segment still to come may hold."""
        if self._group is not None:
            return self._group.start
        return max(0, self.num_frames - self._padding)

    def push(self, labels: Labels, scores: Scores) -> list[FrameSegment]:
        """Take the decisions (n,) and scores (n,) of the next frames; return the segments that they complete."""
        segments: list[FrameSegment] = []
        self._scores = np.concatenate([self._scores, scores])
        self.speech_frames += int(labels.sum())
        changes = np.flatnonzero(np.diff(labels)) + 1
        first = self.num_frames
        self.num_frames += len(labels)
        bounds = [0, *changes.tolist(), len(labels)]
        for start, end in itertools.pairwise(bounds):
            if start < end:
                segments += self._run(first + start, first + end, bool(labels[start]))
        if self._group is not None:
            segments += self._cut_long(self._group, self.num_frames)
        drop = max(0, self.needed_from - self._cut - self._base)
        self._scores, self._base = self._scores[drop:].copy(), self._base + drop
        return segments

    def finish(self) -> list[FrameSegment]:
        """Return what was still open when the recording ended."""
        return [] if self._group is None else self._close(self._group)

    def _run(self, start: int, end: int, speech: bool) -> list[FrameSegment]:
        group = self._group
        if speech:
            if group is None:
                group = self._group = _Group(max(0, start - self._padding), start)
            group.end = end
            group.speech += end - start
        elif group is not None and end - group.end >= self._min_pause:
            return self._close(group)
        return []

    def _close(self, group: _Group) -> list[FrameSegment]:
        self._group = None
        if group.speech < self._min_speech:
            self.dropped_frames += group.speech
            return []
        end = min(group.end + self._padding, self.num_frames)
        segments = self._cut_long(group, None)
        return [*segments, FrameSegment(group.start, end, group.overlap)]

    def _cut_long(self, group: _Group, known: int | None) -> list[FrameSegment]:
        """Cut pieces off a group while it is too long, as far as the scores are ``known`` (None: it is complete)."""
        segments = []
        while group.end + self._padding - group.start > self._max:
            latest = group.start + self._max
            if known is not None and known < latest + self._cut:
                break
            cut, low = self._lowest(group.start + self._max // 2, latest - 2 * self._padding)
            if low < 0 or not self._overlap:
                segments.append(FrameSegment(group.start, cut, group.overlap))
                group.start, group.overlap = cut, 0
            else:
                segments.append(FrameSegment(group.start, latest, group.overlap))
                group.start, group.overlap = latest - self._overlap, self._overlap
        return segments

    def _lowest(self, first: int, last: int) -> tuple[int, float]:
        """Return the boundary in ``[first, last]`` around which the average score is lowest, and that average."""
        begin = first - self._cut
        around = self._scores[begin - self._base : last + self._cut - self._base]
        averages = moving_average(around[:, None], self._cut)[:, 0][self._cut : last - begin + 1]
        at = int(np.argmin(averages))
        return first + at, float(averages[at])


@dataclass
class _Group:
    """Speech that no long pause parts: where its next segment begins, where its speech ends so far, and how much."""

    start: int
    end: int
    speech: int = 0
    overlap: int = 0


def cut_segments(labels: Labels, scores: Scores, config: CuttingConfig, frame_secs: float) -> list[FrameSegment]:
    """Return the segments of a whole recording from its decisions (T,) and scores (T,); see :class:`Segmenter`."""
    segmenter = Segmenter(config, frame_secs)
    return [*segmenter.push(labels, scores), *segmenter.finish()]
