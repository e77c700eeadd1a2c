"""The front end against an independent package, against itself in blocks, and under invariances."""

from __future__ import annotations

import pickle
import re
import tracemalloc
from pathlib import Path
from typing import Any

import kaldi_native_fbank as knf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import ConfigError, DataError, FormatError, ModelError
from asrkit.core.files import write_text
from asrkit.core.streams import random_stream
from asrkit.features.frontend import (
    CHUNK_FRAMES,
    FrontEnd,
    FrontEndConfig,
    check_front_end,
    load_front_end,
    save_front_end,
)

TOLERANCE = 1e-3


def speech_like(num_samples: int, seed: int = 0, rate: int = 16000) -> np.ndarray:
    """Noise with a moving resonance and an offset: every mel bin and every option sees something."""
    rng = np.random.default_rng(seed)
    t = np.arange(num_samples) / rate
    tone = 900 * np.sin(2 * np.pi * (300 + 900 * t) * t) * (1 + np.sin(2 * np.pi * 3 * t))
    return (tone + 120 * rng.standard_normal(num_samples) + 55).astype(np.float32)


def peer(config: FrontEndConfig, samples: np.ndarray) -> np.ndarray:
    """Compute the same with kaldi-native-fbank."""
    options: Any = knf.MfccOptions() if config.kind == "mfcc" else knf.FbankOptions()
    frame = options.frame_opts
    frame.samp_freq, frame.dither = config.sample_rate_hz, 0.0
    frame.frame_length_ms, frame.frame_shift_ms = config.frame_length_ms, config.frame_shift_ms
    frame.preemph_coeff, frame.remove_dc_offset = config.preemphasis_coefficient, config.remove_dc_offset
    frame.window_type, frame.snip_edges = config.window_type, config.snip_edges
    frame.round_to_power_of_two, frame.blackman_coeff = config.round_to_power_of_two, config.blackman_coeff
    options.mel_opts.num_bins = config.num_mel_bins
    options.mel_opts.low_freq, options.mel_opts.high_freq = config.low_freq, config.high_freq
    options.use_energy, options.raw_energy = config.with_energy, config.raw_energy
    options.energy_floor, options.htk_compat = config.energy_floor, config.htk_compat
    if config.kind == "mfcc":
        options.num_ceps, options.cepstral_lifter = config.num_ceps, config.cepstral_lifter
        online = knf.OnlineMfcc(options)
    else:
        options.use_log_fbank, options.use_power = config.use_log_fbank, config.use_power
        online = knf.OnlineFbank(options)
    online.accept_waveform(config.sample_rate_hz, samples)
    online.input_finished()
    return np.array([online.get_frame(i) for i in range(online.num_frames_ready)])


VARIANTS: list[dict[str, Any]] = [
    *({"window_type": kind} for kind in ("povey", "hamming", "hanning", "rectangular", "blackman", "sine")),
    {"window_type": "blackman", "blackman_coeff": 0.3},
    {"snip_edges": False},
    {"raw_energy": False},
    {"energy_floor": 1e9},
    {"htk_compat": True},
    {"htk_compat": True, "use_energy": False},
    {"remove_dc_offset": False, "preemphasis_coefficient": 0.5},
    {"cepstral_lifter": 0.0, "num_ceps": 20},
    {"frame_length_ms": 32.0, "frame_shift_ms": 12.5, "sample_rate_hz": 8000},
    {"sample_rate_hz": 22050, "num_mel_bins": 40, "high_freq": -1000.0, "low_freq": 60.0},
    {"kind": "fbank", "num_mel_bins": 31},
    {"kind": "fbank", "use_power": False},
    {"kind": "fbank", "use_energy": True},
    {"kind": "fbank", "use_energy": True, "htk_compat": True, "raw_energy": False},
]


@pytest.mark.parametrize("options", VARIANTS, ids=lambda o: " ".join(f"{k}={v}" for k, v in o.items()))
def test_agrees_with_kaldi_native_fbank(options: dict[str, Any]) -> None:
    config = FrontEndConfig(**options)
    samples = speech_like(9001, rate=config.sample_rate_hz)
    ours, theirs = FrontEnd(config).compute(samples), peer(config, samples)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE)


