"""The command `asrkit make-lexicon`: a dictionary in cmudict's form, and a planted orthography for what it lacks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.lang.lexicon import read_lexicon

DICTIONARY = """\
;;; a comment
bad B AE1 D
bad(2) B AA0 D
dab D AE1 B # a dance
'dab D AE1 B
"""


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "dict").write_text(DICTIONARY)
    (tmp_path / "words").write_text("DAB\nBAD\n<s>\n'DAB\nBAD 3\n#0\n")
    return tmp_path


def test_words_keep_their_form_and_get_every_pronunciation(root: Path) -> None:
    result = run("make-lexicon", root / "words", root / "dict", root / "lexicon", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["figures"] == {"words": 3, "pronunciations": 4, "by_g2p": 0}
    assert (root / "lexicon").read_text() == "'DAB D AE1 B\nBAD B AA0 D\nBAD B AE1 D\nDAB D AE1 B\n"
    assert run("make-lexicon", root / "words", root / "dict", root / "lexicon", "--strip-stress").exit_code == 0
    assert (root / "lexicon").read_text() == "'DAB D AE B\nBAD B AA D\nBAD B AE D\nDAB D AE B\n"


def test_words_without_a_pronunciation_are_named_or_too_many(root: Path) -> None:
    (root / "words").write_text("BAD\nDAD\n")
    arguments = ("make-lexicon", root / "words", root / "dict", root / "lexicon")
    result = run(*arguments)
    assert result.exit_code == 3
    assert "DAD: not in dict (--g2p MODEL pronounces such words)" in result.stderr
    assert not (root / "lexicon").exists()
    result = run(*arguments, "--max-failed", 0.5)
    assert result.exit_code == 0
    assert "failed: DAD: not in dict" in result.stdout
    assert [entry.word for entry in read_lexicon(root / "lexicon")] == ["BAD", "BAD"]


def test_g2p_says_what_the_dictionary_lacks(root: Path) -> None:
    letters = {"b": "B", "d": "D", "g": "G", "a": "AE"}
    spelled = [a + v + c for a in "bdg" for v in "a" for c in "bdg"]
    (root / "dict").write_text("".join(f"{word} {' '.join(letters[x] for x in word)}\n" for word in spelled[:-1]))
    g2p = root / "g2p.safetensors"
    assert run("train-g2p", root / "dict", g2p, "--held-out", 0).exit_code == 0
    (root / "words").write_text(f"{spelled[0].upper()}\n{spelled[-1].upper()}\nÖL\n")
    arguments = ("make-lexicon", root / "words", root / "dict", root / "lexicon", "--g2p", g2p, "--max-failed", 0.4)
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    assert (root / "lexicon").read_text() == "BAB B AE B\nGAG G AE G\n"
    assert "failed: ÖL: the letter 'ö'" in result.stdout
    assert "by_g2p 1" in result.stdout
    (root / "other").write_text("bab P A P\n")
    result = run("make-lexicon", root / "words", root / "other", root / "lexicon", "--g2p", g2p)
    assert result.exit_code == 1
    assert "the G2P model has phones that" in result.stderr
