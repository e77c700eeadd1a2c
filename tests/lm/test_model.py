from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import FormatError
from asrkit.lm.model import BOS, EOS, NgramModel, RawLayer, build_model, renormalise
from tests.lm import brute

WORDS = (BOS, EOS, "a", "b", "c")


def table_model() -> tuple[NgramModel, dict[tuple[str, ...], tuple[float, float]]]:
    """A trigram model of made-up numbers, and the same as a dictionary n-gram -> (log10 prob, log10 backoff)."""
    table = {
        (BOS,): (-math.inf, -0.1), (EOS,): (-0.7, 0.0), ("a",): (-0.5, -0.2), ("b",): (-0.9, -0.3),
        ("c",): (-1.1, 0.0), (BOS, "a"): (-0.2, -0.25), ("a", "b"): (-0.4, -0.15), ("b", "a"): (-0.6, 0.0),
        ("b", EOS): (-0.35, 0.0), (BOS, "a", "b"): (-0.05, 0.0), ("a", "b", EOS): (-0.15, 0.0),
    }  # fmt: skip
    layers: list[RawLayer] = []
    for n in (1, 2, 3):
        rows = [ngram for ngram in reversed(table) if len(ngram) == n]
        ids = np.array([[WORDS.index(word) for word in ngram] for ngram in rows])
        values = np.array([table[ngram] for ngram in rows])
        layers.append((ids, values[:, 0], values[:, 1]))
    return build_model(WORDS, layers), table


def backed_off(table: dict[tuple[str, ...], tuple[float, float]], context: tuple[str, ...], word: str) -> float:
    """Katz's rule by recursion."""
    if (*context, word) in table:
        return table[(*context, word)][0]
    if not context:
        return -math.inf
    return table.get(context, (0.0, 0.0))[1] + backed_off(table, context[1:], word)


def test_log10_prob_follows_the_backoff_rule() -> None:
    model, table = table_model()
    for context in [*brute.contexts(model, 2), ("a", "z"), ("z", "a")]:
        for word in (*WORDS[1:], "z"):
            assert model.log10_prob(context, word) == pytest.approx(backed_off(table, context, word)), (context, word)


def test_long_context_counts_only_its_end() -> None:
    model, _ = table_model()
    assert model.log10_prob(["c", "c", "a", "b"], EOS) == model.log10_prob(["a", "b"], EOS) == -0.15


def test_score_by_hand() -> None:
    model, _ = table_model()
    assert model.score(["a", "b"]) == pytest.approx(-0.2 - 0.05 - 0.15)
    assert model.score([]) == pytest.approx(-0.1 - 0.7)
    # P(a|<s>), then c: backoff(<s> a), backoff(a), P(c); then </s>: nothing listed, backoff(c) = 1
    assert model.score(["a", "c"]) == pytest.approx(-0.2 + (-0.25 - 0.2 - 1.1) - 0.7)
    assert model.score(["z"]) == -math.inf


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abc"), max_size=6), min_size=1, max_size=5))
def test_a_text_scored_at_once_equals_its_sentences(sentences: list[list[str]]) -> None:
    model, _ = table_model()
    tokens = np.concatenate([model.ids([BOS, *sentence, EOS]) for sentence in sentences])
    first = tokens == model.bos_id
    total = model.log10_probs(tokens, first)[~first].sum()
    assert total == pytest.approx(sum(map(model.score, sentences)))


def test_unknown_symbol_stands_for_words_outside() -> None:
    words = (BOS, EOS, "<UNK>")
    prob = np.array([-np.inf, -0.3, -0.6])
    model = build_model(words, [(np.arange(3).reshape(3, 1), prob, np.zeros(3))])
    assert model.log10_prob([], "anything") == -0.6
    assert model.unknown_id == 2
    assert table_model()[0].unknown_id == -1


def test_ngrams_come_back_sorted_as_they_were_put_in() -> None:
    model, table = table_model()
    assert model.num_ngrams == (5, 4, 2)
    for n in (1, 2, 3):
        ids, prob, backoff = model.ngrams(n)
        assert ids.dtype == np.int32
        assert ids.tolist() == sorted(ids.tolist())
        found = {tuple(model.words[i] for i in row): (p, b) for row, p, b in zip(ids, prob, backoff)}
        assert found == {ngram: values for ngram, values in table.items() if len(ngram) == n}


def test_ngram_listed_twice_is_an_error() -> None:
    layer = (np.array([[0], [1], [1]]), np.zeros(3), np.zeros(3))
    with pytest.raises(FormatError, match="'</s>' is listed twice"):
        build_model((BOS, EOS), [layer])


def test_contexts_that_are_not_listed_are_added_without_changing_any_probability() -> None:
    model, table = table_model()
    layers = [model.ngrams(n) for n in (1, 2)]
    ids = np.array([WORDS.index(w) for w in ("c", "b", "a")]).reshape(1, 3)
    deep = build_model(WORDS, [*layers, (ids, np.array([-0.01]), np.zeros(1))])
    assert deep.num_ngrams == (5, 5, 1)
    table = {ngram: values for ngram, values in table.items() if len(ngram) < 3}
    table["c", "b", "a"] = (-0.01, 0.0)
    for context in brute.contexts(deep, 2):
        for word in WORDS[1:]:
            assert deep.log10_prob(context, word) == pytest.approx(backed_off(table, context, word)), (context, word)


def test_renormalise_makes_any_listed_probabilities_sum_to_one() -> None:
    words = (BOS, EOS, "a", "b")
    unigrams = np.log10(np.array([1.0, 0.5, 0.3, 0.2]))
    unigrams[0] = -np.inf
    pairs = np.array([[0, 2], [2, 2], [2, 3], [3, 1], [3, 2], [3, 3]])
    probs = np.log10([0.9, 0.4, 0.1, 0.2, 0.3, 0.5])
    model = build_model(
        words, [(np.arange(4).reshape(4, 1), unigrams, np.zeros(4)), (pairs, probs, np.zeros(len(pairs)))]
    )
    with pytest.raises(AssertionError):
        brute.assert_sums_to_one(model)
    brute.assert_sums_to_one(renormalise(model))
