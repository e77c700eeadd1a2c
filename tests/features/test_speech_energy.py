"""Speech by energy: planted bursts, whatever the level and the noise, and signals that must not deceive it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError
from asrkit.features.config import FrontEndConfig
from asrkit.features.context_windows import ContextWindow
from asrkit.features.frontend import FrontEnd
from asrkit.features.speech_energy import EnergySpeechConfig, energy_scores, moving_average
from tests.voices import RATE, planted, vowels

CONFIG = EnergySpeechConfig()
Samples = NDArray[np.float32]


def scores(samples: Samples, rate: int = RATE, config: EnergySpeechConfig = CONFIG) -> NDArray[np.float32]:
    features = FrontEnd(config.front_end(FrontEndConfig(sample_rate_hz=rate))).compute(samples)
    result = energy_scores(ContextWindow(features, 0, len(features)), config, 0.01)
    assert result.shape == (len(features),)
    assert result.dtype == np.float32
    assert np.isfinite(result).all()
    assert np.abs(result).max(initial=0) <= 1
    return result


def errors(samples: Samples, labels: NDArray[np.bool_]) -> float:
    found = scores(samples) > 0
    return float((found != labels[: len(found)]).mean())


@pytest.mark.parametrize("noise", [0.0, 1.0, 30.0, 300.0])
def test_planted_bursts_are_found_at_any_noise(noise: float) -> None:
    samples, labels = planted(noise)
    assert errors(samples, labels) < 0.06
    assert errors(samples, ~labels) > 0.9


def test_level_offset_and_clipping_do_not_matter() -> None:
    samples, labels = planted(30.0)
    np.testing.assert_allclose(scores(samples * np.float32(0.25)), scores(samples), atol=0.05)
    np.testing.assert_allclose(scores(samples + np.float32(5000)), scores(samples), atol=0.01)
    assert errors(np.clip(samples * 10, -32768, 32767), labels) < 0.06
    coarse = (np.round(samples / 256) * 256).astype(np.float32)  # 8 bits
    assert errors(coarse, labels) < 0.06
    # Noise is not a change of level.
    assert np.abs(scores(samples + planted(300.0)[0]) - scores(samples)).max() > 0.3


@pytest.mark.parametrize("level", [0.0, 0.5, 20.0, 3000.0])
@pytest.mark.parametrize("secs", [0.3, 3.0, 60.0])
def test_noise_alone_is_no_speech(level: float, secs: float) -> None:
    noise = level * np.random.default_rng(4).standard_normal(round(secs * RATE))
    assert (scores(np.round(noise).astype(np.float32)) > 0).mean() < 0.02


def test_speech_without_a_pause_is_speech() -> None:
    assert (scores(vowels(20.0, 2) + planted(3.0)[0][0]) > 0).mean() > 0.6


def test_digital_silence_does_not_make_speech_of_noise() -> None:
    samples, labels = planted(30.0)
    muted = np.concatenate([samples, np.zeros(20 * RATE, dtype=np.float32), samples])
    found = scores(muted) > 0
    for at in (0, 29 * RATE // 160):
        part = found[at : at + 897]
        assert (part != labels[: len(part)]).mean() < 0.08
    assert not found[950:2850].any()
    assert (scores(np.zeros(RATE, dtype=np.float32)) == -1).all()


@pytest.mark.parametrize("rate", [4000, 8000, 11025, 22050, 44100, 48000])
def test_any_sample_rate(rate: int) -> None:
    import librosa

    samples, labels = planted(30.0)
    found = scores(librosa.resample(samples, orig_sr=RATE, target_sr=rate, res_type="soxr_hq"), rate) > 0
    shift = int(rate * 0.01) / rate
    expected = labels[np.minimum((np.arange(len(found)) * shift * 100).astype(int), len(labels) - 1)]
    assert (found != expected).mean() < 0.06


def test_nothing_gives_nothing_and_wrong_settings_are_refused() -> None:
    assert len(scores(np.zeros(100, dtype=np.float32))) == 0
    for wrong in ({"num_bands": 2}, {"threshold": 1.0}, {"floor_quantile": 0.95}, {"min_rise": 0.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            EnergySpeechConfig(**wrong)  # type: ignore[arg-type]


def test_moving_average_is_that_of_the_neighbours() -> None:
    values = np.random.default_rng(0).standard_normal((11, 2)).astype(np.float32)
    for width in (1, 2, 5, 30):
        before, behind = (width - 1) // 2, width // 2
        expected = [values[max(0, t - before) : t + behind + 1].mean(axis=0) for t in range(11)]
        np.testing.assert_allclose(moving_average(values, width), expected, rtol=1e-5, atol=1e-6)
