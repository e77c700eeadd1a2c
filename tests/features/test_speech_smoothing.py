"""Smoothing of speech scores: the best path of all (by enumeration), whole and block by block, in bounded memory."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError
from asrkit.features.speech_smoothing import SmoothingConfig, SpeechPath, smooth

FRAME_SECS = 0.01


def lasting(speech: int, nonspeech: int, penalty: float) -> SmoothingConfig:
    return SmoothingConfig(speech * FRAME_SECS, nonspeech * FRAME_SECS, penalty)


def value(labels: tuple[bool, ...], scores: NDArray[np.float32], speech: int, nonspeech: int, penalty: float) -> float:
    """What a labelling is worth; -inf where an inner stretch is too short."""
    runs = [(key, len(list(group))) for key, group in itertools.groupby(labels)]
    if any(length < (speech if key else nonspeech) for key, length in runs[1:-1]):
        return -np.inf
    return float(scores[list(labels)].astype(np.float64).sum()) - penalty * (len(runs) - 1)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=11), st.integers(1, 4), st.integers(1, 4), st.integers(0, 3))
def test_no_labelling_is_worth_more(values: list[int], speech: int, nonspeech: int, penalty: int) -> None:
    scores = np.array(values, dtype=np.float32)
    got = smooth(scores, lasting(speech, nonspeech, penalty), FRAME_SECS)
    assert len(got) == len(scores)
    all_labellings = itertools.product([False, True], repeat=len(scores))
    best = max(value(labels, scores, speech, nonspeech, penalty) for labels in all_labellings)
    assert value(tuple(got.tolist()), scores, speech, nonspeech, penalty) == pytest.approx(best, abs=1e-6)


def test_short_stretches_go_except_at_the_ends() -> None:
    scores = np.full(200, -1.0, dtype=np.float32)
    scores[:3] = scores[50:58] = scores[100:120] = scores[198:] = 9.0
    got = smooth(scores, lasting(10, 5, 0.5), FRAME_SECS)
    # The burst of 8 frames is worth its price although two frames of silence must go with it.
    assert (np.flatnonzero(np.diff(got)) + 1).tolist() in ([3, 48, 58, 100, 120, 198], [3, 50, 60, 100, 120, 198])
    scores[scores < 0] = -3.0
    strict = smooth(scores, lasting(30, 5, 40.0), FRAME_SECS)
    changes = np.flatnonzero(np.diff(strict)) + 1
    assert len(changes) == 2
    assert changes[1] - changes[0] == 30
    assert strict[100:120].all()


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 700), max_size=6))
def test_blocks_of_any_size_decide_alike(seed: int, sizes: list[int]) -> None:
    stream = np.random.default_rng(seed)
    scores = np.repeat(stream.normal(0, 1, 60), stream.integers(1, 60, 60)).astype(np.float32)
    scores += stream.normal(0, 0.7, len(scores)).astype(np.float32)
    config = SmoothingConfig(max_pending_secs=float(stream.integers(1, 4)))
    cuts = np.minimum(np.cumsum([0, *sizes]), len(scores))
    path = SpeechPath(config, FRAME_SECS)
    parts = [path.push(scores[start:end]) for start, end in itertools.pairwise([*cuts, len(scores)])]
    np.testing.assert_array_equal(np.concatenate([*parts, path.finish()]), smooth(scores, config, FRAME_SECS))


def test_decisions_come_while_the_recording_goes_on() -> None:
    stream = np.random.default_rng(5)
    path = SpeechPath(SmoothingConfig(), FRAME_SECS)
    pushed = settled = 0
    for number in range(200):
        sign = 1.0 if number % 3 else -1.0
        settled += len(path.push((sign + stream.normal(0, 0.3, 100)).astype(np.float32)))
        pushed += 100
        assert pushed - settled <= 200
    assert settled + len(path.finish()) == pushed


def test_what_stays_open_is_decided_after_a_while() -> None:
    # Scores of 0: speech and silence are worth the same for ever.
    path = SpeechPath(SmoothingConfig(max_pending_secs=5.0), FRAME_SECS)
    counts = [len(path.push(np.zeros(100, dtype=np.float32))) for _ in range(100)]
    assert sum(counts) >= 10_000 - 600
    free = SpeechPath(SmoothingConfig(max_pending_secs=1000.0), FRAME_SECS)
    assert sum(len(free.push(np.zeros(100, dtype=np.float32))) for _ in range(100)) == 0


def test_nothing_gives_nothing_and_nonsense_is_refused() -> None:
    assert smooth(np.empty(0, dtype=np.float32), SmoothingConfig(), FRAME_SECS).tolist() == []
    with pytest.raises(ValueError, match="not finite"):
        smooth(np.array([0, np.nan], dtype=np.float32), SmoothingConfig(), FRAME_SECS)
    for wrong in ({"min_speech_secs": -1.0}, {"switch_penalty": float("nan")}, {"max_pending_secs": 0.5}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            SmoothingConfig(**wrong)
    with pytest.raises(ConfigError, match="30000 at most"):
        SpeechPath(SmoothingConfig(min_speech_secs=1e6), FRAME_SECS)
