"""Stacks: written and read again, and what a network reads from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asrkit.core.container import load_model, save_model
from asrkit.core.errors import ModelError
from asrkit.features.config import FrontEndConfig
from asrkit.features.pipeline import PipelineConfig
from asrkit.nnet.normalisation import InputNormalisation
from asrkit.nnet.stack import Stack, StackLayer, load_stack

DIM, WIDTH = 2, 3


def layer(kind: str, visible: str, hidden: str, shape: tuple[int, int], *more: str, seed: int = 0) -> StackLayer:
    rng = np.random.default_rng(seed)
    sizes = {"visible_bias": shape[:1], "hidden_bias": shape[1:], "log_variance": shape[:1]}
    names = ("weights", "visible_bias", "hidden_bias", *more)
    parameters = {name: rng.normal(size=sizes.get(name, shape)).astype(np.float32) for name in names}
    return StackLayer(kind, visible, hidden, parameters)  # type: ignore[arg-type]


def stack(inputs: dict[str, object] | None = None) -> Stack:
    rng = np.random.default_rng(7)
    return Stack(
        FrontEndConfig(num_ceps=2),
        PipelineConfig(splice_left=1, splice_right=1, delta_order=0),
        InputNormalisation(*rng.normal(size=(2, DIM)).astype(np.float32)),
        (
            layer("rbm", "gaussian", "bernoulli", (DIM * WIDTH, 4), "log_variance"),
            layer("directed", "bernoulli", "bernoulli", (4, 5), "generative_weights", seed=1),
            layer("autoencoder", "bernoulli", "tanh", (5, 3), "decoder_weights", seed=2),
            layer("rbm", "bernoulli", "relu", (3, 2), seed=3),
        ),
        inputs,
        {"kind": "dbn"},
    )


@pytest.mark.parametrize("inputs", [None, {"model_sha256": "ab", "dim": 2, "fmllr": True}])
def test_a_stack_is_read_as_it_was_written(inputs: dict[str, object] | None, tmp_path: Path) -> None:
    made = stack(inputs)
    stack({"old": True}).save(tmp_path / "s")
    made.save(tmp_path / "s")
    read = load_stack(tmp_path / "s")
    assert (read.front_end, read.pipeline, read.inputs, read.training) == (
        made.front_end,
        made.pipeline,
        inputs,
        {"kind": "dbn"},
    )
    np.testing.assert_array_equal(read.normalisation.shift, made.normalisation.shift)
    np.testing.assert_array_equal(read.normalisation.scale, made.normalisation.scale)
    for one, other in zip(read.layers, made.layers, strict=True):
        assert (one.kind, one.visible, one.hidden) == (other.kind, other.visible, other.hidden)
        assert set(one.parameters) == set(other.parameters)
        for name, value in one.parameters.items():
            np.testing.assert_array_equal(value, other.parameters[name])


def test_the_forward_network_has_the_learned_variance_folded_in() -> None:
    first, *others = stack().layers
    assert [one.activation for one in (first, *others)] == ["sigmoid", "sigmoid", "tanh", "relu"]
    variance = np.exp(first.parameters["log_variance"])
    np.testing.assert_allclose(first.weights, first.parameters["weights"] / variance[:, None], rtol=1e-6)
    np.testing.assert_array_equal(others[0].weights, others[0].parameters["weights"])
    np.testing.assert_array_equal(first.bias, first.parameters["hidden_bias"])


def test_the_splicing_stands_apart() -> None:
    assert stack().unspliced == replace(stack().pipeline, splice_left=0, splice_right=0)


def test_what_is_no_stack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a finished stack"):
        load_stack(tmp_path)
    made = stack()
    with pytest.raises(ModelError, match="layer 2 has 5 inputs, expected 4"):
        replace(made, layers=(made.layers[0], made.layers[2]))
    with pytest.raises(ModelError, match="without layers"):
        replace(made, layers=())
    first = made.layers[0]
    with pytest.raises(ModelError, match="not finite"):
        replace(first, parameters={**first.parameters, "hidden_bias": np.full(4, np.nan, np.float32)})
    with pytest.raises(ModelError, match=r"hidden_bias is \(3,\) float32, expected \(4,\)"):
        replace(first, parameters={**first.parameters, "hidden_bias": np.zeros(3, np.float32)})
    with pytest.raises(ModelError, match="decoder_weights"):
        replace(first, parameters={**first.parameters, "decoder_weights": first.weights})
    with pytest.raises(ModelError, match="unknown kind"):
        replace(first, kind="lstm")
    with pytest.raises(ModelError, match="unknown outputs"):
        replace(first, hidden="softmax")


def test_damage_is_told_with_its_place(tmp_path: Path) -> None:
    stack().save(tmp_path)
    arrays, meta = load_model(tmp_path / "stack.safetensors", "stack")
    save_model(tmp_path / "stack.safetensors", "stack", arrays, {**meta, "layers": meta["layers"][1:]})
    with pytest.raises(ModelError, match=r"stack.safetensors: .*parameters"):
        load_stack(tmp_path)
    del meta["layers"]
    save_model(tmp_path / "stack.safetensors", "stack", arrays, meta)
    with pytest.raises(ModelError, match=r"stack.safetensors: the stack lacks 'layers'"):
        load_stack(tmp_path)
