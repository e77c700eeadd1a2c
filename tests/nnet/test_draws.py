"""Random draws: their distribution, and that the seed alone decides them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from asrkit.nnet.draw_kernels import LANES, draw_bernoulli
from asrkit.nnet.draws import Draws

DTYPES = [torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", DTYPES)
def test_ones_come_as_often_as_their_probability_says(dtype: torch.dtype) -> None:
    probabilities = torch.tensor([0.0, 1e-3, 0.3, 0.5, 0.999, 1.0], dtype=dtype)
    count = 200_001
    drawn = Draws(1, "often").bernoulli(probabilities.expand(count, -1))
    assert drawn.dtype == dtype
    found, p = drawn.mean(0, dtype=torch.float64), probabilities.double()
    assert (found[0], found[-1]) == (0.0, 1.0)
    assert ((found - p).abs() <= 5 * torch.sqrt(p * (1 - p) / count)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_draws_do_not_hang_together(dtype: torch.dtype) -> None:
    """Neighbours along rows and columns, and two draws in a row, are uncorrelated."""
    draws = Draws(2, "together")
    half = torch.full((401, 500), 0.5, dtype=dtype)
    first, second = (2 * draws.bernoulli(half) - 1 for _ in range(2))
    limit = 5 / math.sqrt(first.numel() - 1000)
    for one, other in ((first, second), (first[1:], first[:-1]), (first[:, 1:], first[:, :-1])):
        assert abs((one * other).mean().item()) < limit


@pytest.mark.parametrize("dtype", DTYPES)
def test_normal_numbers_are_standard(dtype: torch.dtype) -> None:
    drawn = Draws(3, "normal").normal(torch.empty((1000, 200), dtype=dtype)).double()
    assert abs(drawn.mean().item()) < 5 / math.sqrt(200_000)
    assert drawn.var().item() == pytest.approx(1.0, abs=5 * math.sqrt(2 / 200_000))
    assert (drawn**4).mean().item() == pytest.approx(3.0, abs=0.15)


def test_the_seed_and_the_purpose_decide_and_threads_do_not() -> None:
    p = torch.full((300, 301), 0.4)

    def drawn(*which: object) -> np.ndarray:
        draws = Draws(*which)  # type: ignore[arg-type]
        return np.concatenate([draws.bernoulli(p).numpy(), draws.normal(p).numpy()])

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        two = drawn(7, "a", "x")
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(drawn(7, "a", "x"), two)
    for other in ((8, "a", "x"), (7, "b", "x"), (7, "a", "y")):
        assert (drawn(*other) != two).any()


def test_results_can_be_written_in_place() -> None:
    out = torch.full((3, 4), 9.0)
    assert Draws(0, "out").bernoulli(torch.ones(3, 4), out=out) is out
    assert (out == 1).all()


def test_integers_cover_their_range() -> None:
    assert sorted(Draws(0, "integers").integers(5, (200,)).unique().tolist()) == [0, 1, 2, 3, 4]


def plain_bernoulli(state: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The kernel's generator, number by number, in Python's own integers."""
    mask, drawn = 2**32 - 1, []
    lanes = [[int(word) for word in column] for column in state.T]
    for start in range(0, len(probabilities), len(lanes)):
        for lane in range(len(lanes)):
            a, b, c, d = lanes[lane]
            total = (a + d) & mask
            bits = ((total << 7 | total >> 25) + a) & mask
            c, d = c ^ a, d ^ b
            lanes[lane] = [a ^ d, b ^ c, c ^ (b << 9) & mask, (d << 11 | d >> 21) & mask]
            if start + lane < len(probabilities):
                drawn.append(float(bits / 2**8 // 1 / 2**24 < probabilities[start + lane]))
    return np.array(drawn, dtype=np.float32)


@pytest.mark.parametrize("count", [1, LANES - 1, LANES, 5 * LANES + 3])
def test_the_kernel_is_the_published_generator(count: int) -> None:
    rng = np.random.default_rng(count)
    state = rng.integers(2**32, size=(4, LANES), dtype=np.uint32)
    probabilities = rng.random(count, dtype=np.float32)
    out = np.full(count, 7.0, dtype=np.float32)
    expected = plain_bernoulli(state, probabilities)
    draw_bernoulli(state, probabilities, out)
    np.testing.assert_array_equal(out, expected)


def test_shapes_that_are_not_contiguous_are_drawn_too() -> None:
    probabilities = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]).T
    assert torch.equal(Draws(0, "shape").bernoulli(probabilities), probabilities)
    out = torch.empty(2, 3).T
    assert torch.equal(Draws(0, "shape").bernoulli(probabilities, out=out), probabilities)
    expanded = torch.tensor([0.0, 1.0]).expand(5, 2)
    assert torch.equal(Draws(0, "shape").bernoulli(expanded), expanded)
