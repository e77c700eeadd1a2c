from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import DataError
from asrkit.lm.counts import NgramCounts, count_ngrams
from asrkit.lm.model import BOS, EOS
from tests.lm import brute


def ngrams(counts: NgramCounts, n: int) -> list[tuple[str, ...]]:
    """The n-grams of one order as words, found by following the contexts down."""
    result = []
    for row in range(len(counts.layers[n - 1])):
        words, index = [], row
        for layer in reversed(counts.layers[:n]):
            words.append(counts.words[layer.word[index]])
            index = int(layer.context[index])
        result.append(tuple(reversed(words)))
    return result


@settings(max_examples=60, deadline=None)
@given(brute.texts, st.integers(1, 5))
def test_counts_equal_those_of_a_dictionary(sentences: list[list[str]], order: int) -> None:
    counts = count_ngrams(sentences, order)
    for n in range(1, order + 1):
        expected = brute.count(sentences, n)
        if not expected:
            assert len(counts.layers) < n
            continue
        found = ngrams(counts, n)
        assert dict(zip(found, counts.layers[n - 1].raw.tolist())) == dict(expected)
        if n == order:
            assert not counts.layers[n - 1].continuation.any()
            continue
        neighbours = Counter(longer[1:] for longer in brute.count(sentences, n + 1))
        assert counts.layers[n - 1].continuation.tolist() == [neighbours[ngram] for ngram in found]


def test_suffix_is_the_ngram_without_its_first_word() -> None:
    counts = count_ngrams([list("abcab"), list("cab"), list("b")], 4)
    for n in (2, 3, 4):
        below = ngrams(counts, n - 1)
        assert [below[i] for i in counts.layers[n - 1].suffix] == [ngram[1:] for ngram in ngrams(counts, n)]


def test_rows_are_sorted_and_words_come_in_a_fixed_order() -> None:
    counts = count_ngrams([list("dacb"), list("bd")], 3)
    assert counts.words == (BOS, EOS, "a", "b", "c", "d")
    for n in (2, 3):
        keys = counts.layers[n - 1].context * 6 + counts.layers[n - 1].word
        assert (np.diff(keys) > 0).all()


def test_closed_vocabulary_counts_no_ngram_with_a_word_outside_but_it_is_a_left_neighbour() -> None:
    counts = count_ngrams([list("xab"), list("ab")], 2, vocabulary=["a", "b", "z"])
    assert counts.num_outside == 1
    assert counts.words == (BOS, EOS, "a", "b", "z")
    assert dict(zip(ngrams(counts, 1), counts.layers[0].raw.tolist())) == {
        (BOS,): 2, (EOS,): 2, ("a",): 2, ("b",): 2, ("z",): 0,
    }  # fmt: skip
    assert ngrams(counts, 2) == [(BOS, "a"), ("a", "b"), ("b", EOS)]
    assert counts.layers[0].continuation.tolist() == [0, 1, 2, 1, 0]  # x and <s> stand before a


def test_open_vocabulary_counts_the_unknown_symbol_as_a_word() -> None:
    counts = count_ngrams([list("xab"), list("yab")], 2, vocabulary=["a", "b"], unknown="<UNK>")
    assert counts.num_outside == 2
    assert (BOS, "<UNK>") in ngrams(counts, 2)
    assert counts.layers[0].raw[counts.words.index("<UNK>")] == 2


def test_rare_words_fall_outside() -> None:
    counts = count_ngrams([list("aab"), list("abc")], 1, min_word_count=2)
    assert counts.words == (BOS, EOS, "a", "b")
    assert counts.num_outside == 1


def test_empty_sentences_are_passed_over_and_an_empty_text_is_an_error() -> None:
    counts = count_ngrams([[], ["a"], []], 2)
    assert (counts.num_sentences, counts.num_tokens) == (1, 1)
    with pytest.raises(DataError, match="holds no words"):
        count_ngrams([[], []], 2)
