"""`asrkit align --with`: forward and backward networks that align as one (Robinson 1994), by hand and in training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.core.archives import ArchiveReader, ArchiveWriter
from asrkit.core.files import read_json, read_lines, write_lines
from asrkit.data.datadir import DataDir
from asrkit.features.frontend import load_front_end, save_front_end
from asrkit.graph.training import TrainingGraphCompiler
from asrkit.hmm.viterbi import AlignConfig, Alignment
from asrkit.hmm.viterbi import align as best_path
from asrkit.lang.langdir import Lang
from asrkit.nnet.acoustic import NnetHmm
from asrkit.stages.acoustic import load_acoustic_model
from tests.stages.test_train_mono import make_world
from tests.stages.test_train_mono import run as train_mono

SETTINGS = [
    *("--set", "pipeline.cmvn=none", "--set", "pipeline.delta_order=0", "--set", "pipeline.splice_left=0"),
    *("--set", "pipeline.splice_right=0", "--set", "training.threads=1", "--set", "training.newbob.max_epochs=3"),
    *("--set", "network.layers=1", "--set", "network.units=8", "--set", "training.optimiser.learning_rate=0.02"),
    *("--set", "training.utterances.batch_frames=200", "--max-failed", "0.2"),
]
BACKWARDS = ("--set", "network.backwards=true")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Monophones, and half-trained networks of either direction; tests only read it."""
    root = make_world(tmp_path_factory.mktemp("world"), num_utterances=30)
    train_mono(root)
    for name, more in (("forwards", ()), ("backwards", BACKWARDS)):
        done(run("train-dnn", "gru", root / "data", root / "mono", root / name, *SETTINGS, *more))
    return root


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments])


def done(result: Result) -> None:
    assert result.exit_code == 0, result.output


def align(world: Path, out: Path, first: str, *others: str, more: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    data = world / "data"
    together = [part for name in others for part in ("--with", world / name, data)]
    done(run("align", data, world / first, out, *together, "--max-failed", "0.2", *more))
    return {key: np.asarray(value) for key, value in ArchiveReader(out / "ali.scp").items()}


def network(world: Path, name: str) -> NnetHmm:
    model = load_acoustic_model(world / name).model
    assert isinstance(model, NnetHmm)
    return model


def test_both_directions_align_by_the_mean_of_their_log_posteriors(world: Path, tmp_path: Path) -> None:
    """Renormalised as Robinson merges them, less the log priors: against that, written out."""
    found = align(world, tmp_path / "both", "forwards", "backwards")
    alone = [align(world, tmp_path / name, name) for name in ("forwards", "backwards")]
    pair = [network(world, name) for name in ("forwards", "backwards")]
    assert [one.needs_whole for one in pair] == [False, True]
    inputs = load_acoustic_model(world / "forwards").inputs(DataDir.load(world / "data"))
    transitions = pair[0].transitions
    compiler = TrainingGraphCompiler(Lang.load(world / "lang"), pair[0].tree, transitions)
    weights = transitions.scaled_log_probs(1.0, 0.1)
    utterances = DataDir.load(world / "data").utterances
    different = 0
    for key, labels in found.items():
        merged = np.mean([one.log_posteriors(inputs[key]).astype(np.float64) for one in pair], axis=0)
        merged -= np.log(np.exp(merged).sum(axis=1, keepdims=True))
        scaled = (merged - pair[0].log_priors).astype(np.float32)
        words, _ = compiler.lang.transcript_ids(utterances[key].words or ())
        graph = compiler.compile(words)
        pdf_ids, columns = transitions.pdf_columns(graph.arc_label)
        path = best_path(graph, columns, weights, np.ascontiguousarray(scaled[:, pdf_ids]), AlignConfig(0.1, 10, 40))
        assert isinstance(path, Alignment)
        np.testing.assert_array_equal(path.labels, labels)
        different += any(not np.array_equal(one[key], labels) for one in alone)
    assert different


def test_a_system_of_no_weight_is_as_if_it_were_not_there(world: Path, tmp_path: Path) -> None:
    alone = align(world, tmp_path / "alone", "backwards")
    only = ("--set", "combination.weights=[0,1]")
    found = align(world, tmp_path / "both", "forwards", "backwards", more=only)
    assert alone.keys() == found.keys()
    for key, labels in alone.items():
        np.testing.assert_array_equal(found[key], labels)


def test_networks_of_both_directions_train_on_the_alignment_of_both(world: Path, tmp_path: Path) -> None:
    align(world, tmp_path / "both", "forwards", "backwards")
    for more in ((), BACKWARDS):
        out = tmp_path / f"again{len(more)}"
        done(run("train-dnn", "gru", world / "data", tmp_path / "both", out, *SETTINGS, *more))
        assert read_json(out / "epochs.json")[-1]["heldout_accuracy"] > 0.4  # half-trained


def test_what_one_of_them_does_not_hear_is_named(world: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    features = ArchiveReader(world / "data/feats.scp")
    with ArchiveWriter(few, "feats") as writer:
        for number, (key, value) in enumerate(features.items()):
            if number:
                writer.write(key, np.array(value)[: -1 if number == 1 else None])
    for table in ("wav.scp", "utt2spk", "text"):
        if (world / "data" / table).exists():
            write_lines(few / table, read_lines(world / "data" / table))
    save_front_end(few, load_front_end(world / "data"))
    out = tmp_path / "ali"
    arguments = ("--with", world / "backwards", few, "--max-failed", "0.3")
    done(run("align", world / "data", world / "forwards", out, *arguments))
    failed = dict(line.split("\t", 1) for line in read_lines(out / "failed.txt"))
    first, second, *_ = features
    assert "system 2 has no features of it" in failed[first]
    assert "the systems have" in failed[second]
    refused = run("align", world / "data", world / "forwards", out, *arguments, "--set", "combination.weights=[1]")
    assert "1 weights for 2 systems" in refused.stderr
