"""`asrkit train-dnn` of recurrent networks on features drawn from a planted model: they align and decode as others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.core.archives import ArchiveReader
from asrkit.core.errors import DataError, ModelError
from asrkit.core.files import read_json
from asrkit.data.datadir import DataDir
from asrkit.hmm.combination import CombinationConfig
from asrkit.hmm.scorer import begun, loglike_blocks, needs_whole
from asrkit.nnet import acoustic
from asrkit.nnet.acoustic import NnetHmm
from asrkit.stages import loglikes
from asrkit.stages.acoustic import load_acoustic_model
from asrkit.stages.loglikes import Loglikes, combined_loglikes
from tests.stages.test_train_dnn import invoke, write_arpa
from tests.stages.test_train_mono import make_world
from tests.stages.test_train_mono import run as train_mono

SETTINGS = [
    *("--set", "pipeline.cmvn=none", "--set", "pipeline.delta_order=0", "--set", "pipeline.splice_left=0"),
    *("--set", "pipeline.splice_right=1", "--set", "training.threads=1", "--set", "training.newbob.max_epochs=12"),
    *("--set", "training.utterances.batch_frames=200", "--set", "training.optimiser.learning_rate=0.01"),
    *("--max-failed", "0.2"),
]
CHUNKS = ["--set", "training.utterances.chunk_frames=20"]
SMALL = ["--set", "network.layers=1", "--set", "network.units=16"]
KINDS = {
    "rnn": ["--set", "network.units=16"],
    "elman": SMALL,
    "lstm": [*SMALL, "--set", "network.peepholes=true", *CHUNKS],
    "blstm": SMALL,
    "gru": SMALL,
    "ligru": SMALL,
}
BACKWARDS = "lstm_back"
"""The LSTM's twin, which reads from the end."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world with monophones and a network of each kind; tests only read it."""
    root = make_world(tmp_path_factory.mktemp("world"), num_utterances=60)
    train_mono(root)
    for kind, settings in KINDS.items():
        result = train(root, kind, *SETTINGS, *settings)
        assert result.exit_code == 0, result.output
    twin = [*SMALL, "--set", "network.peepholes=true", "--set", "network.backwards=true"]
    result = train(root, "lstm", *SETTINGS, *twin, out=BACKWARDS)
    assert result.exit_code == 0, result.output
    write_arpa(root / "lm.arpa")
    return root


def train(root: Path, kind: str, *arguments: str, out: str | None = None) -> Result:
    paths = [str(root / name) for name in ("data", "mono", out or kind)]
    return CliRunner().invoke(main, ["train-dnn", kind, *paths, *arguments])


def network_of(world: Path, kind: str) -> NnetHmm:
    model = load_acoustic_model(world / kind).model
    assert isinstance(model, NnetHmm)
    return model


@pytest.mark.parametrize("kind", [*KINDS, BACKWARDS])
def test_the_network_aligns_as_the_mixtures_do(world: Path, tmp_path: Path, kind: str) -> None:
    assert read_json(world / kind / "epochs.json")[-1]["heldout_accuracy"] > 0.85
    invoke("align", world / "data", world / kind, tmp_path / "ali", "--max-failed", "0.2")
    found, expected = ArchiveReader(tmp_path / "ali/ali.scp"), ArchiveReader(world / "mono/ali.scp")
    transitions = load_acoustic_model(world / "mono").transitions
    same = np.concatenate(
        [transitions.tid_to_pdf[found[key]] == transitions.tid_to_pdf[expected[key]] for key in expected]
    )
    assert same.mean() > 0.9


