"""Steps, against their formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from asrkit.core.errors import ConfigError
from asrkit.nnet.train.config import OptimiserConfig
from asrkit.nnet.train.optimiser import Optimiser

BATCH = 8


def moved(config: OptimiserConfig, gradients: list[np.ndarray], start: np.ndarray, factor: float = 1.0) -> np.ndarray:
    parameter = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimiser = Optimiser([parameter], config, BATCH)
    optimiser.rate_factor = factor
    for gradient in gradients:
        parameter.grad = torch.from_numpy(gradient.copy())
        optimiser.step()
        assert parameter.grad is None
    return parameter.detach().numpy()


@pytest.fixture
def gradients() -> list[np.ndarray]:
    return list(np.random.default_rng(0).normal(size=(5, 3, 4)).astype(np.float32))


@pytest.fixture
def start() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)


def test_descent_goes_along_the_gradient_of_each_frame(gradients: list[np.ndarray], start: np.ndarray) -> None:
    found = moved(OptimiserConfig(learning_rate=0.01), gradients, start, factor=0.5)
    np.testing.assert_allclose(found, start - 0.5 * 0.01 * BATCH * np.sum(gradients, axis=0), rtol=1e-5)


def test_momentum_and_l2(gradients: list[np.ndarray], start: np.ndarray) -> None:
    config = OptimiserConfig(learning_rate=0.01, momentum=0.9, l2=0.1)
    expected, step = start.astype(np.float64), np.zeros_like(start, dtype=np.float64)
    for gradient in gradients:
        step = 0.9 * step + gradient + 0.1 * expected
        expected = expected - 0.01 * BATCH * step
    np.testing.assert_allclose(moved(config, gradients, start), expected, rtol=1e-4)


def test_adam_is_that_of_the_paper(gradients: list[np.ndarray], start: np.ndarray) -> None:
    expected, first, second = start.astype(np.float64), 0.0, 0.0
    for number, gradient in enumerate(gradients, 1):
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        expected -= 0.003 * (first / (1 - 0.9**number)) / (np.sqrt(second / (1 - 0.999**number)) + 1e-8)
    config = OptimiserConfig("adam", learning_rate=0.003)
    np.testing.assert_allclose(moved(config, gradients, start), expected, rtol=1e-4, atol=1e-6)


def test_weights_into_a_unit_stay_within_their_norm(gradients: list[np.ndarray], start: np.ndarray) -> None:
    free = moved(OptimiserConfig(learning_rate=0.1), gradients[:1], start)
    held = moved(OptimiserConfig(learning_rate=0.1, max_norm=1.73), gradients[:1], start)
    norms = np.linalg.norm(free, axis=1, keepdims=True)
    assert (norms > 1.73).any()
    assert (norms < 1.73).any()
    np.testing.assert_allclose(held, free * np.minimum(1.0, 1.73 / norms), rtol=1e-5)


def test_a_long_gradient_is_clipped(gradients: list[np.ndarray], start: np.ndarray) -> None:
    config = OptimiserConfig(learning_rate=0.01, clip=0.5)
    length = np.linalg.norm(gradients[0])
    assert length > 0.5
    expected = start - 0.01 * BATCH * gradients[0] * 0.5 / length
    np.testing.assert_allclose(moved(config, gradients[:1], start), expected, rtol=1e-4)


@pytest.mark.parametrize("config", [OptimiserConfig(momentum=0.9), OptimiserConfig("adam")], ids=["sgd", "adam"])
def test_what_it_remembers_can_be_put_back(
    config: OptimiserConfig, gradients: list[np.ndarray], start: np.ndarray
) -> None:
    whole = moved(config, gradients, start)
    parameter = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimiser = Optimiser([parameter], config, BATCH)
    for number, gradient in enumerate(gradients):
        if number == 2:
            arrays = {name: array.copy() for name, array in optimiser.to_arrays().items()}
            parameter = torch.nn.Parameter(parameter.detach().clone())
            optimiser = Optimiser([parameter], config, BATCH)
            optimiser.load_arrays(arrays)
        parameter.grad = torch.from_numpy(gradient.copy())
        optimiser.step()
    np.testing.assert_array_equal(parameter.detach().numpy(), whole)


@pytest.mark.parametrize("wrong", [{"learning_rate": 0.0}, {"momentum": 1.0}, {"l2": -1.0}, {"clip": float("nan")}])
def test_impossible_steps_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        OptimiserConfig(**wrong)  # type: ignore[arg-type]
