"""`asrkit align` in two passes with a speaker-adaptive model, on speakers whose features were moved."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asrkit.core.archives import ArchiveReader
from asrkit.core.files import read_lines
from asrkit.data.datadir import DataDir
from asrkit.features.transform import apply_affine
from asrkit.stages.acoustic import load_acoustic_model
from asrkit.stages.adaptation import align_adapted
from asrkit.stages.align import align
from asrkit.stages.aligner import AlignStageConfig
from asrkit.stages.gmm_training import open_corpus, training_data
from asrkit.stages.model_inputs import write_inputs
from asrkit.stages.record import RunOptions, StageReport
from tests.stages.test_train_mono import DIM, OPTIONS, make_world, read_features, write_features
from tests.stages.test_train_mono import run as run_mono
from tests.stages.test_train_sat import CONFIG as SAT
from tests.stages.test_train_sat import SPEAKERS, move_speakers
from tests.stages.test_train_sat import run as run_sat

TWO_PASSES = AlignStageConfig(acoustic_scale=1.0, adaptation=SAT.adaptation)
ONE_PASS = replace(TWO_PASSES, adapt=False)


def run(
    root: Path,
    out: str,
    config: AlignStageConfig = TWO_PASSES,
    data: str = "new",
    options: RunOptions = OPTIONS,
    model: str = "sat",
) -> StageReport:
    return align(root / data, root / model, root / out, config, options)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Moved speakers, a speaker-adaptive model of them, and ``new``: the same ones, each shifted further."""
    root = make_world(tmp_path_factory.mktemp("world"))
    run_mono(root, out="clean")
    move_speakers(root / "data")
    run_mono(root)
    run_sat(root)
    shutil.copytree(root / "data", root / "new")
    rng = np.random.default_rng(4)
    shifts = {name: 3.0 * rng.normal(size=DIM) for name in SPEAKERS}
    speakers = {key: utterance.speaker for key, utterance in DataDir.load(root / "new").utterances.items()}
    moved = {key: (x + shifts[speakers[key]]).astype(np.float32) for key, x in read_features(root / "data").items()}
    write_features(root / "new", moved)
    run(root, "two")
    run(root, "one", ONE_PASS)
    return root


def files(folder: Path) -> dict[str, bytes]:
    names = ("ali.ark", "trans.ark", "phones.ctm", "words.ctm", "alignment.jsonl")
    return {name: (folder / name).read_bytes() for name in names}


def loglike_per_frame(root: Path, out: str) -> float:
    """Of the features before any transform, by the mixtures that the last pass used."""
    model = load_acoustic_model(root / "sat").model
    data, features = DataDir.load(root / "new"), read_features(root / "new")
    adapted = (root / out / "trans.scp").exists()
    gmms = model.gmms if adapted else model.alignment_gmms
    assert gmms is not None
    total = frames = 0.0
    for key, path in ArchiveReader(root / out / "ali.scp").items():
        x, log_determinant = features[key], 0.0
        if adapted:
            transform = ArchiveReader(root / out / "trans.scp")[data.utterances[key].speaker]
            x, log_determinant = apply_affine(x, transform), np.linalg.slogdet(transform[:, :DIM].astype(float))[1]
        pdfs = model.transitions.tid_to_pdf[path]
        total += gmms.loglikes(x)[np.arange(len(x)), pdfs].sum() + len(x) * log_determinant
        frames += len(x)
    return total / frames


def share_of_planted_phones(root: Path, out: str) -> float:
    """How many frames have the phone that monophones find in the features as they were drawn."""
    ours, clean = (load_acoustic_model(root / name).transitions.tid_to_phone for name in ("sat", "clean"))
    planted = ArchiveReader(root / "clean" / "ali.scp")
    pairs = [(ours[path], clean[planted[key]]) for key, path in ArchiveReader(root / out / "ali.scp").items()]
    return float(np.mean(np.concatenate([a == b for a, b in pairs])))


