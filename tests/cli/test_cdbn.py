"""`asrkit pretrain cdbn`, `extract --with`, `sample` and `info` of a convolutional network, on small sounds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.core.archives import ArchiveReader
from asrkit.core.config import load_config
from asrkit.core.errors import ConfigError
from asrkit.core.files import read_json, read_lines, write_json
from asrkit.data.audio import read_audio
from asrkit.data.datadir import DataDir, Utterance
from asrkit.features.frontend import FrontEnd, load_front_end
from asrkit.nnet.energy.convolutional_dbn import load_cdbn
from asrkit.stages.pretrain_cdbn import pretrain_cdbn
from asrkit.stages.pretrain_config import PretrainCdbnConfig
from asrkit.stages.record import RunOptions
from tests.killed import Killed, KillsAfter

RATE = 8000
FRONT_END = [
    *("--set", "kind=spectrogram", "--set", f"sample_rate_hz={RATE}", "--set", "frame_length_ms=8"),
    *("--set", "frame_shift_ms=4"),
]
SETTINGS = [
    *("whitening.components=8", "rbm.bases=6", "threads=1", "gaussian_epochs=2", "num_epochs=1"),
    *("gaussian.window_blocks=6", "bernoulli.window_blocks=2", "heldout_share=0.3", "checkpoint_secs=0.0"),
    *("buffer_frames=300", "gaussian.batch_size=2"),
]
SECONDS = {"ann-1": 0.5, "ann-2": 0.7, "bob-1": 0.6, "bob-2": 0.4, "cy-1": 0.301, "cy-2": 0.55}


def make_data(path: Path) -> Path:
    recordings = {}
    for number, (key, secs) in enumerate(SECONDS.items()):
        rng = np.random.default_rng(number)
        t = np.arange(int(secs * RATE)) / RATE
        audio = path / "audio" / f"{key}.wav"
        audio.parent.mkdir(parents=True, exist_ok=True)
        value = 0.2 * np.sin(2 * np.pi * (200 + 900 * np.sin(9 * t)) * t) + 0.02 * rng.standard_normal(len(t))
        soundfile.write(audio, value, RATE)
        recordings[key] = str(audio)
    DataDir(path, {k: Utterance(k, k, k.split("-")[0], ("word",)) for k in SECONDS}, recordings).save()
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments])


def config_of(*more: str) -> PretrainCdbnConfig:
    return load_config(PretrainCdbnConfig, overrides=[*SETTINGS, *more])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data with spectrograms, and a network; tests only read it."""
    root = tmp_path_factory.mktemp("cdbn")
    make_data(root / "data")
    assert run("extract", root / "data", *FRONT_END).exit_code == 0
    settings = [part for one in SETTINGS for part in ("--set", one)]
    result = run("pretrain", "cdbn", root / "data", root / "net", *settings)
    assert result.exit_code == 0, result.output
    assert "dead bases" in result.output
    return root


def copy_of_data(world: Path, path: Path) -> Path:
    """Return a data directory of the same recordings, without features."""
    data = DataDir.load(world / "data")
    DataDir(path, data.utterances, {key: str(data.audio_path(u)) for key, u in data.utterances.items()}).save()
    return path


def test_a_network_describes_itself(world: Path) -> None:
    network = load_cdbn(world / "net")
    assert [layer.visible for layer in network.layers] == ["gaussian", "bernoulli"]
    assert network.whitening.components == 8
    assert network.front_end.kind == "spectrogram"
    history = read_json(world / "net" / "history.json")
    assert [row["layer"] for row in history] == [1, 1, 2]
    assert not (world / "net" / "checkpoint.safetensors").exists()
    info = run("info", world / "net")
    assert "convolutional deep belief network" in info.output
    assert "8 gaussian channels, 6 bases of 6 frames, pooled by 3" in info.output
    assert json.loads(run("info", world / "net", "--json").stdout)["parts"][0]["facts"]["row_ms"] == [12, 36]


def test_a_killed_run_comes_to_the_bits_of_an_uninterrupted_one_and_another_seed_does_not(
    world: Path, tmp_path: Path
) -> None:
    killed = 0
    for chunks in (1, 1, 2):
        try:
            pretrain_cdbn(
                world / "data", tmp_path / "net", config_of(), RunOptions(progress=KillsAfter(chunks, "epoch"))
            )
        except Killed:
            killed += 1
    assert killed >= 2
    pretrain_cdbn(world / "data", tmp_path / "net", config_of(), RunOptions())
    pretrain_cdbn(world / "data", tmp_path / "other", config_of(), RunOptions(seed=1))
    weights = [
        [layer.weights.numpy() for layer in load_cdbn(path).layers]
        for path in (world / "net", tmp_path / "net", tmp_path / "other")
    ]
    for one, other, strange in zip(*weights):
        np.testing.assert_array_equal(one, other)
        assert np.abs(one - strange).max() > 1e-3


