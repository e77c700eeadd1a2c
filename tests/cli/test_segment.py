"""The command `asrkit segment`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.core.files import read_json
from asrkit.data.datadir import DataDir, Utterance
from tests.factories import make_data_dir, write_wav
from tests.stages.test_speech_scores import make_model
from tests.voices import BURSTS, RATE, planted


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, ["segment", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    """Two recordings with three bursts of speech each, and one with noise alone."""
    utterances, recordings = {}, {}
    noise = 200 * np.random.default_rng(2).standard_normal(8 * RATE)
    for name, samples in (("ann-1", planted(30.0)[0]), ("bob-1", planted(60.0, 4)[0]), ("bob-2", noise)):
        recordings[name] = str(write_wav(tmp_path / f"{name}.wav", samples.astype(np.int16), RATE))
        utterances[name] = Utterance(name, name, name[:3])
    data = DataDir(tmp_path / "data", utterances, recordings)
    data.save()
    return data


@pytest.mark.parametrize("by", ["energy", "model"])
def test_recordings_become_segments(data: DataDir, tmp_path: Path, by: str) -> None:
    options = ["--model", make_model(tmp_path / "model")] if by == "model" else []
    result = run(data.path, tmp_path / "out", "--json", "--max-failed", "0", *options)
    assert result.exit_code == 0, result.stderr
    figures = json.loads(result.stdout)["figures"]
    assert (figures["recordings"], figures["without_speech"], figures["segments"]) == (3, 1, 6)
    assert figures["speech_secs"] == pytest.approx(2 * 4.5, abs=1.2)
    assert figures["speech_secs"] + figures["nonspeech_secs"] == pytest.approx(26.0)
    assert "1 recordings without speech: bob-2" in result.stderr
    out = DataDir.load(tmp_path / "out")
    for recording in ("ann-1", "bob-1"):
        found = [one for one in out.utterances.values() if one.recording_id == recording]
        assert [one.speaker for one in found] == [recording[:3]] * 3
        for one, (start, end) in zip(found, BURSTS, strict=True):
            assert one.start_secs == pytest.approx(start - 0.2, abs=0.2)
            assert one.end_secs == pytest.approx(end + 0.2, abs=0.2)
            assert one.utterance_id.startswith(f"{recording}-0000")
    report = read_json(tmp_path / "out" / "segmentation.json")
    assert report["bob-2"] == {
        "secs": 8.0,
        "speech_secs": 0.0,
        "nonspeech_secs": 8.0,
        "too_short_secs": 0.0,
        "segments": 0,
    }
    assert CliRunner().invoke(main, ["validate", str(tmp_path / "out")]).exit_code == 0
    assert "up to date" in run(data.path, tmp_path / "out", *options).stdout


def test_the_number_of_jobs_changes_nothing(data: DataDir, tmp_path: Path) -> None:
    for jobs in (1, 2):
        assert run(data.path, tmp_path / f"out{jobs}", "-j", jobs).exit_code == 0
    for name in ("segments", "utt2spk", "segmentation.json"):
        assert (tmp_path / "out1" / name).read_bytes() == (tmp_path / "out2" / name).read_bytes()


def test_bad_recordings_are_named_and_counted(data: DataDir, tmp_path: Path) -> None:
    broken = tmp_path / "ann-1.wav"
    broken.write_bytes(broken.read_bytes()[:-3000])
    result = run(data.path, tmp_path / "out")
    assert result.exit_code == 3
    assert "ann-1" in result.stderr
    assert "truncated" in result.stderr
    assert not (tmp_path / "out" / "segments").exists()
    result = run(data.path, tmp_path / "out", "--max-failed", "0.5")
    assert result.exit_code == 0
    assert "failed: ann-1" in result.stdout
    assert {one.recording_id for one in DataDir.load(tmp_path / "out").utterances.values()} == {"bob-1"}


def test_mistakes_are_told(data: DataDir, tmp_path: Path) -> None:
    assert "OUT is one of the directories" in run(data.path, data.path).stderr
    make_data_dir(tmp_path / "cut", segments=True)
    assert "already cut into segments" in run(tmp_path / "cut", tmp_path / "out").stderr
    assert "no such model directory" in run(data.path, tmp_path / "out", "--model", tmp_path / "none").stderr
    assert "min_pause_secs" in run(data.path, tmp_path / "out", "--set", "cutting.padding_secs=1").stderr
    silent = DataDir(tmp_path / "silent", {"bob-2": data.utterances["bob-2"]}, {"bob-2": data.recordings["bob-2"]})
    silent.save()
    result = run(silent.path, tmp_path / "out")
    assert result.exit_code == 1
    assert "no speech in 1 recordings" in result.stderr
