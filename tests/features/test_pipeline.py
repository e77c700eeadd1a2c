"""The way from archived features to a model's input."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asrkit.core.archives import ArchiveWriter
from asrkit.core.config import from_mapping, to_mapping
from asrkit.core.errors import ConfigError, DataError
from asrkit.core.files import write_lines
from asrkit.data.datadir import DataDir, Utterance
from asrkit.features.cmvn import CmvnStats, apply_cmvn, apply_sliding_cmvn
from asrkit.features.deltas import add_deltas
from asrkit.features.pipeline import FeaturePipeline, ModelInputs, PipelineConfig
from asrkit.features.splice import splice


def raw(num_frames: int = 20, dim: int = 4, seed: int = 1) -> np.ndarray:
    return (5 + np.random.default_rng(seed).standard_normal((num_frames, dim))).astype(np.float32)


def test_steps_come_in_their_order() -> None:
    x, other = raw(), CmvnStats.of(raw(seed=2))
    config = PipelineConfig(norm_vars=True, delta_order=1, delta_window=3, splice_left=2, splice_right=1)
    pipeline = FeaturePipeline(config)
    expected = splice(add_deltas(apply_cmvn(x, other, norm_vars=True), 1, 3), 2, 1)
    assert np.array_equal(pipeline.apply(x, other), expected)
    assert expected.shape == (20, pipeline.dim(4)) == (20, 32)


def test_kinds_of_cmvn() -> None:
    x, other = raw(), CmvnStats.of(raw(seed=2))
    bare: dict[str, Any] = {"delta_order": 0}
    assert np.array_equal(FeaturePipeline(PipelineConfig(cmvn="none", **bare)).apply(x), x)
    utterance = FeaturePipeline(PipelineConfig(cmvn="utterance", **bare)).apply(x, other)
    np.testing.assert_allclose(utterance.mean(axis=0), 0, atol=1e-5)
    speaker = FeaturePipeline(PipelineConfig(cmvn="speaker", **bare)).apply(x, other)
    assert np.abs(speaker.mean(axis=0)).max() > 0.01
    sliding = FeaturePipeline(PipelineConfig(cmvn="sliding", cmn_window=7, **bare)).apply(x)
    assert np.array_equal(sliding, apply_sliding_cmvn(x, 7, 100, True))
    with pytest.raises(DataError, match="no statistics"):
        FeaturePipeline(PipelineConfig()).apply(x)


@pytest.mark.parametrize("cmvn", ["none", "utterance", "speaker", "sliding"])
def test_no_frames(cmvn: Any) -> None:
    pipeline = FeaturePipeline(PipelineConfig(cmvn=cmvn, splice_left=1))
    assert pipeline.apply(raw(0)).shape == (0, pipeline.dim(4))


def test_configuration_goes_through_a_mapping() -> None:
    config = PipelineConfig(cmvn="sliding", splice_right=3)
    assert from_mapping(PipelineConfig, to_mapping(config)) == config
    for options in ({"delta_order": -1}, {"delta_window": 0}, {"variance_floor": 0.0}, {"cmn_window": 0}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            from_mapping(PipelineConfig, options)


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    """Two speakers, three utterances with features and one without."""
    utterances = {key: Utterance(key, key, key[0]) for key in ("a-1", "a-2", "b-1", "b-2")}
    matrices = {key: raw(8 + i, 3, seed=i) for i, key in enumerate(("a-1", "a-2", "b-1"))}
    with ArchiveWriter(tmp_path, "feats") as out:
        for key, matrix in matrices.items():
            out.write(key, matrix)
    with ArchiveWriter(tmp_path, "cmvn") as out:
        out.write("a", (CmvnStats.of(matrices["a-1"]) + CmvnStats.of(matrices["a-2"])).to_matrix())
    return DataDir(tmp_path, utterances)


def test_inputs_of_a_data_directory(data: DataDir) -> None:
    inputs = ModelInputs(data, PipelineConfig(delta_order=1))
    assert list(inputs) == ["a-1", "a-2", "b-1"]
    assert "b-2" not in inputs
    assert len(inputs) == 3
    assert (inputs.raw_dim, inputs.dim) == (3, 6)
    together = np.concatenate([inputs["a-1"], inputs["a-2"]])
    np.testing.assert_allclose(together[:, :3].mean(axis=0), 0, atol=1e-5)
    assert np.abs(inputs["a-1"][:, :3].mean(axis=0)).max() > 1e-3
    again = pickle.loads(pickle.dumps(inputs))
    assert np.array_equal(again["a-2"], inputs["a-2"])


def test_missing_statistics_and_features(data: DataDir) -> None:
    with pytest.raises(DataError, match=r"cmvn\.scp: no CMVN statistics of speaker 'b'"):
        ModelInputs(data, PipelineConfig())["b-1"]
    assert ModelInputs(data, PipelineConfig(cmvn="utterance"))["b-1"].shape == (10, 9)
    write_lines(data.path / "feats.scp", [])
    with pytest.raises(DataError, match="no features of any utterance"):
        _ = ModelInputs(data, PipelineConfig()).dim
    (data.path / "cmvn.scp").unlink()
    with pytest.raises(DataError, match=r"no cmvn\.scp"):
        ModelInputs(data, PipelineConfig())


@pytest.mark.parametrize("name", ["splice_left", "splice_right"])
def test_a_splice_that_no_memory_holds_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is 101, expected 100 at most"):
        PipelineConfig(**{name: 101})


def test_features_without_frames_may_have_no_columns(data: DataDir) -> None:
    """As Kaldi writes them."""
    features = {key: np.array(value) for key, value in data.features().items()}
    with ArchiveWriter(data.path, "feats") as out:
        for key, value in features.items():
            out.write(key, np.zeros((0, 0), np.float32) if key == "a-1" else value)
    inputs = ModelInputs(data, PipelineConfig(delta_order=1))
    assert (inputs.raw_dim, inputs["a-1"].shape) == (3, (0, 6))
    assert len(inputs["a-2"]) > 0


@pytest.mark.parametrize(
    ("first", "message"),
    [
        (np.zeros(4, np.float32), r"a-1: features of shape \(4,\), expected \(frames, dimension\)"),
        (np.zeros((4, 0), np.float32), "no features of any utterance"),
    ],
)
def test_features_without_a_dimension_are_refused(data: DataDir, first: np.ndarray, message: str) -> None:
    with ArchiveWriter(data.path, "feats") as out:
        out.write("a-1", first)
    with pytest.raises(DataError, match=message):
        ModelInputs(data, PipelineConfig(delta_order=1))["a-1"]
