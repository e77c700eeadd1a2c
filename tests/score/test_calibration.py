"""Calibration of confidences: by hand, and words drawn with the probability that is claimed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from asrkit.score.calibration import SUREST, calibration


def test_by_hand() -> None:
    found = calibration(np.array([0.95, 1.0, 0.91, 0.35, 0.31]), np.array([True, True, False, False, True]))
    assert (found.num_words, found.num_right) == (5, 3)
    # Bin 9: mean 0.953, 2 of 3 right; bin 3: mean 0.33, 1 of 2.
    assert found.expected_error == pytest.approx((abs(2.86 - 2) + abs(0.66 - 1)) / 5)
    told = math.log2(0.95) + math.log2(SUREST) + math.log2(0.09) + math.log2(0.65) + math.log2(0.31)
    assert found.cross_entropy == pytest.approx(1 - told / (3 * math.log2(0.6) + 2 * math.log2(0.4)))


def test_confidences_that_come_true_and_such_that_boast() -> None:
    rng = np.random.default_rng(0)
    claimed = rng.uniform(size=20_000)
    honest = calibration(claimed, rng.uniform(size=20_000) < claimed)
    boasting = calibration(claimed, rng.uniform(size=20_000) < claimed / 2)
    assert honest.expected_error < 0.015
    assert boasting.expected_error == pytest.approx(0.25, abs=0.01)
    assert honest.cross_entropy > 0.2 > boasting.cross_entropy


def test_the_ends() -> None:
    assert calibration(np.ones(3), np.ones(3, dtype=bool)).expected_error == 0
    assert math.isnan(calibration(np.ones(3), np.ones(3, dtype=bool)).cross_entropy)
    wrong = calibration(np.ones(2), np.array([True, False])).cross_entropy
    assert wrong == pytest.approx(1 + (math.log2(SUREST) + math.log2(1 - SUREST)) / 2)
    assert math.isnan(calibration(np.empty(0), np.empty(0, dtype=bool)).expected_error)
