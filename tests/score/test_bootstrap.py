"""Resampling against planted data whose truth is known, and kaldialign's interval."""

from __future__ import annotations

import kaldialign
import numpy as np
import pytest

from asrkit.core.streams import random_stream
from asrkit.score.bootstrap import bootstrap_interval, paired_bootstrap, resampled_sums, sum_groups


def test_sums_draw_whole_groups_with_replacement() -> None:
    values = np.array([[1, 10], [2, 20], [4, 40]])
    sums = resampled_sums(values, 500, random_stream(0, "test"))
    assert sums.shape == (500, 2)
    assert (sums[:, 1] == 10 * sums[:, 0]).all()
    assert set(sums[:, 0]) == {a + b + c for a in (1, 2, 4) for b in (1, 2, 4) for c in (1, 2, 4)}
    assert sums[:, 0].mean() == pytest.approx(7.0, abs=0.3)


def test_blocks_do_not_limit_the_number_of_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.arange(21).reshape(7, 3)
    whole = resampled_sums(values, 10, random_stream(0, "test"))
    monkeypatch.setattr("asrkit.score.bootstrap._DRAWS_AT_ONCE", 1)
    assert resampled_sums(values, 10, random_stream(0, "test")).shape == whole.shape == (10, 3)


def test_group_sums() -> None:
    values = np.array([[1, 5], [2, 6], [3, 7]])
    assert sum_groups(values, np.array([1, 0, 1])).tolist() == [[2, 6], [4, 12]]
    assert sum_groups(np.zeros((0, 2), np.int64), np.zeros(0, np.intp)).shape == (0, 2)


def plant(random: np.random.Generator, num_speakers: int, alike: bool = True) -> tuple[np.ndarray, ...]:
    """Make 5 utterances a speaker, 10 words each, at a mean error rate of 20 %: errors, words, speakers."""
    rates = np.full(num_speakers, 0.2) if alike else random.beta(1, 4, num_speakers)
    speakers = np.repeat(np.arange(num_speakers), 5)
    return random.binomial(10, rates[speakers]), np.full(len(speakers), 10), speakers


def coverage(alike: bool, by_speaker: bool) -> float:
    """Share of test sets whose interval holds the true rate."""
    hits = 0
    for trial in range(200):
        random = random_stream(1, "planted", str(trial))
        errors, tokens, speakers = plant(random, 30, alike)
        table = np.column_stack([errors, tokens])
        if by_speaker:
            table = sum_groups(table, speakers)
        interval = bootstrap_interval(table[:, 0], table[:, 1], 200, random)
        assert interval is not None
        hits += interval.low <= 0.2 <= interval.high
    return hits / 200


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    assert 0.90 <= coverage(alike=True, by_speaker=False) <= 0.98


def test_where_speakers_differ_only_resampling_speakers_covers() -> None:
    assert coverage(alike=False, by_speaker=True) >= 0.88
    assert coverage(alike=False, by_speaker=False) <= 0.80


def test_interval_agrees_with_kaldialign() -> None:
    errors = random_stream(5, "test").binomial(8, 0.3, size=60)
    references = [["a"] * 8] * 60
    hypotheses = [["a"] * (8 - n) + ["b"] * n for n in errors]
    theirs = kaldialign.bootstrap_wer_ci(references, hypotheses, replications=2000, seed=0)
    ours = bootstrap_interval(errors, np.full(60, 8), 2000, random_stream(0, "test"))
    assert ours is not None
    assert ours.low == pytest.approx(theirs["ci95min"], abs=0.01)
    assert ours.high == pytest.approx(theirs["ci95max"], abs=0.01)


def test_the_same_stream_gives_the_same_interval_and_another_seed_another() -> None:
    errors, tokens, _ = plant(random_stream(0, "data"), 12)
    first, again, other = (bootstrap_interval(errors, tokens, 100, random_stream(seed, "x")) for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_a_higher_level_is_a_wider_interval() -> None:
    errors, tokens, _ = plant(random_stream(0, "data"), 12)
    narrow, wide = (bootstrap_interval(errors, tokens, 500, random_stream(0, "x"), level) for level in (0.5, 0.99))
    assert narrow is not None
    assert wide is not None
    assert wide.low < narrow.low < errors.sum() / tokens.sum() < narrow.high < wide.high


@pytest.mark.parametrize(("errors", "tokens"), [([3], [10]), ([3, 1], [10, 0]), ([], [])])
def test_nothing_is_said_about_a_single_group(errors: list[int], tokens: list[int]) -> None:
    a, n = np.array(errors, np.int64), np.array(tokens, np.int64)
    assert bootstrap_interval(a, n, 100, random_stream(0, "x")) is None
    assert paired_bootstrap(a, a, n, 100, random_stream(0, "x")) is None


def test_replications_without_tokens_are_left_out() -> None:
    interval = bootstrap_interval(np.array([1, 2, 0]), np.array([10, 10, 0]), 300, random_stream(0, "x"))
    assert interval is not None
    assert (interval.low, interval.high) == (pytest.approx(0.1), pytest.approx(0.2))


def test_no_replications_no_interval() -> None:
    assert bootstrap_interval(np.array([1, 2]), np.array([10, 10]), 0, random_stream(0, "x")) is None


def test_identical_systems_give_p_1() -> None:
    errors, tokens, _ = plant(random_stream(0, "data"), 12)
    result = paired_bootstrap(errors, errors, tokens, 200, random_stream(0, "x"))
    assert result is not None
    assert (result.difference, result.low, result.high, result.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_exchanging_the_systems_changes_only_the_sign() -> None:
    random = random_stream(0, "data")
    a, tokens, _ = plant(random, 12)
    b, _, _ = plant(random, 12)
    one = paired_bootstrap(a, b, tokens, 300, random_stream(0, "x"))
    other = paired_bootstrap(b, a, tokens, 300, random_stream(0, "x"))
    assert one is not None
    assert other is not None
    assert one.difference == -other.difference != 0
    assert one.p_value == other.p_value
    assert (one.low, one.high) == (pytest.approx(-other.high), pytest.approx(-other.low))


def test_a_clear_difference_is_significant() -> None:
    a, tokens, _ = plant(random_stream(0, "data"), 30)
    worse = a + (np.arange(len(a)) % 3 == 0)
    result = paired_bootstrap(worse, a, tokens, 1000, random_stream(0, "x"))
    assert result is not None
    assert result.p_value < 0.01
    assert result.low > 0


def test_equal_systems_are_called_different_about_as_often_as_the_level_says() -> None:
    rejected = 0
    for trial in range(200):
        random = random_stream(2, "null", str(trial))
        a, tokens, _ = plant(random, 20)
        b, _, _ = plant(random, 20)
        result = paired_bootstrap(a, b, tokens, 200, random)
        assert result is not None
        rejected += result.p_value < 0.05
    assert 0.01 <= rejected / 200 <= 0.10


def test_a_handful_of_utterances_proves_nothing() -> None:
    better, worse, tokens = np.array([1, 1, 1]), np.array([2, 2, 2]), np.array([9, 9, 9])
    result = paired_bootstrap(worse, better, tokens, 1000, random_stream(0, "x"))
    assert result is not None
    assert result.p_value == 0.25
