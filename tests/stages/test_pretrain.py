"""`asrkit pretrain` and `asrkit sample` on planted features: what is learned, resumed, refused and drawn."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.core.archives import ArchiveReader, ArchiveWriter
from asrkit.core.config import load_config
from asrkit.core.errors import ConfigError, DataError, ModelError
from asrkit.core.files import read_json, write_json, write_lines
from asrkit.data.datadir import DataDir, Utterance
from asrkit.features.config import FrontEndConfig
from asrkit.features.frontend import save_front_end
from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.dbn import Dbn
from asrkit.nnet.stack import Stack, load_stack
from asrkit.stages.held_out import hold_out
from asrkit.stages.pretrain import pretrain_stack
from asrkit.stages.pretrain_config import PretrainDbnConfig, PretrainRbmConfig, PretrainSdaConfig
from asrkit.stages.record import RunOptions
from tests.killed import Killed, KillsAfter

DIM = 4
COMMON = [
    *("pipeline.cmvn=none", "pipeline.delta_order=0", "pipeline.splice_left=2", "pipeline.splice_right=1"),
    *("threads=1", "frames.batch_size=20", "units=12"),
]
DBN = [*COMMON, "layers=2", "gaussian_epochs=4", "num_epochs=3", "gaussian.learning_rate=0.02"]
SETTINGS = {
    "rbm": [*COMMON, "num_epochs=4", "cd.learning_rate=0.02"],
    "dbn": DBN,
    "sda": [*COMMON, "layers=2", "num_epochs=4", "autoencoder.optimiser.learning_rate=0.01"],
}
CONFIGS = {"rbm": PretrainRbmConfig, "dbn": PretrainDbnConfig, "sda": PretrainSdaConfig}


def make_data(path: Path, num_speakers: int = 5, seed: int = 3, unit: bool = False) -> Path:
    """Slow waves in noise, which a window of frames can be told from; of ``unit`` between 0 and 1."""
    rng = np.random.default_rng(seed)
    utterances = {}
    for number in range(num_speakers * 4):
        key = f"spk{number % num_speakers}-u{number:02d}"
        utterances[key] = Utterance(key, key, key.split("-")[0], ("a",))
    DataDir(path, utterances, {key: f"/nowhere/{key}.wav" for key in utterances}).save()
    with ArchiveWriter(path, "feats") as writer:
        for key in sorted(utterances):
            time = np.arange(30 + rng.integers(20))[:, None] / rng.uniform(2, 6)
            value = 5 + 3 * np.sin(time + np.arange(DIM)) + rng.normal(scale=0.3, size=(len(time), DIM))
            writer.write(key, (np.clip(value / 10, 0, 1) if unit else value).astype(np.float32))
    save_front_end(path, FrontEndConfig(num_ceps=DIM))
    return path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data and one stack of each kind; tests only read it."""
    root = tmp_path_factory.mktemp("world")
    make_data(root / "data")
    for kind in SETTINGS:
        result = run(root, kind)
        assert result.exit_code == 0, result.output
    return root


def run(root: Path, kind: str, *more: str, data: str = "data", out: str | None = None) -> Result:
    settings = itertools.chain.from_iterable(("--set", one) for one in (*SETTINGS[kind], *more))
    return CliRunner().invoke(main, ["pretrain", kind, str(root / data), str(root / (out or kind)), *settings])


def config_of(kind: str, *more: str) -> Any:
    return load_config(CONFIGS[kind], overrides=[*SETTINGS[kind], *more])


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_stack_describes_itself_and_errors_fall(world: Path, kind: str) -> None:
    stack = load_stack(world / kind)
    assert [layer.num_outputs for layer in stack.layers] == [12] * (1 if kind == "rbm" else 2)
    assert stack.layers[0].num_inputs == 4 * DIM
    assert (stack.pipeline.splice_left, stack.pipeline.splice_right) == (2, 1)
    assert stack.front_end == FrontEndConfig(num_ceps=DIM)
    assert stack.training["kind"] == kind
    history = read_json(world / kind / "history.json")
    first = [row for row in history if row["phase"] == "layer 1"]
    assert len(first) == 4
    assert first[-1]["held_out_error"] < first[0]["held_out_error"]
    assert first[-1]["error"] < 0.9  # of units of variance 1
    assert {"phase", "epoch", "frames_per_sec", "training_error"} <= {*history[-1]}
    if kind != "sda":
        assert {"free_energy_gap", "pseudo_log_likelihood", "histograms", "guarded"} <= {*first[-1]}
        assert sum(first[-1]["histograms"]["weights"]["counts"]) == 4 * DIM * 12
    assert not (world / kind / "checkpoint.safetensors").exists()
    info = CliRunner().invoke(main, ["info", str(world / kind)])
    assert "pretrained stack" in info.output


