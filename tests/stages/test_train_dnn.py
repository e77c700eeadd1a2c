"""`asrkit train-dnn` on features drawn from a planted model: the network aligns and decodes like any other model."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.core.archives import ArchiveReader, ArchiveWriter
from asrkit.core.errors import DataError, ModelError
from asrkit.core.files import read_json, read_lines
from asrkit.data.datadir import DataDir
from asrkit.nnet.acoustic import NnetHmm
from asrkit.nnet.network import to_arrays
from asrkit.nnet.normalisation import InputNormalisation
from asrkit.nnet.stack import Stack, StackLayer
from asrkit.stages.acoustic import load_acoustic_model
from asrkit.stages.frame_targets import open_targets
from tests.stages.test_train_mono import make_world, read_features
from tests.stages.test_train_mono import run as train_mono

SETTINGS = [
    *("--set", "pipeline.cmvn=none", "--set", "pipeline.delta_order=0", "--set", "pipeline.splice_left=2"),
    *("--set", "pipeline.splice_right=1", "--set", "training.threads=1", "--set", "training.frames.batch_size=32"),
    *("--set", "training.optimiser.kind=adam", "--set", "training.optimiser.learning_rate=0.005"),
    *("--set", "training.newbob.max_epochs=12", "--max-failed", "0.2"),
]
MLP = [*SETTINGS, "--set", "network.layers=2", "--set", "network.units=24", "--set", "network.activation=tanh"]
CNN = [
    *SETTINGS,
    *("--set", "network.channels=1", "--set", "network.maps=[8]", "--set", "network.pool=[1]"),
    *("--set", "network.bands=2", "--set", "network.time_frames=2", "--set", "network.mlp.units=24"),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world with monophones and two networks; tests only read it."""
    root = make_world(tmp_path_factory.mktemp("world"), num_utterances=60)
    train_mono(root)
    for kind, settings in (("mlp", MLP), ("cnn", CNN)):
        result = train(root, kind, *settings)
        assert result.exit_code == 0, result.output
    write_arpa(root / "lm.arpa")
    return root


def train(root: Path, kind: str, *arguments: str, data: str = "data", out: str | None = None) -> Result:
    paths = [str(root / name) for name in (data, "mono", out or kind)]
    return CliRunner().invoke(main, ["train-dnn", kind, *paths, *arguments])


