"""`asrkit train-gmm deltas` and `lda-mllt` on the planted world: models that align, resume, and skip a second run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asrkit.core.archives import ArchiveReader
from asrkit.core.errors import ConfigError, ModelError, TooManyFailedError
from asrkit.features.pipeline import PipelineConfig
from asrkit.gmm.em import EmConfig, EmState
from asrkit.hmm.tree_building import TreeConfig
from asrkit.hmm.tree_report import TreeReport
from asrkit.lang.langdir import LangConfig, make_lang
from asrkit.lang.lexicon import Pronunciation
from asrkit.stages.acoustic import load_acoustic_model
from asrkit.stages.checkpoint import Checkpoint
from asrkit.stages.record import RunOptions, StageReport
from asrkit.stages.train_deltas import DeltasConfig, train_deltas
from asrkit.stages.train_lda_mllt import LdaMlltConfig, train_lda_mllt
from asrkit.stages.tree_stage import ContextConfig
from tests.stages.test_train_mono import DIM, LEXICON, OPTIONS, make_world, read_features, write_features
from tests.stages.test_train_mono import run as run_mono

CONTEXT = ContextConfig(tree=TreeConfig(max_leaves=16, min_gain=5.0))
EM = EmConfig(num_iters=6, total_gaussians=24, last_mix_up_iter=3, realign_iters=(2, 4), acoustic_scale=1.0)
DELTAS = DeltasConfig(PipelineConfig(cmvn="none", delta_order=0), CONTEXT, EM)
LDA = LdaMlltConfig(
    PipelineConfig(cmvn="none", delta_order=0, splice_left=1, splice_right=1), CONTEXT, EM, dim=5, mllt_iters=(2, 4)
)

Train = Callable[[Path, str, RunOptions], StageReport]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world whose monophones are trained."""
    root = make_world(tmp_path_factory.mktemp("ladder"))
    run_mono(root)
    return root


def deltas(root: Path, out: str, options: RunOptions = OPTIONS) -> StageReport:
    return train_deltas(root / "data", root / "lang", root / "mono", root / out, DELTAS, options)


def lda_mllt(root: Path, out: str, options: RunOptions = OPTIONS) -> StageReport:
    return train_lda_mllt(root / "data", root / "lang", root / "mono", root / out, LDA, options)


RUNGS = pytest.mark.parametrize("train", [deltas, lda_mllt])


def files(folder: Path) -> dict[str, bytes]:
    names = ("model.safetensors", "tree.json", "pipeline.json", "ali.ark", "iterations.json", "tree-report.json")
    return {name: (folder / name).read_bytes() for name in names}


@RUNGS
def test_alignments_spell_what_was_said(world: Path, train: Train) -> None:
    name = f"spell-{train.__name__}"
    report = train(world, name, OPTIONS)
    loaded = load_acoustic_model(world / name)
    symbols = (world / "lang" / "phones.txt").read_text().split()
    phones = dict(zip(map(int, symbols[1::2]), symbols[::2], strict=True))
    said = {line.split()[0]: line.split()[1:] for line in (world / "data" / "text").read_text().splitlines()}
    alignments = ArchiveReader(world / name / "ali.scp")
    assert len(alignments) == len(said) - report.figures.get("failed", 0)
    for key in alignments:
        heard = [phones[phone] for phone, _, _ in loaded.transitions.phone_segments(np.asarray(alignments[key]))]
        assert [p for p in heard if p != "SIL"] == [p for word in said[key] for p in LEXICON[word]]


@RUNGS
def test_jobs_change_no_bit_and_a_second_run_does_nothing(world: Path, train: Train) -> None:
    one, three = f"one-{train.__name__}", f"three-{train.__name__}"
    train(world, one, OPTIONS)
    train(world, three, replace(OPTIONS, num_jobs=3))
    assert files(world / one) == files(world / three)
    assert train(world, one, OPTIONS).skipped


@RUNGS
def test_killed_and_resumed_gives_the_same_bits(world: Path, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, killed = f"whole-{train.__name__}", f"killed-{train.__name__}"
    train(world, whole, OPTIONS)
    save = Checkpoint.save

    def save_and_die(self: Checkpoint, state: EmState) -> None:
        save(self, state)
        if state.iteration == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", save_and_die)
    with pytest.raises(KeyboardInterrupt):
        train(world, killed, OPTIONS)
    monkeypatch.setattr(Checkpoint, "save", save)
    train(world, killed, OPTIONS)
    assert files(world / whole) == files(world / killed)


@RUNGS
def test_what_the_first_alignment_cannot_use_is_named(
    world: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("data", "lang", "mono"):
        shutil.copytree(world / name, tmp_path / name)
    write_features(
        tmp_path / "data", {k: v[: 3 if k == "u03" else None] for k, v in read_features(world / "data").items()}
    )
    monkeypatch.setattr(f"{__name__}.DELTAS", replace(DELTAS, em=replace(EM, realign_iters=())))
    monkeypatch.setattr(f"{__name__}.LDA", replace(LDA, em=replace(EM, realign_iters=())))
    report = train(tmp_path, "out", OPTIONS)
    assert [failure.utterance_id for failure in report.failures] == ["u03"]
    assert "too short for its transcript: 3 frames" in report.failures[0].reason
    assert "u03" not in ArchiveReader(tmp_path / "out" / "ali.scp")
    with pytest.raises(TooManyFailedError, match="1 of .*u03: too short for its transcript"):
        train(tmp_path, "again", RunOptions(max_failed=0.0))


def test_the_transform_is_part_of_the_model(world: Path) -> None:
    lda_mllt(world, "transform")
    loaded = load_acoustic_model(world / "transform")
    assert loaded.model.input_transform is not None
    assert loaded.model.input_transform.shape == (5, 3 * DIM)
    report = TreeReport.load(world / "transform" / "tree-report.json")
    assert report.num_leaves == loaded.tree.num_pdfs > report.num_roots / 2


def test_mllt_needs_alignments() -> None:
    with pytest.raises(ConfigError, match="em.estimator is 'baum-welch', MLLT needs"):
        LdaMlltConfig(em=EmConfig(estimator="baum-welch"))


def test_a_model_of_another_lang_is_refused(world: Path, tmp_path: Path) -> None:
    other = make_lang([Pronunciation(word, phones) for word, phones in LEXICON.items()], LangConfig(num_states=3))
    other.save(tmp_path / "lang")
    with pytest.raises(ModelError, match="another lang directory"):
        train_deltas(world / "data", tmp_path / "lang", world / "mono", tmp_path / "out", DELTAS, OPTIONS)


@RUNGS
@pytest.mark.parametrize("out", ["data", "lang", "mono"])
def test_what_is_read_is_not_overwritten(world: Path, train: Train, out: str) -> None:
    before = {path: path.stat().st_mtime_ns for path in world.joinpath(out).rglob("*")}
    with pytest.raises(ConfigError, match="OUT is one of the directories that are read"):
        train(world, out, OPTIONS)
    assert {path: path.stat().st_mtime_ns for path in world.joinpath(out).rglob("*")} == before
