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
def test_backing_off_never_pays(order: int) -> None:
    model = trained(order)
    small = lookahead_model(model, 1e-9)
    assert small.order == order
    assert small.words == model.words
    np.testing.assert_array_equal(small.layers[0].log10_prob, model.layers[0].log10_prob)
    raised = 0
    for n in range(2, order + 1):
        ngrams, all_ngrams = listed(small, n), listed(model, n)
        assert 0 < len(ngrams) < len(all_ngrams)
        backoff = small.layers[n - 1].log10_backoff
        assert np.all(np.isfinite(backoff))
        below = NgramModel(small.words, small.layers[: n - 1])
        for row, (ids, prob) in enumerate(ngrams.items()):
            context = int(small.layers[n - 1].keys[row] // small.num_words)
            lower = small.layers[n - 2].log10_backoff[context] + below.row_log10_probs(np.array([ids[1:]]))[0]
            assert prob >= lower - 1e-9
            assert prob >= all_ngrams[ids] - 1e-9
            # Nor does it to avoid a back-off later.
            assert backoff[row] >= lower - prob - 1e-9
            raised += n < order and abs(backoff[row] - (lower - prob)) < 1e-9
    assert order == 2 or raised


def test_the_threshold_says_how_small() -> None:
    model = trained(3)
    sizes = [sum(lookahead_model(model, threshold).num_ngrams) for threshold in (1e-9, 1e-4, 1e-2, None)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == len(model.words)
    unigram = lookahead_model(model)
    assert unigram.order == 1
    assert not unigram.layers[0].log10_backoff.any()
    assert lookahead_model(trained(1), 1e-9).order == 1
