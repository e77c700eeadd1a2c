from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import ConfigError
from asrkit.lm import pruning
from asrkit.lm.arpa import read_arpa
from asrkit.lm.counts import count_ngrams
from asrkit.lm.model import BOS, EOS, NgramLayer, NgramModel, renormalise
from asrkit.lm.perplexity import text_perplexity
from asrkit.lm.pruning import prune, relative_entropies
from asrkit.lm.smoothing import NgramConfig, estimate
from asrkit.lm.text import read_sentences
from tests.lm import brute

GOLDEN = Path(__file__).parents[1] / "golden" / "lm"

TEXT = [list("abcab"), list("bad"), list("abd"), list("cab"), list("aab")]


def train(sentences: list[list[str]], order: int, **config: Any) -> NgramModel:
    return estimate(count_ngrams(sentences, order), NgramConfig(order=order, **config))


def distribution(model: NgramModel, context: tuple[str, ...]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([10 ** model.log10_prob(context, word) for word in model.words if word != BOS])


def history_prob(model: NgramModel, context: tuple[str, ...]) -> float:
    total = 0.0
    for i, word in enumerate(context):
        total += model.log10_prob((), EOS) if word == BOS else model.log10_prob(context[:i], word)
    return 10**total


@pytest.mark.parametrize("kind", ["witten-bell", "kneser-ney"])
@pytest.mark.parametrize("order", [2, 3])
def test_relative_entropy_is_that_of_the_models_with_and_without(order: int, kind: Any) -> None:
    """Take every n-gram of the highest order out by itself and compare the two distributions word by word."""
    model = train(TEXT, order, smoothing=kind)
    found = relative_entropies(model, order)
    top = model.layers[-1]
    for row in range(len(top)):
        keep = np.arange(len(top)) != row
        layer = NgramLayer(top.keys[keep], top.log10_prob[keep], np.zeros(keep.sum()))
        without = renormalise(NgramModel(model.words, (*model.layers[:-1], layer)))
        context = tuple(model.words[i] for i in model.ngrams(order)[0][row, :-1])
        p, q = distribution(model, context), distribution(without, context)
        expected = history_prob(model, context) * float((p * np.log(p / q)).sum())
        assert found[row] == pytest.approx(expected, rel=1e-6, abs=1e-12), context


@settings(max_examples=50, deadline=None)
@given(
    brute.texts,
    st.integers(2, 4),
    st.sampled_from(["kneser-ney", "kneser-ney-backoff", "witten-bell"]),
    st.sampled_from([1e-4, 1e-2, 0.05, 10.0]),
)
def test_pruned_models_sum_to_one(sentences: list[list[str]], order: int, kind: Any, threshold: float) -> None:
    model = train(sentences, order, smoothing=kind)
    pruned = prune(model, threshold)
    assert sum(pruned.num_ngrams) <= sum(model.num_ngrams)
    assert pruned.num_ngrams[0] == model.num_ngrams[0]
    brute.assert_sums_to_one(pruned)
    if threshold == 10.0:
        assert pruned.order == 1


def test_sum_check_fails_when_weights_are_not_set_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    model = train(TEXT, 3)
    brute.assert_sums_to_one(prune(model, 0.01))
    monkeypatch.setattr(pruning, "renormalise", lambda model: model)
    with pytest.raises(AssertionError):
        brute.assert_sums_to_one(prune(model, 0.01))


def test_kept_ngrams_keep_their_probability_and_their_contexts() -> None:
    model = train(TEXT, 3)
    pruned = prune(model, 0.005)
    assert 0 < pruned.num_ngrams[2] < model.num_ngrams[2]
    for n in (1, 2, 3):
        for row, log10_prob in zip(*pruned.ngrams(n)[:2]):
            *context, word = (pruned.words[i] for i in row)
            assert model.log10_prob(context, word) == pytest.approx(log10_prob)


def test_higher_thresholds_prune_more_and_hurt_more() -> None:
    model = read_arpa(GOLDEN / "an4_lmplz_4gram.arpa.gz")
    text = [words for _, words in read_sentences(GOLDEN / "an4_dev_split_text.txt")]
    sizes, perplexities = [sum(model.num_ngrams)], [text_perplexity(model, text).perplexity]
    for threshold in (1e-6, 1e-5, 1e-4):
        pruned = prune(model, threshold)
        sizes.append(sum(pruned.num_ngrams))
        perplexities.append(text_perplexity(pruned, text).perplexity)
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 4
    assert perplexities == sorted(perplexities)
    assert perplexities[1] < 1.1 * perplexities[0]  # on the very text the model was trained on


@pytest.mark.parametrize("threshold", [0.0, -1.0, math.nan])
def test_threshold_must_be_positive(threshold: float) -> None:
    with pytest.raises(ConfigError, match="expected a positive number"):
        prune(train(TEXT, 2), threshold)
