"""`asrkit transcribe`: from audio files to words."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from asrkit.core.errors import AsrkitError, ConfigError, DataError
from asrkit.core.files import write_text
from asrkit.core.jobs import map_in_order
from asrkit.data.audio import AudioInfo, audio_info
from asrkit.features.config import FrontEndConfig
from asrkit.recognizer.formats import SUFFIXES, Format, render
from asrkit.recognizer.result import Result
from asrkit.stages.record import Failure, RunOptions, check_place

if TYPE_CHECKING:
    from asrkit.recognizer.recognizer import Recognizer

log = logging.getLogger("asrkit")

_SUFFIXES = "wav flac ogg oga opus mp3 aiff aif aifc au sph w64 caf m4a mp4 aac wma webm"
AUDIO_SUFFIXES = frozenset(f".{suffix}" for suffix in _SUFFIXES.split())
"""What is taken for audio in a folder, by the ends of names; a file that is named itself may be called anything."""

LIVE_BLOCK_SECS = 0.1

Speakers = Literal["one", "many"]


@dataclass(frozen=True)
class TranscribeOptions:
    """How recordings are transcribed.

    Attributes
    ----------
    form : Format
    nbest : int
        Alternatives of a segment.
    channel : int or None
        1-based; None: each channel by itself.
    cut_secs : float
        Recordings that last longer are cut into segments of speech; 0: none is cut.
    speakers : {'one', 'many'}
        Who speaks in a channel that is cut. ``one``: its segments are normalised and adapted to together. ``many``:
        each by itself.
    live : bool
        Hear files as if they came from a microphone.
    """

    form: Format = "text"
    nbest: int = 1
    channel: int | None = None
    cut_secs: float = 30.0
    speakers: Speakers = "one"
    live: bool = False

    def __post_init__(self) -> None:
        if self.nbest < 1:
            raise ConfigError(f"nbest is {self.nbest}, expected 1 or more")
        if not self.cut_secs >= 0:
            raise ConfigError(f"recordings are cut that last longer than {self.cut_secs} s, expected 0 or more")


@dataclass(frozen=True)
class Source:
    """An audio file, and the name that its results get, a relative path without suffix."""

    path: Path
    name: str


@dataclass(frozen=True)
class Transcript:
    """What became of one channel of a recording, or of a recording that could not be read.

    Attributes
    ----------
    source : Source
    channel : int
        1-based.
    num_channels : int
        Of the recording.
    result : Result or None
    failure : AsrkitError or None
        Why there is no result.
    seconds : float
        Time that recognising took.
    first_secs : float or None
        Time until the first words were known: of work; for a live one, of audio and the work on its last block.
    """

    source: Source
    channel: int
    num_channels: int
    result: Result | None
    failure: AsrkitError | None
    seconds: float
    first_secs: float | None

    def facts(self) -> dict[str, Any]:
        """Return how long it took."""
        duration = self.result.duration_secs if self.result else 0.0
        return {
            "seconds": round(self.seconds, 3),
            "real_time_factor": round(self.seconds / duration, 4) if duration else None,
            "first_words": None if self.first_secs is None else round(self.first_secs, 3),
        }

    def text(self, form: Format) -> str:
        """Return the result in a format."""
        assert self.result is not None
        return render(self.result, form, self.source.name, self.channel, self.facts() if form == "json" else None)


def find_sources(paths: Sequence[Path]) -> list[Source]:
    """Return the files that are named, and those of folders that are, sorted by their names.

    Raises
    ------
    DataError
        A path is absent, or a folder holds no audio.
    """
    sources: list[Source] = []
    for path in paths:
        if not path.is_dir():
            if not path.exists():
                raise DataError("no such audio file or folder", where=path)
            sources.append(Source(path, path.stem))
            continue
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES and p.is_file())
        if not found:
            raise DataError(
                "no audio in this folder",
                where=path,
                remedy=f"looked for {', '.join(sorted(AUDIO_SUFFIXES))}; other files can be named one by one",
            )
        sources += [Source(p, p.relative_to(path).with_suffix("").as_posix()) for p in found]
    return sources


def transcribe(
    recognizer: Recognizer, sources: Sequence[Source], options: TranscribeOptions, run: RunOptions
) -> Iterator[Transcript]:
    """Yield the transcript of each channel of each file, in their order; a bad file is a transcript with a failure."""
    job = _Job(recognizer, options)
    done = map_in_order(job, sources, run.num_jobs, kind="threads")
    for transcripts in run.progress(done, total=len(sources), label="transcribe"):
        yield from transcripts


def write_transcripts(
    transcripts: Iterator[Transcript], out: Path, form: Format
) -> Iterator[tuple[Transcript, Path | None]]:
    """Write each transcript under ``out`` as it comes; yield it with its file, None where it failed.

    The file is named after the recording, with ``.ch<channel>`` where that has several, and the format.

    Raises
    ------
    DataError
        Two recordings have the same name.
    ConfigError
        ``out`` cannot be made or written to.
    """
    check_place(out)
    written: dict[Path, Path] = {}
    for one in transcripts:
        if one.result is None:
            yield one, None
            continue
        channel = f".ch{one.channel}" if one.num_channels > 1 else ""
        path = out / f"{one.source.name}{channel}{SUFFIXES[form]}"
        if path in written:
            raise DataError(
                f"{one.source.path} and {written[path]} would both be written there",
                where=path,
                remedy="transcribe them into different folders",
            )
        written[path] = one.source.path
        write_text(path, one.text(form))
        yield one, path


def summary(transcripts: Sequence[Transcript], load_secs: float, wall_secs: float) -> dict[str, Any]:
    """Return one JSON object of everything: times are those of opening the recogniser, and of all recognising."""
    good = [one for one in transcripts if one.result is not None]
    audio = sum(one.result.duration_secs for one in good if one.result)
    return {
        "recordings": [
            {"recording": one.source.name, "path": str(one.source.path), "channel": one.channel}
            | (one.result.to_json() if one.result else {})
            | one.facts()
            for one in good
        ],
        "failures": {failure.utterance_id: failure.reason for failure in failures_of(transcripts)},
        "audio_seconds": round(audio, 3),
        "load_seconds": round(load_secs, 3),
        "seconds": round(wall_secs, 3),
        "real_time_factor": round(wall_secs / audio, 4) if audio else None,
    }


def failures_of(transcripts: Sequence[Transcript]) -> tuple[Failure, ...]:
    """Return the recordings that could not be recognised, and why."""
    return tuple(Failure(str(one.source.path), str(one.failure)) for one in transcripts if one.failure is not None)


@dataclass(frozen=True)
class _Job:
    """Transcribes one file; several threads share the recogniser."""

    recognizer: Recognizer
    options: TranscribeOptions

    def __call__(self, source: Source) -> list[Transcript]:
        from asrkit.recognizer.audio import num_channels

        try:
            count = num_channels(source.path)
        except AsrkitError as error:
            return [Transcript(source, 1, 1, None, error, 0.0, None)]
        if self.options.channel is not None and self.options.channel > count:
            failure = DataError(f"no channel {self.options.channel}: channels are 1 to {count}", where=source.path)
            return [Transcript(source, self.options.channel, count, None, failure, 0.0, None)]
        wanted = range(1, count + 1) if self.options.channel is None else [self.options.channel]
        return [self._channel(source, channel, count) for channel in wanted]

    def _channel(self, source: Source, channel: int, count: int) -> Transcript:
        started = time.perf_counter()
        try:
            result, first = self._heard(source.path, channel - 1, started)
        except AsrkitError as error:
            if error.where is None:
                error.where = str(source.path)
            return Transcript(source, channel, count, None, error, time.perf_counter() - started, None)
        return Transcript(source, channel, count, result, None, time.perf_counter() - started, first)

    def _heard(self, path: Path, channel: int, started: float) -> tuple[Result, float | None]:
        if self.options.live:
            return self._live(path, channel)
        info = self._long(path)
        if info is None:
            result = self.recognizer(path, channel=channel, nbest=self.options.nbest)
            return result, time.perf_counter() - started if result.words else None
        return self._cut(info, channel, started)

    def _long(self, path: Path) -> AudioInfo | None:
        """Return what the header of a recording says that is to be cut."""
        try:
            info = audio_info(path)
        except DataError:
            return None  # of a kind that only a whole file is read of, or damaged: the recogniser says which
        return info if 0 < self.options.cut_secs < info.duration_secs else None

    def _cut(self, info: AudioInfo, channel: int, started: float) -> tuple[Result, float | None]:
        from asrkit.stages.long_recordings import SpeechConfig, speech_segments
        from asrkit.stages.speech_scores import EnergyScorer

        config = SpeechConfig()
        self.recognizer.check_rate(info.sample_rate_hz)
        scorer = EnergyScorer(config.energy, FrontEndConfig(sample_rate_hz=self.recognizer.sample_rate_hz))
        pieces = speech_segments(info.path, channel, scorer, config)
        segments, first = [], None
        one = self.options.speakers == "one"
        heard = self.recognizer.pieces(pieces, nbest=self.options.nbest, one_speaker=one)
        for segment in heard.segments:
            if segment.words:
                first = time.perf_counter() - started if first is None else first
                segments.append(segment)
        return Result(tuple(segments), info.duration_secs, self.recognizer.adaptation, heard.transform), first

    def _live(self, path: Path, channel: int) -> tuple[Result, float | None]:
        from asrkit.recognizer.audio import read_samples

        samples, rate = read_samples(path, None, channel)
        stream = self.recognizer.stream(rate, nbest=self.options.nbest)
        size, first = max(1, round(LIVE_BLOCK_SECS * rate)), None
        for start in range(0, len(samples), size):
            began = time.perf_counter()
            events = stream.feed(samples[start : start + size] / 32768.0)
            if first is None and any(event.words for event in events):
                first = stream.heard_secs + time.perf_counter() - began
        return stream.finish(), first


def renamed(sources: Sequence[Source]) -> list[Source]:
    """Return the sources with names that are all different: of those that share one the path is the name."""
    counts = Counter(source.name for source in sources)
    return [source if counts[source.name] == 1 else replace(source, name=_path_name(source.path)) for source in sources]


def check_names(sources: Sequence[Source]) -> None:
    """Raise a :class:`DataError`, before any work, where two recordings would be written under one name."""
    first: dict[str, Source] = {}
    for source in sources:
        before = first.setdefault(source.name, source)
        if before is not source:
            raise DataError(
                f"{before.path} would be written under the same name, {source.name}",
                where=source.path,
                remedy="name each recording once, or transcribe them into different folders",
            )


def _path_name(path: Path) -> str:
    """Return a path as one that leads downwards only, from wherever it is taken."""
    parts = Path(os.path.normpath(path)).parts
    return "/".join(part for part in parts if part not in ("..", path.anchor))
