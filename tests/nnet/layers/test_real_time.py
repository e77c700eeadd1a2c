"""Real-time recurrent learning gives the gradient of backpropagation through time, and learns while it runs."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from asrkit.core.errors import ConfigError
from asrkit.nnet.layers.config import FullyRecurrentConfig
from asrkit.nnet.layers.real_time import RealTimeGradient
from asrkit.nnet.layers.recurrent import FullyRecurrent

Gradients = list[torch.Tensor]


def build(units: int, activation: str, num_inputs: int = 3, num_outputs: int = 2) -> FullyRecurrent:
    config = FullyRecurrentConfig(units, activation)  # type: ignore[arg-type]
    return FullyRecurrent(config, num_inputs, num_outputs, torch.Generator().manual_seed(units)).double()


def by_real_time(network: FullyRecurrent, inputs: torch.Tensor, targets: torch.Tensor) -> Gradients:
    network.zero_grad(set_to_none=True)
    running = RealTimeGradient(network)
    for frame, target in zip(inputs, targets, strict=True):
        wanted = functional.one_hot(target, network.num_outputs).double()
        running.step(frame, lambda scores, wanted=wanted: torch.softmax(scores, 0) - wanted)  # type: ignore[misc]
    return [parameter.grad for parameter in network.parameters() if parameter.grad is not None]


def through_time(network: FullyRecurrent, inputs: torch.Tensor, targets: torch.Tensor) -> Gradients:
    network.zero_grad(set_to_none=True)
    functional.cross_entropy(network(inputs), targets, reduction="sum").backward()
    return [parameter.grad for parameter in network.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
@pytest.mark.parametrize("units", [0, 1, 5])
def test_the_gradient_is_that_through_time(units: int, activation: str) -> None:
    network = build(units, activation)
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(12, 3, dtype=torch.float64, generator=generator)
    targets = torch.randint(0, 2, (12,), generator=generator)
    found, expected = by_real_time(network, inputs, targets), through_time(network, inputs, targets)
    assert len(found) == len(expected) == 3
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        by_real_time(network, inputs[:7], targets[:7]), through_time(network, inputs[:7], targets[:7])
    )


def test_scores_are_those_of_the_network() -> None:
    network = build(4, "tanh")
    inputs = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    running = RealTimeGradient(network)
    scores = [running.step(frame, torch.zeros_like) for frame in inputs]
    torch.testing.assert_close(torch.stack(scores), network(inputs))
    assert all(not parameter.grad.any() for parameter in network.parameters() if parameter.grad is not None)


def test_it_learns_while_the_sequence_runs() -> None:
    """The exclusive or of the last two inputs, which needs two frames of work (Williams & Zipser's task)."""
    network = build(4, "sigmoid", 1, 2).float()
    optimiser = torch.optim.Adam(network.parameters(), 0.03)
    running = RealTimeGradient(network)
    bits = torch.randint(0, 2, (3000,), generator=torch.Generator().manual_seed(2))
    right = []
    for time in range(2, len(bits)):
        wanted = bits[time - 1] ^ bits[time - 2]
        target = functional.one_hot(wanted, 2).float()
        scores = running.step(2.0 * bits[time : time + 1] - 1, lambda s, t=target: torch.softmax(s, 0) - t)  # type: ignore[misc]
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        right.append(bool(scores.argmax() == wanted))
    assert sum(right[:200]) < 150
    assert sum(right[-500:]) > 490


def test_a_large_network_is_refused() -> None:
    with pytest.raises(ConfigError, match="take a smaller network"):
        RealTimeGradient(build(500, "tanh"))
