"""`asrkit probe` on planted features: what is found, drawn, combined and refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.core.archives import ArchiveReader, ArchiveWriter
from asrkit.core.errors import ConfigError, DataError
from asrkit.core.files import read_json, write_lines
from asrkit.data.datadir import DataDir, Utterance
from asrkit.features.config import FrontEndConfig
from asrkit.features.frontend import save_front_end
from asrkit.gmm.discriminant import GaussianDiscriminant
from asrkit.stages.probe import _Examples
from asrkit.stages.probe_config import ProbeConfig
from asrkit.stages.probe_examples import parse_sets, read_targets

SPEAKERS = ("ann", "bob", "cid", "dee", "eve", "fay")
PHONES = ("aa", "iy", "sh")


def make_data(path: Path, dim: int, tells: str, shift_ms: float = 10.0, seed: int = 0) -> Path:
    """Four utterances a speaker of three phones of 100 ms each: frames tell the speaker, the phone, or nothing."""
    rng = np.random.default_rng(seed)
    own = {speaker: np.random.default_rng(number).normal(size=dim) for number, speaker in enumerate(SPEAKERS)}
    sound = {phone: np.random.default_rng(50 + number).normal(size=dim) for number, phone in enumerate(PHONES)}
    table: dict[str, Utterance] = {}
    labels: list[str] = []
    with ArchiveWriter(path, "feats") as writer:
        for speaker in SPEAKERS:
            for number in range(4):
                key = f"{speaker}-{number}"
                table[key] = Utterance(key, key, speaker, ("a",))
                order = rng.permutation(3).tolist()
                frames = []
                for place, phone in enumerate(order):
                    labels.append(f"{key} {0.1 * place:.3f} {0.1 * place + 0.1:.3f} {PHONES[phone]}")
                    mean = {"speaker": own[speaker], "phone": sound[PHONES[phone]], "nothing": np.zeros(dim)}[tells]
                    frames.append(mean + 0.4 * rng.normal(size=(round(100 / shift_ms), dim)))
                writer.write(key, np.concatenate(frames).astype(np.float32))
    DataDir(path, table, {key: f"/nowhere/{key}.wav" for key in table}).save()
    write_lines(path / "spk2gender", (f"{speaker} {'fm'[number % 2]}" for number, speaker in enumerate(SPEAKERS)))
    write_lines(path / "phones.ali", labels)
    save_front_end(path, FrontEndConfig(num_ceps=dim, frame_shift_ms=shift_ms))
    return path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("probe")
    make_data(root / "speaker", 5, "speaker")
    make_data(root / "phone", 4, "phone")
    make_data(root / "slow", 8, "phone", shift_ms=20.0)
    make_data(root / "nothing", 3, "nothing", seed=9)
    return root


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["probe", *map(str, arguments)])


def test_features_that_tell_are_told_from_those_that_do_not(world: Path, tmp_path: Path) -> None:
    sets = [f"{name}={world / name}" for name in ("speaker", "nothing")]
    settings = ["--set", "counts=[1, 3]", "--set", "draws=4"]
    result = run("speaker", tmp_path / "out", *sets, "both=speaker+nothing", *settings)
    assert result.exit_code == 0, result.output
    found = read_json(tmp_path / "out" / "probe.json")
    assert (found["labels"], found["utterances"], found["speakers"]) == (6, 24, 6)
    accuracy = found["accuracy"]
    assert accuracy["speaker"]["3"]["mean"] > 95
    assert accuracy["nothing"]["3"]["mean"] < 50
    assert accuracy["both"]["3"]["mean"] > accuracy["nothing"]["3"]["mean"]
    for row in accuracy.values():
        for value in row.values():
            assert len(value["draws"]) == 4
            assert value["mean"] == pytest.approx(np.mean(value["draws"]), abs=0.01)
            assert value["sd"] == pytest.approx(np.std(value["draws"], ddof=1), abs=0.02)
    lines = result.output.splitlines()
    row = next(line for line in lines if line.startswith("speaker "))
    assert row.split() == ["speaker", *(f"{accuracy['speaker'][count]['mean']:.2f}" for count in ("1", "3"))]
    assert "up to date" in run("speaker", tmp_path / "out", *sets, "both=speaker+nothing", *settings).output
    other = run("speaker", tmp_path / "other", *sets, "both=speaker+nothing", *settings, "--seed", 1, "--json")
    assert json.loads(other.stdout)["figures"]["accuracy"]["nothing"] != accuracy["nothing"]


def test_phones_are_told_by_their_segments_whatever_the_frame_rate(world: Path, tmp_path: Path) -> None:
    sets = [f"{name}={world / name}" for name in ("phone", "slow", "speaker")]
    # The orders of phones differ between the sets' utterances: labels are those of the first.
    for name in ("slow", "phone"):
        arguments = [f"{name}={world / name}", "--set", "counts=[4]", "--set", "draws=3"]
        result = run("phones", tmp_path / name, *arguments)
        assert result.exit_code == 0, result.output
        assert read_json(tmp_path / name / "probe.json")["accuracy"][name]["4"]["mean"] > 95
    folded = run("phones", tmp_path / "folded", sets[0], "--set", "fold=timit39", "--set", "counts=[4]")
    assert folded.exit_code == 0
    assert read_json(tmp_path / "folded" / "probe.json")["examples"] == 72


@pytest.mark.parametrize(("source", "count"), [("speaker", 2), ("gender", 3), ("phones", 5)])
def test_nothing_is_trained_and_tested_on_at_once(world: Path, source: str, count: int) -> None:
    config = ProbeConfig(counts=(count,))
    data = DataDir.load(world / "speaker")
    examples = _Examples.of(source, data, read_targets(source, data, config), config)
    seen = set()
    for draw in range(5):
        split = examples.split(count, draw, config, 0)
        assert not set(split.training) & set(split.testing)
        assert split == examples.split(count, draw, config, 0)
        seen.add(tuple(split.training))
        speakers = [{key.split("-")[0] for key in part} for part in (split.training, split.testing)]
        if source == "speaker":
            assert len(split.training) == 6 * count
            assert len(split.testing) == 6 * (4 - count)
            assert speakers[0] == speakers[1] == set(SPEAKERS)
        else:
            assert len(split.training) == (2 * count if source == "gender" else count)
            assert len(split.testing) == 2 * 4
            assert not speakers[0] & speakers[1]
    assert len(seen) == 5


def test_sets_that_are_judged_together_add_their_posteriors_by_dimension(world: Path, tmp_path: Path) -> None:
    """The accuracy of a draw, computed once more by hand."""
    settings = ["--set", "counts=[1]", "--set", "draws=1", "--set", 'statistics=["mean"]', "--set", "shrinkage=0.5"]
    sets = [f"a={world / 'nothing'}", f"b={world / 'speaker'}", "both=a+b"]
    assert run("speaker", tmp_path / "out", *sets, *settings).exit_code == 0
    found = read_json(tmp_path / "out" / "probe.json")["accuracy"]
    config = ProbeConfig(counts=(1,), draws=1)
    data = DataDir.load(world / "nothing")
    split = _Examples.of("speaker", data, read_targets("speaker", data, config), config).split(1, 0, config, 0)
    truth = np.array([SPEAKERS.index(key.split("-")[0]) for key in split.testing])
    total = np.zeros((len(truth), 6))
    for name, dim in (("nothing", 3), ("speaker", 5)):
        features = ArchiveReader(world / name / "feats.scp")
        rows = [np.stack([features[key].mean(axis=0) for key in part]) for part in (split.training, split.testing)]
        classifier = GaussianDiscriminant.fit(rows[0], np.arange(6), 0.5)
        total += 3 / dim * classifier.log_posteriors(rows[1])
    assert found["both"]["1"]["draws"] == [round(100 * float((total.argmax(1) == truth).mean()), 2)]
    assert found["both"]["1"]["draws"] not in (found["a"]["1"]["draws"], found["b"]["1"]["draws"])


def test_means_and_derivatives_are_those_of_the_named_sets(world: Path, tmp_path: Path) -> None:
    sets = [f"plain={world / 'speaker'}", f"other={world / 'speaker'}"]
    result = run(
        *("speaker", tmp_path / "out", *sets, "--set", "counts=[2]", "--set", "draws=2"),
        *("--set", 'statistics=["mean"]', "--set", 'cmn=["other"]', "--set", 'deltas=["other"]'),
    )
    assert result.exit_code == 0, result.output
    found = read_json(tmp_path / "out" / "probe.json")["accuracy"]
    assert found["plain"]["2"]["mean"] > 90
    assert found["other"]["2"]["mean"] < 60  # what tells the speakers are the means


def test_utterances_without_features_are_named_and_rare_labels_left_out(world: Path, tmp_path: Path) -> None:
    data = make_data(tmp_path / "data", 5, "speaker")
    index = (data / "feats.scp").read_text().splitlines()
    write_lines(data / "feats.scp", (line for line in index if not line.startswith("bob-1 ")))
    result = run("speaker", tmp_path / "out", f"x={data}", "--set", "counts=[3]", "--set", "draws=2")
    assert result.exit_code == 0, result.output
    assert "failed: bob-1: no features" in result.output
    assert "3 utterances or fewer: bob" in result.output
    assert read_json(tmp_path / "out" / "probe.json")["labels"] == 5
    result = run("speaker", tmp_path / "out2", f"x={data}", "--max-failed", 0.01)
    assert result.exit_code == 3


def test_what_cannot_be_is_refused(world: Path, tmp_path: Path) -> None:
    x = f"x={world / 'speaker'}"
    for arguments, message in (
        (("gender", tmp_path / "o", x, "--set", "counts=[20]"), "to draw 20 of"),
        (("phones", tmp_path / "o", x, "--set", "counts=[50]"), "16 utterances of 4 speakers to draw 50 of"),
        (("speaker", tmp_path / "o", x, "--set", 'cmn=["y"]'), "cmn or deltas name y"),
        (("nobody", tmp_path / "o", x), "no such table of labels"),
        (("speaker", world / "speaker", x), "OUT is one of the directories"),
        (("speaker", tmp_path / "o", "x"), "'x' is not a new NAME=DATA"),
    ):
        result = run(*arguments)
        assert result.exit_code == 1, result.output
        assert message in result.output
    assert parse_sets(["a=/x", "b=/y+z", "c=a+b"]) == (
        {"a": Path("/x"), "b": Path("/y+z")},
        {"a": ("a",), "b": ("b",), "c": ("a", "b")},
    )
    for sets in ([], ["a=/x", "a=/y"], ["=/x"], ["a="]):
        with pytest.raises(ConfigError):
            parse_sets(sets)
    for options in (
        *({"counts": ()}, {"counts": (0,)}, {"draws": 0}, {"test_share": 1.0}),
        *({"statistics": ()}, {"shrinkage": 0.0}),
    ):
        with pytest.raises(ConfigError):
            ProbeConfig(**options)  # type: ignore[arg-type]
    strange = make_data(tmp_path / "strange", 3, "phone")
    write_lines(strange / "phones.ali", ["ann-0 0.0 0.1 zzz"])
    with pytest.raises(DataError, match="phones that TIMIT has not: zzz"):
        read_targets("phones", DataDir.load(strange), ProbeConfig(fold="timit39"))
    (strange / "phones.ali").unlink()
    with pytest.raises(DataError, match="no hand labels"):
        read_targets("phones", DataDir.load(strange), ProbeConfig())


def test_where_no_utterance_can_be_used_the_reason_is_told(tmp_path: Path) -> None:
    data = make_data(tmp_path / "data", 5, "speaker")
    write_lines(data / "feats.scp", [])
    result = run("speaker", tmp_path / "out", f"x={data}", "--max-failed", "1")
    assert result.exit_code == 1
    assert "no utterance can be used; the first: " in result.output
    assert "no features in" in result.output
