from __future__ import annotations

import numpy as np
import pytest

from asrkit.lm.counts import count_ngrams
from asrkit.lm.lookahead import lookahead_model
from asrkit.lm.model import NgramModel
from asrkit.lm.smoothing import NgramConfig, estimate

VOCABULARY = [f"w{i}" for i in range(12)]


def trained(order: int, smoothing: str = "kneser-ney-backoff") -> NgramModel:
    rng = np.random.default_rng(order)
    odds = rng.dirichlet(np.ones(len(VOCABULARY)) / 2)
    text = [[str(w) for w in rng.choice(VOCABULARY, p=odds, size=rng.integers(1, 9))] for _ in range(150)]
    return estimate(count_ngrams(text, order), NgramConfig(order=order, smoothing=smoothing))  # type: ignore[arg-type]


def listed(model: NgramModel, order: int) -> dict[tuple[int, ...], float]:
    ids, log10_prob, _ = model.ngrams(order)
    return {tuple(row): float(prob) for row, prob in zip(ids.tolist(), log10_prob)}


@pytest.mark.parametrize("order", [2, 3, 4])
def test_a_listed_bigram_never_costs_more_than_backing_off(order: int) -> None:
    model = trained(order)
    small = lookahead_model(model, 1e-9)
    assert small.order == 2
    assert small.words == model.words
    unigrams, backoff = small.layers[0].log10_prob, small.layers[0].log10_backoff
    np.testing.assert_array_equal(unigrams, model.layers[0].log10_prob)
    assert np.all(np.isfinite(backoff))
    bigrams, all_bigrams = listed(small, 2), listed(model, 2)
    assert 0 < len(bigrams) < len(all_bigrams)
    for (context, word), prob in bigrams.items():
        assert prob == all_bigrams[context, word]
        assert prob > backoff[context] + unigrams[word]


def test_the_threshold_says_how_small() -> None:
    model = trained(3)
    sizes = [sum(lookahead_model(model, threshold).num_ngrams) for threshold in (1e-9, 1e-4, 1e-2, None)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == len(model.words)
    unigram = lookahead_model(model)
    assert unigram.order == 1
    assert not unigram.layers[0].log10_backoff.any()
    assert lookahead_model(trained(1), 1e-9).order == 1
