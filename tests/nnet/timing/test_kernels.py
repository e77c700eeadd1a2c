"""The net of one cell against autograd, against the layer that trains in torch, and against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asrkit.nnet.layers.cells import PeepholeCell
from asrkit.nnet.layers.packing import Packing
from asrkit.nnet.timing.kernels import NUM_WEIGHTS, sequence_gradient, trace

EXACT = 1e-10


def example(seed: int, steps: int = 9) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    targets = rng.normal(size=steps)
    targets[rng.random(steps) < 0.4] = np.nan
    return rng.normal(size=NUM_WEIGHTS), rng.normal(size=steps), targets


def by_autograd(
    weights: NDArray[np.float64],
    inputs: NDArray[np.float64],
    targets: NDArray[np.float64],
    squashes: bool,
    logistic: bool,
    truncated: bool,
) -> NDArray[np.float64]:
    """The equations of the kernels' docstring, and the truncation as the values that are taken out of the graph."""
    w = torch.tensor(weights, requires_grad=True)
    memory = y = torch.zeros((), dtype=torch.float64)
    loss = torch.zeros((), dtype=torch.float64)

    def seen(value: torch.Tensor) -> torch.Tensor:
        return value.detach() if truncated else value

    for x, target in zip(inputs, targets):
        i = torch.sigmoid(w[0] * x + w[1] * seen(y) + w[2] + w[3] * seen(memory))
        f = torch.sigmoid(w[4] * x + w[5] * seen(y) + w[6] + w[7] * seen(memory))
        g = w[8] * x + w[9] * seen(y) + w[10]
        memory = f * memory + i * (torch.tanh(g) if squashes else g)
        o = torch.sigmoid(w[11] * x + w[12] * seen(y) + w[13] + w[14] * seen(memory))
        y = o * memory
        output = w[15] * y + w[16]
        if not np.isnan(target):
            loss = loss + ((torch.sigmoid(output) if logistic else output) - target) ** 2 / 2
    loss.backward()
    assert w.grad is not None
    return w.grad.numpy()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), squashes=st.booleans(), logistic=st.booleans(), truncated=st.booleans())
def test_the_gradient_is_that_of_autograd(seed: int, squashes: bool, logistic: bool, truncated: bool) -> None:
    weights, inputs, targets = example(seed)
    ours = sequence_gradient(weights, inputs, targets, squashes, logistic, truncated)
    theirs = by_autograd(weights, inputs, targets, squashes, logistic, truncated)
    np.testing.assert_allclose(ours, theirs, rtol=EXACT, atol=EXACT)


def test_truncated_and_full_gradients_differ() -> None:
    weights, inputs, targets = example(3)
    both = [sequence_gradient(weights, inputs, targets, False, True, truncated) for truncated in (False, True)]
    assert np.abs(both[0] - both[1])[:15].min() > 1e-6
    np.testing.assert_array_equal(both[0][15:], both[1][15:])


def loss_of(weights: NDArray[np.float64], inputs: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    outputs = trace(weights, inputs, False, True)[:, 0]
    return float(np.nansum((outputs - targets) ** 2) / 2)


def differences(
    weights: NDArray[np.float64], inputs: NDArray[np.float64], targets: NDArray[np.float64]
) -> NDArray[np.float64]:
    found = np.empty(NUM_WEIGHTS)
    for w in range(NUM_WEIGHTS):
        step = np.zeros(NUM_WEIGHTS)
        step[w] = 1e-6
        found[w] = (loss_of(weights + step, inputs, targets) - loss_of(weights - step, inputs, targets)) / 2e-6
    return found


def test_the_full_gradient_is_that_of_finite_differences() -> None:
    weights, inputs, targets = example(5)
    found = sequence_gradient(weights, inputs, targets, False, True, False)
    np.testing.assert_allclose(found, differences(weights, inputs, targets), rtol=1e-6, atol=1e-8)


def test_the_truncated_gradient_is_exact_where_no_gate_sees_what_the_cell_does() -> None:
    weights, inputs, targets = example(6)
    weights[[1, 3, 5, 7, 9, 12, 14]] = 0.0
    found = sequence_gradient(weights, inputs, targets, False, True, True)
    np.testing.assert_allclose(found, differences(weights, inputs, targets), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("truncated", [False, True])
def test_the_layer_of_one_unit_does_and_learns_the_same(truncated: bool) -> None:
    weights, inputs, targets = example(7, 12)
    cell = PeepholeCell(1, 1, torch.Generator(), squashes=False, truncated=truncated).double()
    order = [0, 4, 8, 11]  # of its gates: input, forget, memory's input, output
    with torch.no_grad():
        cell.below.weight[:, 0] = torch.tensor(weights[order])
        cell.recurrent[:, 0] = torch.tensor(weights[[w + 1 for w in order]])
        cell.below.bias[:] = torch.tensor(weights[[w + 2 for w in order]])
        cell.peepholes[:, 0] = torch.tensor(weights[[3, 7, 14]])
    rows = torch.tensor(inputs)[:, None]
    y, _ = cell(rows, Packing((len(inputs),)), cell.initial(rows, 1))
    outputs = torch.sigmoid(weights[15] * y[:, 0] + weights[16])
    aimed = torch.tensor(~np.isnan(targets))
    (((outputs - torch.tensor(targets))[aimed] ** 2).sum() / 2).backward()
    np.testing.assert_allclose(trace(weights, inputs, True, True)[:, 0], outputs.detach().numpy(), rtol=EXACT)
    grads = [cell.below.weight.grad, cell.recurrent.grad, cell.below.bias.grad, cell.peepholes.grad]
    theirs = np.concatenate([np.zeros(0), *(grad.numpy().ravel() for grad in grads if grad is not None)])
    places = [*order, *(w + 1 for w in order), *(w + 2 for w in order), 3, 7, 14]
    ours = sequence_gradient(weights, inputs, targets, True, True, truncated)
    np.testing.assert_allclose(ours[places], theirs, rtol=EXACT, atol=EXACT)


def test_far_from_any_sense_the_net_overflows_to_no_exception() -> None:
    rows = trace(np.full(NUM_WEIGHTS, 1e6), np.full(50, 1e6), False, True)
    assert rows.shape == (50, 6)
