"""Perceptrons and convolutional networks against their formulas, written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from asrkit.core.errors import ConfigError, ModelError
from asrkit.nnet.layers.activation import mean_square_of_largest
from asrkit.nnet.layers.config import CnnConfig, MlpConfig
from asrkit.nnet.layers.mlp import Mlp
from asrkit.nnet.network import NetworkConfig, NetworkShape, check_finite, load_arrays, to_arrays

FUNCTIONS = {
    "sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0.0),
    "maxout": lambda x: x.reshape(len(x), -1, 3).max(axis=2),
}

SHAPES = [
    NetworkShape(MlpConfig(3, 7, "sigmoid"), 10, 2, 4),
    NetworkShape(MlpConfig(2, 5, "maxout", maxout_pieces=3, bottleneck=2, batch_norm=True), 10, 2, 4),
    NetworkShape(CnnConfig((3, 5), 2, 2, (2, 1), 2, MlpConfig(1, 6, "relu", batch_norm=True)), 3 * 2 * 8, 3, 4),
]


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "relu", "maxout"])
def test_a_perceptron_is_its_formula(name: str) -> None:
    config = MlpConfig(2, 7, name, maxout_pieces=3)  # type: ignore[arg-type]
    network = NetworkShape(config, 5, 1, 4).build(seed=1)
    assert isinstance(network, Mlp)
    inputs = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    value = inputs
    layers = [*network.hidden_layers, network.output]
    for layer in layers[:-1]:
        value = FUNCTIONS[name](value @ layer.weight.detach().numpy().T + layer.bias.detach().numpy())
    expected = value @ layers[-1].weight.detach().numpy().T + layers[-1].bias.detach().numpy()
    np.testing.assert_allclose(network(torch.from_numpy(inputs)).detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def test_a_bottleneck_is_a_narrow_linear_layer_before_the_last_hidden_one() -> None:
    network = NetworkShape(MlpConfig(3, 8, "tanh", bottleneck=2), 5, 1, 4).build()
    inputs = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    below, narrow = network.outputs_of(2, inputs), network.outputs_of(3, inputs)
    assert narrow.shape == (6, 2)
    layer = network.hidden_layers[2]  # type: ignore[union-attr]
    torch.testing.assert_close(narrow, below @ layer.weight.T + layer.bias)


def test_a_convolution_is_its_formula() -> None:
    """One map, by loops: filters over frames and bands of both channels, then the largest of each two bands."""
    config = CnnConfig((1,), 2, 3, (2,), 2, MlpConfig(0, activation="tanh"))
    width, bands = 3, 6
    network = NetworkShape(config, width * 2 * bands, width, 4).build(seed=2)
    inputs = np.random.default_rng(1).normal(size=(2, width, 2, bands)).astype(np.float32)
    filters = network.convolutions[0].weight.detach().numpy()[0]  # type: ignore[union-attr]
    maps = np.zeros((2, width - 1, bands - 2))
    for b, t, f in np.ndindex(*maps.shape):
        window = inputs[b, t : t + 2, :, f : f + 3]
        maps[b, t, f] = np.tanh((window.transpose(1, 0, 2) * filters).sum())
    pooled = np.maximum(maps[:, :, 0::2], maps[:, :, 1::2]).reshape(2, -1)
    output = network.mlp.output  # type: ignore[union-attr]
    expected = pooled @ output.weight.detach().numpy().T
    found = network(torch.from_numpy(inputs.reshape(2, -1))).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: type(shape.config).__name__)
def test_gradients_are_those_of_the_function(shape: NetworkShape) -> None:
    network = shape.build(seed=3).double()
    inputs = torch.randn(4, shape.num_inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.autograd.gradcheck(network, (inputs.requires_grad_(),))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: type(shape.config).__name__)
def test_description_and_arrays_make_the_same_network(shape: NetworkShape) -> None:
    network = shape.build(seed=4)
    again = NetworkShape.from_description(shape.described(), "here")
    assert again == shape
    other = again.build(seed=5)
    inputs = torch.randn(3, shape.num_inputs)
    assert not torch.equal(network.eval()(inputs), other.eval()(inputs))
    load_arrays(other, to_arrays(network), "here")
    torch.testing.assert_close(network.eval()(inputs), other.eval()(inputs), rtol=0, atol=0)


def test_the_seed_decides_the_weights() -> None:
    shape = SHAPES[0]
    first, second, other = (to_arrays(shape.build(seed)) for seed in (1, 1, 2))
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
    assert not np.array_equal(first["output.weight"], other["output.weight"])


@pytest.mark.parametrize("config", [MlpConfig(1, 50, "relu", dropout=0.4), MlpConfig(0, input_dropout=0.4)])
def test_dropout_leaves_the_mean_and_is_silent_afterwards(config: MlpConfig) -> None:
    network = NetworkShape(config, 20, 1, 3).build()
    inputs = torch.ones(1, 20)
    torch.manual_seed(0)
    with torch.no_grad():
        drawn = torch.stack([network.train().outputs_of(config.layers, inputs) for _ in range(4000)])
        still = network.eval().outputs_of(config.layers, inputs)
    assert (drawn[..., still[0] > 0] == 0).float().mean() == pytest.approx(0.4, abs=0.02)
    torch.testing.assert_close(drawn.mean(dim=0), still, rtol=0.1, atol=0.01)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (lambda: MlpConfig(layers=-1), "layers is -1"),
        (lambda: MlpConfig(dropout=1.0), "dropout is 1.0"),
        (lambda: MlpConfig(layers=0, bottleneck=3), "bottleneck needs a hidden layer"),
        (lambda: CnnConfig(maps=(3,), pool=(1, 1)), "as many positive numbers"),
        (lambda: CnnConfig(mlp=MlpConfig(activation="maxout")), "convolutions here have"),
    ],
)
def test_impossible_shapes_are_refused(config: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config()  # type: ignore[operator]


def test_inputs_that_are_no_bands_are_refused() -> None:
    def build(config: NetworkConfig, num_inputs: int, width: int) -> None:
        NetworkShape(config, num_inputs, width, 2).build()

    with pytest.raises(ConfigError, match=r"40 inputs a frame are not 3 times as many bands.*1 \+ delta_order"):
        build(CnnConfig(), 40 * 11, 11)
    with pytest.raises(ConfigError, match="4 bands are too few"):
        build(CnnConfig(channels=1), 4 * 11, 11)


def test_arrays_of_another_network_are_refused() -> None:
    arrays = to_arrays(SHAPES[0].build())
    with pytest.raises(ModelError, match=r"here: the arrays do not fit .* is \(7,\), expected \(8,\)"):
        load_arrays(NetworkShape(MlpConfig(3, 8, "sigmoid"), 10, 2, 4).build(), arrays, "here")
    with pytest.raises(ModelError, match="not the description of a network"):
        NetworkShape.from_description({"kind": "transformer"}, "here")


def test_a_network_that_is_not_finite_is_refused() -> None:
    arrays = {name: value.copy() for name, value in to_arrays(SHAPES[0].build()).items()}
    check_finite(arrays, "here")
    name = sorted(arrays)[-1]
    arrays[name].reshape(-1)[0] = np.inf
    with pytest.raises(ModelError, match=f"here: {name} is not finite"):
        check_finite(arrays, "here")


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_mean_square_of_the_largest_is_that_of_many_draws(count: int) -> None:
    draws = np.random.default_rng(0).normal(size=(400_000, count)).max(axis=1)
    assert mean_square_of_largest(count) == pytest.approx((draws**2).mean(), rel=0.01)
    assert mean_square_of_largest(2) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("pieces", [2, 4])
@pytest.mark.parametrize("name", ["relu", "maxout"])
def test_units_are_as_large_in_every_layer_at_first(name: str, pieces: int) -> None:
    config = MlpConfig(8, 300, name, maxout_pieces=pieces)  # type: ignore[arg-type]
    network = NetworkShape(config, 200, 1, 4).build(seed=1)
    inputs = torch.randn(500, 200, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        sizes = [float(network.outputs_of(number, inputs).square().mean()) for number in range(1, 9)]
    assert 0.4 < min(sizes) < max(sizes) < 2.0
