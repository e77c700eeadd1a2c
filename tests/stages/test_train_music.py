"""`asrkit train-music` and `asrkit sample-music` on planted pieces: what is learned, resumed, refused and drawn."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from scipy.io import savemat

from asrkit.cli.main import main
from asrkit.core.config import load_config
from asrkit.core.container import save_model
from asrkit.core.errors import ConfigError, DataError
from asrkit.core.files import read_json
from asrkit.music.midi import MidiConfig, read_midi, write_midi
from asrkit.music.piano_roll import PianoRoll
from asrkit.stages import sequence_models
from asrkit.stages import train_music as stage
from asrkit.stages.music_config import SampleMusicConfig, TrainMusicConfig, TrainRnnNadeConfig
from asrkit.stages.record import RunOptions

pytest.importorskip("mido")
pytest.importorskip("matplotlib")

COMMON = [
    *("training.plateau.max_epochs=6", "training.batch_size=4", "training.threads=1", "training.checkpoint_secs=0"),
    *("training.optimiser.learning_rate=0.02", "model.hidden=10", "training.watched_steps=0"),
]
RBM = [*COMMON, "model.gibbs_steps=3", "pretraining_epochs=1", "prediction.ais_temperatures=30"]
SETTINGS = {
    "rnn-nade": [*COMMON, "model.recurrence.units=12", "model.recurrence.cell=gru"],
    "rnn-rbm": [*RBM, "model.recurrence.units=12"],
    "rtrbm": RBM,
}


def rising(count: int, seed: int, lowest: int = 30) -> list[np.ndarray]:
    """Fifths that rise by a semitone each step, from one of four keys."""
    rng = np.random.default_rng(seed)
    pieces = []
    for _ in range(count):
        length, first = rng.integers(8, 20), lowest + rng.integers(4)
        notes = np.zeros((length, 88), np.uint8)
        for t in range(length):
            notes[t, [first + t, first + t + 7]] = 1
        pieces.append(notes)
    return pieces


def cells(pieces: list[np.ndarray]) -> np.ndarray:
    made = np.empty((1, len(pieces)), object)
    for number, piece in enumerate(pieces):
        made[0, number] = piece
    return made


@pytest.fixture
def published(tmp_path: Path) -> Path:
    path = tmp_path / "set.mat"
    savemat(path, {"traindata": cells(rising(30, 1)), "validdata": cells(rising(8, 2))}, do_compression=True)
    return path


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def train(kind: str, data: Path, out: Path, *more: str) -> dict[str, Any]:
    sets = [part for one in [*SETTINGS[kind], *more] for part in ("--set", one)]
    result = run("train-music", kind, data, out, *sets, "--json", "-q")
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    return report


@pytest.mark.parametrize("kind", SETTINGS)
def test_training_and_drawing(kind: str, published: Path, tmp_path: Path) -> None:
    report = train(kind, published, tmp_path / "model")
    figures = report["figures"]
    assert (figures["scored_on"], figures["stopped_on"]) == ("valid", "3 training pieces")
    assert figures["scored_steps"] == sum(len(piece) for piece in rising(8, 2))
    # Units alone would have -10 nats a step and an accuracy below 0.1.
    assert figures["log_likelihood"] > -8
    assert np.isfinite(figures["least_log_likelihood"])
    assert 0 < figures["accuracy"] < 1
    assert 0.05 <= figures["likely_from"] <= 0.95
    assert (figures["estimator"] == "exact") == (kind == "rnn-nade") == ("standard_error" not in figures)
    history = read_json(tmp_path / "model" / "history.json")
    assert len(history) == figures["epochs"]
    assert not (tmp_path / "model" / "checkpoint.safetensors").exists()
    assert train(kind, published, tmp_path / "model")["skipped"]
    facts = json.loads(run("info", tmp_path / "model", "--json").stdout)["parts"][0]
    assert (facts["kind"], facts["facts"]["model"], facts["facts"]["keys"]) == ("music", kind, 88)

    sizes = ["--set", "num_samples=2", "--set", "num_steps=30", "--set", "gibbs_steps=5"]
    drawn = run("sample-music", tmp_path / "model", tmp_path / "drawn", *sizes, "--json")
    assert drawn.exit_code == 0, drawn.output
    assert (tmp_path / "drawn" / "samples.png").read_bytes()[:4] == b"\x89PNG"
    found = json.loads(drawn.stdout)["figures"]
    rolls = [read_midi(tmp_path / "drawn" / f"sample-000{number}.mid") for number in (1, 2)]
    assert sum(len(roll.held()) for roll in rolls) == found["notes"] > 0
    assert not np.array_equal(rolls[0].notes, rolls[1].notes)
    again = run("sample-music", tmp_path / "model", tmp_path / "again", *sizes)
    assert again.exit_code == 0
    for name in ("sample-0001.mid", "sample-0002.mid"):
        assert (tmp_path / "drawn" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_a_trained_model_draws_what_it_heard(published: Path, tmp_path: Path) -> None:
    figures = train("rnn-nade", published, tmp_path / "model", "training.plateau.max_epochs=40")["figures"]
    # All but the beginnings, some 12 steps apart, can be foretold, and drawing is less sure than choosing.
    assert figures["accuracy_of_likely_notes"] > 0.8
    assert 0.6 < figures["accuracy"] < figures["accuracy_of_likely_notes"]
    assert run("sample-music", tmp_path / "model", tmp_path / "drawn", "--set", "num_steps=8").exit_code == 0
    rises = 0
    for path in sorted((tmp_path / "drawn").glob("*.mid")):
        notes = read_midi(path).notes
        rises += sum(int((one[:-1] & other[1:]).sum()) for one, other in itertools.pairwise(notes))
    # Four pieces of seven moves of two notes.
    assert rises > 28


def test_test_pieces_are_scored_where_there_are_any(tmp_path: Path) -> None:
    for split, count in (("train", 12), ("valid", 3), ("test", 2)):
        for number, notes in enumerate(rising(count, 5)):
            write_midi(tmp_path / "set" / split / f"{number}.mid", PianoRoll(notes, step_secs=0.4), MidiConfig(1))
    figures = train("rnn-nade", tmp_path / "set", tmp_path / "model", "midi.steps_per_beat=1")["figures"]
    assert (figures["scored_on"], figures["stopped_on"]) == ("test", "valid")
    assert figures["scored_steps"] == sum(len(piece) for piece in rising(2, 5))
    assert run("sample-music", tmp_path / "model", tmp_path / "drawn").exit_code == 0
    assert read_midi(tmp_path / "drawn" / "sample-0001.mid", MidiConfig(1)).step_secs == pytest.approx(0.4)


def test_a_killed_training_goes_on(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(TrainRnnNadeConfig, None, [*SETTINGS["rnn-nade"], "transpose=2"])
    whole = stage.train_music("rnn-nade", published, tmp_path / "whole", config, RunOptions())

    def killed(items: Any, *, total: int | None, label: str) -> Any:
        if label == "epoch 4":
            raise KeyboardInterrupt
        return iter(items)

    with pytest.raises(KeyboardInterrupt):
        stage.train_music("rnn-nade", published, tmp_path / "part", config, RunOptions(progress=killed))
    assert not (tmp_path / "part" / stage.MODEL_FILE).exists()
    monkeypatch.setattr(sequence_models, "begin_with_means", None)  # from the checkpoint, not from the beginning
    resumed = stage.train_music("rnn-nade", published, tmp_path / "part", config, RunOptions())
    assert resumed.figures == whole.figures
    one, other = ((tmp_path / name / stage.MODEL_FILE).read_bytes() for name in ("whole", "part"))
    assert one == other


def test_transposed_pieces_teach_other_keys(tmp_path: Path) -> None:
    path = tmp_path / "set.mat"
    savemat(path, {"traindata": cells(rising(30, 1)), "validdata": cells(rising(8, 2, lowest=22))})
    settings = ("training.plateau.max_epochs=20", "heldout_share=0")
    found = [train("rnn-nade", path, tmp_path / str(k), *settings, f"transpose={k}")["figures"] for k in (0, 8)]
    assert found[1]["log_likelihood"] > found[0]["log_likelihood"] + 1


def test_without_held_out_pieces_the_scored_ones_say_when_to_stop(published: Path, tmp_path: Path) -> None:
    assert train("rnn-nade", published, tmp_path / "a", "heldout_share=0")["figures"]["stopped_on"] == "valid"
    one = {"traindata": cells(rising(1, 1)), "validdata": cells(rising(1, 2))}
    savemat(tmp_path / "one.mat", one)
    config = load_config(TrainRnnNadeConfig, None, SETTINGS["rnn-nade"])
    with pytest.raises(DataError, match="too few to hold 1 out"):
        stage.train_music("rnn-nade", tmp_path / "one.mat", tmp_path / "b", config, RunOptions())


def test_mistakes_are_one_line(tmp_path: Path, published: Path) -> None:
    (tmp_path / "bad.mat").write_bytes(b"nothing")
    for arguments, said in (
        (("train-music", "rtrbm", tmp_path / "absent.mat", tmp_path / "out"), "no such file"),
        (("train-music", "rtrbm", tmp_path / "bad.mat", tmp_path / "out"), "not a .mat file"),
        (("train-music", "rnn-rbm", published, tmp_path / "out", "--set", "model.cell=gru"), "cell"),
        (("sample-music", tmp_path / "absent", tmp_path / "out"), "music.safetensors"),
    ):
        result = run(*arguments)
        assert result.exit_code == 1
        assert said in result.stderr
        assert len(result.stderr.splitlines()) == 1
    save_model(tmp_path / "m" / "music.safetensors", "gmm", {"a": np.zeros(1)}, {})
    assert "'gmm' file" in run("sample-music", tmp_path / "m", tmp_path / "out").stderr


@pytest.mark.parametrize(
    "values",
    [{"scored_steps": -1}, {"heldout_share": 1.0}, {"transpose": -1}, {"transpose": 13},
     {"data": "feats", "transpose": 1}],
)  # fmt: skip
def test_what_cannot_be_is_refused(values: dict) -> None:
    with pytest.raises(ConfigError):
        TrainMusicConfig(**values)
    with pytest.raises(ConfigError):
        SampleMusicConfig(num_steps=10**9)
