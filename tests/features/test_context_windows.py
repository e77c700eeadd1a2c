"""Chunks with their context: every frame once, and the same windows however the features arrive."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asrkit.features.context_windows import context_windows


@given(st.lists(st.integers(0, 50), max_size=12), st.integers(1, 20), st.integers(0, 45))
def test_windows_are_slices_of_the_whole(sizes: list[int], chunk: int, context: int) -> None:
    total = sum(sizes)
    whole = np.arange(2 * total, dtype=np.float32).reshape(total, 2)
    cuts = np.cumsum([0, *sizes])
    blocks = [whole[start:end] for start, end in itertools.pairwise(cuts)]
    windows = list(context_windows(blocks, chunk, context))
    assert len(windows) == -(-total // chunk)
    for number, window in enumerate(windows):
        first, last = number * chunk, min(total, (number + 1) * chunk)
        begin = max(0, first - context)
        np.testing.assert_array_equal(window.features, whole[begin : min(total, last + context)])
        assert (window.first, window.last) == (first - begin, last - begin)


@pytest.mark.parametrize(("chunk", "context"), [(10, 30), (30, 10)])
def test_a_chunk_waits_for_its_context_and_no_longer(chunk: int, context: int) -> None:
    asked = 0

    def blocks():  # type: ignore[no-untyped-def]
        nonlocal asked
        for _ in range(1000):
            asked += 1
            yield np.zeros((1, 3), dtype=np.float32)

    for number, window in enumerate(context_windows(blocks(), chunk, context)):
        assert asked == min(1000, (number + 1) * chunk + context)
        assert len(window.features) <= chunk + 2 * context
