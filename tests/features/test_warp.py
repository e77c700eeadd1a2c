"""The warping function by its defining properties; its use is in the golden archives."""

from __future__ import annotations

import numpy as np
import pytest

from asrkit.core.errors import ConfigError
from asrkit.features.config import FrontEndConfig
from asrkit.features.mel import MelBanks, inverse_mel_scale, mel_scale
from asrkit.features.warp import Warp


@pytest.mark.parametrize("factor", [0.85, 0.97, 1.0, 1.06, 1.2])
def test_ends_stay_and_the_middle_is_divided(factor: float) -> None:
    warp = Warp(factor, 20.0, 7800.0, 100.0, 7500.0)
    np.testing.assert_allclose(warp(np.array([3.0, 20.0, 7800.0, 7900.0])), [3.0, 20.0, 7800.0, 7900.0])
    middle = np.linspace(130.0, 6300.0, 7)
    np.testing.assert_allclose(warp(middle), middle / factor)
    grid = warp(np.linspace(20, 7800, 999))
    assert (np.diff(grid) > 0).all()
    if factor != 1.0:
        assert np.abs(grid - np.linspace(20, 7800, 999)).max() > 100


def test_cut_offs_bound_both_sides() -> None:
    up, down = Warp(1.2, 20.0, 7800.0, 100.0, 7500.0), Warp(0.8, 20.0, 7800.0, 100.0, 7500.0)
    # min(l, F(l)) is the lower cut-off, max(h, F(h)) the upper one.
    assert up(np.array([120.0]))[0] == pytest.approx(100.0)
    assert up(np.array([7500.0]))[0] == pytest.approx(7500.0 / 1.2)
    assert down(np.array([100.0]))[0] == pytest.approx(125.0)
    assert down(np.array([6000.0]))[0] == pytest.approx(7500.0)


def test_factor_too_far_from_one() -> None:
    with pytest.raises(ConfigError, match="does not fit"):
        Warp(0.0, 20.0, 7800.0, 100.0, 7500.0)
    with pytest.raises(ConfigError, match=r"0\.8 to 1\.2"):
        Warp(90.0, 20.0, 7800.0, 100.0, 7500.0)


def test_mel_scale_and_its_inverse() -> None:
    assert mel_scale(1000.0) == pytest.approx(999.99, abs=0.01)
    frequencies = np.array([0.0, 20.0, 440.0, 8000.0])
    np.testing.assert_allclose(inverse_mel_scale(mel_scale(frequencies)), frequencies, atol=1e-9)


def test_neighbouring_bins_share_each_point_of_the_fft() -> None:
    """Triangles overlap by half: between the first and the last centre the weights sum to 1."""
    config = FrontEndConfig(num_mel_bins=31, low_freq=100.0)
    banks = MelBanks.build(config, 1.0)
    points = np.arange(256) * 31.25
    inner = (points > banks.centers_hz[0]) & (points < banks.centers_hz[-1])
    sums = banks.weights.sum(axis=1)
    np.testing.assert_allclose(sums[inner], 1.0, atol=1e-6)
    assert (sums[points <= 100.0] == 0).all()
    assert sums[~inner].min() < 0.5
    warped = MelBanks.build(config, 1.1)
    assert warped.centers_hz[15] == pytest.approx(banks.centers_hz[15] / 1.1)
