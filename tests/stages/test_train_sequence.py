"""`asrkit train-dnn sequence` on words that noise confuses: what rises, resuming, refusals."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.core.archives import ArchiveReader
from asrkit.core.files import read_json, read_lines
from asrkit.nnet.acoustic import NnetHmm
from asrkit.nnet.network import to_arrays
from asrkit.nnet.sequence.config import LatticeCriterionConfig, SequenceConfig
from asrkit.nnet.train.checkpoint import CheckpointStore, Snapshot
from asrkit.nnet.train.config import OptimiserConfig
from asrkit.nnet.train.newbob import NewbobConfig
from asrkit.stages.denominators import DenominatorConfig
from asrkit.stages.record import RunOptions, StageReport
from asrkit.stages.sequence_config import SequenceStageConfig
from asrkit.stages.train_sequence import train_sequence
from tests.stages.test_train_dnn import MLP, invoke, train, write_arpa
from tests.stages.test_train_mono import OPTIONS, make_world, read_features, write_features
from tests.stages.test_train_mono import run as train_mono

KINDS = ("smbr", "mmi", "bmmi")
SCALE = 0.3
NAMES = ("model.safetensors", "tree.json", "topology.json", "pipeline.json", "ali.ark")


def make_config(kind: str = "smbr", **training: object) -> SequenceStageConfig:
    base = SequenceConfig(
        OptimiserConfig(learning_rate=0.005), NewbobConfig(max_epochs=4), 200, device="cpu", threads=1
    )
    return SequenceStageConfig(
        LatticeCriterionConfig(kind=kind, acoustic_scale=SCALE),  # type: ignore[arg-type]
        replace(base, **training),  # type: ignore[arg-type]
        DenominatorConfig(lattice_beam=8.0),
        heldout_share=0.2,
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noisy data, monophones, a network trained by cross-entropy, and those of each criterion; tests write beside."""
    root = make_world(tmp_path_factory.mktemp("world"), num_utterances=60)
    make_noisy(root)
    train_mono(root)
    result = train(root, "mlp", *MLP, "--set", "heldout_share=0.2")
    assert result.exit_code == 0, result.output
    write_arpa(root / "lm.arpa")
    for kind in KINDS:
        run(root, kind, make_config(kind))
    return root


def make_noisy(root: Path) -> None:
    rng = np.random.default_rng(3)
    clean = read_features(root / "data")
    noisy = {key: (x + rng.normal(scale=3.0, size=x.shape)).astype(np.float32) for key, x in clean.items()}
    write_features(root / "data", noisy)


def run(
    root: Path, out: str, config: SequenceStageConfig | None = None, options: RunOptions = OPTIONS, seed: str = "mlp"
) -> StageReport:
    paths = [root / name for name in ("data", "lang", seed, out)]
    return train_sequence(*paths, config or make_config(), options, denominators_path=root / "lattices")


def test_what_the_seed_held_out_is_held_out_again(world: Path, tmp_path: Path) -> None:
    for name in ("data", "lang", "lattices"):
        (tmp_path / name).symlink_to(world / name)
    shutil.copytree(world / "mlp", tmp_path / "mlp")
    chosen = sorted(read_lines(world / "data" / "utt2spk"))[3:11]
    (tmp_path / "mlp" / "heldout.txt").write_text("".join(f"{line.split()[0]}\n" for line in [*chosen, "gone 1"]))
    config = make_config(newbob=NewbobConfig(max_epochs=1))
    figures = run(tmp_path, "further", config).figures
    assert read_lines(tmp_path / "further" / "heldout.txt") == [line.split()[0] for line in chosen]
    lengths = {key: len(x) for key, x in read_features(world / "data").items()}
    assert figures["heldout_frames"] == sum(lengths[line.split()[0]] for line in chosen)
    assert figures["training_frames"] == sum(lengths.values()) - figures["heldout_frames"]


def outputs(root: Path, out: str) -> dict[str, bytes]:
    return {name: (root / out / name).read_bytes() for name in NAMES}


