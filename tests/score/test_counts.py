"""ErrorCounts: the laws of a monoid, and rates that come from sums."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asrkit.score.counts import ErrorCounts

COUNTS = st.builds(ErrorCounts, *[st.integers(0, 1000)] * 6)


@given(COUNTS, COUNTS, COUNTS)
def test_counts_are_a_commutative_monoid(a: ErrorCounts, b: ErrorCounts, c: ErrorCounts) -> None:
    assert a + ErrorCounts.zero() == a == ErrorCounts.zero() + a
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert (a + b).errors == a.errors + b.errors


def test_every_field_is_added() -> None:
    assert ErrorCounts(1, 2, 3, 40, 5, 4) + ErrorCounts(10, 20, 30, 400, 50, 40) == ErrorCounts(11, 22, 33, 440, 55, 44)


def test_rate_is_that_of_the_sum_and_not_the_mean_of_rates() -> None:
    short, long = ErrorCounts(substitutions=1, reference_tokens=1), ErrorCounts(deletions=1, reference_tokens=99)
    assert (short + long).error_rate == pytest.approx(0.02)
    assert (short.error_rate + long.error_rate) / 2 > 0.5


def test_rates_by_hand() -> None:
    counts = ErrorCounts(10, 5, 31, 762, 130, 33)
    assert counts.errors == 46
    assert counts.correct_tokens == 726
    assert counts.error_rate == pytest.approx(0.0603675, abs=1e-7)
    assert counts.sentence_error_rate == pytest.approx(0.2538462, abs=1e-7)


def test_rates_without_a_reference() -> None:
    assert ErrorCounts.zero().error_rate == 0.0
    assert ErrorCounts.zero().sentence_error_rate == 0.0
    assert ErrorCounts(insertions=2, sentences=1, wrong_sentences=1).error_rate == math.inf
