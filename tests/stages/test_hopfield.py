"""`asrkit hopfield`: which frames become which pattern, what is counted, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.core.archives import ArchiveWriter
from asrkit.core.errors import ConfigError, DataError
from asrkit.core.files import write_lines
from asrkit.nnet.energy.hopfield_file import load_patterns
from asrkit.stages.hopfield_config import RecallStageConfig, StoreConfig
from asrkit.stages.label_patterns import binarise, read_patterns
from tests.factories import make_data_dir

pytest.importorskip("matplotlib")

PHONES = ("a", "b", "c", "d")
DIM = 5


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def report_of(*arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json", "-q")
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def planted(phone: str, frames: int) -> np.ndarray:
    """A phone's spectrogram: each has its own rising or falling bands."""
    rng = np.random.default_rng(ord(phone))
    ends = rng.normal(size=(2, DIM)) * 4
    return np.linspace(ends[0], ends[1], frames)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six utterances of four phones each, 10 to 16 frames long, with a little noise."""
    path = tmp_path / "data"
    made = make_data_dir(path, features=True)
    rng = np.random.default_rng(0)
    lines = []
    with ArchiveWriter(path, "feats") as writer:
        for number, key in enumerate(made.utterances):
            lengths = rng.integers(10, 17, size=4)
            order = np.roll(PHONES, number)
            frames = [planted(phone, length) for phone, length in zip(order, lengths)]
            matrix = np.concatenate(frames) + rng.normal(size=(lengths.sum(), DIM)) * 0.4
            writer.write(key, matrix.astype(np.float32))
            # The middle of frame t is 12.5 ms + 10 ms t.
            ends = np.concatenate([[0], np.cumsum(lengths)]) * 0.01 + 0.0075
            lines += [f"{key} {a:.4f} {b:.4f} {phone}" for phone, a, b in zip(order, ends, ends[1:])]
    write_lines(path / "phones.ali", lines)
    return path


def test_the_pattern_of_a_phone_is_its_mean_spectrogram(data: Path) -> None:
    found = read_patterns("phones", data, StoreConfig(frames=6), 0)
    assert (found.labels, found.frames, found.dim, found.stretches) == (PHONES, 6, DIM, 24)
    for phone, pattern in zip(found.labels, found.values):
        # Parts of six equal lengths, wherever the phone lies and however long it is.
        middles = (np.arange(6) + 0.5) / 6
        ends = planted(phone, 2)
        template = ends[0] + middles[:, None] * (ends[1] - ends[0])
        expected = np.where(template > np.median(template), 1, -1).ravel()
        assert (pattern == expected).mean() > 0.9


def test_single_stretches_are_drawn_by_the_seed(data: Path) -> None:
    config = StoreConfig(frames=6, per_label=2, skip=("b",))
    found = read_patterns("phones", data, config, 0)
    assert found.labels == ("a", "a", "c", "c", "d", "d")
    np.testing.assert_array_equal(found.values, read_patterns("phones", data, config, 0).values)
    assert (found.values != read_patterns("phones", data, config, 1).values).any()
    assert read_patterns("phones", data, StoreConfig(only=("a", "d"), skip=("d",)), 0).labels == ("a",)


def test_a_phone_shorter_than_a_frame_is_the_nearest_one(data: Path) -> None:
    key = sorted(key for key in (line.split()[0] for line in (data / "phones.ali").read_text().splitlines()))[0]
    write_lines(data / "phones.ali", [f"{key} 0.0130 0.0140 x"])
    assert read_patterns("phones", data, StoreConfig(), 0).labels == ("x",)


def test_whole_utterances_by_speaker(data: Path) -> None:
    found = read_patterns("speaker", data, StoreConfig(frames=12), 0)
    assert found.labels == ("spk1", "spk2")
    assert found.values.shape == (2, 12 * DIM)


def test_binarising_by_rows_and_by_columns() -> None:
    values = np.array([[1.0, 2.0, 9.0], [0.0, 5.0, 7.0], [4.0, 6.0, 8.0]])
    np.testing.assert_array_equal(binarise(values, "pattern"), [[-1, -1, 1]] * 3)
    np.testing.assert_array_equal(binarise(values, "units"), [[-1, -1, 1], [-1, -1, -1], [1, 1, -1]])


@pytest.mark.parametrize("rule", ["outer", "pseudo-inverse", "modern"])
def test_phones_are_stored_and_restored(data: Path, tmp_path: Path, rule: str) -> None:
    model, out = tmp_path / "model", tmp_path / "recalled"
    report = report_of("hopfield", "store", data, model, "--set", f"rule={rule}", "--set", "frames=12")
    assert report["figures"]["patterns"] == 4
    assert report["figures"]["units"] == 60
    assert load_patterns(model / "model.safetensors").rule == rule
    settings = ("--set", "noise=[0.0,0.1,0.5]", "--set", "cues=3", "--set", "recall.beta=1")
    report_of("hopfield", "recall", model, out, *settings)
    rows = json.loads((out / "recall.json").read_text())
    assert [row["noise"] for row in rows] == [0, 0.1, 0.5]
    assert all(row["cues"] == 12 for row in rows)
    if rule != "outer":  # which the alike patterns of speech are too much for
        assert rows[0]["patterns_restored"] == rows[0]["bits_right"] == rows[0]["nearest_right"] == 1
        assert rows[1]["patterns_restored"] > 0.9
    assert rows[0]["cues_nearest_right"] == 1
    assert rows[2]["bits_right"] < 0.8
    assert (out / "recall.png").read_bytes().startswith(b"\x89PNG")
    shown = run("hopfield", "recall", model, out, *settings)
    assert "up to date" in shown.stdout


def test_another_source_of_labels_stores_again(data: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    assert report_of("hopfield", "store", data, model)["figures"]["patterns"] == 4
    report = report_of("hopfield", "store", data, model, "--labels", "speaker")
    assert not report["skipped"]
    assert report["figures"]["patterns"] == 2


def test_the_capacity_curve_falls(tmp_path: Path) -> None:
    settings = ("units=[100,200]", "loads=[0.05,0.15,0.3]", "networks=3", "cues=10")
    sets = [part for one in settings for part in ("--set", one)]
    for jobs in (1, 2):
        report = report_of("hopfield", "capacity", tmp_path / str(jobs), *sets, "-j", jobs)
    rows = json.loads((tmp_path / "1" / "capacity.json").read_text())
    assert [(row["units"], row["patterns"]) for row in rows] == [
        (100, 5), (100, 15), (100, 30), (200, 10), (200, 30), (200, 60)
    ]  # fmt: skip
    for size in (rows[:3], rows[3:]):
        assert size[0]["recalled"] > 0.9 > 0.5 > size[2]["recalled"]
    assert 0.05 < report["figures"]["half_recalled_at_200"] < 0.3
    for name in ("capacity.json", "capacity.png"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_what_is_refused(data: Path, tmp_path: Path) -> None:
    (data / "phones.ali").unlink()
    result = run("hopfield", "store", data, tmp_path / "model")
    assert result.exit_code == 1
    assert "--labels" in result.output
    with pytest.raises(DataError, match="no label"):
        read_patterns("speaker", data, StoreConfig(fewest=100), 0)
    assert run("hopfield", "recall", tmp_path / "model", tmp_path / "out").exit_code == 1
    for values in ({"frames": 0}, {"per_label": -1}, {"fewest": 0}):
        with pytest.raises(ConfigError, match=next(iter(values))):
            StoreConfig(**values)  # type: ignore[arg-type]
    for values in ({"noise": (0.6,)}, {"cues": 0}):
        with pytest.raises(ConfigError, match=next(iter(values))):
            RecallStageConfig(**values)  # type: ignore[arg-type]


def test_more_bits_than_memory_should_hold_are_refused(data: Path, tmp_path: Path) -> None:
    report_of("hopfield", "store", data, tmp_path / "model", "--set", "frames=400", "--set", "rule=modern")
    result = run("hopfield", "recall", tmp_path / "model", tmp_path / "out", "--set", "cues=100000")
    assert result.exit_code == 1
    assert "cues" in result.output


def test_utterances_without_features_are_named(data: Path, tmp_path: Path) -> None:
    lines = (data / "feats.scp").read_text().splitlines()
    write_lines(data / "feats.scp", lines[1:])
    result = run("hopfield", "store", data, tmp_path / "model", "--max-failed", "0.5")
    assert result.exit_code == 0, result.output
    assert lines[0].split()[0] in result.output
    assert run("hopfield", "store", data, tmp_path / "other", "--max-failed", "0").exit_code == 3


def test_features_of_two_widths_are_named(data: Path, tmp_path: Path) -> None:
    from asrkit.core.archives import ArchiveReader

    reader = ArchiveReader(data / "feats.scp")
    features = {key: np.array(reader[key]) for key in reader}
    last = sorted(features)[-1]
    with ArchiveWriter(data, "feats") as writer:
        for key, value in features.items():
            writer.write(key, value[:, :3] if key == last else value)
    result = run("hopfield", "store", data, tmp_path / "model", "--labels", "speaker")
    assert result.exit_code == 1
    assert f"{last}: features of shape" in result.stderr
    assert f"expected {DIM} columns" in result.stderr


def test_a_phone_behind_the_end_of_its_utterance_fails(data: Path, tmp_path: Path) -> None:
    lines = (data / "phones.ali").read_text().splitlines()
    key = lines[0].split()[0]
    # Half a frame behind the last one a phone is still the utterance's.
    last_end = max(float(line.split()[2]) for line in lines if line.split()[0] == key)
    write_lines(data / "phones.ali", [*lines, f"{key} {last_end + 0.005:.4f} {last_end + 0.012:.4f} x"])
    assert not read_patterns("phones", data, StoreConfig(), 0).failures
    write_lines(data / "phones.ali", [*lines, f"{key} 900.0 901.0 x"])
    found = read_patterns("phones", data, StoreConfig(), 0)
    assert "x" not in found.labels
    assert [one.utterance_id for one in found.failures] == [key]
    assert found.failures[0].reason.startswith("the label 'x' begins at 900 s, and the features end before 0.")


def test_utterances_without_a_label_are_counted(data: Path, tmp_path: Path) -> None:
    lines = (data / "phones.ali").read_text().splitlines()
    key = lines[0].split()[0]
    write_lines(data / "phones.ali", [line for line in lines if line.split()[0] != key])
    assert "5 of 6 utterances have labels" in run("hopfield", "store", data, tmp_path / "model").stderr


def test_weights_that_are_not_finite_are_refused(data: Path, tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file

    report_of("hopfield", "store", data, tmp_path / "model")
    path = tmp_path / "model" / "model.safetensors"
    with safe_open(path, "np") as file:
        meta = file.metadata()
    arrays = load_file(path)
    arrays["weights"][2, 3] = np.nan
    save_file(arrays, path, meta)
    result = run("hopfield", "recall", tmp_path / "model", tmp_path / "out")
    assert result.exit_code == 1
    assert "model.safetensors: a Hopfield network whose parts are damaged" in result.stderr