@pytest.mark.parametrize(
    ("options", "layer", "pooled", "row_ms"),
    [
        ((), 2, True, 36.0),
        (("--layer", 1), 1, True, 12.0),
        (("--layer", 1, "--unpooled"), 1, False, 4.0),
        (("--layer", 0), 0, True, 4.0),
    ],
)
def test_features_of_a_layer_are_extracted_from_audio(
    world: Path, tmp_path: Path, options: tuple[object, ...], layer: int, pooled: bool, row_ms: float
) -> None:
    data = copy_of_data(world, tmp_path / "data")
    result = run("extract", data, "--with", world / "net", *options, "-j", 2)
    assert result.exit_code == 0, result.output
    network = load_cdbn(world / "net")
    features = ArchiveReader(data / "feats.scp")
    assert list(features) == list(SECONDS)
    for key in SECONDS:
        samples, _ = read_audio(world / "data" / "audio" / f"{key}.wav")
        frames = FrontEnd(network.front_end).compute(samples)
        expected = network.features(frames, layer, pooled)
        np.testing.assert_array_equal(features[key], expected)
        assert len(expected) == -(-len(frames) // network.frames_a_row(layer, pooled))
    assert load_front_end(data).frame_shift_ms == row_ms
    origin = read_json(data / "inputs.json")
    assert (origin["layer"], origin["pooled"], origin["dim"]) == (layer, pooled, 6 if layer else 8)
    assert read_lines(data / "utt2num_frames") == [f"{key} {len(features[key])}" for key in SECONDS]
    assert set(ArchiveReader(data / "cmvn.scp")) == {"ann", "bob", "cy"}
    again = run("extract", data, "--with", world / "net", *options)
    assert "up to date" in again.output
    # Plain features in their place say so, and are not taken for the network's.
    assert run("extract", data, *FRONT_END).exit_code == 0
    assert not (data / "inputs.json").exists()


def test_what_cannot_be_extracted_is_refused_or_named(world: Path, tmp_path: Path) -> None:
    data = copy_of_data(world, tmp_path / "data")
    for arguments, message in (
        (("--with", world / "net", "--layer", 3), "no layer 3"),
        (("--with", world / "data"), "not a finished convolutional network"),
        (("--with", world / "net", "--like", world / "data"), "exclude each other"),
        (("--layer", 1), "for the network of --with"),
        (("--unpooled",), "for the network of --with"),
    ):
        result = run("extract", data, *arguments)
        assert result.exit_code == 1
        assert message in result.output
    assert not (data / "feats.scp").exists()
    shutil.copytree(world / "net", tmp_path / "net")
    write_json(tmp_path / "net" / "inputs.json", {"vtln": True})
    result = run("extract", data, "--with", tmp_path / "net")
    assert "another model's inputs" in result.output
    soundfile.write(tmp_path / "short.wav", np.zeros(10), RATE)
    one = DataDir.load(data)
    DataDir(data, one.utterances, {**one.recordings, "cy-1": str(tmp_path / "short.wav")}).save()
    result = run("extract", data, "--with", world / "net", "--max-failed", 0.2)
    assert result.exit_code == 0
    assert "failed: cy-1: " in result.output
    assert "too few samples" in result.output
    assert run("extract", data, "--with", world / "net", "--force", "--max-failed", 0.1).exit_code == 3


def test_bases_are_written_and_drawn(world: Path, tmp_path: Path) -> None:
    result = run("sample", world / "net", tmp_path / "bases", "--set", "num_samples=4")
    assert result.exit_code == 0, result.output
    bases = ArchiveReader(tmp_path / "bases" / "bases.scp")
    network = load_cdbn(world / "net")
    assert len(bases) == 12
    np.testing.assert_allclose(bases["layer1-base-0003"], network.bases(1)[2])
    assert bases["layer2-base-0006"].shape == (6 * 3 + 5, load_front_end(world / "data").dim)
    for number in (1, 2):
        assert (tmp_path / "bases" / f"bases{number}.png").read_bytes().startswith(b"\x89PNG")
    assert "start nowhere" in run("sample", world / "net", tmp_path / "x", "--data", world / "data").output


def test_configurations_that_cannot_be(world: Path, tmp_path: Path) -> None:
    for setting in ("layers=0", "heldout_share=1.0", "pipeline.splice_left=1", "checkpoint_secs=-1"):
        with pytest.raises(ConfigError):
            config_of(setting)
    with pytest.raises(ConfigError, match="components is 80"):
        pretrain_cdbn(world / "data", tmp_path / "net", config_of("whitening.components=80"), RunOptions())
