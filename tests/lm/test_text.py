from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from asrkit.core.errors import DataError, FormatError
from asrkit.lm.text import read_sentences, read_word_list


def test_plain_text(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes("\ufeffone  two\r\n\nthrée\tfour\n".encode())
    assert list(read_sentences(path)) == [("1", ["one", "two"]), ("2", []), ("3", ["thrée", "four"])]


def test_data_text_and_gzip(tmp_path: Path) -> None:
    path = tmp_path / "text.gz"
    path.write_bytes(gzip.compress(b"utt1 one two\nutt2\n"))
    assert list(read_sentences(path, data_text=True)) == [("utt1", ["one", "two"]), ("utt2", [])]


@pytest.mark.parametrize(
    ("content", "where", "message"),
    [
        (b"a\n<s> b </s>\n", ":2", "holds <s> or </s>"),
        (b"a\nb\n\xff\n", ":3", "not UTF-8"),
    ],
)
def test_faults_name_the_line(tmp_path: Path, content: bytes, where: str, message: str) -> None:
    path = tmp_path / "text"
    path.write_bytes(content)
    with pytest.raises((DataError, FormatError), match=message) as caught:
        list(read_sentences(path))
    assert str(caught.value.where).endswith(where)


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    for read in (read_sentences, read_word_list):
        with pytest.raises(FormatError, match="no such file"):
            list(read(tmp_path / "none"))
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"a b c d e f\n" * 100)[:-10])
    with pytest.raises(FormatError, match="damaged gzip"):
        list(read_sentences(tmp_path / "x.gz"))
    with pytest.raises(FormatError, match="not a readable word list"):
        read_word_list(tmp_path / "x.gz")
    (tmp_path / "text").write_text("a\n\n")
    with pytest.raises(DataError, match="empty line"):
        list(read_sentences(tmp_path / "text", data_text=True))


def test_word_list_takes_the_first_field_and_no_symbols(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("<eps> 0\nb 1\na A1 B\nb 2\n#0 3\n#hash 4\n<s> 5\n</s> 6\n\n")
    assert read_word_list(path) == ("b", "a", "#hash")
    path.write_text("READ R EH D\nREAD(2) R IY D\nF(2) EH F\n")
    assert read_word_list(path) == ("READ", "F(2)")
    path.write_text("<s>\n")
    with pytest.raises(FormatError, match="no words"):
        read_word_list(path)
