"""`asrkit train-gmm sat` end to end on speakers whose features were moved away from a planted model."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.core.archives import ArchiveReader
from asrkit.core.errors import ConfigError
from asrkit.core.files import read_json
from asrkit.data.datadir import DataDir
from asrkit.features.frontend import FrontEndConfig, save_front_end
from asrkit.features.transform import apply_affine
from asrkit.gmm.em import EmConfig
from asrkit.gmm.fmllr import FmllrConfig
from asrkit.gmm.model import GmmHmm
from asrkit.gmm.update import GmmUpdateConfig
from asrkit.hmm.tree_building import TreeConfig
from asrkit.stages.acoustic import load_acoustic_model
from asrkit.stages.adaptation import AdaptationConfig, align_adapted
from asrkit.stages.gmm_training import open_corpus, training_data
from asrkit.stages.record import RunOptions, StageReport
from asrkit.stages.train_sat import SatConfig, alignment_gmms, train_sat
from asrkit.stages.tree_stage import ContextConfig, QuestionConfig, align_corpus
from tests.stages.test_train_mono import DIM, OPTIONS, interrupt_after, make_world, read_features, write_features
from tests.stages.test_train_mono import run as run_mono

CONFIG = SatConfig(
    context=ContextConfig(TreeConfig(max_leaves=14, min_gain=5.0), QuestionConfig(pdf_classes=(1,))),
    em=EmConfig(
        num_iters=7,
        total_gaussians=24,
        last_mix_up_iter=5,
        realign_iters=(3, 5),
        acoustic_scale=1.0,
        gmm=GmmUpdateConfig(mix_up_power=0.2),
    ),
    fmllr_iters=(2, 4),
    adaptation=AdaptationConfig(0.1, FmllrConfig(min_count=80, diag_min_count=40)),
)
SAT_SETTINGS = [
    *("--set", "context.tree.max_leaves=14", "--set", "context.tree.min_gain=5", "--set", "em.num_iters=7"),
    *("--set", "context.questions.pdf_classes=[1]", "--set", "em.total_gaussians=24"),
    *("--set", "em.last_mix_up_iter=5", "--set", "em.realign_iters=[3,5]", "--set", "em.acoustic_scale=1.0"),
    *("--set", "fmllr_iters=[2,4]", "--set", "adaptation.silence_weight=0.1"),
    *("--set", "adaptation.fmllr.min_count=80", "--set", "adaptation.fmllr.diag_min_count=40"),
]
SPEAKERS = ("s0", "s1", "s2")


def move_speakers(folder: Path) -> dict[str, np.ndarray]:
    """Move each speaker's features by a transform of its own; return clean features."""
    rng = np.random.default_rng(9)
    clean = read_features(folder)
    moves = {name: (np.eye(DIM) + 0.12 * rng.normal(size=(DIM, DIM)), rng.normal(size=DIM)) for name in SPEAKERS}
    speakers = {key: utterance.speaker for key, utterance in DataDir.load(folder).utterances.items()}
    write_features(
        folder,
        {
            key: (frames @ moves[speakers[key]][0].T + moves[speakers[key]][1]).astype(np.float32)
            for key, frames in clean.items()
        },
    )
    return clean


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Moved data, a monophone model and the speaker-adaptive one on it; tests write only beside these."""
    root = make_world(tmp_path_factory.mktemp("world"))
    move_speakers(root / "data")
    run_mono(root)
    run(root)
    return root


def run(
    root: Path, config: SatConfig = CONFIG, options: RunOptions = OPTIONS, out: str = "sat", previous: str = "mono"
) -> StageReport:
    return train_sat(root / "data", root / "lang", root / previous, root / out, config, options)


def outputs(root: Path, out: str = "sat") -> dict[str, bytes]:
    names = ("model.safetensors", "tree.json", "pipeline.json", "ali.ark", "iterations.json", "trans.ark")
    return {name: (root / out / name).read_bytes() for name in names}


def test_the_model_directory_is_that_of_a_speaker_adaptive_model(world: Path) -> None:
    loaded, mono = load_acoustic_model(world / "sat"), load_acoustic_model(world / "mono")
    model = loaded.model
    assert model.alignment_gmms is not None
    assert loaded.pipeline == mono.pipeline
    assert model.gmms.offsets.tolist() == model.alignment_gmms.offsets.tolist()
    assert not np.allclose(model.gmms.means, model.alignment_gmms.means, atol=0.1)
    transforms = ArchiveReader(world / "sat" / "trans.scp")
    assert list(transforms) == list(SPEAKERS)
    assert {(t.shape, str(t.dtype)) for t in transforms.values()} == {((DIM, DIM + 1), "float32")}
    report = read_json(world / "sat" / "stage.json")["train-gmm sat"]
    assert report["figures"]["num_speakers"] == 3
    assert report["figures"]["num_gaussians"] == model.gmms.num_gaussians > mono.model.gmms.num_pdfs
    assert not (world / "sat" / "checkpoint").exists()
    assert (world / "sat" / "tree-report.json").exists()


def test_adapted_speakers_sound_alike(world: Path) -> None:
    """The mean of each phone state over a speaker's frames: adapted, those of the speakers lie together."""
    transitions = load_acoustic_model(world / "sat").transitions
    alignments = ArchiveReader(world / "sat" / "ali.scp")
    transforms = ArchiveReader(world / "sat" / "trans.scp")
    data, features = DataDir.load(world / "data"), read_features(world / "data")
    raw: dict[tuple[int, int], dict[str, list[np.ndarray]]] = {}
    adapted: dict[tuple[int, int], dict[str, list[np.ndarray]]] = {}
    for key, path in alignments.items():
        speaker = data.utterances[key].speaker
        moved = apply_affine(features[key], transforms[speaker])
        for at, tid in enumerate(path):
            state = int(transitions.tid_to_phone[tid]), int(transitions.tid_to_hmm_state[tid])
            raw.setdefault(state, {}).setdefault(speaker, []).append(features[key][at])
            adapted.setdefault(state, {}).setdefault(speaker, []).append(moved[at])

    def spread(frames: dict[tuple[int, int], dict[str, list[np.ndarray]]]) -> float:
        """Variance between speakers over that between states."""
        means = {state: [np.mean(f, axis=0) for f in by_speaker.values()] for state, by_speaker in frames.items()}
        states = np.array([np.mean(m, axis=0) for m in means.values()])
        return float(np.mean([np.var(m, axis=0).mean() for m in means.values()]) / states.var(axis=0).mean())

    assert spread(adapted) < 0.15 * spread(raw)


