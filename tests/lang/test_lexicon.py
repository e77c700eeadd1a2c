from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import FormatError
from asrkit.lang.lexicon import Pronunciation, disambiguate, read_lexicon


def lexicon(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "lexicon.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_words_and_phones(tmp_path: Path) -> None:
    path = lexicon(tmp_path, ";;; a comment\nB\t b  i\nA ey\n\nA ah\n")
    assert read_lexicon(path) == [
        Pronunciation("B", ("b", "i")),
        Pronunciation("A", ("ey",)),
        Pronunciation("A", ("ah",)),
    ]


def test_probabilities_are_found_and_divided_by_the_largest(tmp_path: Path) -> None:
    path = lexicon(tmp_path, "A 0.2 ey\nB 1.0 b i\nA 0.5 ah\n")
    assert [(e.word, e.probability) for e in read_lexicon(path)] == [("A", 0.4), ("B", 1.0), ("A", 1.0)]


def test_counts_are_probabilities_when_said_so(tmp_path: Path) -> None:
    path = lexicon(tmp_path, "A 3 ey\nA 12 ah\n")
    assert [e.probability for e in read_lexicon(path, "yes")] == [0.25, 1.0]
    assert [e.phones for e in read_lexicon(path, "auto")] == [("3", "ey"), ("12", "ah")]


def test_phones_may_look_like_numbers(tmp_path: Path) -> None:
    path = lexicon(tmp_path, "A 1 2\nB 1 3\n")
    assert [e.phones for e in read_lexicon(path, "auto")] == [("2",), ("3",)]
    assert [e.phones for e in read_lexicon(path, "no")] == [("1", "2"), ("1", "3")]


def test_a_lone_number_is_a_phone(tmp_path: Path) -> None:
    assert read_lexicon(lexicon(tmp_path, "ONE 1\n"))[0].phones == ("1",)


def test_gzip_mark_of_byte_order_and_foreign_line_ends(tmp_path: Path) -> None:
    text = "\ufeffÄRA ä r\u00a0a\r\nB b\r\n".encode()
    (tmp_path / "l.txt.gz").write_bytes(gzip.compress(text))
    expected = [Pronunciation("ÄRA", ("ä", "r\u00a0a")), Pronunciation("B", ("b",))]
    assert read_lexicon(tmp_path / "l.txt.gz") == expected
    assert read_lexicon(lexicon(tmp_path, text)) == expected


@pytest.mark.parametrize(
    ("text", "said", "line", "message"),
    [
        ("A a\nB\n", "auto", 2, "word 'B' has no phones"),
        ("A 0.5\nB 0.5 b\n", "yes", 1, "word 'A' has no phones"),
        ("A a\nB b\nA a\n", "auto", 3, "'A' with the phones a stands in line 1 already.*keep one"),
        ("A 0.5 a\nA 0.7 a\n", "auto", 2, "stands in line 1 already"),
        ("A a\n<eps> b\n", "auto", 2, "'<eps>' is reserved"),
        ("#0 a\n", "auto", 1, "'#0' is reserved"),
        ("<s> a\n", "auto", 1, "'<s>' is reserved"),
        ("A a #1\n", "auto", 1, "'#1' is reserved"),
        ("A <eps>\n", "auto", 1, "'<eps>' is reserved"),
        ("A a\nB 0.5 b\nC c\n", "auto", 2, "second field is a probability here, and none in line 1"),
        ("A a\nB 0.5 b\n", "yes", 1, "'A': expected a probability > 0 behind the word, found 'a'"),
        ("A 0 a\n", "yes", 1, "expected a probability > 0"),
        ("A inf a\n", "yes", 1, "expected a probability > 0"),
        ("A nan a\n", "yes", 1, "expected a probability > 0"),
        ("A\n", "yes", 1, "found nothing"),
        (b"A a\nB \xe4\n", "auto", 2, "not UTF-8"),
    ],
)
def test_each_mistake_is_named_with_its_line(
    tmp_path: Path, text: str | bytes, said: str, line: int, message: str
) -> None:
    path = lexicon(tmp_path, text)
    with pytest.raises(FormatError, match=message) as caught:
        read_lexicon(path, said)  # type: ignore[arg-type]
    assert caught.value.where == f"{path}:{line}"


@pytest.mark.parametrize("text", ["", "\n\n", ";;; nothing\n"])
def test_an_empty_lexicon_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(FormatError, match="the lexicon is empty"):
        read_lexicon(lexicon(tmp_path, text))


def test_absent_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no such file"):
        read_lexicon(tmp_path / "absent.txt")
    with pytest.raises(FormatError, match="no such file"):
        read_lexicon(tmp_path / "absent.gz")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"A a\n" * 1000)[:-9])
    with pytest.raises(FormatError, match="not a readable gzip file"):
        read_lexicon(tmp_path / "cut.gz")
    (tmp_path / "latin.gz").write_bytes(gzip.compress(b"A a\nB \xe4\n"))
    with pytest.raises(FormatError, match=r"latin\.gz:2: not UTF-8"):
        read_lexicon(tmp_path / "latin.gz")


def test_only_allowed_phones(tmp_path: Path) -> None:
    path = lexicon(tmp_path, "A a\nB b x\n")
    assert len(read_lexicon(path, allowed_phones={"a", "b", "x", "y"})) == 2
    with pytest.raises(FormatError, match="word 'B' has the unknown phone 'x'") as caught:
        read_lexicon(path, allowed_phones={"a", "b"})
    assert caught.value.where == f"{path}:2"


def test_disambiguation_symbols_as_kaldi_gives_them() -> None:
    """Homophones are numbered, the beginning of another gets #1, what stands apart gets none."""
    entries = [(1,), (1, 2), (3, 4), (3, 4), (5,), (3, 4)]
    assert disambiguate(entries) == [1, 0, 1, 2, 0, 3]
    assert disambiguate([(1, 2, 3), (1,), (1,)]) == [0, 1, 2]


@given(st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=4), min_size=1, max_size=15))
@settings(max_examples=200, deadline=None)
def test_with_their_symbols_none_begins_another(pronunciations: list[list[int]]) -> None:
    symbols = disambiguate(pronunciations)
    marked = [tuple(p) + ((-s,) if s else ()) for p, s in zip(pronunciations, symbols, strict=True)]
    for i, one in enumerate(marked):
        for j, other in enumerate(marked):
            assert i == j or other[: len(one)] != one
    # None is given without need.
    for i, p in enumerate(pronunciations):
        alone = all(i == j or other[: len(p)] != p for j, other in enumerate(pronunciations))
        assert (symbols[i] == 0) == alone
