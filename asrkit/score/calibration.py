"""Whether confidences mean what they say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NUM_BINS = 10
SUREST = 1 - 5e-5
"""Confidences are written with four decimals, so that 1 says no more than this."""


@dataclass(frozen=True)
class Calibration:
    """How well the confidences of recognised words tell which of them are right.

    Attributes
    ----------
    num_words, num_right : int
        Recognised words, and those that stand against an equal word of the reference.
    expected_error : float
        Expected calibration error: words in bins of equal width by confidence, the mean over words of the distance
        between their bin's mean confidence and its share of right words (Naeini et al. 2015); 0 is perfect.
    cross_entropy : float
        Normalised cross entropy (NIST): 1 − H(right | confidence) / H(right). 1 is perfect, 0 what knowing the share
        of right words alone gives; NaN where all words are right, or none. No confidence counts as surer than
        :data:`SUREST`.
    """

    num_words: int
    num_right: int
    expected_error: float
    cross_entropy: float


def calibration(confidences: NDArray[np.float64], right: NDArray[np.bool_], num_bins: int = NUM_BINS) -> Calibration:
    """Compare confidences, in [0, 1], shape (num_words,), with what was right."""
    count, num_right = len(right), int(right.sum())
    bins = np.minimum((confidences * num_bins).astype(np.int64), num_bins - 1)
    gaps = np.bincount(bins, confidences - right, minlength=num_bins)
    share = num_right / count if count else np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        told = np.log2(np.clip(np.where(right, confidences, 1 - confidences), 1 - SUREST, SUREST)).sum()
        known = num_right * np.log2(share) + (count - num_right) * np.log2(1 - share)
        cross_entropy = float(1 - told / known) if 0 < num_right < count else float("nan")
    return Calibration(count, num_right, float(np.abs(gaps).sum() / count) if count else float("nan"), cross_entropy)
