from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import ConfigError, DataError
from asrkit.lm.counts import count_ngrams
from asrkit.lm.interpolation import interpolate, tune_weight
from asrkit.lm.model import NgramModel
from asrkit.lm.smoothing import NgramConfig, estimate
from tests.lm import brute


def train(sentences: list[list[str]], order: int, **config: Any) -> NgramModel:
    return estimate(count_ngrams(sentences, order), NgramConfig(order=order, **config))


@settings(max_examples=50, deadline=None)
@given(brute.texts, brute.texts, st.integers(1, 3), st.integers(1, 3), st.sampled_from([0.1, 0.5, 0.85]))
def test_sums_to_one_and_is_exact_where_either_lists(
    one: list[list[str]], two: list[list[str]], order_one: int, order_two: int, weight: float
) -> None:
    two = [[word.replace("a", "x") for word in sentence] for sentence in two]  # vocabularies differ
    first, second = train(one, order_one), train(two, order_two, smoothing="witten-bell")
    mixed = interpolate(first, second, weight)
    brute.assert_sums_to_one(mixed)
    listed = set()
    for n in range(1, mixed.order + 1):
        for row in mixed.ngrams(n)[0]:
            *context, word = (mixed.words[i] for i in row)
            listed.add((*context, word))
            expected = weight * prob(first, context, word) + (1 - weight) * prob(second, context, word)
            assert 10 ** mixed.log10_prob(context, word) == pytest.approx(expected, abs=1e-12)
    for model in (first, second):
        for n in range(1, model.order + 1):
            assert {tuple(model.words[i] for i in row) for row in model.ngrams(n)[0]} <= listed


def prob(model: NgramModel, context: list[str], word: str) -> float:
    """P(word | context), 0 for a word outside; a context's words outside break it."""
    if word not in model.words or word == "<s>":
        return 0.0
    return float(10 ** model.log10_prob(context, word))


@pytest.mark.parametrize("weight", [0.0, 1.0, -0.1, math.nan])
def test_weight_must_lie_between(weight: float) -> None:
    model = train([["a"]], 1)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        interpolate(model, model, weight)


def test_em_finds_the_weight_that_a_grid_finds() -> None:
    first, second = train([list("abab"), list("ba")], 2), train([list("ccab"), list("cb")], 2)
    held_out = [list("abc"), list("cab"), list("bb"), list("zab")]
    tuning = tune_weight(first, second, held_out)
    assert len(tuning.perplexities) > 3
    assert all(b <= a + 1e-12 for a, b in zip(tuning.perplexities, tuning.perplexities[1:]))

    def log_likelihood(weight: float) -> float:
        total = 0.0
        for sentence in held_out:
            words = ["<s>", *sentence, "</s>"]
            for i in range(1, len(words)):
                mixed = weight * prob(first, words[:i], words[i]) + (1 - weight) * prob(second, words[:i], words[i])
                total += math.log(mixed) if mixed > 0 else 0.0
        return total

    grid = np.linspace(0.001, 0.999, 999)
    best = grid[np.argmax([log_likelihood(weight) for weight in grid])]
    assert tuning.weight == pytest.approx(best, abs=2e-3)
    assert 0.1 < tuning.weight < 0.9
    assert tuning.perplexities[-1] == pytest.approx(math.exp(-log_likelihood(tuning.weight) / 14), rel=1e-4)


def test_em_prefers_the_model_of_the_same_kind() -> None:
    first, second = train([list("abababab")] * 3, 2), train([list("aabbaabb")] * 3, 2)
    assert tune_weight(first, second, [list("abab")] * 4).weight > 0.9
    assert tune_weight(second, first, [list("abab")] * 4).weight < 0.1


def test_nothing_to_tune_on() -> None:
    model = train([["a"]], 1)
    with pytest.raises(DataError, match="nothing that either model can predict"):
        tune_weight(model, model, [])
