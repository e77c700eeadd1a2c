"""fMLLR per speaker: planted transforms found from alignments, sums held against the plain ones, the two alignments."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asrkit.core.archives import ArchiveReader, ArchiveWriter
from asrkit.core.errors import ConfigError, ModelError
from asrkit.data.datadir import DataDir, Utterance
from asrkit.features.pipeline import ModelInputs, PipelineConfig
from asrkit.features.transform import apply_affine, compose
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.em import EmConfig
from asrkit.gmm.fmllr import FmllrConfig, FmllrReport, FmllrStats, accumulate_fmllr, estimate_fmllr
from asrkit.gmm.model import GmmHmm
from asrkit.gmm.training import TrainingData
from asrkit.graph.training import TrainingGraphCompiler
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import monophone_tree
from asrkit.lang.langdir import LangConfig, make_lang
from asrkit.lang.lexicon import Pronunciation
from asrkit.stages.adaptation import (
    AdaptationConfig,
    PathPosteriors,
    PdfPosteriors,
    SpeakerTransforms,
    adapt_by_aligning,
    align_adapted,
    estimate_transforms,
    is_speaker_adaptive,
)

DIM = 3
LANG = make_lang(
    [Pronunciation("pa", ("p", "a")), Pronunciation("tu", ("t", "u"))], LangConfig(num_states=2, num_silence_states=3)
)
TREE = monophone_tree(LANG.topology, LANG.shared_phones)
TRANSITIONS = TransitionModel.from_tree(TREE, LANG.topology)
FRAMES_PER_STATE = 4
# The second speaker has one short utterance, the third none that is aligned.
SPEAKERS = {"ann-1": "ann", "ann-2": "ann", "ann-3": "ann", "bob-1": "bob", "cid-1": "cid"}
SAID = {"ann-1": ("pa", "tu", "pa"), "ann-2": ("tu",) * 4, "ann-3": ("pa",) * 3, "bob-1": ("tu",), "cid-1": ("pa",)}
FULL = FmllrConfig(min_count=40, diag_min_count=20, offset_min_count=10)


def planted_gmms() -> DiagGmms:
    """One Gaussian a pdf, far apart, of unequal variances."""
    rng = np.random.default_rng(3)
    means = (6 * rng.normal(size=(TREE.num_pdfs, DIM))).astype(np.float32)
    variances = rng.uniform(0.3, 0.8, size=means.shape).astype(np.float32)
    ones = np.ones(TREE.num_pdfs, np.float32)
    return DiagGmms(ones, means, variances, np.arange(TREE.num_pdfs + 1, dtype=np.int32))


GMMS = planted_gmms()


def planted_transforms() -> dict[str, np.ndarray]:
    """What makes each speaker's features fit the model: not symmetric, not diagonal."""
    rng = np.random.default_rng(7)
    names = sorted(set(SPEAKERS.values()))
    return {
        name: np.hstack([np.eye(DIM) + 0.15 * rng.normal(size=(DIM, DIM)), rng.normal(size=(DIM, 1))]) for name in names
    }


PLANTED = planted_transforms()


def planted_path(words: tuple[str, ...]) -> np.ndarray:
    """Transition ids of silence, the words, silence."""
    phones = ["SIL", *(phone for word in words for phone in word), "SIL"]
    tids: list[int] = []
    for phone in phones:
        for number, state, pdf in TRANSITIONS.triples:
            if number == LANG.phones.ids[phone]:
                loop = TRANSITIONS.self_loop_tid[TRANSITIONS.transition_id(number, state, pdf, 0)]
                out = next(
                    tid
                    for tid in range(1, TRANSITIONS.num_transition_ids + 1)
                    if TRANSITIONS.tid_to_phone[tid] == number
                    and TRANSITIONS.tid_to_hmm_state[tid] == state
                    and not TRANSITIONS.is_self_loop[tid]
                )
                tids += [int(loop)] * (FRAMES_PER_STATE - 1) + [out]
    return np.array(tids, np.int32)