def test_features_are_normalised_over_the_speakers_that_are_trained_on(world: Path) -> None:
    data = DataDir.load(world / "data")
    features = ArchiveReader(world / "data" / "feats.scp")
    training, heldout = hold_out(data, sorted(features), 0.1, 0)
    assert not {key.split("-")[0] for key in training} & {key.split("-")[0] for key in heldout}
    frames = np.concatenate([features[key] for key in training]).astype(np.float64)
    normalisation = load_stack(world / "rbm").normalisation
    np.testing.assert_allclose(normalisation.shift, frames.mean(0), rtol=1e-5)
    np.testing.assert_allclose(normalisation.scale, 1 / frames.std(0), rtol=1e-5)


def test_later_layers_learn_the_outputs_of_those_below(world: Path) -> None:
    """The second RBM reconstructs the means of the first far better than their own means would."""
    history = read_json(world / "dbn/history.json")
    last = [row for row in history if row["phase"] == "layer 2"][-1]
    assert last["error"] < 0.15
    assert load_stack(world / "dbn").layers[1].visible == "bernoulli"


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_second_run_does_nothing_and_a_new_one_comes_to_the_same_bits(world: Path, tmp_path: Path, kind: str) -> None:
    again = run(world, kind)
    assert again.exit_code == 0
    assert "up to date" in again.output
    pretrain_stack(kind, world / "data", tmp_path / "again", config_of(kind), RunOptions(num_jobs=2))
    assert_same(load_stack(world / kind), load_stack(tmp_path / "again"))
    pretrain_stack(kind, world / "data", tmp_path / "other", config_of(kind), RunOptions(seed=1))
    with pytest.raises(AssertionError):
        assert_same(load_stack(world / kind), load_stack(tmp_path / "other"))


def assert_same(one: Stack, other: Stack) -> None:
    for first, second in zip(one.layers, other.layers, strict=True):
        assert set(first.parameters) == set(second.parameters)
        for name, value in first.parameters.items():
            np.testing.assert_array_equal(value, second.parameters[name])


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("rbm", ["cd.persistent=true", "cd.chain_visible=samples"]),
        ("dbn", ["up_down_epochs=3", "rbm.learn_variance=true", "gaussian.sparsity_cost=0.1"]),
        ("sda", ["autoencoder.contraction=0.01", "autoencoder.tied=false"]),
    ],
)
def test_a_killed_run_comes_to_the_bits_of_an_uninterrupted_one(
    world: Path, tmp_path: Path, kind: str, more: list[str]
) -> None:
    config = config_of(kind, *more, "frames.buffer_frames=200", "checkpoint_secs=0.0")
    whole = pretrain_stack(kind, world / "data", tmp_path / "whole", config, RunOptions())
    killed = 0
    for chunks in (2, 3, 9, 1, 11, 7, 4):
        try:
            pretrain_stack(
                kind, world / "data", tmp_path / "parts", config, RunOptions(progress=KillsAfter(chunks, "epoch"))
            )
        except Killed:
            killed += 1
    assert killed >= 4
    assert not (tmp_path / "parts" / "stack.safetensors").exists() or killed < 7
    last = pretrain_stack(kind, world / "data", tmp_path / "parts", config, RunOptions())
    assert last.figures == whole.figures
    assert_same(load_stack(tmp_path / "whole"), load_stack(tmp_path / "parts"))
    histories = [read_json(tmp_path / name / "history.json") for name in ("whole", "parts")]
    for row in itertools.chain(*histories):
        del row["frames_per_sec"]
    assert histories[0] == histories[1]


def test_a_checkpoint_of_another_configuration_is_left_alone(world: Path, tmp_path: Path) -> None:
    config = config_of("rbm", "checkpoint_secs=0.0")
    with pytest.raises(Killed):
        pretrain_stack("rbm", world / "data", tmp_path / "out", config, RunOptions(progress=KillsAfter(2, "epoch")))
    pretrain_stack("rbm", world / "data", tmp_path / "out", config_of("rbm"), RunOptions())
    assert_same(load_stack(tmp_path / "out"), load_stack(world / "rbm"))


