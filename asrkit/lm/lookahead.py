"""A small model that guides a search in which the full model is composed on the fly."""

from __future__ import annotations

import numpy as np

from asrkit.lm.model import Float64, NgramLayer, NgramModel
from asrkit.lm.pruning import prune, select


def lookahead_model(model: NgramModel, threshold: float | None = None) -> NgramModel:
    """Return a model pruned to a smaller one that a graph charges unambiguously.

    The best path of a graph backs off wherever that is cheaper, at once or by what is saved on later words. Here it
    never is, so what the small model charges for a sentence depends on its words alone, and can be taken away
    exactly. Its probabilities need not sum to one.

    Parameters
    ----------
    threshold : float, optional
        As in :func:`asrkit.lm.pruning.prune`; without it the unigrams alone.

    Notes
    -----
    Let n-gram ``h w`` gain ``g = log P(w|h) - log b(h) - log P(w|h')`` over backing off. By induction over the words to
    come, backing off early never pays if all gains are at least 0 and no back-off after ``h w`` loses more than its
    gain, ``-log b(h w) <= g``: the state ``h' w``, which backing off leads to, is then reached through ``h w`` at no
    higher cost. So the orders are gone through from the lowest up; an n-gram that gains nothing is left out, or made as
    probable as by backing off where it is the context of others, and back-off weights are raised where they lose more.
    """
    unigrams = model.layers[0]
    if model.order == 1 or threshold is None:
        return NgramModel(model.words, (NgramLayer(unigrams.keys, unigrams.log10_prob, np.zeros(len(unigrams))),))
    small = prune(model, threshold)
    layers = [NgramLayer(unigrams.keys, unigrams.log10_prob, _finite(small.layers[0].log10_backoff))]
    gains = [np.full(len(unigrams), np.inf)]
    for n in range(1, small.order):
        layer = small.layers[n]
        ids = small.ngrams(n + 1)[0]
        below = NgramModel(small.words, tuple(layers))
        backed_off = layers[-1].log10_backoff[layer.keys // small.num_words] + below.row_log10_probs(ids[:, 1:])
        possible = layer.log10_prob > -np.inf
        gain = np.zeros(len(layer))
        gain[possible] = np.maximum(layer.log10_prob[possible] - backed_off[possible], 0.0)
        probs = np.maximum(layer.log10_prob, backed_off)
        layers.append(NgramLayer(layer.keys, probs, np.maximum(_finite(layer.log10_backoff), -gain)))
        gains.append(gain)
    kept = [gain > 0 for gain in gains]
    for n in range(small.order - 1, 1, -1):
        kept[n - 1][layers[n].keys[kept[n]] // small.num_words] = True
    return select(NgramModel(small.words, tuple(layers)), kept)


def _finite(log10_backoff: Float64) -> Float64:
    """Make weights of 0, where pruning left no mass to back off with, 1: what is impossible cannot be made up for."""
    return np.where(np.isfinite(log10_backoff), log10_backoff, 0.0)