def test_mel_energies_without_log_agree_with_kaldi_native_fbank() -> None:
    config = FrontEndConfig(kind="fbank", use_log_fbank=False)
    samples = speech_like(5000)
    np.testing.assert_allclose(FrontEnd(config).compute(samples), peer(config, samples), rtol=1e-3)


def test_fft_of_the_bare_frame_equals_a_direct_transform() -> None:
    """round_to_power_of_two=false: 400 points, an oracle by the definition of each step."""
    config = FrontEndConfig(kind="fbank", round_to_power_of_two=False, num_mel_bins=15, window_type="hamming")
    samples = speech_like(1111).astype(np.float64)
    ours = FrontEnd(config).compute(samples.astype(np.float32))
    mel = lambda f: 1127 * np.log(1 + f / 700)  # noqa: E731
    edges = np.linspace(mel(20), mel(8000), 17)
    for t in range(len(ours)):
        frame = samples[t * 160 : t * 160 + 400]
        frame = frame - frame.mean()
        frame = frame - 0.97 * np.concatenate([frame[:1], frame[:-1]])
        power = np.abs(np.fft.fft(frame * np.hamming(400))[:200]) ** 2
        for b in range(15):
            weights = np.interp(mel(np.arange(200) * 40.0), edges[b : b + 3], [0, 1, 0])
            assert ours[t, b] == pytest.approx(np.log(weights @ power), abs=TOLERANCE)


def spectrum_by_kaldi(config: FrontEndConfig, samples: np.ndarray) -> np.ndarray:
    """Return the log power spectrum: window and transform by the peer, floor and logs as Kaldi's source says."""
    options = knf.FbankOptions()
    frame = options.frame_opts
    frame.samp_freq, frame.dither = config.sample_rate_hz, 0.0
    frame.frame_length_ms, frame.frame_shift_ms = config.frame_length_ms, config.frame_shift_ms
    frame.preemph_coeff, frame.remove_dc_offset = config.preemphasis_coefficient, config.remove_dc_offset
    frame.window_type = config.window_type
    window = knf.FeatureWindowFunction(frame)
    rows, energies = [], []
    for t in range((len(samples) - config.length) // config.shift + 1):
        cut = samples[t * config.shift : t * config.shift + config.length].astype(np.float32)
        cut = cut - cut.mean() if config.remove_dc_offset else cut
        energies.append(np.log(max(float(cut @ cut), config.frame_energy_floor)))
        cut = cut - config.preemphasis_coefficient * np.concatenate([cut[:1], cut[:-1]])
        padded = np.zeros(config.fft_size, dtype=np.float32)
        padded[: config.length] = np.array(window.apply(cut.tolist()))
        packed = np.array(knf.Rfft(config.fft_size).compute(padded.tolist()))  # Re 0, Re Nyquist, Re 1, Im 1, ...
        power = packed[2::2] ** 2 + packed[3::2] ** 2
        rows.append([packed[0] ** 2, *power, packed[1] ** 2])
    logs = np.log(np.maximum(np.array(rows), config.frame_energy_floor))
    if config.with_energy:
        logs[:, 0] = energies
    return logs


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"window_type": "hamming", "use_energy": False, "frame_length_ms": 20.0, "preemphasis_coefficient": 0.0},
        {"frame_energy_floor": 1e6, "sample_rate_hz": 8000, "remove_dc_offset": False},
    ],
    ids=lambda o: " ".join(f"{k}={v}" for k, v in o.items()),
)
def test_spectrograms_agree_with_kaldi_native_fbank(options: dict[str, Any]) -> None:
    config = FrontEndConfig(kind="spectrogram", **options)
    samples = speech_like(3001, rate=config.sample_rate_hz)
    ours, theirs = FrontEnd(config).compute(samples), spectrum_by_kaldi(config, samples)
    assert ours.shape[1] == config.dim == config.fft_size // 2 + 1
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE)


