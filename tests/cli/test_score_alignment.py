"""`asrkit score-alignment`: every form of labels says the same, and every mistake is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.core.files import write_lines
from asrkit.data.labels.ctm import CtmRow
from asrkit.data.labels.label import Label
from asrkit.data.labels.textgrid import TextGrid, Tier

# Two utterances; the hypothesis is 15 ms late once, and 30 ms early once; q is not labelled in it.
REFERENCE = {
    "u1": [(0.0, 0.2, "h#"), (0.2, 0.3, "ae"), (0.3, 0.35, "tcl"), (0.35, 0.5, "t"), (0.5, 1.0, "h#")],
    "u2": [(0.0, 0.1, "h#"), (0.1, 0.15, "q"), (0.15, 0.4, "iy"), (0.4, 0.8, "h#")],
}
HYPOTHESIS = {
    "u1": [(0.0, 0.2, "sil"), (0.2, 0.315, "ae"), (0.315, 0.35, "cl"), (0.35, 0.5, "t"), (0.5, 1.0, "sil")],
    "u2": [(0.0, 0.12, "sil"), (0.12, 0.37, "iy"), (0.37, 0.8, "sil")],
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    lines = [f"{key} {start} {end} {phone}" for key, spans in REFERENCE.items() for start, end, phone in spans]
    (tmp_path / "data").mkdir()
    write_lines(tmp_path / "data" / "phones.ali", lines)
    (tmp_path / "ali").mkdir()
    rows = [str(CtmRow(key, Label(*span))) for key, spans in HYPOTHESIS.items() for span in spans]
    write_lines(tmp_path / "ali" / "phones.ctm", rows)
    for key, spans in HYPOTHESIS.items():
        labels = tuple(Label(*span) for span in spans)
        tiers = (Tier("words", ()), Tier("phones", labels))
        TextGrid(0.0, 1.5, tiers).save(tmp_path / "grids" / f"{key}.TextGrid")
    return tmp_path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["score-alignment", *map(str, arguments)])


def figures(*arguments: object) -> dict[str, float]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, float] = json.loads(result.stdout)["figures"]
    return found


EXPECTED = {
    "boundaries": 5,
    "unmatched": 0,
    "median_ms": 0.0,
    "mean_ms": 9.0,
    "bias_ms": -3.0,
    "within_10_ms": 60.0,
    "within_20_ms": 80.0,
    "within_25_ms": 80.0,
    "within_50_ms": 100.0,
}


@pytest.mark.parametrize("hypothesis", ["ali", "ali/phones.ctm", "grids"])
def test_all_forms_of_labels_say_the_same(data: Path, hypothesis: str) -> None:
    assert figures(data / "data", data / hypothesis, "--fold", "timit48") == pytest.approx(EXPECTED, abs=1e-6)
    assert figures(data / "data" / "phones.ali", data / hypothesis, "--fold", "timit39") == pytest.approx(
        EXPECTED, abs=1e-6
    )


def test_a_map_renames_and_removes_as_the_folding_does(data: Path) -> None:
    write_lines(data / "map", ["h# sil", "tcl cl", "q", ""])
    assert figures(data / "data", data / "ali", "--map", data / "map") == pytest.approx(EXPECTED, abs=1e-6)
    # Without any, silences and closures have other names and their boundaries no counterpart.
    bare = figures(data / "data", data / "ali")
    assert (bare["boundaries"], bare["unmatched"]) == (0, 7)
    assert "no boundary to compare, 7 unmatched" in run(data / "data", data / "ali").stdout


def test_a_line_for_a_reader_and_a_table_by_class(data: Path) -> None:
    result = run(data / "data", data / "ali", "--fold", "timit48", "--per-class")
    assert result.exit_code == 0
    assert "median 0.0 ms, mean 9.0 ms, bias -3.0 ms; 60.0 % within 10 ms" in result.stdout
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["vowel", "-", "closure", "1", "15.0", "+15.0", "0.0", "100.0", "100.0", "100.0"] in rows


def test_one_textgrid_alone(data: Path) -> None:
    one = figures(data / "grids" / "u1.TextGrid", data / "grids" / "u1.TextGrid")
    assert (one["boundaries"], one["mean_ms"]) == (4, 0.0)


def test_missing_utterances_are_named(data: Path) -> None:
    (data / "grids" / "u2.TextGrid").unlink()
    stopped = run(data / "data", data / "grids", "--fold", "timit48")
    assert stopped.exit_code == 3
    assert "1 of 2 utterances failed" in stopped.output
    allowed = run(data / "data", data / "grids", "--fold", "timit48", "--max-failed", 0.5)
    assert allowed.exit_code == 0
    assert f"failed: u2: not in {data / 'grids'}" in allowed.stdout


@pytest.mark.parametrize("side", ["data/phones.ali", "ali/phones.ctm"])
def test_labels_that_overlap_are_named_and_not_compared(data: Path, side: str) -> None:
    alone = figures(data / "data", data / "ali", "--fold", "timit48")
    for key in ("u1", "u2"):
        lines = (data / side).read_text().splitlines()
        write_lines(data / side, [*lines, *(line for line in lines if line.startswith(key))])
        result = run(data / "data", data / "ali", "--fold", "timit48")
        assert result.exit_code == 3
        assert "labels overlap: 'h#' 0 to" in result.stderr or "labels overlap: 'sil' 0 to" in result.stderr
        if key == "u1":
            half = figures(data / "data", data / "ali", "--fold", "timit48", "--max-failed", 0.5)
            assert 0 < half["boundaries"] < alone["boundaries"]


def test_mistakes_are_one_clean_line(data: Path) -> None:
    write_lines(data / "map", ["h# sil", "h# pau"])
    write_lines(data / "other.ali", ["u9 0 1 a"])
    (data / "empty").mkdir()
    mistakes = {
        "both fold timit48 and a map are given": ("data", "ali", "--fold", "timit48", "--map", data / "map"),
        "map:2: expected one 'PHONE NAME' or 'PHONE' a line, 'h#' stands twice": ("data", "ali", "--map", data / "map"),
        "no utterance of": ("data", "other.ali"),
        "neither phones.ctm, phones.ali nor any .TextGrid": ("data", "empty"),
        "no tier 'letters', found 'words', 'phones'": ("data", "grids", "--set", "tier=letters"),
        "the map does not know the phone 'a'": ("other.ali", "other.ali", "--fold", "timit39"),
        "nowhere.ctm: no such file": ("data", "nowhere.ctm"),
    }
    for message, (reference, hypothesis, *rest) in mistakes.items():
        result = run(data / str(reference), data / str(hypothesis), *rest)
        assert result.exit_code == 1, message
        assert message in result.output
