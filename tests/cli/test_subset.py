"""The command `asrkit subset`."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.data.datadir import DataDir
from tests.factories import make_data_dir


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, ["subset", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def test_a_part_and_the_rest_make_the_whole(tmp_path: Path) -> None:
    full = make_data_dir(tmp_path / "full", num_utterances=5)
    first = run(tmp_path / "full", tmp_path / "a", "--secs", 0.9, "--per-speaker", "--json")
    assert first.exit_code == 0, first.stderr
    assert json.loads(first.stdout)["figures"] == {"utterances": 4, "of": 10, "speakers": 2, "hours": 4 * 0.525 / 3600}
    rest = run(tmp_path / "full", tmp_path / "b", "--without", tmp_path / "a")
    assert rest.exit_code == 0
    parts = [set(DataDir.load(tmp_path / name).utterances) for name in "ab"]
    assert parts[0] | parts[1] == set(full.utterances)
    assert not parts[0] & parts[1]
    assert "up to date" in run(tmp_path / "full", tmp_path / "b", "--without", tmp_path / "a").stdout


def test_frames_give_the_same_order_as_the_audio(tmp_path: Path) -> None:
    make_data_dir(tmp_path / "full", num_utterances=4)
    make_data_dir(tmp_path / "extracted", num_utterances=4, features=True)
    chosen = []
    for name in ("full", "extracted"):
        assert run(tmp_path / name, tmp_path / f"{name}-part", "--order", "shortest", "--num", 3).exit_code == 0
        chosen.append(list(DataDir.load(tmp_path / f"{name}-part").utterances))
    assert chosen[0] == chosen[1]


def test_a_list_of_utterances_and_of_speakers(tmp_path: Path) -> None:
    make_data_dir(tmp_path / "full")
    (tmp_path / "list").write_text("spk1-utt2 a b\nspk2-utt1\nelsewhere\n")
    (tmp_path / "speakers").write_text("spk2\n")
    arguments = (tmp_path / "full", tmp_path / "part", "--utterances", tmp_path / "list")
    assert run(*arguments).exit_code == 0
    assert list(DataDir.load(tmp_path / "part").utterances) == ["spk1-utt2", "spk2-utt1"]
    assert run(*arguments, "--speakers", f"@{tmp_path / 'speakers'}").exit_code == 0
    assert list(DataDir.load(tmp_path / "part").utterances) == ["spk2-utt1"]


def test_mistakes_give_one_clean_line(tmp_path: Path) -> None:
    make_data_dir(tmp_path / "full")
    for arguments, message in [
        ((tmp_path / "absent", tmp_path / "part"), "no such data directory"),
        ((tmp_path / "full", tmp_path / "full"), "OUT is one of the directories that are read"),
        ((tmp_path / "full", tmp_path / "part", "--speakers", "nobody"), "no speaker 'nobody'"),
        ((tmp_path / "full", tmp_path / "part", "--speakers", ","), "--speakers names no speaker"),
        ((tmp_path / "full", tmp_path / "part", "--utterances", tmp_path / "absent"), "absent"),
        ((tmp_path / "full", tmp_path / "part", "--secs", "-1"), "not negative"),
    ]:
        result = run(*arguments)
        assert result.exit_code == 1
        assert message in result.stderr
        assert not (tmp_path / "part").exists()


def test_damaged_lengths_are_named(tmp_path: Path) -> None:
    make_data_dir(tmp_path / "full", features=True)
    for name, content, message in [
        ("utt2num_frames", "spk1-utt1 47\nspk1-utt2\n", "utt2num_frames:2: expected an utterance and its number"),
        ("utt2num_frames", "spk1-utt1 -47\n", "utt2num_frames:1: expected an utterance and its number"),
        ("frontend.json", "[]", "frontend.json: expected a JSON object"),
        ("frontend.json", '{"frame_shift_ms": 0}', "frame_shift_ms"),
    ]:
        before = (tmp_path / "full" / name).read_text()
        (tmp_path / "full" / name).write_text(content)
        result = run(tmp_path / "full", tmp_path / "part", "--order", "shortest", "--num", 1)
        (tmp_path / "full" / name).write_text(before)
        assert result.exit_code == 1
        assert message in result.stderr
        assert result.stderr.count("\n") == 1
        assert not (tmp_path / "part").exists()


def test_what_the_features_are_comes_along(tmp_path: Path) -> None:
    make_data_dir(tmp_path / "full", features=True)
    (tmp_path / "full" / "spk2warp").write_text("spk1 0.92\nspk2 1.04\n")
    (tmp_path / "full" / "inputs.json").write_text('{"vtln": true}\n')
    assert run(tmp_path / "full", tmp_path / "part", "--num", 2).exit_code == 0
    assert (tmp_path / "part" / "spk2warp").read_text() == "spk1 0.92\n"
    assert (tmp_path / "part" / "inputs.json").read_text() == '{"vtln": true}\n'
    (tmp_path / "full" / "inputs.json").unlink()
    assert run(tmp_path / "full", tmp_path / "part", "--num", 2).exit_code == 0
    assert not (tmp_path / "part" / "inputs.json").exists()


def test_features_extracted_anew_in_the_part_stay(tmp_path: Path) -> None:
    make_data_dir(tmp_path / "full", features=True)
    assert run(tmp_path / "full", tmp_path / "part", "--num", 2).exit_code == 0
    feats = tmp_path / "part" / "feats.scp"
    feats.write_text("spk1-utt1 elsewhere.ark:9\n")
    assert "up to date" in run(tmp_path / "full", tmp_path / "part", "--num", 2).stdout
    assert feats.read_text() == "spk1-utt1 elsewhere.ark:9\n"
    (tmp_path / "full" / "spk2gender").write_text("spk1 f\n")
    assert "done in" in run(tmp_path / "full", tmp_path / "part", "--num", 2).stdout
