"""The command `asrkit validate`: exit status, text, JSON, and clean lines for what a user gets wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import COMMANDS, main
from tests.data.corruptions import edit, edit_line, wav_of
from tests.factories import make_data_dir, write_wav


def run(*arguments: object) -> Result:
    """Call ``asrkit validate``; no traceback may reach the user."""
    result = CliRunner().invoke(main, ["validate", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def test_a_valid_directory_exits_0(tmp_path: Path) -> None:
    make_data_dir(tmp_path / "a b")
    result = run(tmp_path / "a b")
    assert result.exit_code == 0
    assert "errors 0, warnings 0, notes 0, utterances 6, speakers 2" in result.stdout


def test_errors_exit_1_with_place_reason_and_remedy(tmp_path: Path) -> None:
    make_data_dir(tmp_path)
    edit(tmp_path / "text", lambda lines: [lines[1], lines[0], *lines[2:]])
    result = run(tmp_path)
    assert result.exit_code == 1
    assert f"{tmp_path}/text:2: 'spk1-utt1' comes after 'spk1-utt2'" in result.stdout
    assert "→ `asrkit validate --fix` sorts the file" in result.stdout
    assert "errors 1, warnings 0" in result.stdout


def test_fix_mends_and_shows_what_is_left(tmp_path: Path) -> None:
    make_data_dir(tmp_path)
    edit(tmp_path / "text", lambda lines: lines[::-1])
    first = run(tmp_path, "--fix")
    assert first.exit_code == 0
    assert "text: sorted (was: .backup/text)" in first.stdout
    second = run(tmp_path, "--fix")
    assert "nothing to mend" in second.stdout
    wav_of(tmp_path, "spk1-utt1").unlink()
    edit_line(tmp_path / "text", "spk2-utt1", lambda line: "spk2-utt1")
    third = run(tmp_path, "--fix", "-j", 2)
    assert third.exit_code == 1
    assert "has removed these utterances (1):" in third.stdout
    assert "empty-transcript" in third.stdout
    assert "missing-audio" not in third.stdout


def test_json_holds_every_finding(tmp_path: Path) -> None:
    make_data_dir(tmp_path, num_utterances=13)
    edit(tmp_path / "text", lambda lines: [line.split()[0] for line in lines])
    result = run(tmp_path, "--json", "--fix")
    assert result.exit_code == 1
    figures = json.loads(result.stdout)["figures"]
    assert figures["errors"] == 26
    assert figures["report"]["counts"] == {"empty-transcript": 26}
    found = figures["report"]["findings"][3]
    assert found["utterance_id"] == "spk1-utt12"
    assert found["where"] == f"{tmp_path}/text:4"
    assert figures["fix"] == {"actions": [], "backups": {}, "removed": {}}
    text = run(tmp_path, "--show", 3).stdout
    assert text.count("has no words") == 3
    assert "… and 23 more" in text


def test_warnings_fail_only_when_strict(tmp_path: Path) -> None:
    make_data_dir(tmp_path)
    write_wav(wav_of(tmp_path, "spk1-utt1"), np.zeros(4000, np.int16))
    assert run(tmp_path).exit_code == 0
    assert run(tmp_path, "--strict").exit_code == 1
    assert run(tmp_path, "--strict", "--no-audio").exit_code == 0
    assert run(tmp_path, "--strict", "--set", "audio.silent_peak=0").exit_code == 0


def test_lexicon_and_lang(tmp_path: Path) -> None:
    make_data_dir(tmp_path / "d")
    (tmp_path / "lexicon.txt").write_text("".join(f"{w} X Y\n" for w in ("one", "two", "four", "five", "six")))
    result = run(tmp_path / "d", "--lexicon", tmp_path / "lexicon.txt")
    assert result.exit_code == 0
    assert "'three' (3 times, first here) is not in lexicon.txt" in result.stdout
    assert "oov_rate" in result.stdout
    (tmp_path / "words.txt").write_text("<eps> 0\none 1\ntwo 2\n")
    assert "not in words.txt" in run(tmp_path / "d", "--lang", tmp_path).stdout


def test_sample_rate_and_encoding(tmp_path: Path) -> None:
    make_data_dir(tmp_path)
    assert "has 8000 Hz, expected 16000 Hz" in run(tmp_path, "--sample-rate", 16000).stdout
    raw = (tmp_path / "text").read_bytes()
    (tmp_path / "text").write_bytes(raw.replace(b"one", b"\xee\xe4\xe8\xed"))
    assert "read as cp1251 the line is 'spk1-utt3 three four один'" not in run(tmp_path).stdout
    assert "read as cp1251" in run(tmp_path, "--encoding", "cp1251").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent"], "absent: no such data directory (make one with `asrkit prepare`)"),
        (["empty"], "none of the files of a data directory"),
        (["d", "--lexicon", "absent.txt"], "absent.txt: no such file"),
        (["d", "--lexicon", "bad.txt"], "bad.txt:1: expected 'WORD PHONE PHONE"),
        (["d", "--lang", "d"], "no words.txt (make the directory with `asrkit make-lang`)"),
        (["d", "--lang", "d", "--lexicon", "bad.txt"], "--lang and --lexicon exclude each other"),
        (["d", "--encoding", "klingon"], "unknown encoding 'klingon'"),
        (["d", "--set", "max_removed=3"], "max_removed is 3, expected a share in [0, 1]"),
        (["d", "--set", "audio.min_sec=3"], "did you mean audio.min_secs?"),
    ],
)
def test_bad_input_is_one_clean_line(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_data_dir(tmp_path / "d")
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.txt").write_text("word\n")
    result = run(*arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1


def test_wrong_usage_exits_2(tmp_path: Path) -> None:
    assert run(tmp_path, "--sample-rate", "0").exit_code == 2
    assert run().exit_code == 2


def test_help_is_that_of_the_table() -> None:
    assert COMMANDS["validate"][1] in run("--help").stdout
