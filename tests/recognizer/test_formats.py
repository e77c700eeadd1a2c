"""Formats, read back by parsers that are not ours where there are some."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asrkit.data.labels.ctm import read_ctm
from asrkit.data.labels.textgrid import read_textgrid
from asrkit.recognizer.formats import FORMATS, SUFFIXES, render
from asrkit.recognizer.result import Hypothesis, Result, Segment, Word
from asrkit.recognizer.subtitles import SubtitleConfig, make_cues, srt_text, vtt_text

WORDS = (
    Word("the", 0.1, 0.25, 0.99),
    Word('"cat"', 0.25, 0.6, 0.5),
    Word("sät", 0.62, 1.0, 1.0),
    Word("<b>&", 3.5, 3.75, 0.123456),
)
RESULT = Result(
    (
        Segment(0.0, 2.0, WORDS[:3], (Hypothesis(WORDS[:3], 12.5, 0.8),), True),
        Segment(3.0, 4.0, WORDS[3:], (Hypothesis(WORDS[3:], 3.5),), False),
    ),
    4.5,
    "fmllr",
    "diag",
)


def test_text_has_a_line_a_segment() -> None:
    assert render(RESULT, "text", "a", 1) == 'the "cat" sät\n<b>&\n'


def test_json_holds_everything() -> None:
    found = json.loads(render(RESULT, "json", "my file", 2, {"real_time_factor": 0.1}))
    assert found["recording"] == "my file"
    assert (found["channel"], found["real_time_factor"], found["adaptation"]) == (2, 0.1, "fmllr")
    assert found["text"] == 'the "cat" sät <b>&'
    assert found["segments"][0]["words"][1] == {"word": '"cat"', "start": 0.25, "end": 0.6, "confidence": 0.5}
    assert found["segments"][0]["nbest"][0]["probability"] == 0.8
    assert "probability" not in found["segments"][1]["nbest"][0]
    assert [s["complete"] for s in found["segments"]] == [True, False]


def test_ctm_has_times_and_confidences(tmp_path: Path) -> None:
    path = tmp_path / "a.ctm"
    path.write_text(render(RESULT, "ctm", "my file", 2), "utf-8")
    rows = list(read_ctm(path))
    assert [row.label.text for row in rows] == [word.word for word in WORDS]
    assert {(row.recording_id, row.channel) for row in rows} == {("my_file", "2")}
    assert [row.confidence for row in rows] == [0.99, 0.5, 1.0, 0.1235]
    assert rows[2].label[:2] == (0.62, 1.0)


def test_praat_reads_the_textgrid(tmp_path: Path) -> None:
    from praatio import textgrid

    path = tmp_path / "a.TextGrid"
    path.write_text(render(RESULT, "textgrid", "a", 1), "utf-8")
    grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=False)
    assert grid.tierNames == ("words", "segments")
    entries = [(entry.start, entry.end, entry.label) for entry in grid.getTier("words").entries]
    assert entries == [(word.start_secs, word.end_secs, word.word) for word in WORDS]
    assert [entry.label for entry in grid.getTier("segments").entries] == ['the "cat" sät', "<b>&"]
    assert grid.maxTimestamp == 4.5
    assert len(read_textgrid(path).tiers) == 2


def test_words_without_length_share_a_label() -> None:
    words = (Word("a", 0.0, 0.0), Word("b", 0.5, 1.0), Word("c", 1.0, 1.0), Word("d", 0.9, 1.5))
    text = render(Result((Segment(0, 2, words, (), False),), 2.0), "textgrid", "a", 1)
    labels = re.findall(r'text = "(.+)"', text)
    assert labels[:3] == ["a", "b c", "d"]


SRT_TIME = re.compile(r"(\d\d):(\d\d):(\d\d)[,.](\d{3}) --> (\d\d):(\d\d):(\d\d)[,.](\d{3})")


def parse_cues(text: str) -> list[tuple[float, float, list[str]]]:
    """A reader of SubRip and WebVTT blocks, by their public description."""
    cues = []
    for block in text.strip("\n").split("\n\n"):
        lines = block.split("\n")
        at = next((i for i, line in enumerate(lines) if SRT_TIME.fullmatch(line)), None)
        if at is None:
            continue
        h, m, s, ms, h2, m2, s2, ms2 = map(int, SRT_TIME.fullmatch(lines[at]).groups())  # type: ignore[union-attr]
        cues.append((h * 3600 + m * 60 + s + ms / 1000, h2 * 3600 + m2 * 60 + s2 + ms2 / 1000, lines[at + 1 :]))
    return cues


def test_srt_and_vtt_say_the_same() -> None:
    srt, vtt = render(RESULT, "srt", "a", 1), render(RESULT, "vtt", "a", 1)
    assert parse_cues(srt) == [(0.1, 1.1, ['the "cat" sät']), (3.5, 4.5, ["<b>&"])]
    assert vtt.startswith("WEBVTT\n\n")
    assert parse_cues(vtt) == [(0.1, 1.1, ['the "cat" sät']), (3.5, 4.5, ["&lt;b&gt;&amp;"])]
    assert srt.startswith("1\n00:00:00,100 --> 00:00:01,100\n")


LETTERS = st.text("abcdefgh'", min_size=1, max_size=30)


@given(st.lists(st.tuples(LETTERS, st.floats(0.02, 3.0), st.floats(0.0, 2.0)), min_size=1, max_size=60))
def test_cues_keep_every_word_and_their_limits(spoken: list[tuple[str, float, float]]) -> None:
    words, at = [], 0.0
    for text, length, pause in spoken:
        words.append(Word(text, at + pause, at + pause + length))
        at = words[-1].end_secs
    config = SubtitleConfig()
    cues = make_cues([Segment(0.0, at, tuple(words), (), True)], config)
    assert " ".join(line for cue in cues for line in cue.lines).split() == [word.word for word in words]
    for cue, following in zip(cues, [*cues[1:], None], strict=True):
        assert len(cue.lines) <= config.num_lines
        assert all(len(line) <= config.line_chars for line in cue.lines)
        assert cue.start_secs < cue.end_secs
        assert following is None or cue.end_secs <= following.start_secs + 1e-9
        assert cue.end_secs - cue.start_secs <= config.max_secs + 1e-9
    times = [cue[:2] for cue in parse_cues(srt_text(cues))]
    assert times == [(pytest.approx(c.start_secs, abs=6e-4), pytest.approx(c.end_secs, abs=6e-4)) for c in cues]
    assert [cue[2] for cue in parse_cues(vtt_text(cues))] == [list(cue.lines) for cue in cues]


def test_nothing_said_is_an_empty_file_of_its_format(tmp_path: Path) -> None:
    silent = Result((), 1.0)
    assert {form: render(silent, form, "a", 1) for form in ("text", "ctm", "srt", "vtt")} == {
        "text": "",
        "ctm": "",
        "srt": "",
        "vtt": "WEBVTT\n\n",
    }
    assert json.loads(render(silent, "json", "a", 1))["text"] == ""
    path = tmp_path / "a.TextGrid"
    path.write_text(render(silent, "textgrid", "a", 1), "utf-8")
    assert [tier.labels for tier in read_textgrid(path).tiers] == [(), ()]
    assert set(SUFFIXES) == set(FORMATS)
