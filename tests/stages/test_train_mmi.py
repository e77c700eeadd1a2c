"""`asrkit train-gmm mmi` end to end on words that noise confuses: objective, resuming, shared lattices, bad input."""

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
from asrkit.core.errors import ConfigError
from asrkit.core.files import read_json, write_lines
from asrkit.gmm.ebw import EbwConfig
from asrkit.lattice.archive import LatticeReader
from asrkit.lattice.discriminative import Reference, reference_logprob
from asrkit.lattice.lattice import LatticeScales
from asrkit.lm.arpa import read_arpa
from asrkit.stages.acoustic import load_acoustic_model
from asrkit.stages.denominators import DenominatorConfig
from asrkit.stages.gmm_training import open_corpus
from asrkit.stages.record import RunOptions, StageReport
from asrkit.stages.train_mmi import MmiConfig, train_mmi
from tests.stages.test_train_mono import OPTIONS, interrupt_after, make_world, read_features, write_features
from tests.stages.test_train_mono import run as run_mono
from tests.stages.test_train_sat import move_speakers
from tests.stages.test_train_sat import run as run_sat

SCALE = 0.2
CONFIG = MmiConfig(
    num_iters=3,
    boost=0.1,
    acoustic_scale=SCALE,
    ebw=EbwConfig(tau=100.0, smooth_to="model"),
    denominators=DenominatorConfig(lattice_beam=8.0),
)
SETTINGS = [
    *(
        "--set",
        "num_iters=3",
        "--set",
        "boost=0.1",
        "--set",
        f"acoustic_scale={SCALE}",
        "--set",
        "ebw.tau=100",
        "--set",
        "ebw.smooth_to=model",
    ),
    *("--set", "denominators.lattice_beam=8"),
]
NAMES = ("model.safetensors", "tree.json", "topology.json", "pipeline.json", "ali.ark", "iterations.json")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noisy data, a monophone model, and the discriminative one; tests write only beside these."""
    root = make_world(tmp_path_factory.mktemp("world"))
    rng = np.random.default_rng(3)
    clean = read_features(root / "data")
    write_features(
        root / "data",
        {key: (x + rng.normal(scale=4.0, size=x.shape)).astype(np.float32) for key, x in clean.items()},
    )
    run_mono(root)
    run(root)
    return root


def run(
    root: Path,
    config: MmiConfig = CONFIG,
    options: RunOptions = OPTIONS,
    out: str = "mmi",
    seed: str = "mono",
    denominators: str | None = "lattices",
) -> StageReport:
    where = None if denominators is None else root / denominators
    return train_mmi(root / "data", root / "lang", root / seed, root / out, config, options, denominators_path=where)


def outputs(root: Path, out: str = "mmi") -> dict[str, bytes]:
    return {name: (root / out / name).read_bytes() for name in NAMES}


def objectives(root: Path, out: str) -> list[float]:
    rows = read_json(root / out / "iterations.json")
    last = read_json(root / out / "stage.json")["train-gmm mmi"]["figures"]["objective_per_frame"]
    return [*(row["objective_per_frame"] for row in rows), last]


def test_the_objective_rises_and_only_the_mixtures_change(world: Path) -> None:
    values = objectives(world, "mmi")
    assert len(values) == 4
    assert np.all(np.diff(values) > 0)
    assert values[-1] < 0
    assert values[-1] - values[0] > 0.1 * abs(values[0])
    before, after = (load_acoustic_model(world / name).model for name in ("mono", "mmi"))
    assert after.gmms.offsets.tolist() == before.gmms.offsets.tolist()
    assert not np.allclose(after.gmms.means, before.gmms.means, atol=0.02)
    assert (after.transitions.log_probs == before.transitions.log_probs).all()
    rows = read_json(world / "mmi" / "iterations.json")
    assert all(row["gain_per_frame"] > 0 for row in rows)
    # What both sides have is cancelled.
    assert all(row["num_occupancy"] == pytest.approx(row["den_occupancy"], abs=1e-4) for row in rows)
    assert not (world / "mmi" / "checkpoint").exists()


def test_every_lattice_holds_its_reference(world: Path) -> None:
    lattices, alignments = LatticeReader(world / "lattices" / "lat.scp"), ArchiveReader(world / "lattices" / "ali.scp")
    corpus = open_corpus(world / "data", world / "lang", load_acoustic_model(world / "mono").pipeline, OPTIONS)
    assert sorted(lattices) == sorted(alignments) == sorted(corpus.keys)
    for key, lattice in lattices.items():
        words, _ = corpus.lang.transcript_ids(corpus.data_dir.utterances[key].words or ())
        reference = Reference(words, np.array(alignments[key], np.int32))
        assert np.isfinite(reference_logprob(lattice, reference, LatticeScales(SCALE)))
        assert lattice.num_frames == len(corpus.features[key])
        # Determinised, but for a reference that was added to the start.
        pairs = list(zip(lattice.sources.tolist(), lattice.words.tolist(), strict=True))
        assert len(pairs) - len(set(pairs)) <= 1
        assert max(lattice.num_tids) > 1
    assert max(lattice.depth for lattice in lattices.values()) > 1.5


def test_a_reference_that_is_added_has_the_costs_of_one_that_was_found(world: Path) -> None:
    """With a narrow lattice some references are added; a wide one finds them, and both say the same of them."""
    narrow = replace(CONFIG, denominators=replace(CONFIG.denominators, lattice_beam=0.01))
    run(world, narrow, out="narrow", denominators="narrow_lattices")
    report = read_json(world / "narrow_lattices" / "stage.json")["denominators"]["figures"]
    wide = read_json(world / "lattices" / "stage.json")["denominators"]["figures"]
    assert 0 <= wide["references_added"] < report["references_added"] <= report["lattices"] == 24
    few, many = (LatticeReader(world / name / "lat.scp") for name in ("narrow_lattices", "lattices"))
    alignments = ArchiveReader(world / "lattices" / "ali.scp")
    corpus = open_corpus(world / "data", world / "lang", load_acoustic_model(world / "mono").pipeline, OPTIONS)
    for key in few:
        words, _ = corpus.lang.transcript_ids(corpus.data_dir.utterances[key].words or ())
        reference = Reference(words, np.array(alignments[key], np.int32))
        found = [reference_logprob(one[key], reference, LatticeScales(SCALE)) for one in (few, many)]
        assert found[0] == pytest.approx(found[1], abs=0.02)


def test_the_competitors_come_from_the_words_of_the_transcripts(world: Path) -> None:
    unigram = read_arpa(world / "lattices" / "unigram.arpa")
    assert unigram.order == 1
    lines = (world / "data" / "text").read_text().split("\n")
    words = [word for line in lines for word in line.split()[1:]]
    total = len(words) + len([line for line in lines if line])
    assert 10 ** unigram.log10_prob([], "pa") == pytest.approx(words.count("pa") / total, rel=1e-4)


def test_a_second_training_takes_the_same_lattices(world: Path) -> None:
    stamp = (world / "lattices" / "lat.ark").stat().st_mtime_ns
    run(world, replace(CONFIG, boost=0.0), out="plain")
    assert (world / "lattices" / "lat.ark").stat().st_mtime_ns == stamp
    assert outputs(world, "plain")["model.safetensors"] != outputs(world)["model.safetensors"]
    assert np.all(np.diff(objectives(world, "plain")) > 0)
    # Boosting makes competitors likelier.
    assert objectives(world, "plain")[0] > objectives(world, "mmi")[0]


@pytest.mark.parametrize("iteration", [1, 3])
def test_an_interrupted_training_goes_on_to_the_same_bits(
    world: Path, iteration: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="asrkit")
    logging.getLogger("asrkit").propagate = True
    out = f"stopped{iteration}"
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, iteration)
        with pytest.raises(KeyboardInterrupt):
            run(world, out=out)
    run(world, out=out)
    assert f"going on after iteration {iteration} of 3" in caplog.text
    assert outputs(world, out) == outputs(world)
    assert objectives(world, out) == objectives(world, "mmi")


def test_any_number_of_jobs_gives_the_same_files(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asrkit.stages.mmi_pass.UTTERANCES_AT_ONCE", 5)
    for jobs in (1, 3):
        options = replace(OPTIONS, num_jobs=jobs)
        run(world, options=options, out=f"jobs{jobs}", denominators=f"lattices{jobs}")
    assert outputs(world, "jobs1") == outputs(world, "jobs3")
    first, third = (world / f"lattices{jobs}" / "lat.ark" for jobs in (1, 3))
    assert first.read_bytes() == third.read_bytes()


def test_a_speaker_adaptive_model_keeps_its_transforms_and_its_first_pass(tmp_path: Path) -> None:
    root = make_world(tmp_path)
    move_speakers(root / "data")
    run_mono(root)
    run_sat(root)
    run(root, seed="sat", denominators=None)
    before, after = (load_acoustic_model(root / name).model for name in ("sat", "mmi"))
    assert before.alignment_gmms is not None
    assert after.alignment_gmms is not None
    assert (after.alignment_gmms.means == before.alignment_gmms.means).all()
    assert not np.array_equal(after.gmms.means, before.gmms.means)
    # Transforms go on to be estimated for the mixtures of maximum likelihood.
    assert after.adaptation_gmms is not None
    assert (after.fmllr_gmms.means == before.gmms.means).all()
    assert before.adaptation_gmms is None
    assert before.fmllr_gmms is before.gmms
    kept, used = (ArchiveReader(root / name / "trans.scp") for name in ("mmi", "mmi/denominators"))
    assert list(kept) == list(used) == ["s0", "s1", "s2"]
    assert all((kept[name] == used[name]).all() for name in kept)
    assert (root / "mmi" / "tree-report.json").exists()


def command(root: Path, out: str, *arguments: str) -> Result:
    paths = [str(root / name) for name in ("data", "lang", "mono", out)]
    return CliRunner().invoke(main, ["train-gmm", "mmi", *paths, *SETTINGS, "--max-failed", "0.2", *arguments])


def test_the_command_makes_the_same_model_and_then_nothing(world: Path) -> None:
    shared = ("--denominators", str(world / "lattices"))
    done = command(world, "commanded", *shared, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["figures"]["objective_per_frame"] == objectives(world, "mmi")[-1]
    assert outputs(world, "commanded") == outputs(world)
    assert "up to date" in command(world, "commanded", *shared).output


def test_a_transcript_that_the_language_model_cannot_say_is_named(world: Path) -> None:
    lm = world / "without_up.arpa"
    words = ("pa", "tu", "at", "a")
    write_lines(lm, ["\\data\\", "ngram 1=6", "", "\\1-grams:", "-99 <s>", "-0.7 </s>", *(f"-0.7 {w}" for w in words)])
    lm.write_text(lm.read_text() + "\n\\end\\\n")
    result = command(world, "other_lm", "--lm", str(lm), "--max-failed", "1")
    assert result.exit_code == 0, result.output
    lines = (world / "data" / "text").read_text().splitlines()
    without = {line.split()[0] for line in lines if "up" in line.split()[1:]}
    report = read_json(world / "other_lm" / "stage.json")["train-gmm mmi"]
    assert report["failures"].keys() == without
    assert "the language model cannot say the transcript" in result.output
    assert command(world, "other_lm2", "--lm", str(lm)).exit_code == 3


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("num_iters=0", "num_iters is 0"),
        ("boost=-0.1", "boost is -0.1"),
        ("acoustic_scale=0", "acoustic_scale is 0"),
        ("ebw.tau=-1", "tau is -1"),
        ("denominators.lattice_beam=0", "lattice_beam is 0"),
    ],
)
def test_configurations_that_make_no_sense(world: Path, setting: str, message: str) -> None:
    result = command(world, "bad", "--set", setting)
    assert result.exit_code == 1
    assert message in result.output
    with pytest.raises(ConfigError):
        MmiConfig(num_iters=0)


def test_directories_that_are_absent_or_the_same(world: Path, tmp_path: Path) -> None:
    paths = [str(world / name) for name in ("data", "lang", "nothing", "bad")]
    result = CliRunner().invoke(main, ["train-gmm", "mmi", *paths])
    assert result.exit_code == 1
    assert "no such model directory" in result.output
    shutil.copytree(world / "mono", tmp_path / "mono")
    for same in (("--denominators", str(world / "same")), ("--denominators", str(world / "mono"))):
        refused = command(world, "same", *same)
        assert refused.exit_code == 1
        assert "OUT is one of the directories" in refused.output