def test_adaptation_raises_the_likelihood_of_the_features_before_it(world: Path) -> None:
    model = load_acoustic_model(world / "sat").model
    assert model.alignment_gmms is not None
    alignments = ArchiveReader(world / "sat" / "ali.scp")
    transforms = ArchiveReader(world / "sat" / "trans.scp")
    data, features = DataDir.load(world / "data"), read_features(world / "data")
    with_it = without = 0.0
    for key, path in alignments.items():
        pdfs, frames = model.transitions.tid_to_pdf[path], np.arange(len(path))
        transform = transforms[data.utterances[key].speaker]
        moved = model.gmms.loglikes(apply_affine(features[key], transform))[frames, pdfs]
        with_it += moved.sum() + len(path) * np.linalg.slogdet(transform[:, :DIM].astype(float))[1]
        without += model.alignment_gmms.loglikes(features[key])[frames, pdfs].sum()
    assert (with_it - without) / sum(map(len, alignments.values())) > 0.3


def test_the_alignment_model_has_the_statistics_of_unadapted_inputs(world: Path) -> None:
    """With one Gaussian a pdf these are plain means and variances."""
    loaded = load_acoustic_model(world / "sat")
    tree, transitions = loaded.tree, loaded.transitions
    config = GmmUpdateConfig(min_gaussian_occupancy=0.0, min_variance=1e-4)
    first = loaded.model.gmms.offsets[:-1]
    gmms = loaded.model.gmms
    one = replace(
        gmms,
        weights=np.ones(len(first), np.float32),
        means=gmms.means[first],
        variances=gmms.variances[first],
        offsets=np.arange(len(first) + 1, dtype=np.int32),
    )
    model = GmmHmm(tree, transitions, one)
    unadapted = loaded.inputs(DataDir.load(world / "data"))
    adapted = unadapted.with_transforms(None, dict(ArchiveReader(world / "sat" / "trans.scp")))
    alignments = dict(ArchiveReader(world / "sat" / "ali.scp"))
    found = alignment_gmms(model, adapted, unadapted, alignments, config, OPTIONS)
    frames = np.concatenate([unadapted[key] for key in alignments])
    pdfs = transitions.tid_to_pdf[np.concatenate(list(alignments.values()))]
    for pdf in np.unique(pdfs):
        np.testing.assert_allclose(found.means[pdf], frames[pdfs == pdf].mean(axis=0), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found.variances[pdf], frames[pdfs == pdf].var(axis=0), rtol=1e-3, atol=1e-4)


def test_no_gaussian_of_the_alignment_model_is_removed_or_impossible(world: Path) -> None:
    loaded = load_acoustic_model(world / "sat")
    data = loaded.inputs(DataDir.load(world / "data"))
    some = dict(list(ArchiveReader(world / "sat" / "ali.scp").items())[:2])
    found = alignment_gmms(loaded.model, data, data, some, CONFIG.em.gmm, OPTIONS)
    assert found.num_gaussians == loaded.model.gmms.num_gaussians
    assert (found.weights > 0).all()


