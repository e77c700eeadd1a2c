"""Scores of frames by an acoustic model: which pdfs are speech, their odds, and planted speech in a recording."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError, ModelError
from asrkit.core.files import write_json
from asrkit.features.cmvn import CmvnStats
from asrkit.features.config import FrontEndConfig
from asrkit.features.frontend import FrontEnd
from asrkit.features.pipeline import FeaturePipeline, PipelineConfig
from asrkit.features.speech_energy import EnergySpeechConfig
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.model import GmmHmm
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import monophone_tree
from asrkit.lang.langdir import LangConfig, make_lang
from asrkit.lang.lexicon import Pronunciation
from asrkit.stages.acoustic import AcousticModel, load_acoustic_model, save_model_folder
from asrkit.stages.speech_scores import (
    EnergyScorer,
    ModelScorer,
    ModelSpeechConfig,
    Scorer,
    load_scorer,
    log_odds,
    speech_pdfs,
)
from tests.voices import RATE, planted

PIPELINE = PipelineConfig(delta_order=1)
ENERGY = EnergySpeechConfig()


def make_model(folder: Path, pipeline: PipelineConfig = PIPELINE, positions: bool = True) -> Path:
    """A model whose silence is the noise of :func:`planted`, and whose other phones are its voice."""
    config = LangConfig(num_states=1, num_silence_states=2, position_dependent=positions, noise_phones=("NSN",))
    lang = make_lang((Pronunciation("a", ("a",)), Pronunciation("be", ("b", "a"))), config)
    lang.save(folder / "lang")
    tree = monophone_tree(lang.topology, lang.shared_phones)
    transitions = TransitionModel.from_tree(tree, lang.topology)
    samples, labels = planted(30.0, seed=9)
    features = FrontEnd(FrontEndConfig()).compute(samples)
    labels = labels[: len(features)]
    share = [features[labels], features[~labels][:: 4 * int((~labels).sum()) // int(labels.sum())]]
    inputs = FeaturePipeline(replace(pipeline, cmvn="speaker")).apply(features, CmvnStats.of(np.concatenate(share)))
    if pipeline.cmvn == "none":
        inputs = FeaturePipeline(pipeline).apply(features)
    means, variances = np.empty((tree.num_pdfs, inputs.shape[1])), np.empty((tree.num_pdfs, inputs.shape[1]))
    for phone, _, pdf in transitions.triples:
        of_speech = phone not in lang.silence_phones
        frames = inputs[labels == of_speech]
        if lang.phones.symbols[phone].startswith("SPN"):
            frames = inputs[::7] * 0.1  # narrow, at the mean: it would win everywhere if it were asked
        means[pdf], variances[pdf] = frames.mean(axis=0) + 0.01 * pdf, frames.var(axis=0)
    ones, offsets = np.ones(tree.num_pdfs, np.float32), np.arange(tree.num_pdfs + 1, dtype=np.int32)
    gmms = DiagGmms(ones, means.astype(np.float32), variances.astype(np.float32), offsets)
    save_model_folder(folder, FrontEndConfig(), pipeline, folder / "lang", GmmHmm(tree, transitions, gmms))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> AcousticModel:
    return load_acoustic_model(make_model(tmp_path_factory.mktemp("model")))


def scores(scorer: Scorer, samples: NDArray[np.float32], block: int = 10**9) -> NDArray[np.float32]:
    blocks = [samples[start : start + block] for start in range(0, len(samples), block)]
    found = np.concatenate([np.empty(0, np.float32), *scorer.scores(blocks)])
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert np.abs(found).max(initial=0) <= 1
    return found


@pytest.mark.parametrize("positions", [False, True])
def test_silence_and_noise_are_the_one_side_and_spoken_noise_is_on_neither(tmp_path: Path, positions: bool) -> None:
    model = load_acoustic_model(make_model(tmp_path, positions=positions))
    speech, nonspeech = speech_pdfs(model)
    symbols = {
        pdf: (tmp_path / "lang" / "phones.txt").read_text().splitlines()[phone].split()[0].split("_")[0]
        for phone, _, pdf in model.transitions.triples
    }
    assert {symbols[pdf] for pdf in speech.tolist()} == {"a", "b"}
    assert {symbols[pdf] for pdf in nonspeech.tolist()} == {"SIL", "NSN"}
    others = set(range(model.tree.num_pdfs)) - {*speech.tolist(), *nonspeech.tolist()}
    assert {symbols[pdf] for pdf in others} == {"SPN"}


def test_odds_are_those_of_bayes() -> None:
    likelihoods = np.random.default_rng(0).uniform(0.01, 1.0, (7, 5))
    expected = 0.3 * likelihoods[:, :3].mean(axis=1) / (0.7 * likelihoods[:, 3:].mean(axis=1))
    got = log_odds(np.log(likelihoods).astype(np.float32), 3, 0.3)
    np.testing.assert_allclose(got, np.log(expected), rtol=1e-4, atol=1e-5)
    assert np.isfinite(log_odds(np.full((1, 5), -5000, np.float32), 3, 0.5)).all()


@pytest.mark.parametrize("cmvn", ["speaker", "utterance", "none"])
def test_planted_speech_is_found_whatever_the_pauses(tmp_path: Path, cmvn: str) -> None:
    folder = make_model(tmp_path, PipelineConfig(cmvn=cmvn, delta_order=1))  # type: ignore[arg-type]
    scorer = ModelScorer(load_acoustic_model(folder), ModelSpeechConfig(energy_weight=0.0), ENERGY)
    for bursts in (((1.0, 2.5), (3.5, 5.5), (7.0, 8.0)), ((20.0, 22.0),), ((0.2, 19.5), (20.2, 39.7))):
        samples, labels = planted(30.0, 3, 40.0, bursts)
        found = scores(scorer, samples)
        assert ((found > 0) != labels[: len(found)]).mean() < 0.06


def test_a_wrong_share_of_silence_is_what_the_mean_of_a_recording_has(model: AcousticModel) -> None:
    samples, labels = planted(30.0, 3, 40.0, ((20.0, 22.0),))
    right = scores(ModelScorer(model, ModelSpeechConfig(energy_weight=0.0), ENERGY), samples)
    wrong = scores(ModelScorer(model, ModelSpeechConfig(nonspeech_share=0.95, energy_weight=0.0), ENERGY), samples)
    errors = [float(((found > 0) != labels[: len(found)]).mean()) for found in (right, wrong)]
    assert errors[1] > errors[0]


@pytest.mark.parametrize("kind", ["energy", "model"])
def test_blocks_give_the_scores_of_the_whole(model: AcousticModel, kind: str) -> None:
    scorer: Scorer = EnergyScorer(replace(ENERGY, context_secs=7.0), FrontEndConfig())
    if kind == "model":
        scorer = ModelScorer(model, ModelSpeechConfig(), replace(ENERGY, context_secs=7.0))
    samples, _ = planted(30.0, 5, 45.0)
    whole = scores(scorer, samples)
    assert len(whole) == FrontEnd(scorer.frames).num_frames(len(samples))
    for block in (1600, 77_777):
        np.testing.assert_array_equal(scores(scorer, samples, block), whole)


def test_the_energy_has_its_share(model: AcousticModel) -> None:
    samples, _ = planted(100.0, 5)
    energy = scores(EnergyScorer(ENERGY, FrontEndConfig()), samples)
    alone, mixed = (scores(ModelScorer(model, ModelSpeechConfig(energy_weight=w), ENERGY), samples) for w in (0, 0.25))
    np.testing.assert_allclose(mixed, 0.75 * alone + 0.25 * energy, atol=1e-6)
    assert np.abs(mixed - alone).max() > 0.05


def test_silence_of_any_kind_is_no_speech(model: AcousticModel) -> None:
    scorer = ModelScorer(model, ModelSpeechConfig(), ENERGY)
    for samples in (np.zeros(5 * RATE, np.float32), np.full(5 * RATE, 3000, np.float32), np.zeros(10, np.float32)):
        scores(scorer, samples)  # finite, whatever they say
        energy = scores(EnergyScorer(ENERGY, FrontEndConfig()), samples)
        assert (energy == -1).all()


def test_models_that_cannot_tell_are_refused(tmp_path: Path) -> None:
    folder = make_model(tmp_path)
    write_json(folder / "inputs.json", {"model_sha256": "0" * 64})
    with pytest.raises(ModelError, match="inputs of another model"):
        load_scorer(folder, ModelSpeechConfig(), ENERGY, 0)
    with pytest.raises(ModelError, match="no such model directory"):
        load_scorer(tmp_path / "absent", ModelSpeechConfig(), ENERGY, 0)
    for wrong in ({"speech_prior": 0.0}, {"scale": 0.0}, {"nonspeech_share": 1.5}, {"energy_weight": -0.1}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            ModelSpeechConfig(**wrong)