def test_a_spectrogram_of_the_bare_frame_shows_a_tone_at_its_point() -> None:
    """Frames of 320 samples: points 50 Hz apart, 161 of them; a tone of 1 kHz is the highest at point 20."""
    config = FrontEndConfig(
        kind="spectrogram", frame_length_ms=20.0, round_to_power_of_two=False, window_type="hamming", use_energy=False
    )
    tone = 1000 * np.sin(2 * np.pi * 1000 * np.arange(4000) / 16000).astype(np.float32)
    features = FrontEnd(config).compute(tone)
    assert features.shape[1] == 161
    assert set(features.argmax(axis=1)) == {20}


KINDS = ["mfcc", "fbank", "plp", "spectrogram"]


@settings(max_examples=25, deadline=None)
@given(
    num_samples=st.integers(0, 60000),
    kind=st.sampled_from(KINDS),
    snip_edges=st.booleans(),
    cuts=st.lists(st.integers(0, 60000), max_size=6),
    dither=st.sampled_from([0.0, 1.0]),
)
def test_blocks_give_the_bits_of_the_whole(
    num_samples: int, kind: Any, snip_edges: bool, cuts: list[int], dither: float
) -> None:
    front_end = FrontEnd(FrontEndConfig(kind=kind, snip_edges=snip_edges, dither=dither, use_energy=True))
    samples = speech_like(num_samples)
    whole = front_end.compute(samples, random_stream(7, "dither", "u"))
    assert whole.shape == (front_end.num_frames(num_samples), front_end.dim)
    assert np.isfinite(whole).all()
    blocks = np.split(samples, sorted(min(cut, num_samples) for cut in cuts))
    pieces = list(front_end.compute_blocks(iter(blocks), random_stream(7, "dither", "u")))
    assert all(1 <= len(piece) <= CHUNK_FRAMES for piece in pieces)
    assert np.array_equal(np.concatenate([whole[:0], *pieces]), whole)


@pytest.mark.parametrize("snip_edges", [True, False])
def test_many_tiny_blocks(snip_edges: bool) -> None:
    front_end = FrontEnd(FrontEndConfig(snip_edges=snip_edges))
    samples = speech_like(33333)
    pieces = list(front_end.compute_blocks(samples[i : i + 77] for i in range(0, len(samples), 77)))
    assert np.array_equal(np.concatenate(pieces), front_end.compute(samples))


def test_the_mirrored_end_may_reach_before_the_last_frame() -> None:
    """401 samples every 320: the last frame of this length needs 201 samples mirrored and shows 200 of its own."""
    front_end = FrontEnd(FrontEndConfig(snip_edges=False, frame_length_ms=25.0625, frame_shift_ms=20.0))
    samples = speech_like(320 * CHUNK_FRAMES + 160)
    pieces = list(front_end.compute_blocks(np.split(samples, [41010, 41050])))
    assert np.array_equal(np.concatenate(pieces), front_end.compute(samples))


