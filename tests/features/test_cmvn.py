"""CMVN: a monoid, what normalised features look like, and sliding windows against a direct loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import DataError
from asrkit.features.cmvn import CmvnStats, apply_cmvn, apply_sliding_cmvn


def features(num_frames: int, dim: int = 3, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((num_frames, dim)) * np.arange(1, dim + 1) + 7 * np.arange(dim)).astype(np.float32)


def test_statistics_add_up() -> None:
    x = features(11)
    parts = CmvnStats.zero(3) + CmvnStats.of(x[:4]) + CmvnStats.of(x[4:])
    np.testing.assert_allclose(parts.to_matrix(), CmvnStats.of(x).to_matrix())
    assert parts.count == 11
    np.testing.assert_allclose(parts.mean(), x.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(parts.variance(), x.astype(np.float64).var(axis=0))
    again = CmvnStats.from_matrix(parts.to_matrix())
    assert np.array_equal(again.to_matrix(), parts.to_matrix())


def test_normalised_features_have_zero_mean_and_unit_variance() -> None:
    x = features(200)
    both = apply_cmvn(x, CmvnStats.of(x), norm_vars=True)
    assert both.dtype == np.float32
    np.testing.assert_allclose(both.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(both.var(axis=0), 1, atol=1e-4)
    means = apply_cmvn(x, CmvnStats.of(x))
    np.testing.assert_allclose(means.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(means.std(axis=0), x.std(axis=0), rtol=1e-4)
    assert abs(x.mean(axis=0)[2]) > 1
    variances = apply_cmvn(x, CmvnStats.of(x), norm_means=False, norm_vars=True)
    np.testing.assert_allclose(variances.std(axis=0), 1, atol=1e-4)
    assert abs(variances.mean(axis=0)[2]) > 1
    assert apply_cmvn(x, CmvnStats.of(x), norm_means=False) is x


def test_a_constant_feature_meets_the_floor() -> None:
    x = np.full((5, 2), 3.0, dtype=np.float32)
    assert np.isfinite(apply_cmvn(x, CmvnStats.of(x), norm_vars=True)).all()
    assert CmvnStats.of(x).variance(0.25).tolist() == [0.25, 0.25]


def test_statistics_that_do_not_fit() -> None:
    x = features(5)
    with pytest.raises(DataError, match="dimension 2 for features of dimension 3"):
        apply_cmvn(x, CmvnStats.of(x[:, :2]))
    with pytest.raises(DataError, match="of 0 frames"):
        apply_cmvn(x, CmvnStats.zero(3))
    with pytest.raises(DataError, match="expected \\(2, dimension"):
        CmvnStats.from_matrix(np.zeros((3, 4)))


def kaldi_sliding(x: np.ndarray, cmn_window: int, min_window: int, center: bool, norm_vars: bool) -> np.ndarray:
    """Kaldi's SlidingWindowCmn, frame by frame."""
    result = np.empty_like(x, dtype=np.float64)
    for t in range(len(x)):
        start, end = (t - cmn_window // 2, t - cmn_window // 2 + cmn_window) if center else (t - cmn_window, t + 1)
        if start < 0:
            start, end = 0, end - start
        if not center and end > t:
            end = max(t + 1, min_window)
        if end > len(x):
            start, end = max(0, start - (end - len(x))), len(x)
        part = x[start:end].astype(np.float64)
        result[t] = x[t] - part.mean(axis=0)
        if norm_vars:
            result[t] = 0 if len(part) == 1 else result[t] / np.sqrt(np.maximum(part.var(axis=0), 1e-10))
    return result


@settings(max_examples=60, deadline=None)
@given(
    num_frames=st.integers(1, 40),
    cmn_window=st.integers(1, 50),
    min_window=st.integers(1, 20),
    center=st.booleans(),
    norm_vars=st.booleans(),
)
def test_sliding_equals_a_direct_loop(
    num_frames: int, cmn_window: int, min_window: int, center: bool, norm_vars: bool
) -> None:
    x = features(num_frames)
    ours = apply_sliding_cmvn(x, cmn_window, min_window, center, norm_vars)
    expected = kaldi_sliding(x, cmn_window, min_window, center, norm_vars)
    np.testing.assert_allclose(ours, expected, atol=2e-4)


def test_a_window_over_everything_is_the_utterance() -> None:
    x = features(30)
    whole = apply_cmvn(x, CmvnStats.of(x), norm_vars=True)
    np.testing.assert_allclose(apply_sliding_cmvn(x, 60, 60, True, True), whole, atol=1e-4)
    assert np.abs(apply_sliding_cmvn(x, 10, 10, True, True) - whole).max() > 0.1
    assert apply_sliding_cmvn(x[:0]).shape == (0, 3)
