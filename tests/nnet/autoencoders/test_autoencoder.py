"""Autoencoders: gradients, corruption, contraction, and what a linear one must find."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from asrkit.core.errors import ConfigError, DataError, ModelError
from asrkit.nnet.autoencoders.autoencoder import Autoencoder, AutoencoderTraining, corrupt, new_autoencoder
from asrkit.nnet.autoencoders.config import AutoencoderConfig
from asrkit.nnet.draws import Draws
from asrkit.nnet.stack import StackLayer
from asrkit.nnet.train.config import OptimiserConfig

ACTIVATIONS = ("sigmoid", "tanh", "relu")


def frames_of(count: int = 6, dim: int = 5, inputs: str = "gaussian", seed: int = 1) -> torch.Tensor:
    normal = Draws(seed, "frames").normal(torch.empty((count, dim), dtype=torch.float64))
    return torch.sigmoid(normal) if inputs == "bernoulli" else normal


def small(inputs: str = "gaussian", activation: str = "sigmoid", tied: bool = True, seed: int = 0) -> Autoencoder:
    draws = Draws(seed, "autoencoder")
    shapes = [(5, 3), (5,), (3,)] + ([] if tied else [(5, 3)])
    return Autoencoder(
        inputs,  # type: ignore[arg-type]
        activation,  # type: ignore[arg-type]
        *(draws.normal(torch.empty(shape, dtype=torch.float64)) for shape in shapes),
    )


@pytest.mark.parametrize("inputs", ["gaussian", "bernoulli"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("contraction", [0.0, 0.7])
def test_gradients_are_those_of_finite_differences(
    inputs: str, activation: str, tied: bool, contraction: float
) -> None:
    model = small(inputs, activation, tied)
    x, noisy = frames_of(inputs=inputs), frames_of(inputs=inputs, seed=2)
    names = list(model.parameters())

    def loss(*values: torch.Tensor) -> torch.Tensor:
        return Autoencoder(inputs, activation, **dict(zip(names, values))).loss(x, noisy, contraction)  # type: ignore[arg-type]

    assert torch.autograd.gradcheck(loss, [value.requires_grad_() for value in model.parameters().values()])


@pytest.mark.parametrize("inputs", ["gaussian", "bernoulli"])
def test_the_loss_is_the_likelihood_of_the_clean_frame(inputs: str) -> None:
    model = small(inputs, tied=False)
    x, noisy = frames_of(inputs=inputs), frames_of(inputs=inputs, seed=2)
    found = model.decode(model.encode(noisy))
    if inputs == "gaussian":
        expected = -torch.distributions.Normal(found, 1.0).log_prob(x).sum(1) - 2.5 * math.log(2 * math.pi)
    else:
        expected = -(x * found.log() + (1 - x) * (1 - found).log()).sum(1)
    torch.testing.assert_close(model.loss(x, noisy), expected.mean())


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_contraction_is_the_norm_of_the_jacobian(activation: str) -> None:
    model, x = small(activation=activation), frames_of()
    jacobians = [torch.autograd.functional.jacobian(lambda one: model.encode(one[None])[0], frame) for frame in x]
    expected = torch.stack([(one**2).sum() for one in jacobians])  # type: ignore[operator]
    torch.testing.assert_close(model.squared_derivatives(x), expected)


def test_tied_weights_are_the_same_in_both_directions() -> None:
    tied = small()
    free = replace(tied, decoder_weights=tied.weights.clone())
    other = replace(tied, decoder_weights=tied.weights + 0.1)
    x = frames_of()
    torch.testing.assert_close(tied.loss(x, x), free.loss(x, x))
    assert abs(float(tied.loss(x, x) - other.loss(x, x))) > 1e-3


def test_masking_and_noise_are_of_the_size_that_is_asked_for() -> None:
    x = torch.full((400, 250), 3.0)
    masked = corrupt(x, AutoencoderConfig(corruption_level=0.3), Draws(1, "mask"))
    assert set(masked.unique().tolist()) == {0.0, 3.0}
    assert (masked == 0).float().mean().item() == pytest.approx(0.3, abs=5 * math.sqrt(0.21 / 1e5))
    noisy = corrupt(x, AutoencoderConfig(corruption="gaussian", corruption_level=0.3), Draws(1, "noise"))
    assert noisy.std().item() == pytest.approx(0.3, rel=0.02)
    assert noisy.mean().item() == pytest.approx(3.0, abs=0.01)
    assert corrupt(x, AutoencoderConfig(corruption="none"), Draws(1, "none")) is x


def trained(config: AutoencoderConfig, data: torch.Tensor, num_hidden: int, epochs: int) -> AutoencoderTraining:
    model = new_autoencoder("gaussian", num_hidden, data.mean(0), config, Draws(0, "new"))
    training = AutoencoderTraining(model, config, 50)
    for epoch in range(epochs):
        draws = Draws(0, "corruption", str(epoch))
        for batch in data.split(50):
            training.step(batch, draws, epoch)
    return training


def low_rank(seed: int = 3) -> torch.Tensor:
    """Return 1000 frames of 8 dimensions, of which 2 directions carry nearly all the variance."""
    draws = Draws(seed, "low rank")
    factors = draws.normal(torch.empty((1000, 2)))
    return factors @ draws.normal(torch.empty((2, 8))) + 0.05 * draws.normal(torch.empty((1000, 8)))


def test_two_hidden_units_find_the_two_directions_there_are() -> None:
    """No reconstruction from two numbers errs less than that of the principal components."""
    data = low_rank()
    config = AutoencoderConfig(
        activation="tanh", tied=False, corruption="none", optimiser=OptimiserConfig(kind="adam", learning_rate=0.01)
    )
    training = trained(config, data, 2, epochs=60)
    found = training.watch(data, None, Draws(0, "watch"))["error"]
    values = torch.linalg.eigvalsh(torch.cov(data.T))
    least = float(values[:-2].sum()) / 8
    assert least < found < 0.05 * float(data.var(0).mean())


def test_denoising_finds_masked_values_from_the_others() -> None:
    data, errors = low_rank(), []
    for corruption in ("masking", "none"):
        config = AutoencoderConfig(
            activation="tanh",
            corruption=corruption,  # type: ignore[arg-type]
            optimiser=OptimiserConfig(kind="adam", learning_rate=0.003),
        )
        model = trained(config, data, 30, epochs=40).autoencoder
        hidden = data.clone()
        hidden[:, 3] = 0.0
        with torch.no_grad():
            errors.append(float(((model.decode(model.encode(hidden)) - data)[:, 3] ** 2).mean() / data[:, 3].var()))
    assert errors[0] < 0.3
    assert errors[1] > 1.3 * errors[0]


def test_contraction_makes_hidden_units_move_less() -> None:
    data, derivatives = low_rank(), []
    for contraction in (1.0, 1e-9):
        optimiser = OptimiserConfig(kind="adam", learning_rate=0.01)
        config = AutoencoderConfig(tied=False, corruption="none", contraction=contraction, optimiser=optimiser)
        training = trained(config, data, 30, epochs=20)
        derivatives.append(training.watch(data, data, Draws(0, "watch"))["squared_derivatives"])
    assert derivatives[0] < 0.5 * derivatives[1]


def test_training_goes_on_to_the_same_bits() -> None:
    data, config = low_rank()[:500], AutoencoderConfig(tied=False, contraction=0.01)

    def fresh() -> AutoencoderTraining:
        return AutoencoderTraining(new_autoencoder("gaussian", 4, data.mean(0), config, Draws(0, "new")), config, 50)

    def run(training: AutoencoderTraining, first: int, last: int) -> None:
        for number in range(first, last):
            training.step(data[50 * number : 50 * number + 50], Draws(0, "steps", str(number)))

    whole, part, resumed = fresh(), fresh(), fresh()
    run(whole, 0, 9)
    run(part, 0, 4)
    state = part.state()
    run(part, 4, 6)
    resumed.restore(*state)
    run(resumed, 4, 9)
    for name, value in whole.autoencoder.parameters().items():
        assert torch.equal(value, resumed.autoencoder.parameters()[name])
    assert whole.take_error() == resumed.take_error()


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_layer_of_a_stack_computes_the_hidden_units(tied: bool, activation: str) -> None:
    model = small(activation=activation, tied=tied)
    layer = model.layer()
    assert layer.activation == activation
    again = Autoencoder.of_layer(layer)
    x = frames_of().float()
    a = x.numpy() @ layer.weights + layer.bias
    expected = {"sigmoid": 1 / (1 + np.exp(-a)), "tanh": np.tanh(a), "relu": np.maximum(a, 0)}[activation]
    np.testing.assert_allclose(again.encode(x), expected, rtol=1e-5, atol=1e-6)
    assert float(again.loss(x, x)) == pytest.approx(float(model.loss(x.double(), x.double())), rel=1e-5)


def test_bernoulli_inputs_begin_at_their_mean() -> None:
    mean = torch.tensor([0.2, 0.9])
    model = new_autoencoder("bernoulli", 3, mean, AutoencoderConfig(), Draws(0, "new"))
    torch.testing.assert_close(torch.sigmoid(model.visible_bias), mean)


def test_what_cannot_be_is_refused() -> None:
    for options in ({"corruption_level": 1.0}, {"corruption_level": -0.1}, {"contraction": float("inf")}):
        with pytest.raises(ConfigError):
            AutoencoderConfig(**options)  # type: ignore[arg-type]
    layer = small().layer()
    with pytest.raises(ModelError, match="expected an autoencoder"):
        Autoencoder.of_layer(StackLayer("rbm", "gaussian", "bernoulli", layer.parameters))
    training = trained(AutoencoderConfig(), torch.full((50, 3), float("inf")), 2, 1)
    with pytest.raises(DataError, match="no longer finite"):
        training.take_error()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("contraction", [0.0, 0.1])
def test_a_gpu_comes_to_what_a_cpu_does(contraction: float) -> None:
    config = AutoencoderConfig(corruption="none", contraction=contraction)
    data, found = low_rank(), {}
    for device in ("cpu", "cuda"):
        here = data.to(device)
        model = new_autoencoder("gaussian", 6, here.mean(0), config, Draws(0, "new", device=here.device))
        if device == "cuda":  # begin where the CPU did: each device draws numbers of its own
            model = new_autoencoder("gaussian", 6, data.mean(0), config, Draws(0, "new"))
            layer = model.layer()
            model = Autoencoder.of_layer(layer, here.device)
        training = AutoencoderTraining(model, config, 50)
        for batch in here.split(50):
            training.step(batch, Draws(0, "none", device=here.device), 0)
        found[device] = training.trained(())[0]
    for name, value in found["cpu"].parameters.items():
        np.testing.assert_allclose(found["cuda"].parameters[name], value, rtol=1e-3, atol=1e-5)