def test_up_down_training_parts_the_two_directions(world: Path, tmp_path: Path) -> None:
    pretrain_stack("dbn", world / "data", tmp_path / "ud", config_of("dbn", "up_down_epochs=2"), RunOptions())
    bottom, top = load_stack(tmp_path / "ud").layers
    assert (bottom.kind, top.kind) == ("directed", "rbm")
    assert np.abs(bottom.weights - bottom.parameters["generative_weights"]).max() > 1e-4
    assert read_json(tmp_path / "ud/history.json")[-1]["phase"] == "up-down"


def test_the_likelihood_is_estimated_where_it_is_wanted(world: Path, tmp_path: Path) -> None:
    """Trained longer, the held-out frames are likelier; the estimate holds the partition function's interval."""
    likelihoods = []
    for epochs in (1, 30):
        config = config_of(
            "rbm", f"num_epochs={epochs}", "likelihood.estimate=true", "likelihood.ais.num_steps=[100,100,100]"
        )
        report = pretrain_stack("rbm", world / "data", tmp_path / str(epochs), config, RunOptions())
        found = report.figures
        assert found["log_partition_low"] < found["log_partition"] < found["log_partition_high"]
        likelihoods.append(found["log_likelihood"])
    assert likelihoods[1] > likelihoods[0] + 1


@pytest.mark.parametrize("hidden", ["bernoulli", "relu"])
def test_rectified_units_stack_on_gaussian_ones(world: Path, tmp_path: Path, hidden: str) -> None:
    config = config_of("dbn", f"rbm.hidden={hidden}", "gaussian.learning_rate=0.005")
    pretrain_stack("dbn", world / "data", tmp_path / "out", config, RunOptions())
    second = load_stack(tmp_path / "out").layers[1]
    assert (second.visible, second.activation) == (
        ("bernoulli", "sigmoid") if hidden == "bernoulli" else ("gaussian", "relu")
    )
    assert ("log_variance" in second.parameters) == (hidden == "relu")


@pytest.mark.parametrize("kind", ["rbm", "sda"])
def test_values_from_0_to_1_are_taken_as_they_are(tmp_path: Path, kind: str) -> None:
    make_data(tmp_path / "unit", unit=True)
    key = "visible" if kind == "rbm" else "inputs"
    config = config_of(kind, f"{key}=bernoulli")
    pretrain_stack(kind, tmp_path / "unit", tmp_path / "out", config, RunOptions())
    stack = load_stack(tmp_path / "out")
    assert stack.layers[0].visible == "bernoulli"
    np.testing.assert_array_equal(stack.normalisation.scale, 1.0)
    make_data(tmp_path / "wide")
    with pytest.raises(DataError, match="below 0 or above 1"):
        pretrain_stack(kind, tmp_path / "wide", tmp_path / "out2", config, RunOptions())


def test_whose_inputs_the_features_are_is_kept(tmp_path: Path) -> None:
    data = make_data(tmp_path / "data")
    write_json(data / "inputs.json", {"model_sha256": "ab", "dim": DIM, "fmllr": True})
    pretrain_stack("rbm", data, tmp_path / "out", config_of("rbm"), RunOptions())
    assert load_stack(tmp_path / "out").inputs == {"model_sha256": "ab", "dim": DIM, "fmllr": True}


def test_bad_utterances_are_named_and_too_many_refused(tmp_path: Path) -> None:
    data = make_data(tmp_path / "data")
    values = {key: np.array(value) for key, value in ArchiveReader(data / "feats.scp").items()}
    values["spk0-u00"][3, 1] = np.nan
    with ArchiveWriter(data, "feats") as writer:
        for key, value in values.items():
            if key != "spk1-u01":
                writer.write(key, value)
    result = run(tmp_path, "rbm", data="data", out="out")
    assert result.exit_code == 0, result.output
    assert "failed: spk0-u00: features hold NaN or infinity" in result.output
    assert "failed: spk1-u01: no features" in result.output
    strict = CliRunner().invoke(
        main, ["pretrain", "rbm", str(data), str(tmp_path / "out3"), "--max-failed", "0", "--set", "pipeline.cmvn=none"]
    )
    assert strict.exit_code == 3


def test_a_training_that_diverges_is_told(world: Path, tmp_path: Path) -> None:
    result = run(world, "rbm", "cd.learning_rate=1e9", "cd.guard_ratio=0", out=str(tmp_path / "out"))
    assert result.exit_code == 1
    assert "no longer finite" in result.output
    assert "Traceback" not in result.output


def test_configurations_that_cannot_be_are_refused() -> None:
    for kind, setting in (
        ("rbm", "heldout_share=1.0"),
        ("rbm", "units=0"),
        ("dbn", "layers=0"),
        ("dbn", "up_down_epochs=-1"),
        ("sda", "num_epochs=0"),
    ):
        with pytest.raises(ConfigError):
            config_of(kind, setting)
    with pytest.raises(ConfigError, match="up-down training needs"):
        config_of("dbn", "up_down_epochs=1", "rbm.hidden=relu")


