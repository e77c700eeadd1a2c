"""Lines for a reader: Kaldi's form, aligned columns, wide characters."""

from __future__ import annotations

from collections import Counter

from asrkit.score.bootstrap import Interval, PairedBootstrap
from asrkit.score.counts import ErrorCounts
from asrkit.score.listing import (
    comparison_lines,
    confusion_lines,
    interval_text,
    speaker_table,
    summary_line,
    sweep_table,
    utterance_lines,
)
from asrkit.score.mapsswe import Mapsswe
from asrkit.score.sweep import Setting
from asrkit.score.utterances import score_utterances


def test_summary_is_in_kaldis_form() -> None:
    line = summary_line(ErrorCounts(10, 5, 31, 762, 130, 33), "PER")
    assert line == "%PER 6.04 [ 46 / 762, 10 ins, 5 del, 31 sub ] %SER 25.38 [ 33 / 130 ]"


def test_interval() -> None:
    text = interval_text(Interval(0.042, 0.0789, 0.95, 12, 1000), "speaker")
    assert text == "95 % interval [4.2, 7.9] (1000 resamples of 12 speakers)"


def test_utterance_lines_align_columns() -> None:
    scored = score_utterances({"u1": ("it", "was", "the", "end")}, {"u1": ("it", "is", "the", "very", "end")})
    assert list(utterance_lines(scored, {"u1": "bob"})) == [
        "id: u1  speaker: bob",
        "Scores: (#C #S #D #I) 3 1 0 1",
        "REF:  it was the **** end",
        "HYP:  it is  the very end",
        "Eval:    S       I",
        "",
    ]


def test_wide_and_combining_characters_keep_the_columns() -> None:
    scored = score_utterances({"u": ("日本", "e\u0301a", "x")}, {"u": ("日", "ea", "x")})
    assert list(utterance_lines(scored, None))[2:5] == [
        "REF:  日本 e\u0301a x",
        "HYP:  日   ea x",
        "Eval: S    S",
    ]


def test_speaker_table_ends_with_the_sum() -> None:
    table = speaker_table({"a": ErrorCounts(1, 0, 0, 10, 2, 1), "bob": ErrorCounts(0, 1, 2, 30, 3, 2)})
    assert table == [
        "speaker  sents  tokens  corr  sub  del  ins   %err  %s.err",
        "a            2      10    10    0    0    1  10.00   50.00",
        "bob          3      30    27    2    1    0  10.00   66.67",
        "sum          5      40    37    2    1    1  10.00   60.00",
    ]


def test_sweep_table_marks_the_best() -> None:
    results = {Setting(9, 0): ErrorCounts(0, 1, 2, 50), Setting(10, 0.5): ErrorCounts(1, 1, 0, 50)}
    assert sweep_table(results, Setting(10, 0.5)) == [
        "lm weight  penalty  %err  errors  ins  del  sub",
        "9                0  6.00       3    0    1    2",
        "10             0.5  4.00       2    1    1    0  *",
    ]


def test_confusions_are_ranked_by_count_and_then_by_name() -> None:
    found = Counter({("b", "x"): 2, ("a", "x"): 2, ("c", "x"): 9, ("d", None): 1, (None, "e"): 3})
    assert confusion_lines(found, 2) == [
        "substitutions: 13 (3 different)",
        "     9  c -> x",
        "     2  a -> x",
        "deletions: 1 (1 different)",
        "     1  d",
        "insertions: 3 (1 different)",
        "     3  e",
    ]


def test_comparison_says_p_and_warns_of_few_segments() -> None:
    paired = PairedBootstrap(0.0123, 0.001, 0.02, 0.031, 0.95, 130, 1000)
    assert comparison_lines("a", "b", Mapsswe(12, 0.5, 1.0, 1.73, 0.083), paired, "utterance") == [
        "a against b:",
        "  MAPSSWE: p = 0.0830 (12 segments, mean difference +0.500, W = +1.73; few segments, the normal approximation "
        "is rough)",
        "  paired bootstrap: p = 0.0310 (difference +1.23 % absolute, 95 % interval [+0.10, +2.00], 1000 resamples of "
        "130 utterances)",
    ]
    assert comparison_lines("a", "b", Mapsswe(70, 0.5, 1.0, 4.2, 2.7e-5), None, "utterance") == [
        "a against b:",
        "  MAPSSWE: p < 0.0001 (70 segments, mean difference +0.500, W = +4.20)",
    ]