def invoke(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result


def write_arpa(path: Path) -> None:
    words = ["</s>", "pa", "tu", "at", "up", "a"]
    lines = ["\\data\\", f"ngram 1={len(words) + 1}", "", "\\1-grams:", "-99 <s>"]
    path.write_text("\n".join([*lines, *(f"-0.8 {word}" for word in words), "", "\\end\\", ""]))


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_the_network_aligns_as_the_mixtures_do(world: Path, tmp_path: Path, kind: str) -> None:
    invoke("align", world / "data", world / kind, tmp_path / "ali", "--max-failed", "0.2")
    found, expected = ArchiveReader(tmp_path / "ali/ali.scp"), ArchiveReader(world / "mono/ali.scp")
    transitions = load_acoustic_model(world / "mono").transitions
    same = np.concatenate(
        [transitions.tid_to_pdf[found[key]] == transitions.tid_to_pdf[expected[key]] for key in expected]
    )
    assert same.mean() > 0.95


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_the_network_decodes_what_was_said(world: Path, tmp_path: Path, kind: str) -> None:
    invoke("make-graph", world / "lang", world / "lm.arpa", world / kind, tmp_path / "graph")
    invoke("decode", tmp_path / "graph", world / kind, world / "data", tmp_path / "dec", "--set", "lm_weights=[2]")
    said = {key: utterance.words for key, utterance in DataDir.load(world / "data").utterances.items()}
    found = dict(line.split(maxsplit=1) for line in (tmp_path / "dec/hyp.txt").read_text().splitlines() if " " in line)
    right = sum(tuple(found.get(key, "").split()) == words for key, words in said.items())
    assert right >= 0.9 * len(said)


def test_loglikes_are_posteriors_over_priors(world: Path) -> None:
    model = load_acoustic_model(world / "mlp")
    network = model.model
    assert isinstance(network, NnetHmm)
    inputs = model.inputs(DataDir.load(world / "data"))["u07"]
    posteriors = np.exp(network.log_posteriors(inputs).astype(np.float64))
    np.testing.assert_allclose(posteriors.sum(axis=1), 1.0, rtol=1e-5)
    counts = np.zeros(network.tree.num_pdfs)
    for tids in ArchiveReader(world / "mono/ali.scp").values():
        counts += np.bincount(network.transitions.tid_to_pdf[np.asarray(tids)], minlength=len(counts))
    priors = (counts + 1) / (counts + 1).sum()
    np.testing.assert_allclose(network.loglikes(inputs), np.log(posteriors / priors), rtol=1e-3, atol=1e-3)
    columns = np.array([3, 1], dtype=np.int32)
    np.testing.assert_array_equal(network.loglikes(inputs, columns), network.loglikes(inputs)[:, columns])
    with pytest.raises(DataError, match="the network takes 16 columns"):
        network.loglikes(inputs[:, :-1])


def test_epochs_are_reported_and_a_second_run_does_nothing(world: Path) -> None:
    epochs = read_json(world / "mlp/epochs.json")
    assert epochs[-1]["heldout_accuracy"] > 0.9
    assert epochs[0]["heldout_loss"] > epochs[-1]["heldout_loss"]
    figures = read_json(world / "mlp" / "stage.json")["train-dnn mlp"]["figures"]
    lengths = {key: len(x) for key, x in read_features(world / "data").items()}
    heldout = read_lines(world / "mlp" / "heldout.txt")
    assert sum(lengths[key] for key in heldout) == figures["heldout_frames"] > 0
    assert not (world / "mlp/checkpoint.safetensors").exists()
    again = train(world, "mlp", *MLP, "--json")
    assert json.loads(again.stdout)["skipped"]
    assert "network" in invoke("info", world / "mlp", "--json").stdout


def test_targets_may_be_the_states_of_monophones(world: Path, tmp_path: Path) -> None:
    """Which are the very pdfs here, as the alignment is one of monophones."""
    data = DataDir.load(world / "data")
    model = load_acoustic_model(world / "mono")
    features = data.features()
    tied, mono = (
        open_targets(data, features, world / "mono", model.tree, model.transitions, kind) for kind in ("tied", "mono")
    )
    assert mono.tree.num_pdfs == tied.tree.num_pdfs
    for key in tied.num_frames:
        np.testing.assert_array_equal(tied.targets[key], mono.targets[key])
    assert mono.counts().sum() == sum(mono.num_frames.values())


def stack_of(world: Path, units: int = 24, dim: int = 4) -> Stack:
    rng = np.random.default_rng(0)
    model = load_acoustic_model(world / "mlp")
    parameters = {
        "weights": rng.normal(0, 0.1, (4 * dim, units)).astype(np.float32),
        "visible_bias": np.zeros(4 * dim, np.float32),
        "hidden_bias": rng.normal(0, 0.1, units).astype(np.float32),
    }
    normalisation = InputNormalisation(np.full(dim, 0.5, np.float32), np.full(dim, 0.25, np.float32))
    layer = StackLayer("autoencoder", "gaussian", "tanh", parameters)
    return Stack(model.front_end, model.pipeline, normalisation, (layer,))


def test_a_stack_gives_the_first_layers_and_the_normalisation(world: Path, tmp_path: Path) -> None:
    """With steps too small to move a weight, what comes out is what went in."""
    stack = stack_of(world)
    stack.save(tmp_path / "stack")
    frozen = ["--set", "training.optimiser.learning_rate=1e-12", "--set", "training.newbob.max_epochs=1"]
    result = train(world, "mlp", *MLP, *frozen, "--init", str(tmp_path / "stack"), out=str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    model = NnetHmm.load(tmp_path / "out")
    arrays = to_arrays(model.network)
    np.testing.assert_allclose(arrays["hidden.0.0.weight"], stack.layers[0].weights.T, atol=1e-6)
    np.testing.assert_allclose(arrays["hidden.0.0.bias"], stack.layers[0].bias, atol=1e-6)
    np.testing.assert_array_equal(model.normalisation.shift, stack.normalisation.shift)
    assert load_acoustic_model(tmp_path / "out").pipeline == stack.pipeline


def test_a_stack_that_does_not_fit_is_refused(world: Path, tmp_path: Path) -> None:
    stack_of(world, units=20).save(tmp_path / "stack")
    stack = ["--init", str(tmp_path / "stack")]
    refused = train(world, "mlp", *MLP, *stack, out=str(tmp_path / "out"))
    assert refused.exit_code == 1
    assert "the stack has layers of 20 tanh units; the network, of 24 tanh" in refused.stderr
    other = train(world, "mlp", *MLP, "--set", "pipeline.splice_left=3", *stack, out=str(tmp_path / "out"))
    assert "pipeline is not that of the stack" in other.stderr


def test_what_does_not_belong_together_is_refused(world: Path, tmp_path: Path) -> None:
    bands = train(world, "cnn", *CNN, "--set", "network.channels=3", out=str(tmp_path / "out"))
    assert bands.exit_code == 1
    assert "set channels to 1 + delta_order" in bands.stderr
    absent = CliRunner().invoke(main, ["train-dnn", "mlp", *(str(world / name) for name in ("data", "lang", "x"))])
    assert absent.exit_code == 1
    assert "not a finished model directory" in absent.stderr
    shutil.copytree(world / "data", tmp_path / "data")
    with ArchiveWriter(tmp_path / "data", "feats") as writer:
        for number, (key, value) in enumerate(ArchiveReader(world / "data/feats.scp").items()):
            writer.write(key, np.array(value)[: -1 if number < 3 else None])
    few = train(world, "mlp", *MLP, data=str(tmp_path / "data"), out=str(tmp_path / "few"))
    assert few.exit_code == 0, few.output
    assert "3 utterances" in few.output or "failed" in few.output
    strict = train(world, "mlp", *MLP, "--max-failed", "0.01", data=str(tmp_path / "data"), out=str(tmp_path / "out"))
    assert strict.exit_code == 3
    assert "frames of features and" in strict.stderr


def test_what_needs_mixtures_refuses_a_network(world: Path, tmp_path: Path) -> None:
    paths = [str(world / "data"), str(world / "lang"), str(world / "mlp"), str(tmp_path / "out")]
    refused = CliRunner().invoke(main, ["train-gmm", "deltas", *paths, "--set", "pipeline.cmvn=none"])
    assert refused.exit_code == 1
    assert "the model is a network, and this needs one of Gaussian mixtures" in refused.stderr


def test_outputs_of_a_layer_become_features_for_mixtures(world: Path, tmp_path: Path) -> None:
    invoke("write-inputs", world / "data", world / "mlp", tmp_path / "layer", "--layer", 2)
    model = load_acoustic_model(world / "mlp")
    inputs = model.inputs(DataDir.load(world / "data"))
    assert isinstance(model.model, NnetHmm)
    written = ArchiveReader(tmp_path / "layer/feats.scp")
    assert written["u03"].shape == (len(inputs["u03"]), 24)
    np.testing.assert_array_equal(written["u03"], model.model.outputs_of(2, inputs["u03"]))
    assert np.abs(written["u03"]).max() <= 1.0  # tanh
    settings = ["--set", "pipeline.cmvn=none", "--set", "pipeline.delta_order=0", "--set", "em.num_iters=6"]
    paths = [tmp_path / "layer", world / "lang", tmp_path / "mono"]
    invoke("train-gmm", "mono", *paths, *settings, "--max-failed", "0.2")
    assert read_json(tmp_path / "mono/inputs.json")["layer"] == 2


@pytest.mark.parametrize(
    ("model", "layer", "message"),
    [("mono", 1, "made of Gaussian mixtures"), ("mlp", 3, "layer 3 of a network with 2 hidden layers")],
)
def test_layers_that_are_not_there_are_refused(
    world: Path, tmp_path: Path, model: str, layer: int, message: str
) -> None:
    arguments = ["write-inputs", str(world / "data"), str(world / model), str(tmp_path / "out"), "--layer", str(layer)]
    refused = CliRunner().invoke(main, arguments)
    assert refused.exit_code == 1
    assert message in refused.stderr


def test_layers_may_be_put_on_one_by_one(world: Path, tmp_path: Path) -> None:
    result = train(world, "mlp", *MLP, "--set", "layerwise_epochs=1", out=str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    assert not list((tmp_path / "out").glob("checkpoint*"))
    assert read_json(tmp_path / "out/epochs.json")[-1]["heldout_accuracy"] > 0.9
    # The first epoch begins with a layer that knows something.
    assert read_json(tmp_path / "out/epochs.json")[0]["loss"] < read_json(world / "mlp/epochs.json")[0]["loss"]


def test_a_network_may_align_and_be_trained_again(world: Path, tmp_path: Path) -> None:
    result = train(world, "mlp", *MLP, "--realign", "1", out=str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    first = NnetHmm.load(tmp_path / "out/round-0/model")
    plain = NnetHmm.load(world / "mlp")
    for name, array in to_arrays(plain.network).items():
        np.testing.assert_array_equal(array, to_arrays(first.network)[name])
    realigned = ArchiveReader(tmp_path / "out/round-0/alignment/ali.scp")
    before = ArchiveReader(world / "mono/ali.scp")
    assert any(not np.array_equal(realigned[key], before[key]) for key in before)
    assert not np.array_equal(
        to_arrays(NnetHmm.load(tmp_path / "out").network)["output.weight"], to_arrays(plain.network)["output.weight"]
    )


def test_several_seeds_are_trainings_of_their_own_with_a_mean_and_a_deviation(world: Path, tmp_path: Path) -> None:
    few = ["--set", "training.newbob.max_epochs=2", "--json", "--seed", "4"]
    result = train(world, "mlp", *MLP, *few, "--seeds", "3", out=str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)["figures"]
    kept = read_json(tmp_path / "out/seeds.json")
    assert list(kept) == ["seed-4", "seed-5", "seed-6"]
    losses = [row["heldout_loss"] for row in kept.values()]
    assert len(set(losses)) > 1
    assert figures["seeds"] == 3
    assert figures["heldout_loss"] == pytest.approx(statistics.fmean(losses), rel=1e-5)
    assert figures["heldout_loss_deviation"] == pytest.approx(statistics.stdev(losses), rel=1e-2)
    assert "pdfs_deviation" not in figures
    alone = train(world, "mlp", *MLP, *few[:-1], "5", out=str(tmp_path / "alone"))
    assert alone.exit_code == 0, alone.output
    one, other = (NnetHmm.load(tmp_path / name) for name in ("alone", "out/seed-5"))
    for name, array in to_arrays(one.network).items():
        np.testing.assert_array_equal(array, to_arrays(other.network)[name])
    again = train(world, "mlp", *MLP, *few, "--seeds", "3", out=str(tmp_path / "out"))
    assert json.loads(again.stdout)["skipped"]


def test_processes_that_torchrun_starts_train_one_network(world: Path, tmp_path: Path) -> None:
    """Each takes its share of every minibatch, so but for the order of sums it is the training of one."""
    (tmp_path / "start.py").write_text("from asrkit.cli.main import program\nprogram()\n")
    arguments = ["train-dnn", "mlp", *(str(world / name) for name in ("data", "mono")), *MLP, "--json"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    few = ["--set", "training.newbob.max_epochs=2", "--set", "training.device=cpu"]
    command = [*launch, str(tmp_path / "start.py"), *arguments, *few, str(tmp_path / "two")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    assert [json.loads(line)["skipped"] for line in ran.stdout.splitlines()] == [False]
    assert train(world, "mlp", *MLP, *few, out=str(tmp_path / "one")).exit_code == 0
    one, two = (read_json(tmp_path / name / "epochs.json") for name in ("one", "two"))
    for expected, found in zip(one, two, strict=True):
        assert found["loss"] == pytest.approx(expected["loss"], rel=1e-3)
        assert found["heldout_loss"] == pytest.approx(expected["heldout_loss"], rel=1e-3)
    again = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert again.returncode == 0, again.stderr
    assert [json.loads(line)["skipped"] for line in again.stdout.splitlines()] == [True]


def test_an_alignment_of_numbers_that_are_no_integers_is_refused(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "mono", tmp_path / "mono")
    shutil.copytree(world / "data", tmp_path / "data")
    with ArchiveWriter(tmp_path / "mono", "ali") as writer:
        for key, value in ArchiveReader(world / "mono/ali.scp").items():
            writer.write(key, np.array(value, dtype=np.float32))
    for more in ((), ("--targets", "mono")):
        result = train(tmp_path, "mlp", *MLP, *more)
        assert result.exit_code == 1
        assert "not an alignment of this model (float32 of shape" in result.stderr
    assert "epoch" not in result.output


def test_the_lang_of_the_alignment_is_looked_at_before_the_training(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "mono", tmp_path / "mono")
    shutil.copytree(world / "data", tmp_path / "data")
    shutil.rmtree(tmp_path / "mono" / "lang")
    result = train(tmp_path, "mlp", *MLP)
    assert result.exit_code == 1
    assert "mono/lang: not a lang directory" in result.stderr
    assert "epoch" not in result.output


@pytest.mark.parametrize("name", ["input.scale", "log_priors"])
def test_a_damaged_network_is_told_with_its_place(world: Path, tmp_path: Path, name: str) -> None:
    from asrkit.core.container import load_model, save_model

    shutil.copytree(world / "mlp", tmp_path / "mlp")
    path = tmp_path / "mlp/model.safetensors"
    arrays, meta = load_model(path, NnetHmm.kind)
    save_model(path, NnetHmm.kind, {**arrays, name: arrays[name] * np.float32(np.nan)}, meta)
    with pytest.raises(ModelError, match=r"mlp/model\.safetensors: the (normalisation|priors).* not finite"):
        load_acoustic_model(tmp_path / "mlp")
