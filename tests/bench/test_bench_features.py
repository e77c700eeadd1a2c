"""Speed of MFCCs against kaldi-native-fbank, one process, one thread, side by side."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import kaldi_native_fbank as knf
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from asrkit.features.frontend import FrontEnd, FrontEndConfig

RATE_HZ = 16000
SECONDS = 30.0
REPEATS = 9


def _speech_like() -> np.ndarray:
    rng = np.random.default_rng(0)
    t = np.arange(int(SECONDS * RATE_HZ)) / RATE_HZ
    return (2000 * np.sin(2 * np.pi * 40 * t * (1 + t)) + 200 * rng.standard_normal(len(t))).astype(np.float32)


def _peer(samples: np.ndarray) -> knf.OnlineMfcc:
    options = knf.MfccOptions()
    options.frame_opts.dither = 0.0
    online = knf.OnlineMfcc(options)
    online.accept_waveform(RATE_HZ, samples)
    online.input_finished()
    return online


def _secs(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


@pytest.mark.bench
@pytest.mark.parametrize("utterance_secs", [3.0, 30.0])
def test_mfcc_against_kaldi_native_fbank(utterance_secs: float, capsys: pytest.CaptureFixture[str]) -> None:
    samples = _speech_like()
    pieces = np.split(samples, range(int(utterance_secs * RATE_HZ), len(samples), int(utterance_secs * RATE_HZ)))
    front_end = FrontEnd(FrontEndConfig())
    theirs = _peer(pieces[0])
    expected = np.array([theirs.get_frame(i) for i in range(theirs.num_frames_ready)])
    np.testing.assert_allclose(front_end.compute(pieces[0]), expected, rtol=0, atol=1e-3)
    our_secs, their_secs = [], []
    with threadpool_limits(limits=1):
        for _ in range(REPEATS):
            our_secs.append(_secs(lambda: [front_end.compute(piece) for piece in pieces]))
            # The peer's frames stay inside it: copying them out one by one is not counted.
            their_secs.append(_secs(lambda: [_peer(piece) for piece in pieces]))
    ratios = [theirs / ours for ours, theirs in zip(our_secs, their_secs)]
    with capsys.disabled():
        print(
            f"\nMFCC, utterances of {utterance_secs:g} s: asrkit {SECONDS / statistics.median(our_secs):.0f} x real "
            f"time, kaldi-native-fbank {SECONDS / statistics.median(their_secs):.0f} x; "
            f"ratio {statistics.median(ratios):.1f} (median of {REPEATS}, {min(ratios):.1f} to {max(ratios):.1f})"
        )
