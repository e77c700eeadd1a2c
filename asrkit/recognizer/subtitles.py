"""Subtitles: recognised words in cues that can be read in the time that they stand there; SubRip (.srt) and WebVTT."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from asrkit.recognizer.result import Segment, Word


@dataclass(frozen=True)
class SubtitleConfig:
    """When a cue is full; the numbers are those that broadcasters keep to.

    Attributes
    ----------
    line_chars, num_lines : int
        Most characters of a line, and lines of a cue. A word that is longer than a line has one of its own.
    max_secs, min_secs : float
        Longest and, where the next cue leaves room, shortest time that a cue stands.
    pause_secs : float
        A pause from which on the next word begins a new cue.
    """

    line_chars: int = 42
    num_lines: int = 2
    max_secs: float = 6.0
    min_secs: float = 1.0
    pause_secs: float = 1.0


@dataclass(frozen=True)
class Cue:
    """What stands on the screen from ``start_secs`` to ``end_secs``, in seconds of the recording."""

    start_secs: float
    end_secs: float
    lines: tuple[str, ...]


_DEFAULT = SubtitleConfig()


def make_cues(segments: Iterable[Segment], config: SubtitleConfig = _DEFAULT) -> list[Cue]:
    """Cut the words of segments into cues, in order of time and without overlap; every word is in one."""
    groups = [group for segment in segments for group in _groups(segment.words, config)]
    cues: list[Cue] = []
    for number, group in enumerate(groups):
        start = max(group[0].start_secs, cues[-1].end_secs if cues else 0.0)
        room = groups[number + 1][0].start_secs if number + 1 < len(groups) else float("inf")
        end = max(group[-1].end_secs, min(start + config.min_secs, room))
        cues.append(Cue(start, max(min(end, max(room, start)), start + 0.001), _lines(group, config)))
    return cues


def srt_text(cues: Iterable[Cue], first: int = 1) -> str:
    """Return cues as SubRip, numbered from ``first``."""
    blocks = []
    for number, cue in enumerate(cues, first):
        times = f"{_clock(cue.start_secs, ',')} --> {_clock(cue.end_secs, ',')}"
        blocks.append("\n".join([str(number), times, *cue.lines]) + "\n\n")
    return "".join(blocks)


def vtt_text(cues: Iterable[Cue], header: bool = True) -> str:
    """Return cues as WebVTT; ``&``, ``<`` and ``>`` are written as its entities."""
    blocks = ["WEBVTT\n\n"] if header else []
    for cue in cues:
        lines = [line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for line in cue.lines]
        blocks.append("\n".join([f"{_clock(cue.start_secs, '.')} --> {_clock(cue.end_secs, '.')}", *lines]) + "\n\n")
    return "".join(blocks)


def _groups(words: Sequence[Word], config: SubtitleConfig) -> Iterator[list[Word]]:
    group: list[Word] = []
    for word in words:
        if group and (
            word.start_secs - group[-1].end_secs >= config.pause_secs
            or word.end_secs - group[0].start_secs > config.max_secs
            or len(_lines([*group, word], config)) > config.num_lines
        ):
            yield group
            group = []
        group.append(word)
    if group:
        yield group


def _lines(words: Sequence[Word], config: SubtitleConfig) -> tuple[str, ...]:
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + 1 + len(word.word) <= config.line_chars:
            lines[-1] += f" {word.word}"
        else:
            lines.append(word.word)
    return tuple(lines)


def _clock(secs: float, point: str) -> str:
    millis = round(secs * 1000)
    return f"{millis // 3600000:02d}:{millis // 60000 % 60:02d}:{millis // 1000 % 60:02d}{point}{millis % 1000:03d}"
