"""MAPSSWE against a published worked example, scipy, and laws."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from asrkit.score.edits import Edit, TokenCodes, edit_operations
from asrkit.score.mapsswe import compare_edits, mapsswe, segment_errors


def edits(reference: str, hypothesis: str) -> list[Edit]:
    codes = TokenCodes()
    return edit_operations(codes.encode(reference.split()), codes.encode(hypothesis.split()))


# Jurafsky and Martin, Speech and Language Processing, 2nd edition, section 9.8: four segments, errors of A and B
REFERENCE = "it was the best of times it was the worst of times it was"
SYSTEM_A = "ITS the best of times it IS the worst of times OR it was"
SYSTEM_B = "it was the best times it WON the TEST of times it was"


def test_worked_example_segments_and_statistic() -> None:
    a, b = edits(REFERENCE, SYSTEM_A), edits(REFERENCE, SYSTEM_B)
    assert segment_errors(a, b) == [(2, 0), (0, 1), (1, 2), (1, 0)]
    result = compare_edits([a], [b])
    assert (result.num_segments, result.mean, result.deviation) == (4, 0.25, 1.5)
    assert result.statistic == pytest.approx(1 / 3)
    assert result.p_value == pytest.approx(2 * stats.norm.sf(1 / 3))


def test_a_single_good_word_does_not_end_a_segment_but_with_min_good_1_it_does() -> None:
    a, b = edits("a b c d e", "X b Y d e"), edits("a b c d e", "a b c d e")
    assert segment_errors(a, b) == [(2, 0)]
    assert segment_errors(a, b, min_good=1) == [(1, 0), (1, 0)]


def test_an_insertion_between_good_words_keeps_the_segment_open() -> None:
    reference = "a b c d e f"
    a, b = edits(reference, "X b c d e f"), edits(reference, "a b N c d e f")
    assert segment_errors(a, b) == [(1, 1)]
    b = edits(reference, "a b c N d e f")
    assert segment_errors(a, b) == [(1, 0), (0, 1)]


def segments_by_walking(num_tokens: int, a: list[Edit], b: list[Edit], min_good: int) -> list[tuple[int, int]]:
    """Walk over the reference token by token, as NIST's sc_stats does, and count good words."""
    segments: list[tuple[int, int]] = []
    errors, good, inside = [0, 0], 0, False
    for at in range(num_tokens + 1):
        inserted = [sum(edit[:2] == ("insert", at) for edit in edits) for edits in (a, b)]
        wrong = [sum(edit[0] != "insert" and edit[1] == at for edit in edits) for edits in (a, b)]
        for found, is_good_token in ((inserted, False), (wrong, at < num_tokens and not any(wrong))):
            if any(found):
                inside, good = True, 0
                errors = [errors[0] + found[0], errors[1] + found[1]]
            elif is_good_token and inside:
                good += 1
                if good == min_good:
                    segments.append((errors[0], errors[1]))
                    errors, inside = [0, 0], False
    if inside:
        segments.append((errors[0], errors[1]))
    return segments


SHORT = st.lists(st.sampled_from("abcd"), max_size=12).map(" ".join)


@given(SHORT, SHORT, SHORT, st.integers(1, 3))
@settings(max_examples=200, deadline=None)
def test_segments_agree_with_a_walk_over_the_reference(reference: str, one: str, other: str, min_good: int) -> None:
    a, b = edits(reference, one), edits(reference, other)
    segments = segment_errors(a, b, min_good)
    assert segments == segments_by_walking(len(reference.split()), a, b, min_good)
    assert [sum(column) for column in zip(*segments)] in ([], [len(a), len(b)])


def test_two_good_words_after_an_insertion_end_its_segment() -> None:
    reference = "a b c d"
    assert segment_errors(edits(reference, "N a b X d"), []) == [(1, 0), (1, 0)]
    assert segment_errors(edits(reference, "N a X c d"), []) == [(2, 0)]


@given(st.lists(st.integers(-4, 4), min_size=3, max_size=30).filter(lambda d: len(set(d)) > 1))
@settings(max_examples=60, deadline=None)
def test_statistic_agrees_with_scipy(differences: list[int]) -> None:
    result = mapsswe(differences)
    t = stats.ttest_1samp(differences, 0.0).statistic
    assert result.statistic == pytest.approx(t, rel=1e-9, abs=1e-9)
    bound = 0.5 ** (np.count_nonzero(differences) - 1)
    assert result.p_value == pytest.approx(max(2 * stats.norm.sf(abs(t)), bound), rel=1e-9)
    assert result.deviation == pytest.approx(np.std(differences, ddof=1))


@given(st.lists(st.integers(-4, 4), max_size=20))
@settings(max_examples=60, deadline=None)
def test_exchanging_the_systems_changes_only_signs(differences: list[int]) -> None:
    one, other = mapsswe(differences), mapsswe([-difference for difference in differences])
    assert one.p_value == pytest.approx(other.p_value, rel=1e-12)
    assert one.statistic == pytest.approx(-other.statistic)
    assert one.mean == -other.mean


def test_identical_systems_and_no_errors_give_p_1() -> None:
    a = edits(REFERENCE, SYSTEM_A)
    assert compare_edits([a, []], [a, []]).p_value == 1.0
    assert compare_edits([[]], [[]]) == mapsswe([])
    assert mapsswe([]).p_value == 1.0


def test_a_handful_of_segments_proves_nothing() -> None:
    """The bound is the best an exact test can do: exchange a and b in every subset of the segments that differ."""
    differences = [2, 1, 3, 0, 1]
    flipped = [abs(sum(d if (signs >> at) & 1 else -d for at, d in enumerate(differences))) for signs in range(2**5)]
    exact = np.mean([total >= sum(differences) for total in flipped])
    result = mapsswe(differences)
    assert result.p_value == exact == 0.125
    assert 2 * stats.norm.sf(result.statistic) < 0.01


def test_equal_differences_fall_back_to_the_sign_test() -> None:
    assert mapsswe([1]).p_value == 1.0
    assert mapsswe([2] * 4).p_value == pytest.approx(stats.binomtest(4, 4).pvalue)
    assert mapsswe([-1] * 9).p_value == pytest.approx(stats.binomtest(0, 9).pvalue)


def test_a_clear_difference_is_significant_and_chance_is_not() -> None:
    rng = random.Random(3)
    clear = [rng.choice([1, 1, 1, 0, -1]) for _ in range(200)]
    assert mapsswe(clear).p_value < 0.01
    share = np.mean([mapsswe([rng.choice([1, 0, -1]) for _ in range(100)]).p_value < 0.05 for _ in range(400)])
    assert 0.02 < share < 0.09


def test_differing_numbers_of_utterances_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        compare_edits([[]], [[], []])
