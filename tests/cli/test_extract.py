"""`asrkit extract` on a small data directory: good, bad and long recordings."""

from __future__ import annotations

import json
import re
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.core.files import read_json, read_lines, write_lines
from asrkit.data.audio import read_audio
from asrkit.data.datadir import DataDir, Utterance
from asrkit.features.cmvn import CmvnStats
from asrkit.features.frontend import FrontEnd, FrontEndConfig, load_front_end
from asrkit.features.pipeline import ModelInputs, PipelineConfig
from asrkit.stages import extract as stage

SECONDS = {"ann-1": 0.7, "ann-2": 1.3, "bob-1": 0.9, "cy-1": 0.31}


def sound(secs: float, rate: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(int(secs * rate)) / rate
    return 0.2 * np.sin(2 * np.pi * (200 + 300 * t) * t) + 0.02 * rng.standard_normal(len(t))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four utterances of three speakers at 16 kHz, in a folder with a space."""
    path = tmp_path / "my data"
    recordings = {}
    for seed, (key, secs) in enumerate(SECONDS.items()):
        audio = path / "audio" / f"{key}.wav"
        audio.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(audio, sound(secs, 16000, seed), 16000)
        recordings[key] = str(audio)
    DataDir(path, {k: Utterance(k, k, k.split("-")[0], ("word",)) for k in SECONDS}, recordings).save()
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["extract", *map(str, arguments)])


def entries(data: Path, name: str = "feats") -> dict[str, np.ndarray]:
    return dict(kaldiio.load_ark(str(data / f"{name}.ark")))


def test_features_statistics_and_description(data: Path) -> None:
    result = run(data, "--set", "num_ceps=12", "--json")
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)["figures"]
    feats = entries(data)
    assert list(feats) == list(SECONDS)
    front_end = FrontEnd(FrontEndConfig(num_ceps=12))
    for key, matrix in feats.items():
        samples, _ = read_audio(data / "audio" / f"{key}.wav")
        assert np.array_equal(matrix, front_end.compute(samples))
    assert figures["frames"] == sum(map(len, feats.values()))
    assert figures["utterances"] == 4
    assert load_front_end(data) == front_end.config
    assert read_lines(data / "utt2num_frames") == [f"{key} {len(matrix)}" for key, matrix in feats.items()]
    stats = entries(data, "cmvn")
    assert list(stats) == ["ann", "bob", "cy"]
    both = np.concatenate([feats["ann-1"], feats["ann-2"]])
    np.testing.assert_allclose(stats["ann"], CmvnStats.of(both).to_matrix())
    inputs = ModelInputs(DataDir.load(data), PipelineConfig())
    assert inputs["cy-1"].shape == (len(feats["cy-1"]), 36)


def test_any_number_of_jobs_gives_the_same_bytes(data: Path) -> None:
    contents = []
    for jobs in (1, 2, 4):
        assert run(data, "-j", jobs, "--force", "--set", "dither=1", "--seed", 5).exit_code == 0
        contents.append([(data / f"{name}.ark").read_bytes() for name in ("feats", "cmvn")])
    assert contents[0] == contents[1] == contents[2]
    assert run(data, "--force", "--set", "dither=1", "--seed", 6).exit_code == 0
    assert (data / "feats.ark").read_bytes() != contents[0][0]


def test_second_run_does_nothing_and_a_changed_option_runs_again(data: Path) -> None:
    assert run(data).exit_code == 0
    again = run(data, "--seed", 9)  # without dither the seed decides nothing
    assert "up to date" in again.stdout
    changed = run(data, "--set", "kind=fbank")
    assert "kind was 'mfcc', is 'fbank'" in changed.output
    assert entries(data)["bob-1"].shape[1] == 23
    soundfile.write(data / "audio" / "bob-1.wav", sound(0.5, 16000, 9), 16000)
    assert "bob-1.wav changed" in run(data, "--set", "kind=fbank").output


def test_warps_of_speakers_are_those_of_their_utterances(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(data).exit_code == 0
    unwarped, plain = entries(data), (data / "feats.ark").read_bytes()
    assert not (data / "inputs.json").exists()
    warps = {"ann": 0.9, "bob": 1, "cy": 1.12}
    write_lines(data / "spk2warp", (f"{key} {warp}" for key, warp in warps.items()))
    result = run(data)
    assert "spk2warp changed" in result.output
    front_end = FrontEnd(FrontEndConfig())
    for key, matrix in entries(data).items():
        samples, _ = read_audio(data / "audio" / f"{key}.wav")
        assert np.array_equal(matrix, front_end.compute(samples, vtln_warp=warps[key.split("-")[0]]))
        assert np.array_equal(matrix, unwarped[key]) == key.startswith("bob")
    by_speaker = [(data / f"{name}.ark").read_bytes() for name in ("feats", "cmvn")]
    assert read_json(data / "inputs.json") == {"vtln": True}
    assert "up to date" in run(data).stdout

    (data / "spk2warp").unlink()
    write_lines(data / "utt2warp", (f"{key} {warps[key.split('-')[0]]}" for key in SECONDS))
    assert run(data).exit_code == 0
    assert [(data / f"{name}.ark").read_bytes() for name in ("feats", "cmvn")] == by_speaker
    # Long recordings, and utt2warp against spk2warp.
    monkeypatch.setattr(stage, "STREAMED_SECS", 0.5)
    write_lines(data / "spk2warp", (f"{key} 0.8" for key in warps))
    assert run(data, "--force").exit_code == 0
    assert [(data / f"{name}.ark").read_bytes() for name in ("feats", "cmvn")] == by_speaker
    for name in ("spk2warp", "utt2warp"):
        (data / name).unlink()
    assert run(data).exit_code == 0
    assert (data / "feats.ark").read_bytes() == plain
    assert not (data / "inputs.json").exists()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("spk2warp", "ann 1\nbob 0.9\n", r"no warp factor of speaker 'cy'.*asrkit vtln"),
        ("spk2warp", "ann 1\nbob 12\ncy 1\n", r"spk2warp:2.*a warp factor from 0\.5 to 2, found 'bob 12'"),
        ("utt2warp", "ann-2 nan\n", r"utt2warp:1.*found 'ann-2 nan'"),
    ],
)
def test_damaged_warps_are_refused(data: Path, name: str, text: str, message: str) -> None:
    (data / name).write_text(text)
    result = run(data)
    assert result.exit_code == 1
    assert re.search(message, result.stderr)
    assert not (data / "feats.scp").exists()


def test_statistics_per_utterance(data: Path) -> None:
    assert run(data, "--set", "cmvn=utterance").exit_code == 0
    assert list(entries(data, "cmvn")) == list(SECONDS)


def test_front_end_of_another_directory(data: Path, tmp_path: Path) -> None:
    assert run(data, "--set", "kind=plp", "--set", "high_freq=-300").exit_code == 0
    other = tmp_path / "other"
    directory = DataDir.load(data)
    directory.subset(["ann-2", "bob-1"], other).save()
    assert run(other, "--like", data).exit_code == 0
    assert load_front_end(other) == FrontEndConfig(kind="plp", high_freq=-300.0)
    assert np.array_equal(entries(other)["bob-1"], entries(data)["bob-1"])
    assert "run `asrkit extract" in run(other, "--like", tmp_path).output


def test_segments_of_a_recording(data: Path) -> None:
    write_lines(data / "wav.scp", [f"rec {data / 'audio' / 'ann-2.wav'}"])
    write_lines(data / "segments", ["x-1 rec 0.1 0.5", "x-2 rec 0.5 1.3", "x-3 rec 1.0 9.0"])
    write_lines(data / "utt2spk", ["x-1 x", "x-2 x", "x-3 x"])
    write_lines(data / "text", ["x-1 a", "x-2 b", "x-3 c"])
    result = run(data, "--max-failed", 0.5)
    assert result.exit_code == 0, result.output
    assert "x-3: " in result.output
    assert "does not lie in the recording" in result.output
    samples, _ = read_audio(data / "audio" / "ann-2.wav")
    assert np.array_equal(entries(data)["x-1"], FrontEnd(FrontEndConfig()).compute(samples[1600:8000]))
    assert list(entries(data)) == ["x-1", "x-2"]


@pytest.mark.parametrize("segmented", [False, True])
def test_long_recordings_are_streamed_to_the_same_bits(
    data: Path, monkeypatch: pytest.MonkeyPatch, segmented: bool
) -> None:
    if segmented:
        write_lines(data / "segments", [f"{key} {key} 0.013 {secs - 0.03:.3f}" for key, secs in SECONDS.items()])
    assert run(data).exit_code == 0
    feats, stats = (data / "feats.ark").read_bytes(), entries(data, "cmvn")
    monkeypatch.setattr(stage, "STREAMED_SECS", 0.8)
    monkeypatch.setattr(stage, "BLOCK_SECS", 0.11)
    calls = []
    blocks = stage.Extractor.blocks
    monkeypatch.setattr(stage.Extractor, "blocks", lambda self, source: calls.append(source) or blocks(self, source))
    assert run(data, "--force", "-j", 2).exit_code == 0
    assert [source.utterance.utterance_id for source in calls] == ["ann-2", "bob-1"]
    assert (data / "feats.ark").read_bytes() == feats
    for key, matrix in entries(data, "cmvn").items():
        np.testing.assert_allclose(matrix, stats[key])


def test_a_long_recording_that_breaks_off_leaves_the_archive_sound(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "STREAMED_SECS", 0.5)
    monkeypatch.setattr(stage, "BLOCK_SECS", 0.25)
    audio = data / "audio" / "ann-2.wav"
    samples = sound(1.3, 16000, 1)
    samples[15000] = np.nan
    soundfile.write(audio, samples, 16000, subtype="FLOAT")
    result = run(data, "--max-failed", 0.3)
    assert result.exit_code == 0, result.output
    assert "ann-2: " in result.output
    assert "not finite" in result.output
    assert list(entries(data)) == ["ann-1", "bob-1", "cy-1"]
    assert all(np.isfinite(matrix).all() for matrix in entries(data).values())


def test_another_rate_is_refused_or_resampled(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed, (key, secs) in enumerate(SECONDS.items()):
        soundfile.write(data / "audio" / f"{key}.wav", sound(secs, 8000, seed), 8000)
    refused = run(data)
    assert refused.exit_code == 3
    assert "sampled at 8000 Hz, expected 16000 Hz (--resample converts it" in refused.output
    assert not (data / "feats.ark").exists()
    assert not (data / "feats.scp").exists()
    assert run(data, "--resample").exit_code == 0
    whole = entries(data)
    assert {key: len(matrix) for key, matrix in whole.items()} == {
        key: FrontEnd(FrontEndConfig()).num_frames(int(secs * 8000) * 2) for key, secs in SECONDS.items()
    }
    monkeypatch.setattr(stage, "STREAMED_SECS", 0.0)
    monkeypatch.setattr(stage, "BLOCK_SECS", 0.2)
    assert run(data, "--resample", "--force").exit_code == 0
    for key, matrix in entries(data).items():
        assert abs(len(matrix) - len(whole[key])) <= 1
        size = min(len(matrix), len(whole[key])) - 3
        np.testing.assert_allclose(matrix[:size], whole[key][:size], atol=0.05)
    assert run(data, "--set", "sample_rate_hz=8000").exit_code == 0
    assert len(entries(data)["ann-1"]) == 68


def test_bad_utterances_are_named_and_counted(data: Path) -> None:
    soundfile.write(data / "audio" / "bob-1.wav", np.zeros(300), 16000)
    (data / "audio" / "ann-1.wav").write_text("not audio")
    (data / "audio" / "cy-1.wav").unlink()
    failed = run(data)
    assert failed.exit_code == 3
    assert "3 of 4 utterances failed" in failed.output
    report = run(data, "--max-failed", 0.8, "--json")
    assert report.exit_code == 0
    failures = json.loads(report.stdout)["failures"]
    assert list(failures) == ["ann-1", "bob-1", "cy-1"]
    assert "not readable audio" in failures["ann-1"]
    assert "300 samples are too few for a frame of 400" in failures["bob-1"]
    assert "no such audio file" in failures["cy-1"]
    assert list(entries(data)) == ["ann-2"]
    assert read_json(data / "stage.json")["extract"]["failures"] == failures


def test_nothing_left_is_an_error(data: Path) -> None:
    for key in SECONDS:
        (data / "audio" / f"{key}.wav").unlink()
    result = run(data, "--max-failed", 1)
    assert result.exit_code == 1
    assert "no utterance with features" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "kind=mfccs"], "kind is 'mfccs', expected one of mfcc, fbank, plp"),
        (["--set", "num_mel_bin=3"], "did you mean num_mel_bins?"),
        (["--set", "num_ceps=30"], "num_ceps is 30, expected 1 to num_mel_bins = 23"),
        (["--set", "num_mel_bins=200"], "holds no point of the FFT"),
        (["--set", "cmvn=word"], "cmvn is 'word'"),
        (["--config", "absent.toml"], "no such configuration file"),
    ],
)
def test_bad_options(data: Path, arguments: list[str], message: str) -> None:
    result = run(data, *arguments)
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output


def test_no_data_directory(tmp_path: Path) -> None:
    result = run(tmp_path / "absent")
    assert result.exit_code == 1
    assert "no such data directory" in result.output


def test_print_config_can_be_read_back(data: Path, tmp_path: Path) -> None:
    printed = run(data, "--set", "kind=plp", "--print-config")
    assert printed.exit_code == 0
    assert re.search(r'^kind = "plp"$', printed.stdout, re.MULTILINE)
    (tmp_path / "conf.toml").write_text(printed.stdout)
    assert run(data, "--config", tmp_path / "conf.toml").exit_code == 0
    assert load_front_end(data).kind == "plp"


@pytest.mark.slow
def test_yesno_as_published_gives_kaldi_s_features(corpora: Path, tmp_path: Path) -> None:
    golden = Path(__file__).resolve().parents[1] / "golden" / "kaldi_features" / "mfcc_no_energy_8k.ark"
    waves = sorted((corpora / "yesno").rglob("*.wav"))
    recordings = {f"yesno_{path.stem}": str(path) for path in waves}
    DataDir(tmp_path, {key: Utterance(key, key, "he") for key in recordings}, recordings).save()
    assert run(tmp_path, "-j", 2, "--set", "sample_rate_hz=8000", "--set", "use_energy=false").exit_code == 0
    feats = entries(tmp_path)
    assert len(feats) == 60
    shared = {key: matrix for key, matrix in kaldiio.load_ark(str(golden)) if key in feats}
    assert len(shared) == 1
    for key, matrix in shared.items():
        np.testing.assert_allclose(feats[key], matrix, rtol=0, atol=1e-3)
    assert entries(tmp_path, "cmvn")["he"][0, -1] == sum(map(len, feats.values()))
