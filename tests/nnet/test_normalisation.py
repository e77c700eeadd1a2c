"""Inputs of zero mean and unit variance."""

from __future__ import annotations

import numpy as np
import pytest

from asrkit.core.errors import DataError, ModelError
from asrkit.features.splice import splice
from asrkit.nnet.normalisation import InputNormalisation


def test_training_data_come_out_with_zero_mean_and_unit_variance() -> None:
    rng = np.random.default_rng(1)
    features = [rng.normal([3.0, -20.0, 0.5], [2.0, 0.1, 30.0], (n, 3)).astype(np.float32) for n in (40, 7, 300)]
    normalisation = InputNormalisation.of(features)
    together = np.concatenate([normalisation.apply(value) for value in features]).astype(np.float64)
    np.testing.assert_allclose(together.mean(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(together.std(axis=0), 1.0, rtol=1e-4)


def test_a_constant_dimension_becomes_zero() -> None:
    features = np.stack([np.full(9, 7.0), np.arange(9.0)], axis=1).astype(np.float32)
    normalised = InputNormalisation.of([features]).apply(features)
    np.testing.assert_array_equal(normalised[:, 0], 0.0)
    assert normalised[:, 1].std() == pytest.approx(1.0, rel=1e-5)


def test_it_is_the_same_before_and_after_splicing() -> None:
    rng = np.random.default_rng(2)
    features = rng.normal(4.0, 3.0, (11, 5)).astype(np.float32)
    normalisation = InputNormalisation.of([features])
    np.testing.assert_array_equal(
        normalisation.spliced(4).apply(splice(features, 2, 1)), splice(normalisation.apply(features), 2, 1)
    )


def test_no_or_damaged_frames_are_refused() -> None:
    with pytest.raises(DataError, match="no frames"):
        InputNormalisation.of([])
    with pytest.raises(DataError, match="not finite"):
        InputNormalisation.of([np.array([[1.0, np.nan]], dtype=np.float32)])
    with pytest.raises(DataError, match="all frames are the same"):
        InputNormalisation.of([np.full((5, 2), 7.3, dtype=np.float32)])


@pytest.mark.parametrize(
    ("shift", "scale", "message"),
    [
        (np.zeros(3), np.ones(2), r"the shift \(3,\) and the scale \(2,\)"),
        (np.zeros((3, 1)), np.ones((3, 1)), "the shift"),
        (np.zeros(2), np.array([1.0, np.nan]), "not finite"),
        (np.array([np.inf, 0.0]), np.ones(2), "not finite"),
    ],
)
def test_damaged_ones_are_refused(shift: np.ndarray, scale: np.ndarray, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        InputNormalisation(shift.astype(np.float32), scale.astype(np.float32))
