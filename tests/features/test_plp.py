"""PLP against scipy's Toeplitz solver and the textbook cepstrum of an all-pole model (its golden archive is apart)."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from asrkit.features.frontend import FrontEnd, FrontEndConfig
from asrkit.features.kernels import lpc_cepstra
from asrkit.features.plp import autocorrelation_bases, equal_loudness


def test_durbin_solves_the_normal_equations() -> None:
    rng = np.random.default_rng(3)
    order, num_frames = 7, 5
    spectra = rng.uniform(0.1, 4.0, (num_frames, 64))
    spectra = np.concatenate([spectra, spectra[:, ::-1]], axis=1)
    r = np.fft.ifft(spectra, axis=1).real[:, : order + 1]
    # an asymmetric start: ifft of an even-length mirrored spectrum is real up to the half-sample shift
    r[:, 0] = spectra.mean(axis=1) * 1.05
    cepstra = np.empty((num_frames, order), dtype=np.float32)
    residual = np.empty(num_frames, dtype=np.float32)
    lpc_cepstra(r.astype(np.float32), np.float32(1e-5), cepstra, residual)
    for t in range(num_frames):
        a = scipy.linalg.solve_toeplitz(r[t, :-1], r[t, 1:])
        assert residual[t] == pytest.approx(r[t, 0] - a @ r[t, 1:], rel=1e-4)
        # log 1/A(z) as a power series, from samples on the unit circle: the cepstrum by its definition
        points = 4096
        response = np.fft.fft(np.concatenate([[1.0], -a]), points)
        direct = np.fft.ifft(-np.log(np.abs(response))).real[1 : order + 1] * 2
        np.testing.assert_allclose(cepstra[t], direct, atol=2e-4)


def test_a_hopeless_prediction_error_is_floored() -> None:
    r = np.ones((1, 4), dtype=np.float32)  # a constant signal: fully predictable
    cepstra, residual = np.empty((1, 3), dtype=np.float32), np.empty(1, dtype=np.float32)
    lpc_cepstra(r, np.float32(1e-3), cepstra, residual)
    assert residual[0] == pytest.approx(1e-3)
    assert np.isfinite(cepstra).all()


def test_autocorrelation_of_a_cosine_spectrum() -> None:
    num_bins, lag = 21, 3
    points = np.arange(num_bins + 2) * np.pi / (num_bins + 1)
    spectrum = 1 + np.cos(lag * points)
    inner = spectrum[1:-1]
    bases = autocorrelation_bases(6, num_bins)
    # continued by its neighbours at both ends, as the model sees it
    continued = np.concatenate([inner[:1], inner, inner[-1:]])
    full = np.concatenate([continued, continued[-2:0:-1]])
    np.testing.assert_allclose(inner @ bases, np.fft.ifft(full).real[:7], atol=1e-12)


def test_equal_loudness_rises_to_the_ear_s_best_range() -> None:
    weights = equal_loudness(np.array([100.0, 1000.0, 4000.0]))
    assert (np.diff(weights) > 0).all()
    assert weights[1] == pytest.approx((1e6 / 1.16e6) ** 2 * 2.44e6 / 1.061e7)


def test_htk_order_and_scale() -> None:
    samples = (1000 * np.random.default_rng(0).standard_normal(4000)).astype(np.float32)
    plain = FrontEnd(FrontEndConfig(kind="plp")).compute(samples)
    htk = FrontEnd(FrontEndConfig(kind="plp", htk_compat=True)).compute(samples)
    assert np.array_equal(htk, np.roll(plain, -1, axis=1))
    scaled = FrontEnd(FrontEndConfig(kind="plp", cepstral_scale=10.0)).compute(samples)
    np.testing.assert_allclose(scaled[:, 1:], 10 * plain[:, 1:], rtol=1e-5)
    assert np.array_equal(scaled[:, 0], plain[:, 0])