@pytest.mark.parametrize("iteration", [2, 3, 4, 7])
def test_an_interrupted_training_goes_on_to_the_same_bits(
    world: Path, iteration: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Before and behind an estimate of transforms, and before the alignment model."""
    caplog.set_level(logging.INFO, logger="asrkit")
    logging.getLogger("asrkit").propagate = True
    out = f"stopped{iteration}"
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, iteration)
        with pytest.raises(KeyboardInterrupt):
            run(world, out=out)
    assert not (world / out / "model.safetensors").exists()
    run(world, out=out)
    assert f"going on after iteration {iteration} of 7" in caplog.text
    assert outputs(world, out) == outputs(world)


def test_any_number_of_jobs_gives_the_same_files(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("asrkit.gmm.training", "asrkit.stages.train_sat", "asrkit.stages.tree_stage"):
        monkeypatch.setattr(f"{module}.UTTERANCES_AT_ONCE", 5)
    for jobs in (1, 3):
        run(world, options=replace(OPTIONS, num_jobs=jobs), out=f"jobs{jobs}")
    assert outputs(world, "jobs1") == outputs(world, "jobs3")


def test_without_further_estimates_the_first_transforms_stay(world: Path) -> None:
    run(world, replace(CONFIG, fmllr_iters=()), out="once")
    once, more = (ArchiveReader(world / name / "trans.scp") for name in ("once", "sat"))
    last = {name: read_json(world / name / "iterations.json")[-1]["loglike_per_frame"] for name in ("once", "sat")}
    assert not np.allclose(once["s0"], more["s0"], atol=1e-3)
    np.testing.assert_allclose(once["s0"], more["s0"], atol=0.5)
    assert last["sat"] != last["once"]


def test_a_speaker_adaptive_model_starts_another(world: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="asrkit")
    logging.getLogger("asrkit").propagate = True
    report = run(world, out="sat2", previous="sat")
    assert report.failures == ()
    first, second = (read_json(world / name / "iterations.json") for name in ("sat", "sat2"))
    # Its first iteration has seen adapted inputs of a better model, and is no worse.
    assert second[0]["loglike_per_frame"] > first[0]["loglike_per_frame"] - 0.1
    assert load_acoustic_model(world / "sat2").model.is_speaker_adaptive


def command(root: Path, out: str, *arguments: str) -> Result:
    paths = [str(root / name) for name in ("data", "lang", "mono", out)]
    return CliRunner().invoke(main, ["train-gmm", "sat", *paths, *SAT_SETTINGS, "--max-failed", "0.2", *arguments])


def test_the_command_makes_the_same_model_and_then_nothing(world: Path) -> None:
    done = command(world, "commanded", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["figures"]["num_speakers"] == 3
    assert outputs(world, "commanded") == outputs(world)
    assert "up to date" in command(world, "commanded").output


def test_features_of_another_front_end_are_refused(world: Path, tmp_path: Path) -> None:
    root = make_world(tmp_path / "other")
    (root / "mono").symlink_to(world / "mono")
    save_front_end(root / "data", FrontEndConfig(num_ceps=DIM, num_mel_bins=30))
    result = command(root, "sat")
    assert result.exit_code == 1
    assert "num_mel_bins" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("fmllr_iters=[0,2]", "fmllr_iters holds 0"),
        ("em.estimator=baum-welch", "needs 'viterbi'"),
        ("adaptation.silence_weight=-1", "silence_weight is -1.0"),
        ("adaptation.fmllr.num_iters=0", "num_iters must be 1 or more"),
        ("fmllr_iter=[2]", "did you mean fmllr_iters?"),
    ],
)
def test_configurations_that_make_no_sense(world: Path, setting: str, message: str) -> None:
    result = command(world, "bad", "--set", setting)
    assert result.exit_code == 1
    assert message in result.output
    with pytest.raises(ConfigError):
        SatConfig(fmllr_iters=(0,))


def test_a_model_that_is_not_there(world: Path) -> None:
    paths = [str(world / name) for name in ("data", "lang", "nothing", "bad")]
    result = CliRunner().invoke(main, ["train-gmm", "sat", *paths])
    assert result.exit_code == 1
    assert "no such model directory" in result.output


def test_another_rung_is_aligned_with_adapted_inputs(world: Path) -> None:
    """Aligned without adaptation by the adapted mixtures, the moved speakers would fit far worse."""
    model = load_acoustic_model(world / "sat")
    options = replace(OPTIONS, num_jobs=1)
    corpus = open_corpus(world / "data", world / "lang", model.pipeline, options)
    aligned = align_corpus(model, corpus, CONFIG.em, options)
    mono = load_acoustic_model(world / "mono")
    planted = ArchiveReader(world / "mono" / "ali.scp")
    same = total = 0
    for key, alignment in aligned.alignments.items():
        ours = model.transitions.tid_to_phone[alignment]
        theirs = mono.transitions.tid_to_phone[np.asarray(planted[key])]
        same += int((ours == theirs).sum())
        total += len(ours)
    assert same > 0.9 * total
    silence = corpus.lang.silence_phones
    by_adapting = align_adapted(
        model.model,
        model.inputs(corpus.data_dir),
        training_data(corpus, model.tree, model.transitions, options.progress),
        silence,
        CONFIG.em,
        AdaptationConfig(),
    )
    assert all((by_adapting.alignments[key] == aligned.alignments[key]).all() for key in aligned.alignments)
