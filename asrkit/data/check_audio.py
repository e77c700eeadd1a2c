"""The audio of a data directory: headers of all files, levels of all utterances, and segments in their recordings."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asrkit.core.archives import resolve
from asrkit.core.errors import DataError
from asrkit.core.jobs import Kind, chunks, map_in_order
from asrkit.core.progress import Progress
from asrkit.data.audio import MAX_OVERSHOOT_SECS, AudioInfo, audio_info, read_audio
from asrkit.data.check_tables import is_pipe, parse_segment
from asrkit.data.findings import Finding
from asrkit.data.tables import RawDataDir

_PIECE_SECS = 60.0
"""Audio is read in pieces of this length, so that memory does not grow with a recording."""

_RECORDINGS_A_JOB = 16

_PROCESSES_FROM = 4096
"""From this many recordings on, processes are used: they take some seconds to start, and then run twice as fast as
threads, which wait for each other between short files."""


@dataclass(frozen=True)
class AudioChecks:
    """What counts as wrong with audio.

    Attributes
    ----------
    sample_rate_hz : int or None
        The expected rate; None for the one that most recordings have.
    any_rate : bool
        Recordings may differ in rate where none is expected: `asrkit extract --resample` converts them.
    min_secs : float
        Shortest utterance that gives a frame.
    overhang_secs : float
        A segment may end this much after its recording before it is mentioned (times are rounded).
    full_scale : float
        Samples at or above this magnitude, on the scale of 16-bit integers, count as clipped.
    max_clipped : float
        Share of clipped samples, in [0, 1], above which an utterance is mentioned.
    silent_peak : float
        An utterance whose samples differ from their mean by less than this is silent.
    max_offset : float
        Largest magnitude of an utterance's mean; 328 is one hundredth of full scale.
    """

    sample_rate_hz: int | None = None
    any_rate: bool = False
    min_secs: float = 0.025
    overhang_secs: float = 0.011
    full_scale: float = 32700.0
    max_clipped: float = 0.001
    silent_peak: float = 8.0
    max_offset: float = 328.0


@dataclass(frozen=True)
class Levels:
    """Sums over samples on the scale of 16-bit integers; levels of pieces add up to those of the whole."""

    num_samples: int = 0
    total: float = 0.0
    lowest: float = math.inf
    highest: float = -math.inf
    num_clipped: int = 0

    @classmethod
    def of(cls, samples: NDArray[np.float32], full_scale: float) -> Levels:
        """Measure ``(num_samples,)`` samples."""
        if not len(samples):
            return cls()
        lowest, highest = float(samples.min()), float(samples.max())
        clipped = 0
        if max(-lowest, highest) >= full_scale:
            clipped = int(np.count_nonzero(np.abs(samples) >= full_scale))
        return cls(len(samples), float(samples.sum(dtype=np.float64)), lowest, highest, clipped)

    def __add__(self, other: Levels) -> Levels:
        return Levels(
            self.num_samples + other.num_samples,
            self.total + other.total,
            min(self.lowest, other.lowest),
            max(self.highest, other.highest),
            self.num_clipped + other.num_clipped,
        )

    @property
    def mean(self) -> float:
        """The DC offset."""
        return self.total / max(self.num_samples, 1)

    @property
    def peak(self) -> float:
        """The largest distance of a sample from the mean."""
        return max(self.highest - self.mean, self.mean - self.lowest)


@dataclass(frozen=True)
class Stretch:
    """An utterance of a recording: its id, the place it is written at, and its times (None: to the end)."""

    utterance_id: str
    where: str
    start_secs: float = 0.0
    end_secs: float | None = None


@dataclass(frozen=True)
class Recording:
    """A recording to look at: its path as written in ``wav.scp``, and the utterances in it."""

    recording_id: str
    where: str
    path: str
    stretches: tuple[Stretch, ...]


@dataclass(frozen=True)
class RecordingFacts:
    """What was found out about a recording.

    Attributes
    ----------
    info : AudioInfo or None
        The header; None when it cannot be read.
    missing : bool
        There is no such file.
    fault : DataError or None
        Why the header cannot be read.
    levels : dict of str to Levels
        By utterance, where the samples were read.
    faults : dict of str to DataError
        By utterance, where its samples cannot be read.
    """

    recording: Recording
    info: AudioInfo | None = None
    missing: bool = False
    fault: DataError | None = None
    levels: dict[str, Levels] = field(default_factory=dict)
    faults: dict[str, DataError] = field(default_factory=dict)


def examine_audio(
    data: RawDataDir, checks: AudioChecks, read_samples: bool, num_jobs: int, progress: Progress
) -> list[RecordingFacts]:
    """Open every recording, and with ``read_samples`` read its utterances piece by piece."""
    recordings = _recordings(data)
    job = functools.partial(_examine, beside=data.path, checks=checks, read_samples=read_samples)
    batches = chunks(recordings, _RECORDINGS_A_JOB)
    kind: Kind = "processes" if len(recordings) >= _PROCESSES_FROM else "threads"
    results = map_in_order(job, batches, num_jobs, kind)
    return [facts for batch in progress(results, total=len(batches), label="audio") for facts in batch]


def durations(facts: Sequence[RecordingFacts]) -> dict[str, float]:
    """Return the length in seconds of each utterance that lies in a recording that can be opened."""
    table: dict[str, float] = {}
    for one in facts:
        if one.info is not None:
            for stretch in one.recording.stretches:
                end = one.info.duration_secs
                if stretch.end_secs is not None:
                    end = min(end, stretch.end_secs)
                if end > stretch.start_secs >= 0:
                    table[stretch.utterance_id] = end - stretch.start_secs
    return table


def unusable(facts: Sequence[RecordingFacts], checks: AudioChecks) -> dict[str, str]:
    """Return utterance -> reason for those whose audio no stage could use: absent, damaged, outside, too short."""
    reasons: dict[str, str] = {}
    for one in facts:
        for stretch in one.recording.stretches:
            fault = one.fault or one.faults.get(stretch.utterance_id)
            if fault is not None:
                reasons[stretch.utterance_id] = f"{fault.where}: {fault.message}"
            elif one.info is not None:
                for finding in _check_stretch(stretch, one.info, checks):
                    if finding.severity == "error":
                        reasons[stretch.utterance_id] = finding.message
    return reasons


def overhanging(facts: Sequence[RecordingFacts], checks: AudioChecks) -> dict[str, float]:
    """Return utterance -> length of its recording in seconds, for segments that end a little after it."""
    return {
        stretch.utterance_id: one.info.duration_secs
        for one in facts
        if one.info is not None
        for stretch in one.recording.stretches
        if any(finding.kind == "segment-overhang" for finding in _check_stretch(stretch, one.info, checks))
    }


def check_audio(facts: Sequence[RecordingFacts], checks: AudioChecks) -> Iterator[Finding]:
    """Yield what is wrong with the audio, from what :func:`examine_audio` found out."""
    yield from _check_files(facts)
    yield from _check_same(facts)
    if checks.sample_rate_hz is not None or not checks.any_rate:
        yield from _check_rates(facts, checks.sample_rate_hz)
    for one in facts:
        if one.info is None:
            continue
        if one.info.num_channels > 1:
            message = f"{one.info.path} has {one.info.num_channels} channels, expected one"
            yield Finding("channels", one.recording.where, message, _only_utterance(one.recording))
        for stretch in one.recording.stretches:
            yield from _check_stretch(stretch, one.info, checks)
            if stretch.utterance_id in one.faults:
                yield _bad_audio(one.faults[stretch.utterance_id], stretch.where, stretch.utterance_id)
            elif stretch.utterance_id in one.levels:
                yield from _check_levels(stretch, one.levels[stretch.utterance_id], checks)


def _recordings(data: RawDataDir) -> list[Recording]:
    wavs, segments = data.tables.get("wav.scp"), data.tables.get("segments")
    if wavs is None:
        return []
    stretches: dict[str, list[Stretch]] = {}
    if segments is None:
        stretches = {key: [Stretch(key, wavs.where(entry))] for key, entry in wavs.by_key.items()}
    else:
        for entry in segments.by_key.values():
            segment = parse_segment(entry)
            if segment is not None:
                stretch = Stretch(entry.key, segments.where(entry), *segment[1:])
                stretches.setdefault(segment[0], []).append(stretch)
    return [
        Recording(key, wavs.where(entry), entry.value, tuple(stretches.get(key, ())))
        for key, entry in wavs.by_key.items()
        if entry.value and not is_pipe(entry.value) and _is_unicode(entry.value)
    ]


def _is_unicode(path: str) -> bool:
    """Say whether a path can be opened: libsndfile takes no name that is not UTF-8 (which is found elsewhere)."""
    return not any("\udc80" <= letter <= "\udcff" for letter in path)


def _examine(
    recordings: Sequence[Recording], beside: Path, checks: AudioChecks, read_samples: bool
) -> list[RecordingFacts]:
    return [_examine_one(recording, beside, checks, read_samples) for recording in recordings]


def _examine_one(recording: Recording, beside: Path, checks: AudioChecks, read_samples: bool) -> RecordingFacts:
    path = resolve(recording.path, beside)
    try:
        info = audio_info(path)
    except DataError as error:
        return RecordingFacts(recording, missing=not path.exists(), fault=error)
    levels: dict[str, Levels] = {}
    faults: dict[str, DataError] = {}
    if read_samples and info.num_channels == 1:
        for stretch in recording.stretches:
            if _fault_of_segment(stretch, info) is None:
                try:
                    levels[stretch.utterance_id] = _measure(stretch, info, checks.full_scale)
                except DataError as error:
                    faults[stretch.utterance_id] = error
    return RecordingFacts(recording, info, levels=levels, faults=faults)


def _measure(stretch: Stretch, info: AudioInfo, full_scale: float) -> Levels:
    """Measure an utterance in pieces that lie on whole samples."""
    rate = info.sample_rate_hz
    first = math.floor(stretch.start_secs * rate + 0.5)
    end = info.num_samples
    if stretch.end_secs is not None:
        end = min(end, math.floor(stretch.end_secs * rate + 0.5))
    size = int(_PIECE_SECS * rate)
    levels = Levels()
    for start in range(first, end, size):
        samples, _ = read_audio(info.path, start / rate, min(start + size, end) / rate)
        levels += Levels.of(samples, full_scale)
    return levels


def _check_files(facts: Sequence[RecordingFacts]) -> Iterator[Finding]:
    for one in facts:
        if one.missing:
            message = f"no file {one.recording.path!r}"
            yield Finding("missing-audio", one.recording.where, message, _only_utterance(one.recording))
        elif one.fault is not None:
            yield _bad_audio(one.fault, one.recording.where, _only_utterance(one.recording))


def _bad_audio(fault: DataError, where: str, utterance_id: str | None) -> Finding:
    return Finding("bad-audio", where, f"{fault.where}: {fault.message}", utterance_id, fault.remedy or "")


def _only_utterance(recording: Recording) -> str | None:
    """Name the utterance where the recording is one, else nobody: the recording may hold many."""
    if len(recording.stretches) == 1:
        return recording.stretches[0].utterance_id
    return None


def _check_same(facts: Sequence[RecordingFacts]) -> Iterator[Finding]:
    first: dict[str, Recording] = {}
    for one in facts:
        if one.info is not None:
            before = first.setdefault(str(one.info.path), one.recording)
            if before is not one.recording:
                message = f"{one.recording.path!r} is the audio of {before.recording_id!r} too ({before.where})"
                yield Finding("same-audio", one.recording.where, message, _only_utterance(one.recording))


def _check_rates(facts: Sequence[RecordingFacts], expected: int | None) -> Iterator[Finding]:
    rates = Counter(one.info.sample_rate_hz for one in facts if one.info is not None)
    if not rates:
        return
    if expected is None:
        expected, count = rates.most_common(1)[0]
        reason = f"{count} of {rates.total()} recordings have {expected} Hz"
    else:
        reason = f"expected {expected} Hz"
    for one in facts:
        if one.info is not None and one.info.sample_rate_hz != expected:
            message = f"{one.info.path} has {one.info.sample_rate_hz} Hz, {reason}"
            yield Finding("sample-rate", one.recording.where, message, _only_utterance(one.recording))


def _fault_of_segment(stretch: Stretch, info: AudioInfo) -> str | None:
    """Say why an utterance does not lie in its recording, None when it does."""
    start, end, duration = stretch.start_secs, stretch.end_secs, info.duration_secs
    if start < 0:
        return f"starts at {start:g} s, expected 0 or more"
    if end is not None and end <= start:
        return f"ends at {end:g} s, expected after its start at {start:g} s"
    if start >= duration:
        return f"starts at {start:g} s, its recording lasts {duration:.3f} s"
    if end is not None and end > duration + MAX_OVERSHOOT_SECS:
        return f"ends at {end:g} s, its recording lasts {duration:.3f} s"
    return None


def _check_stretch(stretch: Stretch, info: AudioInfo, checks: AudioChecks) -> Iterator[Finding]:
    fault = _fault_of_segment(stretch, info)
    if fault is not None:
        yield Finding("bad-segment", stretch.where, f"{stretch.utterance_id!r} {fault}", stretch.utterance_id)
        return
    end = info.duration_secs
    if stretch.end_secs is not None:
        if stretch.end_secs > end + checks.overhang_secs:
            message = f"{stretch.utterance_id!r} ends at {stretch.end_secs:g} s, its recording lasts {end:.3f} s"
            yield Finding("segment-overhang", stretch.where, message, stretch.utterance_id)
        end = min(end, stretch.end_secs)
    secs = end - stretch.start_secs
    # Half a sample of slack: 0.025 s at 11025 Hz is no whole number of samples.
    if secs + 0.5 / info.sample_rate_hz < checks.min_secs:
        num_samples = round(secs * info.sample_rate_hz)
        message = (
            f"{stretch.utterance_id!r} lasts {1000 * secs:.1f} ms ({num_samples} samples), "
            f"expected {1000 * checks.min_secs:g} ms or more"
        )
        yield Finding("too-short", stretch.where, message, stretch.utterance_id)


def _check_levels(stretch: Stretch, levels: Levels, checks: AudioChecks) -> Iterator[Finding]:
    key, where = stretch.utterance_id, stretch.where
    if levels.peak < checks.silent_peak:
        level = "all zero" if levels.lowest == levels.highest == 0 else f"within {levels.peak:.1f} of {levels.mean:.1f}"
        yield Finding("silent", where, f"{key!r}: the samples are {level} (full scale is 32768)", key)
        return
    if levels.num_clipped > checks.max_clipped * levels.num_samples:
        share = 100 * levels.num_clipped / levels.num_samples
        message = f"{key!r}: {levels.num_clipped} samples ({share:.2g} %) reach {checks.full_scale:g} of 32768"
        yield Finding("clipping", where, message, key)
    if abs(levels.mean) > checks.max_offset:
        share = 100 * levels.mean / 32768
        message = f"{key!r}: the samples' mean is {levels.mean:.0f} ({share:.2g} % of full scale), expected about 0"
        yield Finding("dc-offset", where, message, key)
