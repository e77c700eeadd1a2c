"""A small model that guides a search in which the full model is composed on the fly."""

from __future__ import annotations

import numpy as np

from asrkit.lm.model import NgramLayer, NgramModel
from asrkit.lm.pruning import prune


def lookahead_model(model: NgramModel, threshold: float | None = None) -> NgramModel:
    """Return a model's unigrams, or a bigram pruned from its two lower orders, that a graph charges unambiguously.

    The best path of a graph backs off wherever that is cheaper than the listed n-gram. Here it never is: bigrams that
    are less probable than by backing off are left out, without setting back-off weights anew. So what the small
    model charges for a sentence depends on its words alone, and can be taken away exactly. The probabilities after a
    word need not sum to one.

    Parameters
    ----------
    threshold : float, optional
        As in :func:`asrkit.lm.pruning.prune`; without it the unigrams alone.
    """
    unigrams = model.layers[0]
    if model.order == 1 or threshold is None:
        return NgramModel(model.words, (NgramLayer(unigrams.keys, unigrams.log10_prob, np.zeros(len(unigrams))),))
    small = prune(NgramModel(model.words, model.layers[:2]), threshold)
    if small.order == 1:
        return lookahead_model(model)
    backoff = small.layers[0].log10_backoff
    # Where pruning left no mass for backing off, the model's own weight is as good.
    backoff = np.where(np.isfinite(backoff), backoff, unigrams.log10_backoff)
    backoff = np.where(np.isfinite(backoff), backoff, 0.0)
    bigrams = small.layers[1]
    context, word = np.divmod(bigrams.keys, small.num_words)
    better = bigrams.log10_prob > backoff[context] + unigrams.log10_prob[word]
    layers = (
        NgramLayer(unigrams.keys, unigrams.log10_prob, backoff),
        NgramLayer(bigrams.keys[better], bigrams.log10_prob[better], bigrams.log10_backoff[better]),
    )
    return NgramModel(small.words, layers if better.any() else layers[:1])
