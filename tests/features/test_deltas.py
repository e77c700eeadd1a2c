"""Deltas and splicing against direct loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.features.deltas import add_deltas, delta_filters
from asrkit.features.splice import splice


def clamp(t: int, num_frames: int) -> int:
    return min(max(t, 0), num_frames - 1)


def slope_at(value, t: int, window: int) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Regression slope of the function ``value(t)`` around t."""
    return sum(j * value(t + j) for j in range(-window, window + 1)) / sum(j * j for j in range(-window, window + 1))


@settings(max_examples=30, deadline=None)
@given(num_frames=st.integers(1, 9), dim=st.integers(1, 3), order=st.integers(0, 3), window=st.integers(1, 3))
def test_equals_a_direct_loop(num_frames: int, dim: int, order: int, window: int) -> None:
    """Slopes of slopes of the features continued by their end frames, by recursion."""
    x = np.random.default_rng(num_frames).standard_normal((num_frames, dim)).astype(np.float32)
    functions = [lambda t: x[clamp(t, num_frames)].astype(np.float64)]
    for _ in range(order):
        functions.append(lambda t, below=functions[-1]: slope_at(below, t, window))
    expected = [[f(t) for f in functions] for t in range(num_frames)]
    ours = add_deltas(x, order, window)
    assert ours.shape == (num_frames, dim * (order + 1))
    np.testing.assert_allclose(ours, np.array(expected).reshape(num_frames, -1), atol=1e-5)


def test_a_ramp_has_its_slope() -> None:
    x = np.stack([3.0 * np.arange(20), np.full(20, 5.0)], axis=1).astype(np.float32)
    deltas = add_deltas(x, 2, 2)
    np.testing.assert_allclose(deltas[2:-2, 2:4], [[3.0, 0.0]] * 16, atol=1e-5)
    np.testing.assert_allclose(deltas[4:-4, 4:], 0, atol=1e-5)
    assert abs(deltas[0, 2] - 3.0) > 0.5  # the ends are continued flat


def test_no_frames() -> None:
    assert add_deltas(np.zeros((0, 4), dtype=np.float32), 2, 2).shape == (0, 12)
    assert splice(np.zeros((0, 4), dtype=np.float32), 1, 2).shape == (0, 16)


def test_filters_have_the_documented_length() -> None:
    assert [len(f) for f in delta_filters(3, 2)] == [1, 5, 9, 13]
    np.testing.assert_allclose(delta_filters(1, 2)[1], [-0.2, -0.1, 0.0, 0.1, 0.2])


@settings(max_examples=20, deadline=None)
@given(num_frames=st.integers(1, 8), dim=st.integers(1, 3), left=st.integers(0, 5), right=st.integers(0, 5))
def test_splice_equals_a_direct_loop(num_frames: int, dim: int, left: int, right: int) -> None:
    x = np.random.default_rng(dim).standard_normal((num_frames, dim)).astype(np.float32)
    rows = [np.concatenate([x[clamp(t + j, num_frames)] for j in range(-left, right + 1)]) for t in range(num_frames)]
    assert np.array_equal(splice(x, left, right), np.array(rows))


def test_splice_of_nothing_is_the_input() -> None:
    x = np.ones((3, 2), dtype=np.float32)
    assert splice(x, 0, 0) is x
    assert splice(x, 1, 0).shape == (3, 4)


@pytest.mark.parametrize("layout", ["C", "F"])
def test_splice_of_any_layout(layout: str) -> None:
    x = np.asarray(np.arange(12, dtype=np.float32).reshape(4, 3), order=layout)  # type: ignore[call-overload]
    np.testing.assert_array_equal(splice(x, 1, 0)[1], [0, 1, 2, 3, 4, 5])