def test_memory_does_not_grow_with_the_recording() -> None:
    front_end = FrontEnd(FrontEndConfig())
    block = speech_like(160000)
    peaks = []
    for num_blocks in (6, 60):
        tracemalloc.start()
        frames = sum(len(features) for features in front_end.compute_blocks(block for _ in range(num_blocks)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert frames == front_end.num_frames(num_blocks * len(block))
    assert peaks[1] < 1.1 * peaks[0] < 16e6


@pytest.mark.parametrize("num_samples", [0, 1, 79, 80, 119, 120, 121, 199, 200, 399, 400, 401, 559, 560, 561])
@pytest.mark.parametrize("snip_edges", [True, False])
def test_recordings_of_a_few_samples(num_samples: int, snip_edges: bool) -> None:
    config = FrontEndConfig(snip_edges=snip_edges, use_energy=False)
    samples = speech_like(num_samples)
    ours = FrontEnd(config).compute(samples)
    expected = (num_samples + 80) // 160 if not snip_edges else max(0, (num_samples - 240) // 160)
    assert ours.shape == (expected, 13)
    if expected and num_samples >= 400:
        np.testing.assert_allclose(ours, peer(config, samples), rtol=0, atol=TOLERANCE)
    elif expected:
        # The peer reflects as often as needed only in its own way; the definition is: periodic with both images.
        index = (np.arange(400 + 160 * (expected - 1)) - 120) % (2 * num_samples)
        mirrored = samples[np.minimum(index, 2 * num_samples - 1 - index)]
        np.testing.assert_array_equal(ours, FrontEnd(FrontEndConfig(use_energy=False)).compute(mirrored))


@pytest.mark.parametrize("kind", KINDS)
def test_digital_silence_is_finite(kind: Any) -> None:
    features = FrontEnd(FrontEndConfig(kind=kind)).compute(np.zeros(4000, dtype=np.float32))
    assert features.shape == (23, FrontEndConfig(kind=kind).dim)
    assert np.isfinite(features).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_shift_by_whole_frames_shifts_the_features(kind: Any) -> None:
    front_end = FrontEnd(FrontEndConfig(kind=kind))
    samples = speech_like(30000)
    features = front_end.compute(samples)
    later = front_end.compute(samples[3 * 160 :])
    np.testing.assert_allclose(later, features[3:], rtol=0, atol=TOLERANCE)
    off_grid = front_end.compute(samples[3 * 160 + 80 :])
    assert np.abs(off_grid[:100] - features[3:103]).max() > 0.1


def test_gain_moves_the_zeroth_cepstrum_alone() -> None:
    gain = 4.0
    config = FrontEndConfig(use_energy=False)
    samples = speech_like(16000)
    change = FrontEnd(config).compute(gain * samples) - FrontEnd(config).compute(samples)
    np.testing.assert_allclose(change[:, 1:], 0, atol=TOLERANCE)
    np.testing.assert_allclose(change[:, 0], 2 * np.log(gain) * np.sqrt(23), atol=TOLERANCE)
    louder = FrontEnd(FrontEndConfig()).compute(gain * samples) - FrontEnd(FrontEndConfig()).compute(samples)
    np.testing.assert_allclose(louder[:, 0], 2 * np.log(gain), atol=TOLERANCE)
    bent = FrontEnd(config).compute(np.abs(samples)) - FrontEnd(config).compute(samples)
    assert np.abs(bent[:, 1:]).max() > 0.1


def test_a_constant_offset_changes_nothing_unless_it_is_kept() -> None:
    samples = speech_like(8000)
    removed, kept = FrontEndConfig(), FrontEndConfig(remove_dc_offset=False)
    same = FrontEnd(removed).compute(samples + 300) - FrontEnd(removed).compute(samples)
    np.testing.assert_allclose(same, 0, atol=5e-3)
    assert np.abs(FrontEnd(kept).compute(samples + 300) - FrontEnd(kept).compute(samples)).max() > 0.1


def test_dither_depends_on_the_stream_alone() -> None:
    front_end = FrontEnd(FrontEndConfig(dither=1.0))
    samples = np.zeros(20000, dtype=np.float32)
    one = front_end.compute(samples, random_stream(1, "dither", "a"))
    assert np.array_equal(one, front_end.compute(samples, random_stream(1, "dither", "a")))
    assert not np.array_equal(one, front_end.compute(samples, random_stream(1, "dither", "b")))
    # Energy of 400 samples of unit variance: log 400, give or take.
    assert one[:, 0].mean() == pytest.approx(np.log(400), abs=0.05)
    with pytest.raises(ConfigError, match="no random stream"):
        front_end.compute(samples)


def test_a_warp_factor_of_a_speaker_overrides_the_configuration() -> None:
    samples = speech_like(8000)
    warped = FrontEnd(FrontEndConfig(vtln_warp=0.9)).compute(samples)
    plain = FrontEnd(FrontEndConfig())
    assert np.array_equal(plain.compute(samples, vtln_warp=0.9), warped)
    assert np.abs(plain.compute(samples) - warped).max() > 0.1


def test_accepts_any_layout_of_samples() -> None:
    front_end = FrontEnd(FrontEndConfig())
    samples = speech_like(4000)
    expected = front_end.compute(samples)
    read_only = samples.copy()
    read_only.flags.writeable = False
    strided = np.stack([samples, -samples], axis=1)[:, 0]
    for other in (read_only, strided, samples.astype(np.float64)):
        assert np.array_equal(front_end.compute(other), expected)


def test_pickles_as_its_configuration() -> None:
    front_end = pickle.loads(pickle.dumps(FrontEnd(FrontEndConfig(kind="plp"))))
    assert front_end.config == FrontEndConfig(kind="plp")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample_rate_hz": 0}, "sample_rate_hz is 0"),
        ({"frame_shift_ms": 0.01}, "at least one sample"),
        ({"frame_length_ms": 0.0}, "above 0"),
        ({"frame_length_ms": 0.1}, "at least two samples"),
        ({"frame_length_ms": 1e30}, "at most 10000"),
        ({"frame_length_ms": float("nan")}, "frame_length_ms is nan"),
        ({"frame_shift_ms": float("inf")}, "frame_shift_ms is inf"),
        ({"sample_rate_hz": 10**15}, "positive rate of at most"),
        ({"frame_length_ms": 25.0625, "round_to_power_of_two": False}, "odd number"),
        ({"dither": -1.0}, "dither is -1"),
        ({"preemphasis_coefficient": 1.5}, "preemphasis_coefficient is 1.5"),
        ({"num_mel_bins": 2}, "num_mel_bins is 2"),
        ({"high_freq": 9000.0}, "do not lie in order within [0, 8000] Hz"),
        ({"low_freq": 4000.0, "high_freq": -4500.0}, "low_freq 4000 and high_freq 3500"),
        ({"num_ceps": 24}, "num_ceps is 24, expected 1 to num_mel_bins = 23"),
        ({"kind": "plp", "num_ceps": 14}, "expected 2 to lpc_order + 1 = 13"),
        ({"kind": "plp", "lpc_order": 0}, "lpc_order is 0"),
        ({"mel_energy_floor": 0.0}, "mel_energy_floor is 0"),
        ({"energy_floor": -1.0}, "energy_floor is -1"),
        ({"cepstral_lifter": -1.0}, "cepstral_lifter is -1"),
        ({"num_mel_bins": 128}, "holds no point of the FFT of 512"),
        ({"vtln_warp": 90.0}, "vtln_warp 90 with vtln_low 100 Hz"),
        ({"vtln_warp": 1.1, "vtln_low": 10.0}, "does not fit a filterbank"),
        ({"kind": "spectrogram", "vtln_warp": 1.1}, "no filterbank to warp"),
    ],
)
def test_impossible_options_say_so(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        FrontEnd(FrontEndConfig(**options))


def test_description_is_kept_beside_the_features(tmp_path: Path) -> None:
    config = FrontEndConfig(kind="fbank", use_energy=None, num_mel_bins=40, high_freq=-200.0)
    save_front_end(tmp_path, config)
    assert load_front_end(tmp_path) == config
    check_front_end(config, load_front_end(tmp_path), tmp_path)
    with pytest.raises(ModelError, match="num_mel_bins is 40, the model has 23"):
        check_front_end(FrontEndConfig(kind="fbank", high_freq=-200.0), config, tmp_path)


def test_absent_and_damaged_descriptions(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="asrkit extract"):
        load_front_end(tmp_path)
    write_text(tmp_path / "frontend.json", "[]")
    with pytest.raises(FormatError, match="expected a JSON object"):
        load_front_end(tmp_path)
    write_text(tmp_path / "frontend.json", '{"kind": "mfcc", "num_mel_bin": 3}')
    with pytest.raises(ConfigError, match="did you mean num_mel_bins"):
        load_front_end(tmp_path)