ALIGNMENTS = {key: planted_path(words) for key, words in SAID.items() if key != "cid-1"}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> ModelInputs:
    """Features drawn from the model, and moved so that each speaker's planted transform moves them back."""
    path = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(11)
    DataDir(path, {k: Utterance(k, k, s, SAID[k]) for k, s in SPEAKERS.items()}, {k: f"{k}.wav" for k in SAID}).save()
    with ArchiveWriter(path, "feats") as writer:
        for key, speaker in SPEAKERS.items():
            pdfs = TRANSITIONS.tid_to_pdf[planted_path(SAID[key])]
            clean = rng.normal(GMMS.means[pdfs], np.sqrt(GMMS.variances[pdfs]))
            moved = np.linalg.solve(PLANTED[speaker][:, :DIM], (clean - PLANTED[speaker][:, DIM]).T).T
            writer.write(key, moved.astype(np.float32))
    return ModelInputs(DataDir.load(path), PipelineConfig(cmvn="none", delta_order=0))


def posteriors(silence_weight: float = 1.0) -> PathPosteriors:
    return PathPosteriors(TRANSITIONS, ALIGNMENTS, LANG.silence_phones, silence_weight)


def test_posteriors_along_a_path_weigh_silence_down() -> None:
    path = ALIGNMENTS["bob-1"]
    found = posteriors(0.25)["bob-1"]
    quiet = 3 * FRAMES_PER_STATE
    assert found.frame_index.tolist() == list(range(len(path)))
    assert found.pdf_ids.tolist() == TRANSITIONS.tid_to_pdf[path].tolist()
    assert found.weights.tolist() == [0.25] * quiet + [1.0] * (len(path) - 2 * quiet) + [0.25] * quiet
    assert list(posteriors()) == list(ALIGNMENTS)
    assert "cid-1" not in posteriors()


def test_the_planted_transforms_are_found(inputs: ModelInputs) -> None:
    found = estimate_transforms(GMMS, inputs, posteriors(), FULL)
    assert list(found.transforms) == ["ann", "bob", "cid"]
    assert found.reports["ann"].kind == "full"
    moved = apply_affine(inputs["ann-1"], found.transforms["ann"])
    planted = apply_affine(inputs["ann-1"], PLANTED["ann"].astype(np.float32))
    assert found.transforms["ann"].dtype == np.float32
    # Some 120 frames of a noise of 0.7, 12 numbers.
    assert np.abs(moved - planted).max() < 0.7
    assert np.abs(inputs["ann-1"] - planted).max() > 2.0
    # Nothing is known of the third.
    assert found.transforms["cid"].tolist() == np.eye(DIM, DIM + 1).tolist()
    assert found.reports["cid"] == FmllrReport(0.0, 0.0, "none", 0.0)


