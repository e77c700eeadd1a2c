"""CTM and label tables: read what is written, and name the line that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from asrkit.core.errors import DataError, FormatError
from asrkit.core.files import write_lines
from asrkit.data.labels.ctm import CtmRow, read_ctm
from asrkit.data.labels.label import Label, tile
from asrkit.data.labels.phone_table import read_phone_table

ROWS = [
    CtmRow("rec1", Label(0.0, 0.3075, "SIL")),
    CtmRow("rec1", Label(0.3075, 0.3125, "größer"), channel="2"),
    CtmRow("rec2", Label(3600.25, 3601.0, "x"), confidence=0.875),
]


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.ctm", [";; a comment", *map(str, ROWS), ""])
    assert list(read_ctm(tmp_path / "a.ctm")) == ROWS


def test_the_columns_are_those_of_kaldi() -> None:
    assert str(ROWS[1]) == "rec1 2 0.3075 0.0050 größer"
    assert str(ROWS[2]) == "rec2 1 3600.2500 0.7500 x 0.8750"


def test_labels_that_touch_still_touch_after_rounding() -> None:
    third = 1 / 3
    first, second = CtmRow("r", Label(0.00005, third, "a")), CtmRow("r", Label(third, 1.0, "b"))
    start, duration = map(float, str(first).split()[2:4])
    assert round(start + duration, 4) == float(str(second).split()[2])


@pytest.mark.parametrize(
    "line", ["rec 1 0.0 0.1", "rec 1 zero 0.1 a", "rec 1 -1 0.1 a", "rec 1 0 nan a", "r 1 0 1 a 1 2"]
)
def test_a_wrong_row_of_a_ctm_is_named(tmp_path: Path, line: str) -> None:
    write_lines(tmp_path / "a.ctm", [str(ROWS[0]), line])
    with pytest.raises(FormatError) as caught:
        list(read_ctm(tmp_path / "a.ctm"))
    assert f"a.ctm:2: expected 'recording channel start duration label [confidence]', found {line!r}" in str(
        caught.value
    )


def test_label_tables_are_read_by_utterance(tmp_path: Path) -> None:
    write_lines(tmp_path / "phones.ali", ["u1 0.0 0.5 h#", "u2 0 1 a", "u1 0.5 0.75 b"])
    assert read_phone_table(tmp_path / "phones.ali") == {
        "u1": [Label(0.0, 0.5, "h#"), Label(0.5, 0.75, "b")],
        "u2": [Label(0.0, 1.0, "a")],
    }


@pytest.mark.parametrize("line", ["u1 0.5 0.25 a", "u1 0.5 a", "u1 x 1 a", "", "u1 0 inf a", "u1 0 1 a b"])
def test_a_wrong_line_of_a_label_table_is_named(tmp_path: Path, line: str) -> None:
    write_lines(tmp_path / "phones.ali", ["u1 0.0 0.5 h#", line])
    with pytest.raises(FormatError) as caught:
        read_phone_table(tmp_path / "phones.ali")
    assert "phones.ali:2: expected 'utterance start end phone'" in str(caught.value)


def test_gaps_are_filled_and_overlaps_refused() -> None:
    labels = [Label(2.0, 3.0, "b"), Label(0.5, 1.0, "a")]
    assert tile(labels, 0.0, 3.5) == [
        Label(0.0, 0.5, ""),
        Label(0.5, 1.0, "a"),
        Label(1.0, 2.0, ""),
        Label(2.0, 3.0, "b"),
        Label(3.0, 3.5, ""),
    ]
    assert tile([], 1.0, 2.0) == [Label(1.0, 2.0, "")]
    with pytest.raises(DataError, match=r"'b' from 2 to 3 s does not fit between 1 and 2.5 s"):
        tile(labels, 0.0, 2.5)
