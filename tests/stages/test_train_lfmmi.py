"""`asrkit train-dnn lfmmi` on words that noise confuses: what rises, threads, resuming, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.core.archives import ArchiveReader
from asrkit.core.files import read_json
from asrkit.nnet.acoustic import NnetHmm
from asrkit.nnet.sequence.config import LfmmiConfig, PhoneLmConfig, SequenceConfig
from asrkit.nnet.train.checkpoint import CheckpointStore, Snapshot
from asrkit.nnet.train.config import OptimiserConfig
from asrkit.nnet.train.newbob import NewbobConfig
from asrkit.stages.record import RunOptions, StageReport
from asrkit.stages.sequence_config import LfmmiStageConfig
from asrkit.stages.train_lfmmi import train_lfmmi
from tests.stages.test_train_dnn import MLP, train, write_arpa
from tests.stages.test_train_mono import OPTIONS, make_world
from tests.stages.test_train_mono import run as train_mono
from tests.stages.test_train_sequence import make_noisy, outputs, word_error_rate

SCALE = 0.3


def make_config(**criterion: object) -> LfmmiStageConfig:
    training = SequenceConfig(
        OptimiserConfig(learning_rate=0.005), NewbobConfig(max_epochs=3), 200, device="cpu", threads=1
    )
    base = LfmmiConfig(PhoneLmConfig(min_history_count=2), acoustic_scale=SCALE)
    return LfmmiStageConfig(replace(base, **criterion), training, heldout_share=0.2)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noisy data, monophones, a network trained by cross-entropy, and lattice-free MMI upon it; tests write beside."""
    root = make_world(tmp_path_factory.mktemp("world"), num_utterances=60)
    make_noisy(root)
    train_mono(root)
    result = train(root, "mlp", *MLP)
    assert result.exit_code == 0, result.output
    write_arpa(root / "lm.arpa")
    run(root, "lfmmi")
    return root


def run(
    root: Path, out: str, config: LfmmiStageConfig | None = None, options: RunOptions = OPTIONS, seed: str = "mlp"
) -> StageReport:
    paths = [root / name for name in ("data", "lang", seed, out)]
    return train_lfmmi(*paths, config or make_config(), options)


def test_the_criterion_rises_and_stays_below_0(world: Path) -> None:
    epochs = read_json(world / "lfmmi" / "epochs.json")
    kept = [row["heldout_criterion"] for row in epochs if row["accepted"]]
    assert kept[-1] > kept[0] + 0.1 * abs(kept[0])
    assert all(value < 0 for value in kept)
    before, after = (NnetHmm.load(world / name) for name in ("mlp", "lfmmi"))
    np.testing.assert_array_equal(before.log_priors, after.log_priors)
    figures = read_json(world / "lfmmi" / "stage.json")["train-dnn lfmmi"]["figures"]
    assert 0 < figures["denominator_states"] < figures["denominator_arcs"]
    assert len(ArchiveReader(world / "lfmmi" / "ali.scp")) == 60


def test_words_do_not_get_worse(world: Path, tmp_path: Path) -> None:
    before, after = (word_error_rate(world, name, tmp_path) for name in ("mlp", "lfmmi"))
    assert after <= before


def test_the_numerator_may_be_the_transcript(world: Path) -> None:
    """Which the alignment is one way to say: its value before training is larger, or the same."""
    report = run(world, "transcript", make_config(numerator="transcript"))
    exact = run(world, "exact", make_config(tolerance=0))
    values = [one.figures["heldout_criterion_before"] for one in (exact, report)]
    own = read_json(world / "lfmmi" / "epochs.json")[0]["heldout_criterion"]
    assert values[0] < own < values[1] < 0


def test_any_number_of_jobs_gives_the_same_files(world: Path) -> None:
    run(world, "jobs3", options=replace(OPTIONS, num_jobs=3))
    assert outputs(world, "jobs3") == outputs(world, "lfmmi")


def test_an_interrupted_training_goes_on_to_the_same_bits(world: Path) -> None:
    saved = 0
    save = CheckpointStore.save

    def mortal(store: CheckpointStore, snapshot: Snapshot) -> None:
        nonlocal saved
        save(store, snapshot)
        saved += 1
        if saved == 5:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CheckpointStore, "save", mortal)
        patch.setattr(CheckpointStore, "due", True)
        with pytest.raises(KeyboardInterrupt):
            run(world, "stopped")
    assert (world / "stopped" / "checkpoint.safetensors").exists()
    run(world, "stopped")
    assert outputs(world, "stopped") == outputs(world, "lfmmi")


def command(root: Path, out: str, *arguments: str, seed: str = "mlp") -> Result:
    paths = [str(root / name) for name in ("data", "lang", seed, out)]
    settings = ["--set", f"criterion.acoustic_scale={SCALE}", "--set", "training.newbob.max_epochs=1"]
    return CliRunner().invoke(main, ["train-dnn", "lfmmi", *paths, *settings, "--max-failed", "0.2", *arguments])


def test_the_command_trains_and_then_does_nothing(world: Path) -> None:
    arguments = ("--set", "training.optimiser.learning_rate=0.002", "--set", "criterion.lm.order=2", "--json")
    done = command(world, "commanded", *arguments)
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)["figures"]
    assert figures["heldout_criterion"] > figures["heldout_criterion_before"]
    assert json.loads(command(world, "commanded", *arguments).stdout)["skipped"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("criterion.lm.order=0", "order is 0"),
        ("criterion.leaky=1", "leaky is 1"),
        ("criterion.numerator=words", "words"),
        ("criterion.tolerance=-1", "tolerance is -1"),
        ("heldout_share=0", "heldout_share is 0"),
    ],
)
def test_configurations_that_make_no_sense(world: Path, setting: str, message: str) -> None:
    result = command(world, "bad", "--set", setting)
    assert result.exit_code == 1
    assert message in result.output


def test_mixtures_and_absent_models_are_refused(world: Path) -> None:
    refused = command(world, "bad", seed="mono")
    assert refused.exit_code == 1
    assert "made of Gaussian mixtures" in refused.stderr
    absent = command(world, "bad", seed="nothing")
    assert "no such model directory" in absent.stderr
    same = command(world, "mlp")
    assert "OUT is one of the directories" in same.stderr
