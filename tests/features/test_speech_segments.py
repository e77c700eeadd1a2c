"""Segments: a plain reference on whole recordings, laws on random ones, and the same block by block."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError
from asrkit.features.speech_segments import CuttingConfig, FrameSegment, Segmenter, cut_segments

FRAME_SECS = 0.01
CONFIG = CuttingConfig(max_secs=10.0, overlap_secs=2.0, min_speech_secs=0.1)


def spans(segments: list[FrameSegment]) -> list[tuple[int, int, int]]:
    return [(segment.start, segment.end, segment.overlap) for segment in segments]


def labels_of(num_frames: int, *speech: tuple[int, int]) -> NDArray[np.bool_]:
    labels = np.zeros(num_frames, dtype=bool)
    for start, end in speech:
        labels[start:end] = True
    return labels


def cut(labels: NDArray[np.bool_], scores: NDArray[np.float32] | None = None, config: CuttingConfig = CONFIG):  # type: ignore[no-untyped-def]
    scores = np.where(labels, 1, -1).astype(np.float32) if scores is None else scores
    return spans(cut_segments(labels, scores, config, FRAME_SECS))


def test_padding_pauses_and_short_stretches() -> None:
    # 49 frames do not part, 50 do; 9 frames of speech are too few; padding ends with the recording.
    labels = labels_of(1000, (5, 100), (149, 200), (250, 300), (500, 509), (700, 800), (850, 995))
    assert cut(labels) == [(0, 220, 0), (230, 320, 0), (680, 820, 0), (830, 1000, 0)]
    assert cut(labels_of(300)) == []
    assert cut(labels_of(300, (0, 300))) == [(0, 300, 0)]
    assert cut(labels_of(0)) == []
    segmenter = Segmenter(CONFIG, FRAME_SECS)
    assert segmenter.push(labels, np.zeros(1000, dtype=np.float32))
    assert segmenter.finish()
    assert (segmenter.num_frames, segmenter.speech_frames, segmenter.dropped_frames) == (1000, int(labels.sum()), 9)


def test_long_speech_is_cut_where_it_is_least_like_speech() -> None:
    labels = labels_of(2000, (100, 1600))
    scores = np.where(labels, 1, -1).astype(np.float32)
    scores[760:780] = -0.2
    scores[900:915] = -0.5  # the lowest between 5 and 10 s behind the beginning
    scores[400:420] = -0.9  # too early
    [first, second] = cut(labels, scores)
    assert first[0] == 80
    assert 900 <= first[1] <= 915
    assert second == (first[1], 1620, 0)


def test_without_a_low_place_windows_overlap() -> None:
    labels = labels_of(3000, (100, 2600))
    assert cut(labels) == [(80, 1080, 0), (880, 1880, 200), (1680, 2620, 200)]
    hard = cut(labels, config=CuttingConfig(max_secs=10.0, overlap_secs=0.0))
    assert all(end == start for (_, end, _), (start, _, _) in itertools.pairwise(hard))
    assert all(end - start <= 1000 for start, end, _ in hard)


@st.composite
def recordings(draw: st.DrawFn) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    runs = draw(st.lists(st.tuples(st.integers(1, 1500), st.integers(1, 120)), max_size=8))
    lead = draw(st.integers(2, 100))
    labels = np.concatenate([np.zeros(lead, bool), *(np.repeat([True, False], run) for run in runs)])
    stream = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    noise = np.convolve(stream.normal(0, 2.0, len(labels) + 9), np.full(10, 0.1), "valid")
    return labels, (np.where(labels, draw(st.sampled_from([0.4, 1.5])), -0.5) + noise).astype(np.float32)


@settings(deadline=None, max_examples=60)
@given(recordings(), st.sampled_from([0.0, 2.0]))
def test_laws_of_segments(recording: tuple[NDArray[np.bool_], NDArray[np.float32]], overlap: float) -> None:
    labels, scores = recording
    config = CuttingConfig(max_secs=10.0, overlap_secs=overlap, min_speech_secs=0.0)
    segments = cut_segments(labels, scores, config, FRAME_SECS)
    covered = np.zeros(len(labels), dtype=int)
    for segment in segments:
        assert 0 <= segment.start < segment.end <= len(labels)
        assert segment.end - segment.start <= 1000
        covered[segment.start : segment.end] += 1
    for before, behind in itertools.pairwise(segments):
        assert before.start < behind.start
        assert before.end < behind.end
        assert behind.overlap == max(0, before.end - behind.start)
        assert behind.overlap in (0, round(overlap / FRAME_SECS))
    assert (covered[labels] >= 1).all()
    # Nothing farther from speech than the padding, unless a pause too short to part lies there.
    for start in np.flatnonzero(np.diff(np.concatenate([[0], (covered == 0).astype(int), [0]])) == 1):
        run = int(np.argmax(covered[start:] > 0)) if (covered[start:] > 0).any() else len(labels) - start
        assert not labels[start : start + run].any()
    idle = [
        list(group) for key, group in itertools.groupby(range(len(labels)), key=lambda t: bool(labels[t])) if not key
    ]
    for pause in idle:
        inner = pause[0] > 0 and pause[-1] < len(labels) - 1
        if len(pause) < 50 and inner:
            assert (covered[pause] >= 1).all()
        else:
            expected = (20 if pause[0] > 0 else 0) + (20 if pause[-1] < len(labels) - 1 else 0)
            assert (covered[pause] >= 1).sum() == min(expected, len(pause))


@settings(deadline=None, max_examples=60)
@given(recordings(), st.lists(st.integers(0, 900), max_size=8))
def test_blocks_give_the_segments_of_the_whole(
    recording: tuple[NDArray[np.bool_], NDArray[np.float32]], sizes: list[int]
) -> None:
    labels, scores = recording
    cuts = np.minimum(np.cumsum([0, *sizes]), len(labels))
    segmenter = Segmenter(CONFIG, FRAME_SECS)
    found: list[FrameSegment] = []
    for start, end in itertools.pairwise([*cuts, len(labels)]):
        needed = segmenter.needed_from
        new = segmenter.push(labels[start:end], scores[start:end])
        assert all(segment.start >= needed for segment in new)
        # What is held back is less than a longest segment and what follows it.
        assert segmenter.num_frames - segmenter.needed_from <= 1000 + 100
        found += new
    assert spans([*found, *segmenter.finish()]) == spans(cut_segments(labels, scores, CONFIG, FRAME_SECS))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"padding_secs": 0.3}, "min_pause_secs"),
        ({"max_secs": 5.0}, "max_secs"),
        ({"cut_secs": 1.0}, "cut_secs"),
        ({"max_secs": 2.0, "cut_secs": 0.9, "min_pause_secs": 2.0, "overlap_secs": 0.0}, "max_secs"),
        ({"overlap_secs": -1.0}, "overlap_secs"),
        ({"min_pause_secs": 0.0, "padding_secs": 0.0}, "min_pause_secs"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, float], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        CuttingConfig(**wrong)
