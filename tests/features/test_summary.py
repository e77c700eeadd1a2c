"""Summaries of utterances and segments, against sums on a fine grid of time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import DataError
from asrkit.features.summary import segment_summary, summary

FRAMES = np.random.default_rng(0).normal(3.0, 2.0, (11, 4)).astype(np.float32)


def test_statistics_stand_in_the_order_they_are_asked_for() -> None:
    found = summary(FRAMES, ("sd", "mean", "max"))
    np.testing.assert_allclose(found, np.concatenate([FRAMES.std(0), FRAMES.mean(0), FRAMES.max(0)]), rtol=1e-5)
    assert found.dtype == np.float32
    with pytest.raises(DataError, match="no frames"):
        summary(FRAMES[:0], ("mean",))


@settings(max_examples=60, deadline=None)
@given(start=st.integers(0, 12_000), length=st.integers(10, 9_000))
def test_a_segment_weighs_frames_by_what_of_them_lies_in_each_part(start: int, length: int) -> None:
    """In thousandths of a frame, each with the value of the frame it lies in; beyond the last frame with the last."""
    found = segment_summary(FRAMES, start / 1000, (start + length) / 1000)
    times = start + (np.arange(100 * length) + 0.5) / 100
    values = FRAMES[np.minimum((times / 1000).astype(int), 10)]
    thirds = np.split(values, [30 * length, 70 * length])
    expected = np.concatenate([part.mean(axis=0, dtype=np.float64) for part in thirds])
    np.testing.assert_allclose(found[:-1], expected, atol=2e-3)
    assert found[-1] == pytest.approx(np.log(length / 1000), abs=1e-5)


def test_a_segment_within_a_frame_is_that_frame() -> None:
    np.testing.assert_allclose(segment_summary(FRAMES, 4.2, 4.4)[:-1], np.tile(FRAMES[4], 3), rtol=1e-6)


@pytest.mark.parametrize(("start", "end"), [(3.0, 3.0), (4.0, 3.0), (-1.0, 2.0)])
def test_segments_that_are_none_are_refused(start: float, end: float) -> None:
    with pytest.raises(DataError, match="a segment from"):
        segment_summary(FRAMES, start, end)
    with pytest.raises(DataError, match="0 frames"):
        segment_summary(FRAMES[:0], 0.0, 1.0)
