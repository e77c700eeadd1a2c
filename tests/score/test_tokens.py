"""From words to tokens: order of the rules, characters, spelling variants and their faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from asrkit.core.errors import DataError, FormatError
from asrkit.score.tokens import TokenRules, read_variants


def test_words_are_left_alone_by_default() -> None:
    assert TokenRules().apply(["it", "was"]) == ("it", "was")


def test_characters_with_and_without_spaces() -> None:
    assert TokenRules(unit="char").apply(["né", "to"]) == ("n", "é", "t", "o")
    assert TokenRules(unit="char", count_spaces=True).apply(["né", "to"]) == ("n", "é", "␣", "t", "o")


def test_ignored_tokens_are_removed_before_and_after_folding() -> None:
    phones = ["h#", "aa", "spn", "ao", "pcl", "p"]
    assert TokenRules(unit="phone", fold="timit39", ignore=frozenset({"spn"})).apply(phones) == (
        "sil",
        "aa",
        "aa",
        "sil",
        "p",
    )
    assert TokenRules(unit="phone", fold="timit39", ignore=frozenset({"spn", "sil"})).apply(phones) == ("aa", "aa", "p")


def test_ignored_words_go_before_words_are_split() -> None:
    assert TokenRules(unit="char", ignore=frozenset({"<UNK>"})).apply(["a", "<UNK>", "b"]) == ("a", "b")


def test_variants_come_first() -> None:
    rules = TokenRules(variants={"colour": "color", "uh": "<hes>"}, ignore=frozenset({"<hes>"}))
    assert rules.apply(["uh", "colour", "colours"]) == ("color", "colours")


def test_an_unknown_phone_is_named_with_its_utterance() -> None:
    rules = TokenRules(unit="phone", fold="timit39")
    with pytest.raises(DataError) as caught:
        rules.apply_to_all({"u1": ["aa"], "u2": ["zz"]}, "hyp.txt")
    assert str(caught.value).startswith("hyp.txt: u2: 'zz' is not one of TIMIT's phones")


def test_reading_variants(tmp_path: Path) -> None:
    path = tmp_path / "glm"
    path.write_text(";; comment\n\ncolour color\nuh   <hes>\n")
    assert read_variants(path) == {"colour": "color", "uh": "<hes>"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b\nc d e\n", "glm:2: expected 'VARIANT SPELLING', found 'c d e'"),
        ("a b\na c\n", "glm:2: 'a' was given before, at line 1"),
        ("x y\na b\nb c\n", "glm:2: 'a' becomes 'b', which becomes 'c'"),
    ],
)
def test_faults_of_variants(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "glm").write_text(text)
    with pytest.raises(FormatError) as caught:
        read_variants(tmp_path / "glm")
    assert message in str(caught.value)