def test_the_sums_are_those_of_all_frames_at_once(inputs: ModelInputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asrkit.gmm.adaptation.UTTERANCES_AT_ONCE", 2)
    found = estimate_transforms(GMMS, inputs, posteriors(0.5), FULL)
    stats = FmllrStats.zero(DIM)
    for key in ("ann-1", "ann-2", "ann-3"):
        one = posteriors(0.5)[key]
        stats = stats + accumulate_fmllr(GMMS, inputs[key], one.pdf_ids, one.weights)
    transform, report = estimate_fmllr(stats, FULL)
    np.testing.assert_allclose(found.transforms["ann"], transform, rtol=1e-5, atol=1e-6)
    assert found.reports["ann"].count == pytest.approx(report.count)
    assert found.reports["ann"].gain == pytest.approx(report.gain)


def test_less_data_gives_poorer_transforms(inputs: ModelInputs) -> None:
    frames = sum(map(len, (ALIGNMENTS["ann-1"], ALIGNMENTS["ann-2"], ALIGNMENTS["ann-3"])))
    speech = frames - 3 * 6 * FRAMES_PER_STATE
    config = FmllrConfig(min_count=speech, diag_min_count=speech - 1, offset_min_count=4 * FRAMES_PER_STATE - 1)
    found = estimate_transforms(GMMS, inputs, posteriors(0.0), config)
    assert {name: report.kind for name, report in found.reports.items()} == {
        "ann": "diag",
        "bob": "offset",
        "cid": "none",
    }
    assert found.kinds == {"full": 0, "diag": 1, "offset": 1, "none": 1}
    assert found.num_frames == speech + 4 * FRAMES_PER_STATE
    # Silence counts as much as it weighs.
    assert estimate_transforms(GMMS, inputs, posteriors(1.0), config).reports["ann"].kind == "full"


def test_a_second_estimate_follows_the_first(inputs: ModelInputs) -> None:
    poor = replace(FULL, update="offset")
    first = estimate_transforms(GMMS, inputs, posteriors(), poor)
    moved = inputs.with_transforms(None, first.transforms)
    second = estimate_transforms(GMMS, moved, posteriors(), FULL)
    alone = estimate_fmllr(
        sum(
            (accumulate_fmllr(GMMS, moved[key], posteriors()[key].pdf_ids) for key in ("ann-1", "ann-2", "ann-3")),
            FmllrStats.zero(DIM),
        ),
        FULL,
    )[0]
    expected = compose(alone, first.transforms["ann"])
    np.testing.assert_allclose(second.transforms["ann"], expected, rtol=1e-4, atol=1e-5)
    # With one Gaussian a pdf the posteriors are the same, so the way does not matter; the order of composing does.
    direct = estimate_transforms(GMMS, inputs, posteriors(), FULL)
    np.testing.assert_allclose(second.transforms["ann"], direct.transforms["ann"], atol=2e-3)
    assert not np.allclose(compose(first.transforms["ann"], alone), expected, atol=0.01)
    assert second.reports["ann"].gain > 0
    again = estimate_transforms(GMMS, inputs.with_transforms(None, direct.transforms), posteriors(), FULL)
    assert again.reports["ann"].gain == pytest.approx(0, abs=1e-4)


def test_any_number_of_jobs_gives_the_same_bits(inputs: ModelInputs) -> None:
    one, two, four = (estimate_transforms(GMMS, inputs, posteriors(), FULL, num_jobs=jobs) for jobs in (1, 2, 4))
    for speaker, transform in one.transforms.items():
        assert transform.tobytes() == two.transforms[speaker].tobytes() == four.transforms[speaker].tobytes()


def test_the_alignment_model_makes_the_posteriors(inputs: ModelInputs) -> None:
    """Two Gaussians a pdf: the alignment model says which of them each frame belongs to."""
    twice = np.repeat(np.arange(GMMS.num_gaussians), 2)
    sides = np.tile([-2.0, 2.0], GMMS.num_gaussians)[:, None].astype(np.float32)
    offsets = 2 * GMMS.offsets
    half = np.full(2 * GMMS.num_gaussians, 0.5, np.float32)
    adapted = DiagGmms(half, GMMS.means[twice] + sides, GMMS.variances[twice], offsets)
    # Under the alignment model all frames belong to the first of the two.
    first = DiagGmms(
        half, GMMS.means[twice] + np.where(sides < 0, 0, 100).astype(np.float32), GMMS.variances[twice], offsets
    )
    found = estimate_transforms(adapted, inputs, posteriors(), FULL, posterior_gmms=first)
    shifted = DiagGmms(np.ones_like(GMMS.weights), GMMS.means - 2, GMMS.variances, GMMS.offsets)
    expected = estimate_transforms(shifted, inputs, posteriors(), FULL)
    np.testing.assert_allclose(found.transforms["ann"], expected.transforms["ann"], rtol=1e-4, atol=1e-5)
    own = estimate_transforms(adapted, inputs, posteriors(), FULL)
    assert not np.allclose(own.transforms["ann"], expected.transforms["ann"], atol=0.1)


def test_the_gain_is_the_mean_over_frames() -> None:
    reports = {"a": FmllrReport(3.0, 100.0, "full", 0.1), "b": FmllrReport(1.0, 300.0, "diag", 0.2)}
    found = SpeakerTransforms({}, reports)
    assert found.gain == 1.5
    assert str(found) == "fMLLR of 2 speakers (1 full, 1 diag): 1.500 nats a frame gained"
    assert SpeakerTransforms({}, {}).gain == 0.0


def test_transforms_on_disk(inputs: ModelInputs, tmp_path: Path) -> None:
    found = estimate_transforms(GMMS, inputs, posteriors(), FULL)
    found.save(tmp_path)
    read = ArchiveReader(tmp_path / "trans.scp")
    assert list(read) == ["ann", "bob", "cid"]
    for speaker, transform in found.transforms.items():
        assert read[speaker].dtype == np.float32
        assert read[speaker].tolist() == transform.tolist()


def test_posteriors_of_more_frames_than_there_are(inputs: ModelInputs) -> None:
    long = PdfPosteriors(np.array([500], np.int32), np.zeros(1, np.int32), np.ones(1, np.float32))
    with pytest.raises(ModelError, match="bob-1: posteriors of frame 500"):
        estimate_transforms(GMMS, inputs, {"bob-1": long}, FULL)


@pytest.mark.parametrize("weight", [-0.1, 1.5])
def test_a_silence_weight_that_makes_no_sense(weight: float) -> None:
    with pytest.raises(ConfigError, match="silence_weight"):
        AdaptationConfig(silence_weight=weight)


def training_data(inputs: ModelInputs) -> TrainingData:
    compiler = TrainingGraphCompiler(LANG, TREE, TRANSITIONS)
    graphs = {key: compiler.compile(LANG.transcript_ids(words)[0]) for key, words in SAID.items()}
    return TrainingData(tuple(SAID), inputs, graphs)


def sat_model() -> GmmHmm:
    """Mixtures for unadapted inputs that are as wide as the speakers differ."""
    wide = DiagGmms(GMMS.weights, GMMS.means, GMMS.variances + 4, GMMS.offsets)
    return GmmHmm(TREE, TRANSITIONS, GMMS, None, wide)


def test_adapted_alignment_finds_the_planted_paths(inputs: ModelInputs) -> None:
    em = EmConfig(acoustic_scale=1.0)
    config = AdaptationConfig(0.0, FULL)
    found = align_adapted(sat_model(), inputs, training_data(inputs), LANG.silence_phones, em, config)
    assert not found.failures
    assert list(found.alignments) == list(SAID)
    wrong = sum(
        int((TRANSITIONS.tid_to_pdf[path] != TRANSITIONS.tid_to_pdf[planted_path(SAID[key])]).sum())
        for key, path in found.alignments.items()
    )
    assert wrong <= 3
    assert found.speakers.reports["ann"].kind == "full"
    speakers = adapt_by_aligning(sat_model(), inputs, training_data(inputs), LANG.silence_phones, em, config)
    assert speakers.transforms["ann"].tolist() == found.speakers.transforms["ann"].tolist()


def test_an_unadapted_model_does_not_align_so(inputs: ModelInputs) -> None:
    plain = replace(sat_model(), alignment_gmms=None)
    with pytest.raises(ModelError, match="not speaker-adaptive"):
        align_adapted(plain, inputs, training_data(inputs), LANG.silence_phones, EmConfig(), AdaptationConfig())


def test_what_a_model_directory_holds(tmp_path: Path) -> None:
    assert not is_speaker_adaptive(tmp_path / "absent")
    sat_model().save(tmp_path / "sat")
    assert is_speaker_adaptive(tmp_path / "sat")
    replace(sat_model(), alignment_gmms=None).save(tmp_path / "plain")
    assert not is_speaker_adaptive(tmp_path / "plain")
    (tmp_path / "sat" / "model.safetensors").write_bytes(b"not a model")
    assert not is_speaker_adaptive(tmp_path / "sat")
