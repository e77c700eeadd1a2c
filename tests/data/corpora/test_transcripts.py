"""Tables of transcripts as spreadsheets and scripts write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from asrkit.core.errors import AsrkitError, DataError
from asrkit.data.corpora.transcripts import Row, read_table


def table(tmp_path: Path, content: str, name: str = "t.csv") -> Path:
    (tmp_path / name).write_bytes(content.encode())
    return tmp_path / name


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_delimiters_line_ends_and_byte_order_marks(tmp_path: Path, mark: str, end: str, bom: str) -> None:
    lines = [mark.join(["Speaker", "Path", "Sentence"]), mark.join(["ann", "a b.wav", " Hello  there "]), ""]
    path = table(tmp_path, bom + end.join(lines))
    assert read_table(path) == [Row(f"{path}:2", "a b.wav", "Hello  there", "ann")]


def test_quoted_fields_in_csv_and_plain_quotes_in_tsv(tmp_path: Path) -> None:
    rows = read_table(table(tmp_path, 'file,text\na.wav,"Yes, ""really"""\n\nb.wav,"two\nlines"\nc.wav,x\n'))
    assert [row.text for row in rows] == ['Yes, "really"', "two\nlines", "x"]
    assert [row.where.rsplit(":", 1)[1] for row in rows] == ["2", "5", "6"]
    rows = read_table(table(tmp_path, 'file\ttext\na.wav\t"Yes\nb.wav\t5" pipe\n', "t.tsv"))
    assert [row.text for row in rows] == ['"Yes', '5" pipe']


def test_stretches_ids_and_empty_fields(tmp_path: Path) -> None:
    path = table(tmp_path, "audio,start,end,transcript,id,spk\na.wav,0.5,1.25,x,u1,\na.wav,,,y,,s\nb.wav,,,z\n")
    assert read_table(path) == [
        Row(f"{path}:2", "a.wav", "x", None, "u1", 0.5, 1.25),
        Row(f"{path}:3", "a.wav", "y", "s"),
        Row(f"{path}:4", "b.wav", "z"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no audio column in the header"),
        ("a.wav,hello\n", r"t\.csv:1: no audio column in the header 'a\.wav, hello' \(name one of its columns file"),
        ("file,speaker\n", r"no text column .*name one of its columns text or transcript"),
        ("file,text\na.wav\n", r"t\.csv:2: 1 fields, expected at least 2"),
        ("file,text\n,hello\n", r"t\.csv:2: the audio field is empty"),
        ("file,text,start\na.wav,x,soon\n", r"t\.csv:2: expected seconds, found 'soon'"),
        ("file,text,start\na.wav,x,nan\n", r"t\.csv:2: expected seconds, found 'nan'"),
        ('file,text\na.wav,"' + "x" * 200000 + '"\n', "not a table: field larger"),
    ],
)
def test_damaged_tables_are_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(table(tmp_path, content))


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("file,text\na.wav,Grüße\n".encode("latin-1"))
    with pytest.raises(AsrkitError, match=r"t\.csv:2: not UTF-8 text \(byte 0xfc\)"):
        read_table(tmp_path / "t.csv")
