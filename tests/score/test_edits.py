"""Alignment against a table filled by hand, and against jiwer and kaldialign."""

from __future__ import annotations

import jiwer
import kaldialign
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.score.counts import ErrorCounts
from asrkit.score.edits import Edit, TokenCodes, aligned_pairs, edit_operations
from asrkit.score.utterances import score_utterances

FEW_WORDS = st.lists(st.sampled_from(["a", "bb", "c", "dd"]), max_size=9)
CODES = st.lists(st.integers(0, 3), max_size=9)


def distance_table(reference: list[int], hypothesis: list[int]) -> list[list[int]]:
    """Return d[i][j], the Levenshtein distance of the first i and first j tokens."""
    table = [[0] * (len(hypothesis) + 1) for _ in range(len(reference) + 1)]
    for i in range(len(reference) + 1):
        for j in range(len(hypothesis) + 1):
            if i == 0 or j == 0:
                table[i][j] = i + j
            else:
                table[i][j] = min(
                    table[i - 1][j] + 1,
                    table[i][j - 1] + 1,
                    table[i - 1][j - 1] + (reference[i - 1] != hypothesis[j - 1]),
                )
    return table


def documented_alignment(reference: list[int], hypothesis: list[int]) -> list[Edit]:
    """Follow the rule for ties in the docstring of asrkit.score.edits, word by word."""
    start, end = 0, 0
    shorter = min(len(reference), len(hypothesis))
    while start < shorter and reference[start] == hypothesis[start]:
        start += 1
    while end < shorter - start and reference[len(reference) - 1 - end] == hypothesis[len(hypothesis) - 1 - end]:
        end += 1
    a, b = reference[start : len(reference) - end], hypothesis[start : len(hypothesis) - end]
    table = distance_table(a, b)
    i, j = len(a), len(b)
    edits: list[Edit] = []
    while i or j:
        here = table[i][j]
        if i and here == table[i - 1][j] + 1:
            i -= 1
            edits.append(("delete", start + i, start + j))
        elif i and j and a[i - 1] != b[j - 1] and here == table[i - 1][j - 1] + 1:
            i, j = i - 1, j - 1
            edits.append(("replace", start + i, start + j))
        elif j and here == table[i][j - 1] + 1:
            j -= 1
            edits.append(("insert", start + i, start + j))
        else:
            i, j = i - 1, j - 1
    return edits[::-1]


@given(CODES, CODES)
@settings(max_examples=200, deadline=None)
def test_edits_are_the_fewest_and_ties_fall_as_documented(reference: list[int], hypothesis: list[int]) -> None:
    edits = edit_operations(reference, hypothesis)
    assert len(edits) == distance_table(reference, hypothesis)[-1][-1]
    assert edits == documented_alignment(reference, hypothesis)


@given(FEW_WORDS, FEW_WORDS)
@settings(max_examples=200, deadline=None)
def test_alignment_reads_back_as_reference_and_hypothesis(reference: list[str], hypothesis: list[str]) -> None:
    codes = TokenCodes()
    edits = edit_operations(codes.encode(reference), codes.encode(hypothesis))
    pairs = aligned_pairs(reference, hypothesis, edits)
    assert [a for a, _ in pairs if a is not None] == reference
    assert [b for _, b in pairs if b is not None] == hypothesis
    assert (None, None) not in pairs
    assert sum(a != b for a, b in pairs) == len(edits)


@given(st.lists(st.tuples(FEW_WORDS.filter(bool), FEW_WORDS), min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_counts_agree_with_jiwer_and_kaldialign(pairs: list[tuple[list[str], list[str]]]) -> None:
    references = {f"u{n}": tuple(reference) for n, (reference, _) in enumerate(pairs)}
    hypotheses = {f"u{n}": tuple(hypothesis) for n, (_, hypothesis) in enumerate(pairs)}
    total = score_utterances(references, hypotheses).total()

    by_kaldialign = [kaldialign.edit_distance(reference, hypothesis) for reference, hypothesis in pairs]
    assert total.errors == sum(result["total"] for result in by_kaldialign)
    assert total.insertions - total.deletions == sum(result["ins"] - result["del"] for result in by_kaldialign)

    by_jiwer = jiwer.process_words([" ".join(a) for a, _ in pairs], [" ".join(b) for _, b in pairs])
    assert total == ErrorCounts(
        by_jiwer.insertions,
        by_jiwer.deletions,
        by_jiwer.substitutions,
        sum(len(a) for a, _ in pairs),
        len(pairs),
        sum(a != b for a, b in pairs),
    )
    assert total.error_rate == pytest.approx(by_jiwer.wer, rel=1e-12)


def test_codes_are_equal_exactly_for_equal_tokens() -> None:
    codes = TokenCodes()
    assert codes.encode(["a", "b", "a"]) == [0, 1, 0]
    assert codes.encode(["c", "b"]) == [2, 1]
    assert len(codes) == 3
