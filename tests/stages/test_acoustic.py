"""Model directories: what is saved is loaded, whole and self-describing; what is not a model says what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asrkit.core.container import load_model, save_model
from asrkit.core.errors import AsrkitError, FormatError, ModelError
from asrkit.core.files import write_json
from asrkit.features.config import FrontEndConfig
from asrkit.features.frontend import save_front_end
from asrkit.features.pipeline import PipelineConfig
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.model import KIND, GmmHmm
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import monophone_tree
from asrkit.lang.langdir import Lang, LangConfig, make_lang
from asrkit.lang.lexicon import Pronunciation
from asrkit.stages.acoustic import (
    LANG_FILES,
    copy_file,
    data_files,
    load_acoustic_model,
    load_pipeline,
    load_transition_model,
    model_files,
    save_model_folder,
)
from tests.factories import make_data_dir

DIM = 10
FRONT_END = FrontEndConfig(num_ceps=5, sample_rate_hz=8000)
PIPELINE = PipelineConfig(delta_order=1, norm_vars=True)


def make_model(lang: Lang) -> GmmHmm:
    """Two Gaussians in the first pdf, one in every other, all different."""
    tree = monophone_tree(lang.topology, lang.shared_phones)
    rng = np.random.default_rng(0)
    count = tree.num_pdfs + 1
    weights = np.ones(count, np.float32)
    weights[:2] = 0.25, 0.75
    offsets = np.concatenate([[0], np.arange(2, count + 1)]).astype(np.int32)
    means, variances = rng.normal(size=(count, DIM)), rng.uniform(0.5, 2, (count, DIM))
    gmms = DiagGmms(weights, means.astype(np.float32), variances.astype(np.float32), offsets)
    return GmmHmm(tree, TransitionModel.from_tree(tree, lang.topology), gmms)


@pytest.fixture
def lang(tmp_path: Path) -> Lang:
    made = make_lang([Pronunciation("one", ("w", "a")), Pronunciation("two", ("t", "u"))], LangConfig())
    made.save(tmp_path / "lang")
    return made


@pytest.fixture
def folder(tmp_path: Path, lang: Lang) -> Path:
    save_model_folder(tmp_path / "model", FRONT_END, PIPELINE, tmp_path / "lang", make_model(lang))
    return tmp_path / "model"


def test_what_is_saved_is_loaded(folder: Path, lang: Lang) -> None:
    loaded, model = load_acoustic_model(folder), make_model(lang)
    assert (loaded.front_end, loaded.pipeline) == (FRONT_END, PIPELINE)
    assert loaded.tree.to_json() == model.tree.to_json()
    assert loaded.transitions.triples == model.transitions.triples
    features = np.random.default_rng(1).normal(size=(7, DIM)).astype(np.float32)
    np.testing.assert_array_equal(loaded.model.loglikes(features), model.loglikes(features))
    tree, transitions = load_transition_model(folder)
    assert tree.num_pdfs == transitions.num_pdfs == model.gmms.num_pdfs


def test_the_directory_describes_itself(folder: Path) -> None:
    assert all(path.is_file() for path in model_files(folder))
    for name in LANG_FILES:
        assert (folder / "lang" / name).read_bytes() == (folder.parent / "lang" / name).read_bytes()
    assert not list(folder.rglob(".*"))


@pytest.mark.parametrize("name", ["model.safetensors", "tree.json", "topology.json", "frontend.json", "pipeline.json"])
def test_an_unfinished_directory_names_what_is_missing(folder: Path, name: str) -> None:
    (folder / name).unlink()
    for load in (load_acoustic_model, load_transition_model):
        with pytest.raises(ModelError, match=f"not a finished model directory: {name} missing") as caught:
            load(folder)
        assert "run the training command again" in str(caught.value)


def test_no_directory_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model directory") as caught:
        load_acoustic_model(tmp_path / "absent")
    assert "asrkit train-gmm" in str(caught.value)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def change_array(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        arrays, meta = load_model(folder / "model.safetensors", KIND)
        arrays[name] = change(np.array(arrays[name]))
        save_model(folder / "model.safetensors", KIND, arrays, meta)

    return damage


DAMAGES: dict[str, Callable[[Path], object]] = {
    "not a readable safetensors file": lambda folder: cut(folder / "model.safetensors"),
    "expected 'gmm-hmm'": lambda folder: save_model(folder / "model.safetensors", "dnn", {}, {}),
    "no array": lambda folder: save_model(
        folder / "model.safetensors", KIND, {"transitions.log_probs": load_transition_model(folder)[1].log_probs}, {}
    ),
    "no transition probabilities": lambda folder: save_model(folder / "model.safetensors", KIND, {}, {}),
    "do not belong together": change_array("gmm.weights", lambda weights: weights[1:]),
    "transition probabilities, expected": change_array("transitions.log_probs", lambda probs: probs[:-1]),
    "smallest variance": change_array("gmm.variances", lambda variances: 0 * variances),
    "not a context tree": lambda folder: (folder / "tree.json").write_text('{"N": 1}'),
    "not valid JSON": lambda folder: cut(folder / "tree.json"),
    "mixtures for a tree": lambda folder: (folder / "tree.json").write_text('{"N": 1, "P": 0, "root": 0}'),
    "not a topology": lambda folder: (folder / "topology.json").write_text("[]"),
    "expected a JSON object, found list": lambda folder: (folder / "pipeline.json").write_text("[]"),
    "unknown key delta_ordre": lambda folder: (folder / "pipeline.json").write_text('{"delta_ordre": 1}'),
    "not UTF-8": lambda folder: (folder / "frontend.json").write_bytes(b"\xff"),
}


@pytest.mark.parametrize("message", DAMAGES)
def test_a_damaged_directory_is_refused(folder: Path, message: str) -> None:
    DAMAGES[message](folder)
    with pytest.raises(AsrkitError, match=message):
        load_acoustic_model(folder)


def test_inputs_are_normalised_and_have_deltas(folder: Path, tmp_path: Path) -> None:
    data = make_data_dir(tmp_path / "data", features=True)
    save_front_end(data.path, FRONT_END)
    inputs = load_acoustic_model(folder).inputs(data)
    assert list(inputs) == sorted(data.utterances)
    assert inputs.dim == DIM
    speaker = np.concatenate([inputs[key] for key in data.by_speaker()["spk2"]])
    np.testing.assert_allclose(speaker[:, :5].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(speaker[:, :5].var(0), 1, atol=1e-4)


def test_features_of_another_front_end_are_refused(folder: Path, tmp_path: Path) -> None:
    data = make_data_dir(tmp_path / "data", features=True)
    save_front_end(data.path, FrontEndConfig(num_ceps=5, sample_rate_hz=16000))
    with pytest.raises(ModelError, match="sample_rate_hz"):
        load_acoustic_model(folder).inputs(data)


def test_warped_and_unwarped_features_are_told_apart(folder: Path, tmp_path: Path, lang: Lang) -> None:
    raw, warped = make_data_dir(tmp_path / "raw", features=True), make_data_dir(tmp_path / "warped", features=True)
    for data in (raw, warped):
        save_front_end(data.path, FRONT_END)
    write_json(warped.path / "inputs.json", {"vtln": True})
    save_model_folder(tmp_path / "on-warped", FRONT_END, PIPELINE, tmp_path / "lang", make_model(lang), warped.path)
    plain, on_warped = load_acoustic_model(folder), load_acoustic_model(tmp_path / "on-warped")
    assert len(plain.inputs(raw)) == len(on_warped.inputs(warped)) == len(raw.utterances)
    with pytest.raises(ModelError, match=r"as extracted, the model .* warped for their speakers.*`asrkit vtln"):
        on_warped.inputs(raw)
    with pytest.raises(ModelError, match=r"warped for their .* features as extracted.*without spk2warp"):
        plain.inputs(warped)


def test_a_pipeline_that_is_no_object_is_named(tmp_path: Path) -> None:
    (tmp_path / "pipeline.json").write_text(json.dumps(5))
    with pytest.raises(FormatError, match="found int"):
        load_pipeline(tmp_path)


def test_data_files_are_those_that_decide(tmp_path: Path) -> None:
    data = make_data_dir(tmp_path / "data", features=True)
    files = data_files(data.path)
    assert all(path.is_file() for path in files)
    assert {"text", "utt2spk", "feats.scp", "feats.ark", "cmvn.ark", "frontend.json"} <= {path.name for path in files}
    assert "text" not in {path.name for path in data_files(data.path, ("feats.scp",))}


def test_a_copy_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\x00\xff")
    copy_file(tmp_path / "a", tmp_path / "new" / "b")
    assert (tmp_path / "new" / "b").read_bytes() == b"\x00\xff"
    with pytest.raises(FileNotFoundError):
        copy_file(tmp_path / "absent", tmp_path / "new" / "c")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["b"]