@pytest.mark.parametrize("kind", ["lstm", "blstm", BACKWARDS])
def test_blocks_of_any_size_decode_alike(
    world: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke("make-graph", world / "lang", world / "lm.arpa", world / kind, tmp_path / "graph")
    said = {key: utterance.words for key, utterance in DataDir.load(world / "data").utterances.items()}
    texts = []
    for size in (1024, 7):
        monkeypatch.setattr(loglikes, "BLOCK_FRAMES", size)
        out = tmp_path / f"dec{size}"
        invoke("decode", tmp_path / "graph", world / kind, world / "data", out, "--set", "lm_weights=[2]")
        texts.append((out / "hyp.txt").read_text())
    assert texts[0] == texts[1]
    found = dict(line.split(maxsplit=1) for line in texts[0].splitlines() if " " in line)
    right = sum(tuple(found.get(key, "").split()) == words for key, words in said.items())
    assert right >= 0.85 * len(said)


@pytest.mark.parametrize("kind", [*KINDS, BACKWARDS])
def test_a_block_goes_on_where_the_one_before_ended(world: Path, kind: str) -> None:
    model = load_acoustic_model(world / kind)
    inputs = model.inputs(DataDir.load(world / "data"))["u07"]
    network = network_of(world, kind)
    whole = network.loglikes(inputs)
    for size in (1, 5, 1000):
        blocks = list(loglike_blocks(network, inputs, size))
        np.testing.assert_allclose(np.concatenate(blocks), whole, rtol=1e-4, atol=1e-4)
    if kind in ("blstm", BACKWARDS):
        assert needs_whole(network)
        with pytest.raises(ModelError, match="the network reads utterances from their ends"):
            begun(network)
        return
    apart = np.concatenate([network.loglikes(inputs[start : start + 5]) for start in range(0, len(inputs), 5)])
    assert np.abs(apart - whole).max() > 0.01
    running = begun(network)
    columns = np.array([3, 1], dtype=np.int32)
    np.testing.assert_allclose(running.loglikes(inputs[:6], columns), whole[:6, columns], rtol=1e-4, atol=1e-4)
    assert running.loglikes(inputs[:0]).shape == (0, network.tree.num_pdfs)
    np.testing.assert_allclose(running.loglikes(inputs[6:9]), whole[6:9], rtol=1e-4, atol=1e-4)
    assert not len(list(loglike_blocks(network, inputs[:0], 5)))


def test_utterances_too_long_to_be_in_memory_at_once_are_refused(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_acoustic_model(world / "blstm")
    inputs = model.inputs(DataDir.load(world / "data"))["u07"]
    monkeypatch.setattr(acoustic, "MAX_WHOLE_FRAMES", len(inputs) - 1)
    with pytest.raises(DataError, match=f"{len(inputs)} frames, .* {len(inputs) - 1} at most") as caught:
        network_of(world, "blstm").loglikes(inputs)
    assert "asrkit segment" in str(caught.value)
    network_of(world, "lstm").loglikes(inputs)
    monkeypatch.setattr(acoustic, "MAX_WHOLE_FRAMES", len(inputs))
    network_of(world, "blstm").loglikes(inputs)


def test_systems_together_remember_each_for_itself(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loglikes, "BLOCK_FRAMES", 5)
    data = DataDir.load(world / "data")
    for kinds in (("lstm", "gru"), ("lstm", "blstm")):
        models = [load_acoustic_model(world / kind) for kind in kinds]
        systems = [Loglikes(model.model.unadapted, model.inputs(data)) for model in models]
        for domain in ("log", "linear"):
            config = CombinationConfig(domain=domain)
            blocks = list(combined_loglikes(systems, config)("u07"))
            monkeypatch.setattr(loglikes, "BLOCK_FRAMES", 1000)
            (expected,) = combined_loglikes(systems, config)("u07")
            monkeypatch.setattr(loglikes, "BLOCK_FRAMES", 5)
            assert len(blocks) == (1 if "blstm" in kinds else -(-len(expected) // 5))
            np.testing.assert_allclose(np.concatenate(blocks), expected, rtol=1e-4, atol=1e-4)


def test_a_second_run_does_nothing(world: Path) -> None:
    again = train(world, "gru", *SETTINGS, *KINDS["gru"], "--json")
    assert json.loads(again.stdout)["skipped"]
    assert not (world / "gru/checkpoint.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "{world}/lstm", "{out}.onnx"], "export needs one that scores each window"),
        (["write-inputs", "{world}/data", "{world}/lstm", "{out}", "--layer", "1"], "taking the outputs of a layer"),
        (
            ["train-dnn", "blstm", "{world}/data", "{world}/mono", "{out}", *SETTINGS, *SMALL, *CHUNKS],
            "chunk_frames is for networks that read forwards alone",
        ),
        (["train-dnn", "gru", "{world}/data", "{world}/mono", "{out}", "--set", "network.units=0"], "units is 0"),
    ],
)
def test_what_cannot_be_is_refused(world: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    given = [one.format(world=world, out=tmp_path / "out") for one in arguments]
    refused = CliRunner().invoke(main, given)
    assert refused.exit_code == 1
    assert message in refused.stderr


def test_processes_that_torchrun_starts_train_one_network(world: Path, tmp_path: Path) -> None:
    """Each takes its share of every minibatch's utterances, so but for the order of sums it is the training of one."""
    (tmp_path / "start.py").write_text("from asrkit.cli.main import program\nprogram()\n")
    arguments = [*SETTINGS, *KINDS["lstm"], "--set", "training.newbob.max_epochs=2", "--set", "training.device=cpu"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    paths = [str(world / name) for name in ("data", "mono")]
    command = [*launch, str(tmp_path / "start.py"), "train-dnn", "lstm", *paths, str(tmp_path / "two"), *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    assert train(world, "lstm", *arguments, out=str(tmp_path / "one")).exit_code == 0
    one, two = (read_json(tmp_path / name / "epochs.json") for name in ("one", "two"))
    for expected, found in zip(one, two, strict=True):
        assert found["loss"] == pytest.approx(expected["loss"], rel=1e-3)
        assert found["heldout_loss"] == pytest.approx(expected["heldout_loss"], rel=1e-3)