def test_one_speaker_alone_and_none_held_out(world: Path, tmp_path: Path) -> None:
    make_data(tmp_path / "one", num_speakers=1)
    pretrain_stack("rbm", tmp_path / "one", tmp_path / "a", config_of("rbm"), RunOptions())
    assert "held_out_error" in read_json(tmp_path / "a/history.json")[0]
    config = config_of("rbm", "heldout_share=0.0")
    report = pretrain_stack("rbm", world / "data", tmp_path / "b", config, RunOptions())
    assert report.figures["heldout_frames"] == 0
    assert "held_out_error" not in read_json(tmp_path / "b/history.json")[0]


# Samples


def test_samples_are_windows_of_features(world: Path, tmp_path: Path) -> None:
    arguments = ["sample", str(world / "dbn"), str(tmp_path / "s"), "--set", "num_samples=9", "--set", "num_steps=50"]
    result = CliRunner().invoke(main, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["figures"] == {"samples": 9, "frames": 4, "dim": DIM, "gibbs_steps": 50}
    samples = ArchiveReader(tmp_path / "s/samples.scp")
    assert {value.shape for value in samples.values()} == {(4, DIM)}
    together = np.concatenate(list(samples.values()))
    assert len(samples) == 9
    assert (np.abs(together.mean(0) - 5) < 2.5).all()  # the normalisation undone: the data lie around 5
    assert (tmp_path / "s/samples.png").read_bytes().startswith(b"\x89PNG")
    assert "up to date" in CliRunner().invoke(main, arguments).output


def test_samples_are_those_of_the_network(world: Path, tmp_path: Path) -> None:
    options = ["--set", "num_samples=5", "--set", "num_steps=7", "--set", "pictures=false"]
    CliRunner().invoke(main, ["sample", str(world / "dbn"), str(tmp_path / "s"), *options, "--seed", "4"])
    stack = load_stack(world / "dbn")
    drawn = Dbn.of_layers(stack.layers).sample(5, 7, Draws(4, "samples"))
    normalised = [
        (value - stack.normalisation.shift) * stack.normalisation.scale
        for value in ArchiveReader(tmp_path / "s/samples.scp").values()
    ]
    torch.testing.assert_close(torch.from_numpy(np.stack(normalised)).flatten(1), drawn, atol=1e-5, rtol=1e-5)
    assert not (tmp_path / "s/samples.png").exists()


def test_chains_can_start_at_data(world: Path, tmp_path: Path) -> None:
    arguments = ["sample", str(world / "rbm"), str(tmp_path / "s"), "--set", "num_steps=1", "--set", "pictures=false"]
    result = CliRunner().invoke(main, [*arguments, "--data", str(world / "data")])
    assert result.exit_code == 0, result.output
    other = make_data(tmp_path / "other")
    write_json(other / "inputs.json", {"model_sha256": "ab"})
    result = CliRunner().invoke(main, [*arguments, "--data", str(other), "--force"])
    assert result.exit_code == 1
    assert "inputs of another kind" in result.output


def test_data_that_chains_cannot_start_at_are_named(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "data", tmp_path / "data")
    lines = (tmp_path / "data" / "feats.scp").read_text().splitlines()
    write_lines(tmp_path / "data" / "feats.scp", lines[1:])
    arguments = ["sample", str(world / "rbm"), str(tmp_path / "s"), "--set", "num_steps=1", "--set", "num_samples=100"]
    result = CliRunner().invoke(main, [*arguments, "--data", str(tmp_path / "data")])
    assert result.exit_code == 0, result.output
    assert f"failed: {lines[0].split()[0]}: no features" in result.output
    write_lines(tmp_path / "data" / "feats.scp", [])
    result = CliRunner().invoke(main, [*arguments, "--data", str(tmp_path / "data"), "--max-failed", "1"])
    assert result.exit_code == 1
    assert "no utterance has features" in result.output


def test_what_cannot_be_drawn_from_is_refused(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(main, ["sample", str(world / "sda"), str(tmp_path / "s")])
    assert "autoencoders give frames no probability" in result.output
    with pytest.raises(ModelError, match="not a finished stack"):
        load_stack(world / "data")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = CliRunner().invoke(main, ["sample", str(world / "dbn"), str(tmp_path / "s")])
    assert "pictures need matplotlib" in result.output
