"""``asrkit prepare`` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.data.datadir import DataDir


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["prepare", *map(str, arguments)])


def wav(path: Path, channels: int = 1) -> None:
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(str(path), np.zeros((1600, channels), np.int16), 16000)


@pytest.fixture
def src(tmp_path: Path) -> Path:
    for speaker in ("ann", "bob", "cat"):
        for number in range(4):
            wav(tmp_path / "src" / speaker / f"{number}.wav")
            (tmp_path / "src" / speaker / f"{number}.txt").write_text("Some words\n")
    return tmp_path / "src"


def test_every_corpus_has_a_subcommand_with_help() -> None:
    listing = run("--help")
    assert listing.exit_code == 0
    for name in ("yesno", "fsdd", "an4", "librispeech", "timit", "folder"):
        assert name in listing.output
        result = run(name, "--help")
        assert result.exit_code == 0
        assert "--dev-speakers" in result.output
        assert "SRC" in result.output


def test_report_record_and_second_run(src: Path, tmp_path: Path) -> None:
    result = run("folder", src, tmp_path / "data", "--dev-speakers", "cat", "--upper", "--json", "-q")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["figures"]["parts"]["dev"]["utterances"] == 4
    assert (tmp_path / "data" / "dev" / "text").read_text().splitlines()[0] == "cat-0 SOME WORDS"
    again = run("folder", src, tmp_path / "data", "--dev-speakers", "cat", "--upper")
    assert "up to date" in again.stdout
    wav(src / "bob" / "9.wav")
    (src / "bob" / "9.txt").write_text("More\n")
    changed = run("folder", src, tmp_path / "data", "--dev-speakers", "cat", "--upper")
    assert "train: 9 utterances, 2 speakers" in changed.stdout


def test_recordings_without_transcripts(src: Path, tmp_path: Path) -> None:
    """For `asrkit segment`; texts and tables that are there do not matter, and an earlier `text` goes."""
    (src / "some.csv").write_text("neither,nor\n")
    (src / "ann" / "0.txt").unlink()
    result = run("folder", src, tmp_path / "data", "--no-transcripts")
    assert result.exit_code == 0, result.output
    assert "recordings: 12 utterances, 3 speakers" in result.stdout
    folder = tmp_path / "data" / "recordings"
    assert sorted(path.name for path in folder.iterdir()) == ["spk2utt", "utt2spk", "wav.scp"]
    assert (folder / "utt2spk").read_text().splitlines()[0] == "ann-0 ann"
    assert all(utterance.words is None for utterance in DataDir.load(folder).utterances.values())
    assert "up to date" in run("folder", src, tmp_path / "data", "--no-transcripts").stdout
    checked = CliRunner().invoke(main, ["validate", str(folder), "--no-audio"])
    assert "such data can be recognised, not trained on or scored" in checked.output
    (src / "some.csv").unlink()
    (src / "ann" / "0.txt").write_text("Some words\n")
    assert run("folder", src, tmp_path / "data").exit_code == 0
    assert not folder.exists()
    assert (tmp_path / "data" / "train" / "text").exists()


def test_parts_without_transcripts(tmp_path: Path) -> None:
    for name in ("train/a.wav", "test/b.wav"):
        wav(tmp_path / "src" / name)
    assert run("folder", tmp_path / "src", tmp_path / "data", "--no-transcripts").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "data").iterdir() if path.is_dir()) == ["test", "train"]
    for options in (("--table", "a.csv"), ("--dev-speakers", "a"), ("--test-speakers", "a")):
        refused = run("folder", tmp_path / "src", tmp_path / "data", "--no-transcripts", *options)
        assert refused.exit_code != 0
        assert "leave out --no-transcripts" in refused.stderr
    (tmp_path / "empty").mkdir()
    assert "no audio files" in run("folder", tmp_path / "empty", tmp_path / "data", "--no-transcripts").stderr


def test_a_changed_transcript_or_choice_runs_again_and_old_parts_go(src: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert run("folder", src, data, "--dev-speakers", "cat,ann").exit_code == 0
    (src / "bob" / "0.txt").write_text("Other words\n")
    assert run("folder", src, data, "--dev-speakers", "cat,ann").exit_code == 0
    assert (data / "train" / "text").read_text().splitlines()[0] == "bob-0 Other words"
    result = run("folder", src, data)
    assert "train: 12 utterances, 3 speakers" in result.stdout
    assert not (data / "dev").exists()


def test_config_file_and_options_agree(src: Path, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('case = "lower"\ndev_speakers = ["ann"]\n')
    run("folder", src, tmp_path / "a", "--config", tmp_path / "c.toml")
    run("folder", src, tmp_path / "b", "--lower", "--dev-speakers", "ann")
    for name in ("train/text", "train/wav.scp", "dev/spk2utt"):
        assert (tmp_path / "a" / name).read_text() == (tmp_path / "b" / name).read_text()
    result = run("folder", src, tmp_path / "c", "--set", "cases=lower")
    assert (result.exit_code, "did you mean case?" in result.stderr) == (1, True)


def test_any_number_of_jobs_writes_the_same(src: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asrkit.stages.prepare._CHUNK", 2)
    for jobs in (1, 2):
        assert run("folder", src, tmp_path / str(jobs), "-j", jobs).exit_code == 0
    for name in ("text", "wav.scp", "utt2spk", "spk2utt"):
        assert (tmp_path / "1" / "train" / name).read_bytes() == (tmp_path / "2" / "train" / name).read_bytes()


def test_bad_recordings_are_named_and_counted(src: Path, tmp_path: Path) -> None:
    (src / "ann" / "0.wav").write_bytes(b"")
    wav(src / "bob" / "0.wav", channels=2)
    (src / "cat" / "0.txt").write_text("\n")
    result = run("folder", src, tmp_path / "data", "--max-failed", 0.3)
    assert result.exit_code == 0, result.output
    assert "3 failed" in result.stdout
    for key, reason in (("ann-0", "empty file"), ("bob-0", "2 channels found"), ("cat-0", "empty transcript")):
        assert any(line.startswith(f"  failed: {key}: ") and reason in line for line in result.stdout.splitlines())
    assert "train: 9 utterances" in result.stdout
    too_many = run("folder", src, tmp_path / "other")
    assert too_many.exit_code == 3
    assert "3 of 12 utterances failed" in too_many.stderr
    assert not (tmp_path / "other" / "train").exists()


def test_stretches_outside_their_recording_are_failures(tmp_path: Path) -> None:
    wav(tmp_path / "src" / "a.wav")
    rows = [
        "file,text,start,end",
        "a.wav,in,0,0.05",
        "a.wav,overshoots,0.05,0.5",
        "a.wav,beyond,0.05,0.7",
        "a.wav,,0,1",
    ]
    (tmp_path / "src" / "t.csv").write_text("\n".join(rows))
    result = run("folder", tmp_path / "src", tmp_path / "data", "--max-failed", 0.5, "--json", "-q")
    failures = json.loads(result.stdout)["failures"]
    assert set(failures) == {"a-00000050-00000700", "a-00000000-00001000"}
    assert "does not lie in the recording, which lasts 0.100 s" in failures["a-00000050-00000700"]
    segments = (tmp_path / "data" / "train" / "segments").read_text().splitlines()
    assert segments == ["a-00000000-00000050 a 0.000 0.050", "a-00000050-00000500 a 0.050 0.100"]


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    wav(tmp_path / "src" / "a.wav", channels=2)
    (tmp_path / "src" / "a.txt").write_text("A")
    result = run("folder", tmp_path / "src", tmp_path / "data", "--max-failed", 1)
    assert (result.exit_code, "no utterance left for train" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("an4", "SRC/nowhere", "OUT"), "nowhere: no such folder (the corpus is published at http"),
        (("an4", "SRC", "OUT"), "no folder etc, expected AN4's lists there"),
        (("yesno", "SRC", "OUT"), "no recordings named like 0_1_0_0_1_1_1_1.wav"),
        (("fsdd", "SRC", "OUT"), "no recordings named like 7_jackson_32.wav"),
        (("librispeech", "SRC", "OUT"), "no folders train-*, dev-* or test-*"),
        (("timit", "SRC", "OUT"), "neither TRAIN or TEST nor folders like dr1-fvmh0 found"),
        (("timit", "SRC", "OUT", "--fold", "1"), "--fold is for NLTK's sample"),
        (("folder", "SRC", "OUT", "--dev-speakers", "anne"), "no training speaker 'anne' (did you mean ann?)"),
        (("folder", "SRC", "OUT", "--dev-speakers", "qqq"), "(speakers: ann, bob, cat)"),
        (("folder", "SRC", "OUT", "--dev-speakers", "ann,bob,cat"), "names every speaker of train"),
        (("folder", "SRC", "OUT", "--dev-speakers", "@SRC/none"), "none: no such file"),
        (("folder", "SRC", "OUT", "--table", "none.csv"), "none.csv: no such file"),
        (("folder", "SRC/ann/0.wav", "OUT"), "0.wav: no such folder"),
    ],
)
def test_mistakes_are_one_line(src: Path, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    result = run(*(a.replace("SRC", str(src)).replace("OUT", str(tmp_path / "out")) for a in arguments))
    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_usage_errors() -> None:
    assert run("folder").exit_code == 2
    assert run("timit", "a", "b", "--test-set", "whole").exit_code == 2
    assert run("swahili").exit_code == 2
