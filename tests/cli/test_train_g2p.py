from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.lang.lexicon import read_lexicon
from tests.lang.test_g2p import planted


@pytest.fixture
def lexicon(tmp_path: Path) -> Path:
    path = tmp_path / "lexicon.txt"
    lines = [f"{word} {' '.join(f'{phone}1' for phone in said[0])}" for word, said in planted(800, 0).items()]
    path.write_text("\n".join([*lines, "TA(2) T1 AX1", "w D AH1 B", "<unk> SPN", ""]))
    return path


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def test_train_and_pronounce(lexicon: Path, tmp_path: Path) -> None:
    model = tmp_path / "exp" / "g2p.safetensors"
    command = ("train-g2p", lexicon, model, "--strip-stress", "--held-out", 0.1, "--set", "order=4")
    report: dict[str, Any] = json.loads(run(*command, "--json").stdout)
    figures = report["figures"]
    assert figures["held_out_words"] == 80
    assert figures["words"] in (721, 720)  # w may be held out
    assert figures["phone_error_percent"] < 10
    assert figures["word_error_percent"] < 10
    assert set(report["failures"]) <= {"w"}
    assert json.loads(run(*command, "--json").stdout)["skipped"]
    assert not json.loads(run(*command, "--seed", 3, "--json").stdout)["skipped"]
    assert "phone_error_percent" in run(*command, "--seed", 4).stdout

    assert run("g2p", model, "Shanke").stdout == "Shanke SH AH NG K EH\n"
    (tmp_path / "words").write_text("kono\nShanke\nkono\n")
    both = run("g2p", model, "tata", "--file", tmp_path / "words").stdout
    assert both == "tata T AH T AH\nkono K OW N OW\nShanke SH AH NG K EH\n"
    many = run("g2p", model, "ta", "sa", "--nbest", 2, "--probabilities").stdout
    (tmp_path / "out.txt").write_text(many)
    entries = read_lexicon(tmp_path / "out.txt", "yes")
    assert [entry.word for entry in entries] == ["ta"] * 2 + ["sa"] * 2
    assert entries[0].probability == 1.0 > entries[1].probability > 0
    assert len({entry.phones for entry in entries if entry.word == "ta"}) == 2


def test_without_held_out_words_nothing_is_measured(lexicon: Path, tmp_path: Path) -> None:
    report = json.loads(run("train-g2p", lexicon, tmp_path / "m", "--held-out", 0, "--json").stdout)
    assert report["figures"]["words"] == 801
    assert "phone_error_percent" not in report["figures"]
    assert report["failures"] == {"w": "3 phones are too many for its letters: D AH1 B"}
    assert run("g2p", tmp_path / "m", "tasa").stdout == "tasa T1 AH1 S1 AH1\n"


def test_unknown_letters(lexicon: Path, tmp_path: Path) -> None:
    run("train-g2p", lexicon, tmp_path / "m", "--held-out", 0, "--set", "order=3")
    failed = run("g2p", tmp_path / "m", "ta", "taño", code=1)
    assert "the letter 'ñ' of the word 'taño' is unknown" in failed.stderr
    assert failed.stdout == ""
    passed = run("g2p", tmp_path / "m", "ta", "taño", "--skip-unknown")
    assert passed.stdout == "ta T1 AH1\n"
    assert "left out: the letter 'ñ' of the word 'taño'" in passed.stderr


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("", (), "the lexicon is empty"),
        ("% P ER\n<unk> SPN\n", (), "no word with letters"),
        ("a\n", (), "'a' has no phones"),
        ("a A B C\n", ("--held-out", 0), "no word can be aligned with its phones"),
        ("ta T A\n", ("--held-out", 1), "expected at least 0 and less than 1"),
        ("ta T A\n", ("--set", "alignment.max_letters=3"), "max_letters is 3, expected 1 or 2"),
        ("ta T A\n", ("--set", "ordre=3"), "did you mean order?"),
        ("ta T A\n", ("--test", "absent"), "absent: no such file"),
        ("ta T A\nt D AH B\n", ("--held-out", 0, "--max-failed", 0.2), "1 of 2 utterances failed"),
    ],
)
def test_bad_input(tmp_path: Path, text: str, arguments: tuple[object, ...], message: str) -> None:
    (tmp_path / "lexicon").write_text(text)
    result = CliRunner().invoke(
        main, ["train-g2p", str(tmp_path / "lexicon"), str(tmp_path / "m"), *map(str, arguments)]
    )
    assert result.exit_code in (1, 3)
    assert message in result.stderr
    assert not (tmp_path / "m").exists()


def test_bad_models_and_words(lexicon: Path, tmp_path: Path) -> None:
    assert "no such model file" in run("g2p", tmp_path / "absent", "a", code=1).stderr
    assert "not a readable safetensors file" in run("g2p", lexicon, "a", code=1).stderr
    assert "no such file" in run("train-g2p", tmp_path / "absent", tmp_path / "m", code=1).stderr
    run("train-g2p", lexicon, tmp_path / "m", "--held-out", 0, "--set", "order=2")
    assert "give words or --file" in run("g2p", tmp_path / "m", code=2).stderr
    assert "without letters" in run("g2p", tmp_path / "m", "", code=1).stderr
