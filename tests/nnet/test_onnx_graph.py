"""Exported networks compute in ONNX Runtime what they compute here."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from asrkit.core.errors import ConfigError, ModelError
from asrkit.nnet.layers.config import CnnConfig, MlpConfig
from asrkit.nnet.network import NetworkShape
from asrkit.nnet.normalisation import InputNormalisation
from asrkit.nnet.onnx_graph import onnx_model

WIDTH, DIM, OUTPUTS, FRAMES = 7, 24, 11, 50

MLPS = [
    MlpConfig(layers=0),
    MlpConfig(layers=2, units=13, activation="sigmoid"),
    MlpConfig(layers=2, units=13, activation="tanh", dropout=0.5, input_dropout=0.3),
    MlpConfig(layers=3, units=13, activation="relu", batch_norm=True, dropout=0.2),
    MlpConfig(layers=2, units=13, activation="maxout", maxout_pieces=3),
    MlpConfig(layers=2, units=13, activation="maxout", batch_norm=True),
    MlpConfig(layers=3, units=13, activation="sigmoid", bottleneck=5),
]
CNNS = [
    CnnConfig(maps=(6,), pool=(2,), channels=3, bands=3, mlp=MlpConfig(layers=1, units=9, activation="tanh")),
    CnnConfig(
        maps=(6, 5),
        pool=(3, 1),
        channels=1,
        time_frames=3,
        mlp=MlpConfig(layers=2, units=9, activation="relu", batch_norm=True, dropout=0.4),
    ),
    CnnConfig(maps=(4, 4), pool=(1, 2), channels=2, bands=4, mlp=MlpConfig(layers=0, activation="sigmoid")),
]


def trained(config: MlpConfig | CnnConfig) -> tuple[Any, NetworkShape, InputNormalisation]:
    """A network whose every parameter and running statistic is drawn, in the state of use."""
    shape = NetworkShape(config, WIDTH * DIM, WIDTH, OUTPUTS)
    network = shape.build(3)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for value in network.parameters():
            value.normal_(0.0, 0.2, generator=generator)
        for name, value in network.named_buffers():
            if value.is_floating_point():
                value.uniform_(0.5 if name.endswith("var") else -1.0, 1.5, generator=generator)
    rng = np.random.default_rng(1)
    normalisation = InputNormalisation(
        rng.normal(size=DIM).astype(np.float32), rng.uniform(0.5, 2, DIM).astype(np.float32)
    )
    return network.eval(), shape, normalisation


def run(model: Any, features: np.ndarray) -> tuple[np.ndarray, onnxruntime.InferenceSession]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"features": features})
    return found, session


@pytest.mark.parametrize("config", [*MLPS, *CNNS], ids=lambda config: f"{type(config).__name__}")
def test_onnx_runtime_computes_the_same(config: MlpConfig | CnnConfig) -> None:
    network, shape, normalisation = trained(config)
    rng = np.random.default_rng(0)
    log_priors = np.log(rng.dirichlet(np.ones(OUTPUTS))).astype(np.float32)
    features = rng.normal(0, 2, (FRAMES, WIDTH * DIM)).astype(np.float32)
    with torch.inference_mode():
        scores = network(torch.from_numpy(normalisation.spliced(WIDTH).apply(features)))
        expected = torch.log_softmax(scores, dim=1).numpy()
    assert expected.std() > 0.1
    for output, values in (
        ("loglikes", expected - log_priors),
        ("log_posteriors", expected),
        ("posteriors", np.exp(expected)),
    ):
        model = onnx_model(network, shape, normalisation, log_priors, output, {})  # type: ignore[arg-type]
        found, session = run(model, features)
        assert [one.name for one in session.get_outputs()] == [output]
        np.testing.assert_allclose(found, values, atol=1e-4)
    # Any number of frames, each by itself.
    one, _ = run(model, features[7:8])
    np.testing.assert_allclose(one, found[7:8], atol=1e-5)


def test_metadata_goes_along() -> None:
    network, shape, normalisation = trained(MLPS[0])
    metadata = {"asrkit": "1", "pipeline": {"splice_left": 3}}
    model = onnx_model(network, shape, normalisation, None, "posteriors", metadata)
    found = run(model, np.zeros((1, WIDTH * DIM), np.float32))[1].get_modelmeta().custom_metadata_map
    assert found["asrkit"] == "1"
    assert json.loads(found["pipeline"]) == {"splice_left": 3}


def test_what_cannot_be_exported_is_refused() -> None:
    network, shape, normalisation = trained(MLPS[1])
    with pytest.raises(ConfigError, match="no priors"):
        onnx_model(network, shape, normalisation, None, "loglikes", {})
    network.hidden[0].append(nn.GELU())
    with pytest.raises(ModelError, match="a part GELU"):
        onnx_model(network, shape, normalisation, None, "posteriors", {})
