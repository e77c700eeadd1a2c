"""Intervals and paired significance by resampling, from counts alone: nothing is aligned again.

Source: Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP 2004.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_DRAWS_AT_ONCE = 1 << 21


@dataclass(frozen=True)
class Interval:
    """A percentile interval of an error rate.

    Attributes
    ----------
    low, high : float
        Error rates (1.0 = 100 %), low <= high.
    level : float
        Confidence level, e.g. 0.95.
    num_groups : int
        How many things (speakers, utterances) were resampled.
    num_replications : int
        How often.
    """

    low: float
    high: float
    level: float
    num_groups: int
    num_replications: int


@dataclass(frozen=True)
class PairedBootstrap:
    """The difference of two error rates on the same data, a minus b.

    Attributes
    ----------
    difference : float
        Measured on the data.
    low, high : float
        Percentile interval of the difference at ``level``.
    p_value : float
        Two-sided; 1 when the systems err alike everywhere.
    level, num_groups, num_replications
        As in :class:`Interval`.
    """

    difference: float
    low: float
    high: float
    p_value: float
    level: float
    num_groups: int
    num_replications: int


def sum_groups(values: NDArray[np.int64], groups: NDArray[np.intp]) -> NDArray[np.int64]:
    """Add the rows of ``values`` (items, columns) that belong to the same group: (groups, columns)."""
    sums = np.zeros((int(groups.max()) + 1 if len(groups) else 0, values.shape[1]), dtype=np.int64)
    np.add.at(sums, groups, values)
    return sums


def resampled_sums(values: NDArray[np.int64], num_replications: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Draw as many rows as there are, with replacement, and add them up; again and again.

    Parameters
    ----------
    values : ndarray of int64, (groups, columns)
        At least one group.
    num_replications : int
        How many sums.
    random : Generator
        See :func:`asrkit.core.streams.random_stream`.

    Returns
    -------
    ndarray of int64, (num_replications, columns)
    """
    num_groups = len(values)
    columns = [np.ascontiguousarray(column) for column in values.T]
    sums = np.empty((num_replications, len(columns)), dtype=np.int64)
    block = max(1, _DRAWS_AT_ONCE // num_groups)
    for start in range(0, num_replications, block):
        size = min(block, num_replications - start)
        drawn = random.integers(0, num_groups, size=(size, num_groups), dtype=np.int32)
        for at, column in enumerate(columns):
            sums[start : start + size, at] = column[drawn].sum(axis=1)
    return sums


def bootstrap_interval(
    errors: NDArray[np.int64],
    tokens: NDArray[np.int64],
    num_replications: int,
    random: np.random.Generator,
    level: float = 0.95,
) -> Interval | None:
    """Estimate the interval of the error rate ``errors.sum() / tokens.sum()``.

    Parameters
    ----------
    errors, tokens : ndarray of int64, (groups,)
        Errors and reference tokens of each utterance or speaker: of what is thought independent.

    Returns
    -------
    Interval or None
        None when there are fewer than two groups with tokens or no replications: nothing to learn a spread from.
        Replications without any reference token have no rate and are left out.
    """
    if num_replications < 1 or np.count_nonzero(tokens) < 2:
        return None
    sums = resampled_sums(np.column_stack([errors, tokens]), num_replications, random)
    sums = sums[sums[:, 1] > 0]
    low, high = _percentiles(sums[:, 0] / sums[:, 1], level)
    return Interval(low, high, level, len(errors), num_replications)


def paired_bootstrap(
    errors_a: NDArray[np.int64],
    errors_b: NDArray[np.int64],
    tokens: NDArray[np.int64],
    num_replications: int,
    random: np.random.Generator,
    level: float = 0.95,
) -> PairedBootstrap | None:
    """Compare two systems on the same groups, drawn together.

    The p-value is twice the smaller share of replications in which the difference is on the one or on the other
    side of 0 (or is 0), with the measured data counted as one replication more, and at most 1. It is not less than
    ``2^(1 - m)``, what an exact test by exchanging the systems could reach at best on the m groups in which they
    differ: resampling a handful of utterances would promise more. Exchanging the systems changes the sign of the
    difference and nothing else.

    Parameters
    ----------
    errors_a, errors_b, tokens : ndarray of int64, (groups,)
        Errors of the two systems and reference tokens of each group.

    Returns
    -------
    PairedBootstrap or None
        None as in :func:`bootstrap_interval`.
    """
    if num_replications < 1 or np.count_nonzero(tokens) < 2:
        return None
    gaps = errors_a - errors_b
    sums = resampled_sums(np.column_stack([gaps, tokens]), num_replications, random)
    sums = sums[sums[:, 1] > 0]
    differences = sums[:, 0] / sums[:, 1]
    below, above = np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0)
    low, high = _percentiles(differences, level)
    share = 2 * (min(below, above) + 1) / (len(differences) + 1)
    return PairedBootstrap(
        difference=int(gaps.sum()) / int(tokens.sum()),
        low=low,
        high=high,
        p_value=min(1.0, max(share, 2.0 ** (1 - np.count_nonzero(gaps)))),
        level=level,
        num_groups=len(tokens),
        num_replications=num_replications,
    )


def _percentiles(values: NDArray[np.float64], level: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
