"""`asrkit train-music --data feats` on planted features: what is learned, resumed, refused and drawn."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.core.archives import ArchiveReader, ArchiveWriter
from asrkit.core.errors import ConfigError
from asrkit.core.files import read_json
from asrkit.features.config import FrontEndConfig
from asrkit.features.frontend import save_front_end
from asrkit.stages.music_config import TrainRnnNadeConfig, TrainRnnRbmConfig

pytest.importorskip("matplotlib")

SETTINGS = [
    *("training.plateau.max_epochs=8", "training.batch_size=4", "training.threads=1", "training.checkpoint_secs=0"),
    *("training.optimiser.learning_rate=0.01", "model.hidden=8", "training.watch.ais_temperatures=40"),
    *("model.gibbs_steps=3", "pretraining_epochs=1", "pretraining.learning_rate=0.01", "pipeline.cmvn=none"),
]
MORE = {
    "rnn-rbm": ["model.recurrence.units=16", "model.recurrence.cell=gru"],
    "rtrbm": ["model.hidden=32", "training.plateau.max_epochs=20"],
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six speakers of ten utterances; frames go round a circle of radius 14 about (100, -3) in two of three
    dimensions."""
    folder = tmp_path / "data"
    folder.mkdir()
    save_front_end(folder, FrontEndConfig())
    rng = np.random.default_rng(1)
    keys = [f"s{speaker}-u{number}" for speaker in range(6) for number in range(10)]
    with ArchiveWriter(folder, "feats") as writer:
        for key in keys:
            phases = rng.uniform(0, 2 * math.pi) + 0.7 * np.arange(rng.integers(10, 20))
            frames = np.stack([100 + 14 * np.cos(phases), -3 + 14 * np.sin(phases), 0 * phases], axis=1)
            writer.write(key, (frames + rng.normal(size=frames.shape)).astype(np.float32))
    (folder / "wav.scp").write_text("".join(f"{key} {key}.wav\n" for key in keys))
    (folder / "utt2spk").write_text("".join(f"{key} {key[:2]}\n" for key in keys))
    return folder


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def train(kind: str, data: Path, out: Path, *more: str) -> dict[str, Any]:
    sets = [part for one in [*SETTINGS, *MORE[kind], *more] for part in ("--set", one)]
    result = run("train-music", kind, data, out, "--data", "feats", *sets, "--json", "-q")
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    return report


@pytest.mark.parametrize("kind", ["rnn-rbm", "rtrbm"])
def test_frames_are_foretold_on_speakers_held_out(data: Path, tmp_path: Path, kind: str) -> None:
    figures = train(kind, data, tmp_path / "out")["figures"]
    assert figures["log_likelihood"] > figures["independent_log_likelihood"] + 0.5
    assert figures["squared_error"] < 0.5 < figures["last_frame_squared_error"]
    assert [figures[f"{part}_utterances"] for part in ("training", "stopping", "scored")] == [40, 10, 10]
    # Three dimensions of zero mean and unit variance, though not quite on these speakers.
    assert abs(figures["independent_log_likelihood"] + 1.5 * math.log(2 * math.pi) + 1.5) < 0.3
    assert len(read_json(tmp_path / "out" / "history.json")) == figures["epochs"]


def test_what_is_drawn_is_not_normalised(data: Path, tmp_path: Path) -> None:
    train("rnn-rbm", data, tmp_path / "out")
    result = run(
        "sample-music", tmp_path / "out", tmp_path / "drawn", "--set", "num_samples=3", "--set", "num_steps=40"
    )
    assert result.exit_code == 0, result.output
    assert (tmp_path / "drawn" / "samples.png").stat().st_size > 1000
    drawn = ArchiveReader(tmp_path / "drawn" / "samples.scp")
    assert sorted(drawn) == ["sample-0001", "sample-0002", "sample-0003"]
    frames = np.concatenate([drawn[key] for key in drawn])
    assert frames.shape == (120, 3)
    assert (np.abs(frames.mean(axis=0) - [100, -3, 0]) < [5, 5, 1]).all()
    assert (frames.std(axis=0)[:2] > 4).all()


def test_a_killed_training_ends_with_the_same_bits(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from asrkit.nnet.energy import sequence_training

    train("rtrbm", data, tmp_path / "whole")
    epoch = sequence_training.SequenceTrainer._epoch

    def dies(self: Any, *arguments: Any) -> None:
        if self._plateau.epoch == 3:
            raise KeyboardInterrupt
        epoch(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(sequence_training.SequenceTrainer, "_epoch", dies)
        sets = [part for one in [*SETTINGS, *MORE["rtrbm"]] for part in ("--set", one)]
        killed = run("train-music", "rtrbm", data, tmp_path / "out", "--data", "feats", *sets)
    assert killed.exit_code != 0
    assert not (tmp_path / "out" / "sequence.safetensors").exists()
    train("rtrbm", data, tmp_path / "out")
    one, other = ((tmp_path / name / "sequence.safetensors").read_bytes() for name in ("whole", "out"))
    assert one == other


def test_what_does_not_fit_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="NADE is a model of binary frames"):
        TrainRnnNadeConfig(data="feats")
    with pytest.raises(ConfigError, match="features are real numbers"):
        TrainRnnRbmConfig(data="feats")
    (data / "feats.scp").unlink()
    result = run("train-music", "rnn-rbm", data, tmp_path / "out", "--data", "feats")
    assert result.exit_code == 1
    assert "feats.scp" in result.output
    assert "asrkit extract" in result.output


def test_features_that_nobody_described_are_refused_before_the_training(data: Path, tmp_path: Path) -> None:
    (data / "frontend.json").unlink()
    result = run("train-music", "rnn-rbm", data, tmp_path / "out", "--data", "feats", "--set", "pipeline.cmvn=none")
    assert result.exit_code == 1
    assert "data: no frontend.json (run `asrkit extract" in result.stderr
    assert "epoch" not in result.output
    assert not (tmp_path / "out").exists()