def test_the_second_pass_fits_shifted_speakers_better_and_finds_their_phones(world: Path) -> None:
    assert loglike_per_frame(world, "two") > loglike_per_frame(world, "one") + 1.0
    one, two = (share_of_planted_phones(world, name) for name in ("one", "two"))
    assert two > 0.95
    assert two > one + 0.1


def test_the_passes_are_those_of_training(world: Path) -> None:
    """The estimation is shared; graphs, searches and statistics of the trainings are another way."""
    model = load_acoustic_model(world / "sat")
    corpus = open_corpus(world / "new", world / "lang", model.pipeline, OPTIONS)
    data = training_data(corpus, model.tree, model.transitions, OPTIONS.progress)
    inputs = model.inputs(corpus.data_dir)
    silence = corpus.lang.silence_phones
    found = align_adapted(model.model, inputs, data, silence, SAT.em, SAT.adaptation)
    alignments, transforms = (ArchiveReader(world / "two" / f"{name}.scp") for name in ("ali", "trans"))
    assert set(found.alignments) == set(alignments)
    for key, path in found.alignments.items():
        np.testing.assert_array_equal(alignments[key], path)
    assert list(transforms) == list(SPEAKERS)
    for speaker, transform in found.speakers.transforms.items():
        np.testing.assert_array_equal(transforms[speaker], transform)


def test_one_pass_is_that_of_the_alignment_model(world: Path) -> None:
    loaded = load_acoustic_model(world / "sat")
    gmms = loaded.model.alignment_gmms
    assert gmms is not None
    features = read_features(world / "new")
    rows = {line.split(" ", 1)[0] for line in read_lines(world / "one" / "ali.scp")}
    assert rows == set(features)
    report = run(world, "one", ONE_PASS)
    assert report.skipped
    assert report.figures["loglike_per_frame"] == pytest.approx(loglike_per_frame(world, "one"), abs=1e-3)
    assert "fmllr_gain_1" not in report.figures


def test_transforms_of_an_earlier_run_do_not_stay(world: Path) -> None:
    figures = run(world, "changing").figures
    assert figures["speakers_full"] == 3
    assert figures["fmllr_gain_1"] > 1.0
    assert (world / "changing" / "trans.scp").exists()
    (world / "changing" / "trans.ark").unlink()
    assert not run(world, "changing").skipped
    run(world, "changing", ONE_PASS)
    assert not (world / "changing" / "trans.scp").exists()


def test_any_number_of_jobs_gives_the_same_bits(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asrkit.stages.aligner.UTTERANCES_AT_ONCE", 5)
    run(world, "jobs3", options=replace(OPTIONS, num_jobs=3))
    assert files(world / "jobs3") == files(world / "two")


def test_the_output_serves_training_and_the_writing_of_inputs(world: Path) -> None:
    write_inputs(world / "new", world / "two", world / "inputs", OPTIONS, world / "two")
    written = read_features(world / "inputs")
    features, transforms = read_features(world / "new"), ArchiveReader(world / "two" / "trans.scp")
    speakers = {key: utterance.speaker for key, utterance in DataDir.load(world / "new").utterances.items()}
    for key, x in written.items():
        np.testing.assert_allclose(x, apply_affine(features[key], transforms[speakers[key]]), atol=1e-4)


def test_an_utterance_that_cannot_be_aligned_leaves_the_others_alone(world: Path) -> None:
    shutil.copytree(world / "new", world / "damaged")
    features = read_features(world / "new")
    first = next(iter(features))
    write_features(world / "damaged", {**features, first: np.full_like(features[first], np.nan)})
    report = run(world, "damaged_ali", data="damaged")
    assert [failure.utterance_id for failure in report.failures] == [first]
    assert report.figures["aligned"] == len(features) - 1
    assert set(ArchiveReader(world / "damaged_ali" / "ali.scp")) == set(features) - {first}
