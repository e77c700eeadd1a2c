"""Results as text, JSON, CTM, subtitles and TextGrids."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args

from asrkit.data.labels.ctm import CtmRow
from asrkit.data.labels.label import Label
from asrkit.data.labels.textgrid import TextGrid, Tier
from asrkit.recognizer.result import Result, Segment, Word
from asrkit.recognizer.subtitles import make_cues, srt_text, vtt_text

Format = Literal["text", "json", "ctm", "srt", "vtt", "textgrid"]
FORMATS: tuple[Format, ...] = get_args(Format)
SUFFIXES: dict[Format, str] = {
    "text": ".txt",
    "json": ".json",
    "ctm": ".ctm",
    "srt": ".srt",
    "vtt": ".vtt",
    "textgrid": ".TextGrid",
}


def render(result: Result, form: Format, name: str, channel: int, facts: dict[str, Any] | None = None) -> str:
    """Return a result as the content of a file.

    Parameters
    ----------
    name : str
        Of the recording, for JSON and CTM (where blanks in it become ``_``).
    channel : int
        1-based.
    facts : dict, optional
        More for the JSON object.
    """
    if form == "text":
        return "".join(f"{segment.text}\n" for segment in result.segments)
    if form == "json":
        described = {"recording": name, "channel": channel, **result.to_json(), **(facts or {})}
        return json.dumps(described, ensure_ascii=False) + "\n"
    if form == "ctm":
        return ctm_text(result.segments, name, channel)
    if form == "srt":
        return srt_text(make_cues(result.segments))
    if form == "vtt":
        return vtt_text(make_cues(result.segments))
    return textgrid(result).text()


def ctm_text(segments: Iterable[Segment], name: str, channel: int) -> str:
    """Return the words of segments as CTM rows, with confidences where there are some."""
    recording = "_".join(name.split()) or "_"
    rows = [
        CtmRow(recording, Label(word.start_secs, word.end_secs, word.word), str(channel), word.confidence)
        for segment in segments
        for word in segment.words
    ]
    return "".join(f"{row}\n" for row in rows)


def textgrid(result: Result) -> TextGrid:
    """Return a tier of words and one of segments."""
    words = _labels([word for segment in result.segments for word in segment.words])
    pieces = [Word(segment.text, segment.start_secs, segment.end_secs) for segment in result.segments]
    segments = _labels(pieces)
    end = max([result.duration_secs, *(label.end_secs for label in (*words, *segments))])
    return TextGrid(0.0, end, (Tier("words", words), Tier("segments", segments)))


def _labels(words: Sequence[Word]) -> tuple[Label, ...]:
    """Return labels that neither overlap nor last no time, as a tier wants them.

    A word that lasts no time (its times are rough where an utterance breaks off) shares the label of the one before.
    """
    labels: list[Label] = []
    for word in words:
        start = max(word.start_secs, labels[-1].end_secs if labels else 0.0)
        if word.end_secs - start >= 1e-6:
            labels.append(Label(start, word.end_secs, word.word))
        elif labels:
            labels[-1] = labels[-1]._replace(text=f"{labels[-1].text} {word.word}")
        else:
            labels.append(Label(start, start + 1e-3, word.word))
    return tuple(labels)
