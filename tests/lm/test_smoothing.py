"""Smoothing against formulas worked by hand, a slow recursion, and two published toolkits."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.config import load_config
from asrkit.core.errors import ConfigError
from asrkit.lm import smoothing
from asrkit.lm.arpa import read_arpa
from asrkit.lm.counts import count_ngrams
from asrkit.lm.model import EOS, NgramLayer, NgramModel, build_model
from asrkit.lm.smoothing import NgramConfig, estimate, modified_discounts, uniform_unigram
from asrkit.lm.text import read_sentences
from tests.lm import brute

GOLDEN = Path(__file__).parents[1] / "golden" / "lm"

SMOOTHINGS = ("kneser-ney", "kneser-ney-backoff", "witten-bell")

HAND = [["a", "b"], ["a", "a"]]


def train(sentences: list[list[str]], **config: Any) -> NgramModel:
    vocabulary = config.pop("vocabulary", None)
    settings = NgramConfig(**config)
    counts = count_ngrams(sentences, settings.order, vocabulary, settings.unknown, settings.min_count_of(1))
    return estimate(counts, settings)


def check_by_hand(model: NgramModel, expected: dict[tuple[str, str], Fraction]) -> None:
    for (context, word), prob in expected.items():
        assert 10 ** model.log10_prob(context.split(), word) == pytest.approx(float(prob), rel=1e-12), (context, word)


def test_witten_bell_by_hand() -> None:
    """The text is ``a b`` and ``a a``; a, b and ``</s>`` can follow, 1/3 each to begin with.

    Single words: a 3, b 1, </s> 2 of 6, three types: P(a) = (3 + 3/3) / 9 = 4/9, P(b) = 2/9, P(</s>) = 3/9.
    After a: a, b and </s> once each: P(a|a) = (1 + 3 * 4/9) / 6 = 7/18, P(b|a) = 5/18, P(</s>|a) = 6/18.
    After <s>: a twice, one type: P(a|<s>) = (2 + 4/9) / 3 = 22/27, P(b|<s>) = 1/3 * 2/9 = 2/27.
    After b: </s> once: P(</s>|b) = (1 + 3/9) / 2 = 2/3, P(a|b) = 1/2 * 4/9 = 2/9.
    """
    table = {
        ("", "a"): Fraction(4, 9), ("", "b"): Fraction(2, 9), ("", EOS): Fraction(3, 9),
        ("a", "a"): Fraction(7, 18), ("a", "b"): Fraction(5, 18), ("a", EOS): Fraction(6, 18),
        ("<s>", "a"): Fraction(22, 27), ("<s>", "b"): Fraction(2, 27),
        ("b", EOS): Fraction(2, 3), ("b", "a"): Fraction(2, 9),
    }  # fmt: skip
    check_by_hand(train(HAND, order=2, smoothing="witten-bell"), table)


def test_modified_kneser_ney_by_hand() -> None:
    """The same text; too small to estimate discounts, so D1 = 1/2, D2 = 1, D3+ = 3/2.

    Left neighbours: a {<s>, a} 2, b {a} 1, </s> {a, b} 2, 5 in all; what the discounts leave is 1 + 1/2 + 1
    of 5, the other half goes to 1/3 each: P(a) = 1/5 + 1/6 = 11/30, P(b) = 1/10 + 1/6 = 8/30, P(</s>) = 11/30.
    After a: a, b, </s> once each: (1 - 1/2) / 3 each, half is left over: P(a|a) = 1/6 + 11/60 = 21/60,
    P(b|a) = 18/60, P(</s>|a) = 21/60. After <s>: a twice: P(a|<s>) = (2 - 1) / 2 + 1/2 * 11/30 = 41/60.
    After b: </s> once: P(</s>|b) = 1/2 + 1/2 * 11/30 = 41/60, P(b|b) = 1/2 * 8/30 = 8/60.
    """
    table = {
        ("", "a"): Fraction(11, 30), ("", "b"): Fraction(8, 30), ("", EOS): Fraction(11, 30),
        ("a", "a"): Fraction(21, 60), ("a", "b"): Fraction(18, 60), ("a", EOS): Fraction(21, 60),
        ("<s>", "a"): Fraction(41, 60), ("b", EOS): Fraction(41, 60), ("b", "b"): Fraction(8, 60),
    }  # fmt: skip
    check_by_hand(train(HAND, order=2), table)


def test_discounts_by_hand(caplog: pytest.LogCaptureFixture) -> None:
    """Y = 4 / (4 + 2 * 2) = 1/2; D1 = 1 - 2/2 * 2/4; D2 = 2 - 3/2 * 1/2; D3+ = 3 - 4/2 * 1/1."""
    assert modified_discounts([7, 4, 2, 1, 1], 2) == pytest.approx((0.5, 1.25, 1.0))
    with caplog.at_level(logging.WARNING, "asrkit"):
        assert modified_discounts([7, 4, 2, 0, 1], 2) == smoothing.FALLBACK_DISCOUNTS
        assert modified_discounts([7, 9, 1, 12, 1], 2) == smoothing.FALLBACK_DISCOUNTS  # D2 would be negative


def test_small_text_says_that_its_discounts_are_not_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(smoothing.log, "warning", lambda text, *values: said.append(text % values))
    train(HAND, order=2)
    assert len(said) == 2
    assert "order 2: 4, 1, 0 and 0 n-grams occur once, twice, three and four times" in said[1]
    train(HAND, order=2, smoothing="kneser-ney-backoff")
    assert len(said) == 2
    train([["a", "b"]], order=2, smoothing="kneser-ney-backoff")
    assert "0.5 is taken" in said[2]


@settings(max_examples=40, deadline=None)
@given(brute.texts, st.integers(1, 4), st.booleans())
def test_interpolated_models_equal_the_recursion(sentences: list[list[str]], order: int, kneser_ney: bool) -> None:
    model = train(sentences, order=order, smoothing="kneser-ney" if kneser_ney else "witten-bell")
    order = model.order
    events = model.num_words - 1
    for context in brute.contexts(model, min(order - 1, 2)):
        for word in model.words[1:]:
            if kneser_ney:
                expected = brute.kneser_ney(sentences, order, context, word, events)
            else:
                expected = brute.witten_bell(sentences, context, word, events)
            assert 10 ** model.log10_prob(context, word) == pytest.approx(expected, rel=1e-9), (context, word)


@settings(max_examples=100, deadline=None)
@given(
    brute.texts,
    st.integers(1, 4),
    st.sampled_from(SMOOTHINGS),
    st.sampled_from([(1,), (1, 2), (1, 1, 2), (2, 2, 3)]),
    st.sampled_from([None, "<UNK>"]),
    st.sampled_from([None, ["a", "b", "z"]]),
)
def test_every_context_sums_to_one(
    sentences: list[list[str]],
    order: int,
    kind: Any,
    min_count: tuple[int, ...],
    unknown: str | None,
    vocabulary: list[str] | None,
) -> None:
    model = train(sentences, order=order, smoothing=kind, min_count=min_count, unknown=unknown, vocabulary=vocabulary)
    brute.assert_sums_to_one(model)
    for layer in model.layers:
        assert not np.isnan(layer.log10_prob).any()
        assert (layer.log10_prob <= 1e-12).all()


@pytest.mark.parametrize("kind", SMOOTHINGS)
def test_sum_check_fails_for_a_model_without_its_backoff_weights(kind: Any) -> None:
    model = train([list("abca"), list("bad"), list("ab")], order=3, smoothing=kind)
    brute.assert_sums_to_one(model)
    broken = tuple(NgramLayer(x.keys, x.log10_prob, np.zeros(len(x))) for x in model.layers)
    with pytest.raises(AssertionError):
        brute.assert_sums_to_one(NgramModel(model.words, broken))


def test_sum_check_fails_when_the_mass_of_cut_ngrams_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    sentences = [list("abca"), list("bad"), list("ab")]
    cut = train(sentences, order=2, min_count=(1, 2))
    brute.assert_sums_to_one(cut)
    whole = train(sentences, order=2)
    keep = np.isin(whole.layers[1].keys, cut.layers[1].keys)
    assert 0 < keep.sum() < len(keep)
    top = NgramLayer(whole.layers[1].keys[keep], whole.layers[1].log10_prob[keep], np.zeros(keep.sum()))
    with pytest.raises(AssertionError):
        brute.assert_sums_to_one(NgramModel(whole.words, (whole.layers[0], top)))


def test_words_of_the_list_that_the_text_lacks_have_a_share() -> None:
    for kind in SMOOTHINGS:
        model = train(HAND, order=2, smoothing=kind, vocabulary=["a", "b", "y", "z"])
        share = 10 ** model.log10_prob([], "z")
        assert 0 < share < 10 ** model.log10_prob([], "b")
        assert share == pytest.approx(10 ** model.log10_prob([], "y"))


def assert_equal_models(model: NgramModel, golden: NgramModel, tolerance: float) -> None:
    """Check that both list the same n-grams with the same probabilities and weights."""
    place = np.array([model.ids_by_word[word] for word in golden.words])
    layers = [(place[ids], prob, backoff) for ids, prob, backoff in map(golden.ngrams, range(1, golden.order + 1))]
    golden = build_model(model.words, layers)
    assert model.num_ngrams == golden.num_ngrams
    for ours, theirs in zip(model.layers, golden.layers):
        np.testing.assert_array_equal(ours.keys, theirs.keys)
        possible = np.isfinite(ours.log10_prob)
        np.testing.assert_allclose(ours.log10_prob[possible], theirs.log10_prob[possible], rtol=0, atol=tolerance)
        np.testing.assert_allclose(ours.log10_backoff, theirs.log10_backoff, rtol=0, atol=tolerance)


def an4_text() -> list[list[str]]:
    return [words for _, words in read_sentences(GOLDEN / "an4_dev_split_text.txt")]


def test_backoff_form_equals_kaldis_tool_on_an4() -> None:
    model = train(an4_text(), order=3, smoothing="kneser-ney-backoff")
    assert_equal_models(model, read_arpa(GOLDEN / "an4_dev_split_tg.arpa"), 6e-8)  # it writes seven decimals


@pytest.mark.parametrize(
    ("name", "order", "min_count"),
    [("an4_lmplz_4gram.arpa.gz", 4, (1,)), ("an4_lmplz_3gram_cut.arpa", 3, (1, 2, 3))],
)
def test_interpolated_form_equals_kenlm_on_an4(name: str, order: int, min_count: tuple[int, ...]) -> None:
    model = train(an4_text(), order=order, min_count=min_count, unknown="<unk>")
    assert_equal_models(model, read_arpa(GOLDEN / name), 5e-7)  # KenLM computes in single precision


@pytest.mark.slow
@pytest.mark.parametrize(("name", "order"), [("bg", 2), ("tg", 3)])
def test_backoff_form_equals_kaldis_tool_on_librispeech(golden_lm: Path, name: str, order: int) -> None:
    sentences = [words for _, words in read_sentences(golden_lm / "librispeech_mini_text.txt.gz")]
    model = train(sentences, order=order, smoothing="kneser-ney-backoff")
    assert_equal_models(model, read_arpa(golden_lm / f"librispeech_mini_{name}.arpa.gz"), 6e-8)


def test_uniform_unigram() -> None:
    model = uniform_unigram(["b", "a", "b", "c"])
    brute.assert_sums_to_one(model)
    assert 10 ** model.log10_prob([], "c") == pytest.approx(0.25)
    assert model.log10_prob([], "x") == -np.inf


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("order=0", "order is 0"),
        ("min_count=[2, 1]", "it falls"),
        ("min_count=[0]", "expected values of 1"),
        ("unknown=<oov>", "expected one of <UNK>"),
        ("smoothing=good-turing", "expected one of kneser-ney"),
    ],
)
def test_wrong_configuration(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(NgramConfig, overrides=[override])
