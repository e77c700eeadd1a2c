"""Every archive that Kaldi made of the recordings in tests/golden/kaldi_features."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import kaldiio
import numpy as np
import pytest
import scipy.io.wavfile

from asrkit.features.cmvn import CmvnStats, apply_sliding_cmvn
from asrkit.features.deltas import add_deltas
from asrkit.features.frontend import FrontEnd, FrontEndConfig

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "kaldi_features"
TOLERANCE = 1e-3  # float32, another order of operations; stated in the golden README
STATS_TOLERANCE = 1e-6  # double precision from the same features


def archive(name: str) -> dict[str, np.ndarray]:
    return dict(kaldiio.load_ark(str(GOLDEN / f"{name}.ark")))


def wav(name: str) -> tuple[np.ndarray, int]:
    rate, samples = scipy.io.wavfile.read(io.BytesIO((GOLDEN / f"{name}.wav").read_bytes()))
    return samples.astype(np.float32), rate


CASES: dict[str, dict[str, Any]] = {
    "mfcc_default_16k": {},
    "mfcc_no_energy_16k": {"use_energy": False},
    "mfcc_no_energy_8k": {"use_energy": False, "sample_rate_hz": 8000},
    "mfcc_hires40_16k": {
        "num_mel_bins": 40,
        "num_ceps": 40,
        "low_freq": 20.0,
        "high_freq": -400.0,
        "use_energy": False,
    },
    "mfcc_no_snip_warp1.1_16k": {"snip_edges": False, "use_energy": False, "vtln_warp": 1.1},
    "fbank40_16k": {"kind": "fbank", "num_mel_bins": 40},
    "fbank40_energy_hamming_16k": {
        "kind": "fbank",
        "num_mel_bins": 40,
        "use_energy": True,
        "window_type": "hamming",
    },
    "plp_default_16k": {"kind": "plp"},
}


@pytest.mark.parametrize("name", CASES)
def test_features_match_kaldi(name: str) -> None:
    front_end = FrontEnd(FrontEndConfig(**CASES[name]))
    expected = archive(name)
    assert len(expected) >= 2
    for key, matrix in expected.items():
        samples, rate = wav(key)
        assert rate == front_end.config.sample_rate_hz
        np.testing.assert_allclose(front_end.compute(samples), matrix, rtol=0, atol=TOLERANCE, err_msg=key)


def test_a_different_option_does_not_match() -> None:
    """The tolerance is fine enough to see each option that the archives vary."""
    for name, options in CASES.items():
        for option in options.keys() - {"kind", "num_mel_bins", "num_ceps", "sample_rate_hz", "snip_edges", "low_freq"}:
            kept = {key: value for key, value in options.items() if key != option}
            if option == "use_energy" and options.get("kind") == "fbank":
                continue  # changes the dimension
            key, matrix = next(iter(archive(name).items()))
            other = FrontEnd(FrontEndConfig(**kept)).compute(wav(key)[0])
            assert np.abs(other - matrix).max() > 10 * TOLERANCE, (name, option)


def test_deltas_match_kaldi() -> None:
    expected = archive("mfcc_default_deltas_16k")
    for key, features in archive("mfcc_default_16k").items():
        np.testing.assert_allclose(add_deltas(features), expected[key], rtol=0, atol=TOLERANCE)


def test_cmvn_statistics_match_kaldi() -> None:
    expected = archive("cmvn_stats_per_utt_16k")
    for key, features in archive("mfcc_default_16k").items():
        ours = CmvnStats.of(features).to_matrix()
        np.testing.assert_allclose(ours, expected[key], rtol=STATS_TOLERANCE)
        from_ours = CmvnStats.of(FrontEnd(FrontEndConfig()).compute(wav(key)[0])).to_matrix()
        np.testing.assert_allclose(from_ours, expected[key], rtol=0, atol=1e-4 * np.abs(expected[key]).max())


def test_sliding_cmn_matches_kaldi() -> None:
    expected = archive("mfcc_default_sliding_cmn_16k")
    for key, features in archive("mfcc_default_16k").items():
        ours = apply_sliding_cmvn(features, cmn_window=300, center=True)
        np.testing.assert_allclose(ours, expected[key], rtol=0, atol=TOLERANCE)
