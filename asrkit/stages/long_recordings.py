"""A recording of any length as a stream of speech segments, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asrkit.data.audio import audio_info, resample_blocks, stream_audio
from asrkit.features.config import FrontEndConfig
from asrkit.features.speech_energy import EnergySpeechConfig
from asrkit.features.speech_segments import CuttingConfig, FrameSegment, Segmenter
from asrkit.features.speech_smoothing import SmoothingConfig, SpeechPath
from asrkit.stages.speech_scores import ModelSpeechConfig, Scorer, frame_secs

READ_SECS = 10.0
"""Length of the blocks that are read; has no influence on the result."""

Samples = NDArray[np.float32]
SecondsDone = Callable[[float, float], None]


@dataclass(frozen=True)
class SpeechConfig:
    """How speech is found and cut into segments.

    Attributes
    ----------
    energy, model : EnergySpeechConfig, ModelSpeechConfig
        How frames are scored, without a model and with one.
    smoothing : SmoothingConfig
        How scores become decisions.
    cutting : CuttingConfig
        How decisions become segments.
    """

    energy: EnergySpeechConfig = field(default_factory=EnergySpeechConfig)
    model: ModelSpeechConfig = field(default_factory=ModelSpeechConfig)
    smoothing: SmoothingConfig = field(default_factory=SmoothingConfig)
    cutting: CuttingConfig = field(default_factory=CuttingConfig)


@dataclass(frozen=True, eq=False)
class SpeechSegment:
    """A stretch of a recording with speech in it.

    Attributes
    ----------
    start_secs, end_secs : float
        Where it lies in the recording.
    overlap_secs : float
        So much of its beginning is also the end of the segment before; the words of both are to be joined by
        :func:`asrkit.decode.stitching.stitch`. Mostly 0.
    samples : (n,) float32
        On the scale of 16-bit integers, at the scorer's sample rate.
    """

    start_secs: float
    end_secs: float
    overlap_secs: float
    samples: Samples


@dataclass
class SpeechTally:
    """What was found in a recording so far.

    Attributes
    ----------
    secs, speech_secs, dropped_secs : float
        What has been decided; what of it is speech; and what of that lies in stretches too short to be kept.
    """

    secs: float = 0.0
    speech_secs: float = 0.0
    dropped_secs: float = 0.0


def speech_segments(
    path: Path | str,
    channel: int | None,
    scorer: Scorer,
    config: SpeechConfig,
    progress: SecondsDone | None = None,
    tally: SpeechTally | None = None,
) -> Iterator[SpeechSegment]:
    """Yield the speech segments of a recording, in order of time, each as soon as it is settled.

    At any time the memory holds the samples of the longest segment and of the look-ahead, a minute or two; the
    recording may be as long as it likes.

    Parameters
    ----------
    path : path
        Any audio file that :mod:`asrkit.data.audio` reads, of any sample rate: it is resampled to the scorer's.
    channel : int, optional
        0-based; may be left out where there is only one.
    scorer : EnergyScorer or ModelScorer
        See :func:`asrkit.stages.speech_scores.load_scorer`.
    config : SpeechConfig
        Its ``smoothing`` and ``cutting``.
    progress : callable, optional
        Called with the seconds read so far, and those of the whole recording.
    tally : SpeechTally, optional
        Receives the sums.

    Raises
    ------
    DataError
        As :func:`asrkit.data.audio.read_audio`; a fault in the middle shows itself when the stream has come there.
    """
    for segments in segments_by_chunk(path, channel, scorer, config, progress, tally):
        yield from segments


def segments_by_chunk(
    path: Path | str,
    channel: int | None,
    scorer: Scorer,
    config: SpeechConfig,
    progress: SecondsDone | None = None,
    tally: SpeechTally | None = None,
) -> Iterator[list[SpeechSegment]]:
    """Yield, for each chunk that is scored, the segments of :func:`speech_segments` that it settles, often none."""
    info = audio_info(path)
    store = _SampleStore(scorer.frames)
    read = stream_audio(path, max(1, round(READ_SECS * info.sample_rate_hz)), channel)
    told = _telling(read, info.sample_rate_hz, info.duration_secs, progress)
    blocks = store.keeping(resample_blocks(told, info.sample_rate_hz, scorer.frames.sample_rate_hz))
    secs = frame_secs(scorer.frames)
    decisions, segmenter = SpeechPath(config.smoothing, secs), Segmenter(config.cutting, secs)
    tally = SpeechTally() if tally is None else tally
    scores = np.empty(0, dtype=np.float32)
    for chunk in scorer.scores(blocks):
        scores = np.concatenate([scores, chunk])
        labels = decisions.push(chunk)
        found, scores = segmenter.push(labels, scores[: len(labels)]), scores[len(labels) :]
        _count(tally, segmenter, secs)
        yield [store.cut(segment) for segment in found]
        store.forget(segmenter.needed_from)
    labels = decisions.finish()
    found = [*segmenter.push(labels, scores), *segmenter.finish()]
    store.num_frames = segmenter.num_frames
    _count(tally, segmenter, secs)
    tally.secs = info.duration_secs
    yield [store.cut(segment) for segment in found]


def _count(tally: SpeechTally, segmenter: Segmenter, secs: float) -> None:
    tally.secs = segmenter.num_frames * secs
    tally.speech_secs = segmenter.speech_frames * secs
    tally.dropped_secs = segmenter.dropped_frames * secs


def _telling(
    blocks: Iterable[Samples], rate_hz: int, total_secs: float, progress: SecondsDone | None
) -> Iterator[Samples]:
    read = 0
    for block in blocks:
        yield block
        read += len(block)
        if progress is not None:
            progress(read / rate_hz, total_secs)


class _SampleStore:
    """The latest samples of a recording, from which segments are cut by their frames.

    Attributes
    ----------
    num_frames : int or None
        Frames of the whole recording, once they are known.
    """

    def __init__(self, config: FrontEndConfig) -> None:
        self._config = config
        self._blocks: deque[Samples] = deque()
        self._base = self._end = 0
        self.num_frames: int | None = None

    def keeping(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        """Yield ``blocks`` and keep them."""
        for block in blocks:
            if len(block):
                self._blocks.append(block)
                self._end += len(block)
            yield block

    def cut(self, segment: FrameSegment) -> SpeechSegment:
        """Return a segment with its samples."""
        start, end = self._sample(segment.start), self._sample(segment.end)
        shared = self._sample(segment.start + segment.overlap) - start if segment.overlap else 0
        held = np.concatenate(self._blocks)
        samples = held[start - self._base : end - self._base].copy()
        rate = self._config.sample_rate_hz
        return SpeechSegment(start / rate, end / rate, shared / rate, samples)

    def forget(self, frame: int) -> None:
        """Drop what lies before a frame, in whole blocks."""
        start = self._sample(frame)
        while self._blocks and self._base + len(self._blocks[0]) <= start:
            self._base += len(self._blocks.popleft())

    def _sample(self, frame: int) -> int:
        """Return the sample at the beginning of a frame: half-way between the centres of two windows."""
        if frame == 0:
            return 0
        if frame == self.num_frames:
            return self._end
        early = (self._config.length - self._config.shift) // 2 if self._config.snip_edges else 0
        return frame * self._config.shift + early
