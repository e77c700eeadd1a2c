"""`asrkit export`: the file computes the loglikes that decoding takes."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.core.config import to_mapping
from asrkit.core.files import write_json
from asrkit.data.datadir import DataDir
from asrkit.features.config import FrontEndConfig
from asrkit.stages.acoustic import load_acoustic_model
from tests.cli.test_decode_systems import HALF, TwoEars


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> TwoEars:
    return TwoEars(tmp_path_factory.mktemp("world"))


def run(world: TwoEars, name: str, out: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["export", str(world.root / name), str(out), *arguments])


def test_the_file_computes_what_decoding_takes(world: TwoEars, tmp_path: Path) -> None:
    out = tmp_path / "models/left.onnx"
    result = run(world, "left_net", out, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    model = load_acoustic_model(world.root / "left_net")
    assert report["out"] == str(out)
    assert report["figures"]["inputs"] == HALF
    inputs = model.inputs(DataDir.load(world.root / "left_data"))
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    for features in inputs.values():
        (found,) = session.run(["loglikes"], {"features": features})
        np.testing.assert_allclose(found, model.model.loglikes(features), atol=1e-4)
    said = session.get_modelmeta().custom_metadata_map
    assert int(said["num_pdfs"]) == model.tree.num_pdfs
    assert json.loads(said["pipeline"]) == to_mapping(model.pipeline)
    assert json.loads(said["front_end"]) == to_mapping(FrontEndConfig())
    assert "inputs" not in said
    assert json.loads(run(world, "left_net", out, "--json").stdout)["skipped"]
    other = tmp_path / "models/posteriors.onnx"
    assert run(world, "left_net", other, "--set", "output=posteriors").exit_code == 0
    (posteriors,) = onnxruntime.InferenceSession(other).run(["posteriors"], {"features": features})
    np.testing.assert_allclose(posteriors.sum(axis=1), 1.0, atol=1e-5)
    # Both files have a record.
    assert json.loads(run(world, "left_net", out, "--json").stdout)["skipped"]


def test_it_says_whose_inputs_it_takes(world: TwoEars, tmp_path: Path) -> None:
    inputs = world.root / "right_net/inputs.json"
    write_json(inputs, {"model_sha256": "ab", "dim": HALF, "fmllr": True})
    assert run(world, "right_net", tmp_path / "right.onnx").exit_code == 0
    said = onnxruntime.InferenceSession(tmp_path / "right.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(said["inputs"]) == {"model_sha256": "ab", "dim": HALF, "fmllr": True}


def test_mistakes_are_named(world: TwoEars, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mixtures = run(world, "left", tmp_path / "out.onnx")
    assert mixtures.exit_code == 1
    assert "the model is made of Gaussian mixtures, and networks are exported" in mixtures.stderr
    assert "no such model directory" in run(world, "absent", tmp_path / "out.onnx").stderr
    genuine = builtins.__import__

    def without_onnx(name: str, *arguments: Any, **named: Any) -> Any:
        if name.partition(".")[0] == "onnx":
            raise ImportError(name)
        return genuine(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without_onnx)
    refused = run(world, "left_net", tmp_path / "out.onnx")
    assert refused.exit_code == 1
    assert "pip install 'asrkit[onnx]'" in refused.stderr
    assert not (tmp_path / "out.onnx").exists()
