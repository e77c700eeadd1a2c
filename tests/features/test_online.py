"""Features of live audio: the front end's stream, online CMVN, and the inputs of a model frame by frame."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import ConfigError, DataError
from asrkit.features.cmvn import CmvnStats
from asrkit.features.config import FrontEndConfig
from asrkit.features.frontend import CHUNK_FRAMES, FrontEnd
from asrkit.features.input_stream import InputStream
from asrkit.features.online_cmvn import OnlineCmvn, OnlineCmvnConfig
from asrkit.features.pipeline import FeaturePipeline, PipelineConfig
from asrkit.features.transform import apply_affine
from tests.factories import make_samples

RATE = 8000
FRONT_END = FrontEnd(FrontEndConfig(sample_rate_hz=RATE, low_freq=30.0))
SAMPLES = make_samples(3 * RATE + 77, seed=3).astype(np.float32)


def blocks_of(samples: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    """Cut samples into blocks of the sizes, over and over."""
    blocks, at, turn = [], 0, 0
    while at < len(samples):
        blocks.append(samples[at : at + sizes[turn % len(sizes)]])
        at += sizes[turn % len(sizes)]
        turn += 1
    return blocks


def streamed(stream, samples: np.ndarray, sizes: list[int]) -> np.ndarray:  # type: ignore[no-untyped-def]
    return np.concatenate([*(stream.push(block) for block in blocks_of(samples, sizes)), stream.finish()])


@pytest.mark.parametrize("kind", ["mfcc", "fbank", "plp"])
@pytest.mark.parametrize("snip_edges", [True, False])
def test_a_stream_of_features_has_the_bits_of_the_whole(kind: str, snip_edges: bool) -> None:
    front_end = FrontEnd(FrontEndConfig(kind=kind, sample_rate_hz=RATE, low_freq=30.0, snip_edges=snip_edges))  # type: ignore[arg-type]
    whole = front_end.compute(SAMPLES)
    found = streamed(front_end.stream(), SAMPLES, [800])
    full = len(whole) // CHUNK_FRAMES * CHUNK_FRAMES
    assert full >= 2 * CHUNK_FRAMES > 0
    np.testing.assert_array_equal(found[:full], whole[:full])
    np.testing.assert_allclose(found, whole, rtol=1e-5, atol=1e-4)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 5000), min_size=1, max_size=4))
def test_blocks_of_any_size_give_the_same_bits(sizes: list[int]) -> None:
    config = PipelineConfig(splice_left=3, splice_right=4, keep_every=2)
    rng = np.random.default_rng(0)
    transform = rng.standard_normal((11, 8 * 39)).astype(np.float32)
    prior = CmvnStats.of(rng.standard_normal((50, 13)).astype(np.float32))

    def inputs(sizes: list[int]) -> np.ndarray:
        cmvn = OnlineCmvn(OnlineCmvnConfig(cmn_window=100), 13, prior, norm_vars=True)
        return streamed(InputStream(FRONT_END.stream(), config, cmvn, transform), SAMPLES, sizes)

    np.testing.assert_array_equal(inputs(sizes), inputs([len(SAMPLES)]))


@pytest.mark.parametrize("keep_every", [1, 3])
@pytest.mark.parametrize("sizes", [[160], [801], [24077]])
def test_inputs_without_cmvn_are_those_of_the_pipeline(sizes: list[int], keep_every: int) -> None:
    config = PipelineConfig(cmvn="none", delta_order=2, splice_left=2, splice_right=3, keep_every=keep_every)
    transform = np.random.default_rng(1).standard_normal((7, 6 * 39)).astype(np.float32)
    expected = apply_affine(FeaturePipeline(config).apply(FRONT_END.compute(SAMPLES)), transform)
    found = streamed(InputStream(FRONT_END.stream(), config, None, transform), SAMPLES, sizes)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-2)
    plain = streamed(InputStream(FRONT_END.stream(), config), SAMPLES, sizes)
    assert plain.shape == (len(expected), 6 * 39)


def test_a_frame_comes_as_soon_as_its_samples_have_come() -> None:
    stream = FRONT_END.stream()
    length, shift = FRONT_END.config.length, FRONT_END.config.shift
    assert len(stream.push(SAMPLES[: length - 1])) == 0
    assert len(stream.push(SAMPLES[length - 1 : length])) == 1
    assert len(stream.push(SAMPLES[length : length + shift])) == 1


def test_a_recording_shorter_than_a_frame_gives_no_inputs() -> None:
    stream = InputStream(FRONT_END.stream(), PipelineConfig(splice_left=1, splice_right=1))
    assert len(stream.push(SAMPLES[:10])) == 0
    assert stream.finish().shape == (0, 3 * 39)


def kaldi_online_cmvn(
    features: np.ndarray, config: OnlineCmvnConfig, prior: CmvnStats | None, speaker: CmvnStats | None, norm_vars: bool
) -> np.ndarray:
    """OnlineCmvn::SmoothOnlineCmvnStats of online-feature.cc, frame by frame."""
    rows = []
    for t in range(len(features)):
        window = features[max(0, t + 1 - config.cmn_window) : t + 1].astype(np.float64)
        count, total, squares = float(len(window)), window.sum(0), (window**2).sum(0)
        if speaker is not None:
            share = min(config.cmn_window - count, config.speaker_frames, speaker.count)
            total, squares = (
                total + share / speaker.count * speaker.total,
                squares + (share / speaker.count * speaker.squares),
            )
            count += share
        if prior is not None and count < config.cmn_window:
            share = min(config.cmn_window - count, config.global_frames)
            total = total + share / prior.count * prior.total
            squares = squares + share / prior.count * prior.squares
            count += share
        mean = total / count
        row = features[t] - mean
        rows.append(row / np.sqrt(np.maximum(squares / count - mean**2, 1e-20)) if norm_vars else row)
    return np.array(rows)


@pytest.mark.parametrize("norm_vars", [False, True])
@pytest.mark.parametrize(("with_prior", "with_speaker"), [(True, False), (True, True), (False, True)])
@pytest.mark.parametrize("window", [7, 40, 600])
def test_online_cmvn_is_kaldis(with_prior: bool, with_speaker: bool, window: int, norm_vars: bool) -> None:
    rng = np.random.default_rng(5)
    features = (5 + 3 * rng.standard_normal((60, 4))).astype(np.float32)
    prior = CmvnStats.of(2 + rng.standard_normal((1000, 4)).astype(np.float32)) if with_prior else None
    speaker = CmvnStats.of(8 + rng.standard_normal((25, 4)).astype(np.float32)) if with_speaker else None
    config = OnlineCmvnConfig(cmn_window=window, speaker_frames=30, global_frames=20)
    cmvn = OnlineCmvn(config, 4, prior, speaker, norm_vars=norm_vars)
    found = np.concatenate([cmvn.push(features[:1]), cmvn.push(features[1:33]), cmvn.push(features[33:])])
    np.testing.assert_allclose(found, kaldi_online_cmvn(features, config, prior, speaker, norm_vars), atol=1e-5)


def test_statistics_go_on_to_the_speakers_next_stream() -> None:
    rng = np.random.default_rng(6)
    first, second = (rng.standard_normal((n, 3)).astype(np.float32) for n in (20, 30))
    one = OnlineCmvn(OnlineCmvnConfig(), 3)
    one.push(first)
    two = OnlineCmvn(OnlineCmvnConfig(), 3, speaker=one.stats)
    two.push(second)
    expected = CmvnStats.of(np.concatenate([first, second]))
    assert two.stats.count == 50
    np.testing.assert_allclose(two.stats.total, expected.total)
    np.testing.assert_allclose(two.stats.squares, expected.squares)


def test_wrong_settings_and_statistics_are_refused() -> None:
    with pytest.raises(ConfigError, match="cmn_window is 0"):
        OnlineCmvnConfig(cmn_window=0)
    with pytest.raises(ConfigError, match="global_frames is -1"):
        OnlineCmvnConfig(global_frames=-1)
    with pytest.raises(DataError, match="dimension 2 for features of dimension 3"):
        OnlineCmvn(OnlineCmvnConfig(), 3, CmvnStats.zero(2))
    with pytest.raises(ConfigError, match="no random stream"):
        FrontEnd(FrontEndConfig(dither=1.0)).stream()
