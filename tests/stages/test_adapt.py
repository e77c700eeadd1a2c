"""`asrkit adapt` on planted shifts: how far the means move, what stays, and what takes the adapted model."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.core.archives import ArchiveReader
from asrkit.core.files import read_json, write_json, write_lines
from asrkit.data.datadir import DataDir
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.model import GmmHmm
from asrkit.lang.silence import SILENCE_FILE
from asrkit.stages.acoustic import load_acoustic_model
from asrkit.stages.adapt import AdaptConfig, adapt
from asrkit.stages.adaptation import AdaptationConfig, align_adapted
from asrkit.stages.gmm_training import open_corpus, training_data
from asrkit.stages.record import RunOptions
from tests.cli.test_align import DIM, World, write_features
from tests.stages import test_train_sat as sat

SHIFT = np.linspace(-0.6, 0.7, DIM)
TAU = 7.0
EASY = ("--set", "min_frames=1")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A model of one Gaussian a pdf, and data that lie at its means, all moved by the same vector."""
    world = World(tmp_path_factory.mktemp("planted"))
    moved = {key: (world.means[pdfs] + SHIFT).astype(np.float32) for key, pdfs in world.pdf_path.items()}
    write_features(world.data, moved)
    return world


@pytest.fixture(scope="module")
def adaptive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A speaker-adaptive model with several Gaussians a pdf, and its data."""
    root = sat.make_world(tmp_path_factory.mktemp("adaptive"))
    sat.move_speakers(root / "data")
    sat.run_mono(root)
    sat.run(root)
    return root


def run(world: World, out: Path, *arguments: str, model: Path | None = None) -> Result:
    paths = [str(path) for path in (world.data, world.root / "lang", model or world.model, out)]
    return CliRunner().invoke(main, ["adapt", *paths, *arguments])


def figures(result: Result) -> dict[str, float]:
    assert result.exit_code == 0, result.output
    found: dict[str, float] = json.loads(result.stdout)["figures"]
    return found


def means(folder: Path) -> np.ndarray:
    return load_acoustic_model(folder).model.gmms.means.astype(np.float64)


def test_the_means_move_by_n_over_n_plus_tau(planted: World, tmp_path: Path) -> None:
    found = figures(run(planted, tmp_path / "out", "--json", *EASY, "--set", f"tau={TAU}"))
    counts = np.bincount(np.concatenate(list(planted.pdf_path.values())), minlength=len(planted.means))
    assert counts.min() < TAU < counts.max()
    moved = means(tmp_path / "out") - planted.means
    np.testing.assert_allclose(moved, (counts / (counts + TAU))[:, None] * SHIFT, atol=5e-6)
    occupancy = TAU * moved / (SHIFT - moved)
    np.testing.assert_allclose(occupancy.sum(axis=0), found["num_frames"], rtol=1e-4)
    assert found["num_frames"] == sum(map(len, planted.pdf_path.values()))
    assert found["gaussians_seen"] == len(counts)
    spans = [span for spans in planted.phones.values() for span in spans]
    assert found["speech_frames"] == sum(last - first for name, first, last in spans if name not in ("SIL", "SPN"))
    assert found["loglike_after"] > found["loglike_before"]


def test_an_endless_prior_gives_the_same_model(planted: World, tmp_path: Path) -> None:
    everything = ("--set", "weights=true", "--set", "variances=true")
    taus = ("--set", "tau=1e15", "--set", "variance_tau=1e15", "--set", "weight_tau=1e15")
    figures(run(planted, tmp_path / "out", "--json", *EASY, *everything, *taus))
    for name in ("model.safetensors", "tree.json", "topology.json", "pipeline.json", "frontend.json"):
        assert (tmp_path / "out" / name).read_bytes() == (planted.model / name).read_bytes()


def test_weights_and_variances_only_when_asked_for(adaptive: Path, tmp_path: Path) -> None:
    prior = load_acoustic_model(adaptive / "mono").model
    for config in (AdaptConfig(), AdaptConfig(weights=True), AdaptConfig(variances=True)):
        out = tmp_path / f"{config.weights}{config.variances}"
        adapt(adaptive / "data", adaptive / "lang", adaptive / "mono", out, config, sat.OPTIONS)
        gmms = load_acoustic_model(out).model.gmms
        assert (gmms.means != prior.gmms.means).any()
        assert (gmms.weights != prior.gmms.weights).any() == config.weights
        assert (gmms.variances != prior.gmms.variances).any() == config.variances
        np.testing.assert_allclose(np.add.reduceat(gmms.weights, gmms.offsets[:-1]), 1, rtol=1e-5)


def map_means(
    prior: DiagGmms, seen: DiagGmms, pairs: list[tuple[np.ndarray, np.ndarray, int]], tau: float
) -> np.ndarray:
    """Frame by frame, Gaussian by Gaussian: posteriors from the first of a pair, sums of the second."""
    occupancy, sums = np.zeros(prior.num_gaussians), np.zeros(prior.means.shape)
    for looked_at, summed, pdf in pairs:
        rows = slice(seen.offsets[pdf], seen.offsets[pdf + 1])
        variances = seen.variances[rows].astype(float)
        logits = np.log(seen.weights[rows].astype(float)) - 0.5 * np.log(variances).sum(axis=1)
        logits -= 0.5 * ((looked_at.astype(float) - seen.means[rows]) ** 2 / variances).sum(axis=1)
        posterior = np.exp(logits - np.logaddexp.reduce(logits))
        occupancy[rows] += posterior
        sums[rows] += posterior[:, None] * summed
    np.testing.assert_allclose(occupancy.sum(), len(pairs), rtol=1e-9)
    return (sums + tau * prior.means) / (occupancy + tau)[:, None]


def test_both_mixtures_of_a_speaker_adaptive_model_are_adapted(adaptive: Path, tmp_path: Path) -> None:
    prior = load_acoustic_model(adaptive / "sat")
    model: GmmHmm = prior.model
    config = AdaptConfig(tau=5.0, acoustic_scale=1.0, adaptation=AdaptationConfig(0.1))
    adapt(adaptive / "data", adaptive / "lang", adaptive / "sat", tmp_path / "out", config, sat.OPTIONS)
    found = load_acoustic_model(tmp_path / "out").model
    corpus = open_corpus(adaptive / "data", adaptive / "lang", prior.pipeline, sat.OPTIONS)
    data = training_data(corpus, prior.tree, prior.transitions, sat.OPTIONS.progress)
    silence, em = corpus.lang.silence_phones, config.alignment
    aligned = align_adapted(model, corpus.features, data, silence, em, config.adaptation)
    unadapted = corpus.features
    adapted = unadapted.with_transforms(None, aligned.speakers.transforms)
    pairs: list[tuple[np.ndarray, np.ndarray, int]] = []
    for key, path in aligned.alignments.items():
        pdfs = model.transitions.tid_to_pdf[path].tolist()
        pairs += zip(adapted[key], unadapted[key], pdfs, strict=True)
    assert model.alignment_gmms is not None
    assert found.alignment_gmms is not None
    own = map_means(model.gmms, model.gmms, [(one, one, pdf) for one, _, pdf in pairs], 5.0)
    first_pass = map_means(model.alignment_gmms, model.gmms, pairs, 5.0)
    np.testing.assert_allclose(found.gmms.means, own, atol=1e-4)
    np.testing.assert_allclose(found.alignment_gmms.means, first_pass, atol=1e-4)
    assert abs(found.gmms.means - model.gmms.means).max() > 0.05
    assert list(ArchiveReader(tmp_path / "out" / "trans.scp")) == list(sat.SPEAKERS)
    assert read_json(tmp_path / "out" / "tree-report.json") == read_json(adaptive / "sat" / "tree-report.json")


def test_the_mixtures_that_transforms_are_for_are_adapted_too(adaptive: Path, tmp_path: Path) -> None:
    model = load_acoustic_model(adaptive / "sat").model
    moved = replace(model.gmms, means=model.gmms.means + np.float32(0.25))
    shutil.copytree(adaptive / "sat", tmp_path / "kept")
    replace(model, adaptation_gmms=moved).save_parameters(tmp_path / "kept")
    prior = load_acoustic_model(tmp_path / "kept").model
    assert (prior.fmllr_gmms.means == moved.means).all()
    config = AdaptConfig(tau=5.0, acoustic_scale=1.0, adaptation=AdaptationConfig(0.1))
    adapt(adaptive / "data", adaptive / "lang", tmp_path / "kept", tmp_path / "out", config, sat.OPTIONS)
    found = load_acoustic_model(tmp_path / "out").model
    # One's prior is a quarter to the right of the other's, and statistics are the same.
    apart = found.fmllr_gmms.means - found.gmms.means
    assert apart.min() >= -1e-4
    assert 0.001 < apart.max() <= 0.2501
    assert np.abs(found.fmllr_gmms.means - moved.means).max() > 0.05


def test_any_number_of_jobs_gives_the_same_files(
    adaptive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("asrkit.gmm.training", "asrkit.stages.train_sat"):
        monkeypatch.setattr(f"{module}.UTTERANCES_AT_ONCE", 5)
    for jobs in (1, 3):
        options = RunOptions(num_jobs=jobs, max_failed=0.2)
        adapt(adaptive / "data", adaptive / "lang", adaptive / "sat", tmp_path / f"{jobs}", AdaptConfig(), options)
    for name in ("model.safetensors", "trans.ark"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()


def test_graph_decoding_and_alignment_take_the_adapted_model(planted: World, tmp_path: Path) -> None:
    out, lang = tmp_path / "out", planted.root / "lang"
    figures(run(planted, out, "--json", *EASY))
    write_lines(tmp_path / "said.txt", ["yes no", "not yes"])
    commands = (
        ["make-graph", str(lang), str(tmp_path / "said.txt"), str(out), str(tmp_path / "graph")],
        ["decode", str(tmp_path / "graph"), str(out), str(planted.data), str(tmp_path / "decode")],
        ["align", str(planted.data), str(out), str(tmp_path / "ali")],
        ["adapt", str(planted.data), str(lang), str(out), str(tmp_path / "again"), *EASY],
    )
    for command in commands:
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 0, result.output
    hypotheses = dict(line.split(" ", 1) for line in (tmp_path / "decode" / "hyp.txt").read_text().splitlines())
    assert (hypotheses["ann-1"], hypotheses["ann-2"]) == ("yes no", "not yes")
    first, second = (means(tmp_path / name) - planted.means for name in ("out", "again"))
    assert (abs(second) >= abs(first) - 1e-6).all()


def test_the_record_names_the_prior_and_a_second_run_does_nothing(planted: World, tmp_path: Path) -> None:
    out = tmp_path / "out"
    figures(run(planted, out, "--json", *EASY))
    record = read_json(out / "stage.json")["adapt"]
    assert str(planted.model / "model.safetensors") in record["inputs"]
    assert str(planted.root / "lang" / SILENCE_FILE) in record["inputs"]
    assert record["config"]["tau"] == 10.0
    assert "up to date" in run(planted, out, *EASY).output
    assert "up to date" not in run(planted, out, *EASY, "--set", "tau=20").output


def test_a_model_on_the_inputs_of_another_says_so_after_adaptation(planted: World, tmp_path: Path) -> None:
    inputs = {"model_sha256": "0" * 64, "dim": DIM, "fmllr": False}
    model = tmp_path / "model"
    shutil.copytree(planted.model, model)
    write_json(model / "inputs.json", inputs)
    refused = run(planted, tmp_path / "out", *EASY, model=model)
    assert refused.exit_code == 1
    assert "the features are features as extracted" in refused.output
    world = World(tmp_path / "world")
    write_json(world.data / "inputs.json", inputs)
    assert run(world, tmp_path / "out", *EASY, model=model).exit_code == 0
    assert read_json(tmp_path / "out" / "inputs.json") == inputs
    assert "up to date" in run(world, tmp_path / "out", *EASY, model=model).output


def test_hypotheses_in_place_of_transcripts(planted: World, tmp_path: Path) -> None:
    said = DataDir.load(planted.data).utterances
    write_lines(tmp_path / "hyp.txt", ["ann-1 yes no", "ann-2 not yes", "elsewhere yes"])
    text = ("--text", str(tmp_path / "hyp.txt"), "--max-failed", "0.6")
    result = json.loads(run(planted, tmp_path / "out", "--json", *EASY, *text).stdout)
    assert result["failures"] == {"bob-1": "empty transcript", "cat-1": "empty transcript"}
    counts = np.bincount(planted.pdf_path["ann-1"] + planted.pdf_path["ann-2"], minlength=len(planted.means))
    moved = means(tmp_path / "out") - planted.means
    np.testing.assert_allclose(moved, (counts / (counts + 10.0))[:, None] * SHIFT, atol=5e-6)
    # The same words as in `text` and no others: the same model.
    write_lines(tmp_path / "all.txt", [f"{key} {' '.join(one.words or ())}" for key, one in said.items()])
    run(planted, tmp_path / "same", *EASY, "--text", str(tmp_path / "all.txt"))
    run(planted, tmp_path / "usual", *EASY)
    assert (means(tmp_path / "same") == means(tmp_path / "usual")).all()


def test_data_without_transcripts_needs_a_file_of_them(planted: World, tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    (world.data / "text").rename(tmp_path / "text")
    assert "no transcripts" in run(world, tmp_path / "out", *EASY).output
    assert run(world, tmp_path / "out", *EASY, "--text", str(tmp_path / "text")).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "min_frames=1000"], "min_frames is 1000"),
        (["--oov", "error"], "1 words are not in the lexicon: foo"),
        (["--set", "tau=0"], "tau is 0"),
        (["--set", "variance_tau=-1"], "variance_tau is -1"),
        (["--set", "min_frames=0"], "min_frames is 0"),
        (["--set", "beam=0"], "beam"),
        (["--set", "weight=true"], "did you mean weights?"),
        (["--text", "nothing.txt"], "no such file of transcripts"),
    ],
)
def test_what_is_refused(planted: World, tmp_path: Path, arguments: list[str], message: str) -> None:
    result = run(planted, tmp_path / "out", *arguments)
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_transcripts_of_other_data(planted: World, tmp_path: Path) -> None:
    write_lines(tmp_path / "hyp.txt", ["dan-1 yes no"])
    result = run(planted, tmp_path / "out", "--text", str(tmp_path / "hyp.txt"))
    assert result.exit_code == 1
    assert "none of its 1 utterances is in" in result.output


def test_features_of_a_wrong_dimension(planted: World, tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    write_features(world.data, {key: np.zeros((len(path), 9), np.float32) for key, path in world.pdf_path.items()})
    result = run(world, tmp_path / "out", *EASY)
    assert result.exit_code == 1
    assert f"features of 9 columns make inputs of 9, the model {world.model} takes {DIM}" in result.output


def test_a_lang_directory_of_other_phones_and_the_models_own_folder(
    planted: World, adaptive: Path, tmp_path: Path
) -> None:
    paths = [str(path) for path in (planted.data, adaptive / "lang", planted.model, tmp_path / "out")]
    result = CliRunner().invoke(main, ["adapt", *paths])
    assert result.exit_code == 1
    assert "the phones differ from those of the model" in result.output
    assert "OUT is the directory of the model" in run(planted, planted.model).output


def test_nothing_that_could_be_aligned(planted: World, tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    write_features(world.data, {key: np.zeros((3, DIM), np.float32) for key in world.pdf_path})
    assert run(world, tmp_path / "out", *EASY).exit_code == 3
    lenient = run(world, tmp_path / "out", *EASY, "--max-failed", "1")
    assert lenient.exit_code == 1
    assert "0 frames of speech in 0 aligned utterances" in lenient.output


def test_the_configuration_of_the_update() -> None:
    config = replace(AdaptConfig(), tau=3.0, weight_tau=4.0, variance_tau=5.0, weights=True)
    assert (config.map.mean_tau, config.map.weight_tau, config.map.variance_tau) == (3.0, 4.0, 5.0)
    assert (config.map.means, config.map.weights, config.map.variances) == (True, True, False)