def word_error_rate(root: Path, model: str, tmp_path: Path) -> float:
    """Word error rate of a model on the data, with the LM weight that the training's scale corresponds to."""
    invoke("make-graph", root / "lang", root / "lm.arpa", root / model, tmp_path / model / "graph")
    decoded = tmp_path / model / "dec"
    invoke("decode", tmp_path / model / "graph", root / model, root / "data", decoded, "--set", "lm_weights=[3]")
    scored = json.loads(invoke("score", root / "data", decoded / "hyp.txt", "--json").stdout)["figures"]
    return float(scored["wer"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_criterion_rises_and_only_the_network_changes(world: Path, kind: str) -> None:
    epochs = read_json(world / kind / "epochs.json")
    kept = [row for row in epochs if row["accepted"]]
    assert kept[-1]["heldout_criterion"] > kept[0]["heldout_criterion"]
    assert epochs[-1]["criterion"] > epochs[1]["criterion"]
    ceiling = 1.0 if kind == "smbr" else 0.0
    assert all(row["heldout_criterion"] < ceiling for row in epochs)
    before, after = (NnetHmm.load(world / name) for name in ("mlp", kind))
    np.testing.assert_array_equal(before.log_priors, after.log_priors)
    np.testing.assert_array_equal(before.transitions.log_probs, after.transitions.log_probs)
    np.testing.assert_array_equal(before.normalisation.shift, after.normalisation.shift)
    first, last = to_arrays(before.network), to_arrays(after.network)
    assert all(not np.array_equal(first[name], last[name]) for name in first)
    assert not (world / kind / "checkpoint.safetensors").exists()


def test_words_do_not_get_worse(world: Path, tmp_path: Path) -> None:
    before = word_error_rate(world, "mlp", tmp_path)
    assert before > 0
    for kind in KINDS:
        assert word_error_rate(world, kind, tmp_path) <= before


def test_the_references_are_the_alignments_of_the_network(world: Path) -> None:
    own = ArchiveReader(world / "smbr" / "ali.scp")
    assert list(own) == list(ArchiveReader(world / "lattices" / "ali.scp"))
    transitions = NnetHmm.load(world / "mlp").transitions
    mixtures = ArchiveReader(world / "mono" / "ali.scp")
    same = [transitions.tid_to_pdf[own[key]] == transitions.tid_to_pdf[mixtures[key]] for key in own]
    assert 0.8 < np.concatenate(same).mean() < 1.0


def test_any_number_of_jobs_gives_the_same_files(world: Path) -> None:
    run(world, "jobs3", options=replace(OPTIONS, num_jobs=3))
    assert outputs(world, "jobs3") == outputs(world, "smbr")


@pytest.mark.parametrize("kill_at", [2, 6])
def test_an_interrupted_training_goes_on_to_the_same_bits(
    world: Path, kill_at: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="asrkit")
    logging.getLogger("asrkit").propagate = True
    out, saved = f"stopped{kill_at}", 0
    save = CheckpointStore.save

    def mortal(store: CheckpointStore, snapshot: Snapshot) -> None:
        nonlocal saved
        save(store, snapshot)
        saved += 1
        if saved == kill_at:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CheckpointStore, "save", mortal)
        patch.setattr(CheckpointStore, "due", True)
        with pytest.raises(KeyboardInterrupt):
            run(world, out)
    run(world, out)
    assert "going on in epoch" in caplog.text
    assert outputs(world, out) == outputs(world, "smbr")


def command(root: Path, out: str, *arguments: str, seed: str = "mlp") -> Result:
    paths = [str(root / name) for name in ("data", "lang", seed, out)]
    settings = ["--set", f"criterion.acoustic_scale={SCALE}", "--set", "training.newbob.max_epochs=1"]
    return CliRunner().invoke(main, ["train-dnn", "sequence", *paths, *settings, "--max-failed", "0.2", *arguments])


def test_the_command_trains_and_then_does_nothing(world: Path) -> None:
    arguments = ("--denominators", str(world / "own_lattices"), "--set", "criterion.kind=mmi", "--json")
    done = command(world, "commanded", *arguments)
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)["figures"]
    assert figures["epochs"] == 1
    assert figures["heldout_criterion"] >= figures["heldout_criterion_before"]
    assert json.loads(command(world, "commanded", *arguments).stdout)["skipped"]
    assert "network" in invoke("info", world / "commanded", "--json").stdout


def test_utterances_without_a_reference_are_named(world: Path) -> None:
    text = (world / "lm.arpa").read_text()
    lm = world / "without_up.arpa"
    lm.write_text(text.replace("ngram 1=7", "ngram 1=6").replace("-0.8 up\n", ""))
    result = command(world, "other_lm", "--lm", str(lm), "--max-failed", "1")
    assert result.exit_code == 0, result.output
    lines = (world / "data" / "text").read_text().splitlines()
    without = {line.split()[0] for line in lines if "up" in line.split()[1:]}
    assert read_json(world / "other_lm" / "stage.json")["train-dnn sequence"]["failures"].keys() == without
    assert "the language model cannot say the transcript" in result.output
    assert command(world, "other_lm2", "--lm", str(lm)).exit_code == 3


def test_mixtures_are_refused(world: Path) -> None:
    refused = command(world, "mixtures", seed="mono")
    assert refused.exit_code == 1
    assert "made of Gaussian mixtures, and this trains a network further" in refused.stderr
    assert not (world / "mixtures").exists()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("criterion.kind=mpe", "mpe"),
        ("criterion.acoustic_scale=0", "acoustic_scale is 0"),
        ("heldout_share=1", "heldout_share is 1"),
        ("training.batch_frames=0", "batch_frames is 0"),
        ("training.ce_weight=-1", "ce_weight is -1"),
        ("denominators.lattice_beam=0", "lattice_beam is 0"),
    ],
)
def test_configurations_that_make_no_sense(world: Path, setting: str, message: str) -> None:
    result = command(world, "bad", "--set", setting)
    assert result.exit_code == 1
    assert message in result.output


def test_directories_that_are_absent_or_the_same(world: Path) -> None:
    absent = command(world, "bad", seed="nothing")
    assert absent.exit_code == 1
    assert "no such model directory" in absent.output
    same = command(world, "mlp")
    assert same.exit_code == 1
    assert "OUT is one of the directories" in same.output
