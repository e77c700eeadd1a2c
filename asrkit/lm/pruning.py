"""Making a model smaller: entropy pruning."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError
from asrkit.lm.model import BOS, EOS, Float64, NgramLayer, NgramModel, renormalise


def prune(model: NgramModel, threshold: float) -> NgramModel:
    """Return the model without the n-grams whose removal raises its perplexity relatively by less than ``threshold``.

    For each n-gram ``h w`` of order 2 and above, taken alone, the relative entropy between the model with and
    without it is (Stolcke 1998, eq. 4)

        D = -p(h) { p(w|h) [log p(w|h') + log b'(h) - log p(w|h)] + u(h) [log b'(h) - log b(h)] }

    with ``u(h)`` the probability of all words not listed after ``h`` and ``b'(h)`` the back-off weight without
    the n-gram; it goes when ``exp(D) - 1 < threshold``. An n-gram that is the context of a kept one stays. Orders are
    treated from the highest down, and back-off weights are set anew. ``p(h)`` is the product of the model's own
    probabilities of the context's words, that of ``<s>`` being P(``</s>``); with Kneser-Ney's lower orders this is only
    an approximation (Chelba et al. 2010), and Witten-Bell prunes better.

    Parameters
    ----------
    threshold : float
        Relative rise of perplexity, > 0; 1e-8 to 1e-6 are usual.

    Raises
    ------
    ConfigError
        The threshold is not positive.
    """
    if not threshold > 0:
        raise ConfigError(f"the pruning threshold is {threshold:g}, expected a positive number, for example 1e-7")
    kept = [np.ones(len(layer), dtype=bool) for layer in model.layers]
    for n in range(model.order - 1, 0, -1):
        keep = np.expm1(relative_entropies(model, n + 1)) >= threshold
        if n + 1 < model.order:
            contexts = model.layers[n + 1].keys[kept[n + 1]] // model.num_words
            keep[contexts] = True
        kept[n] = keep
    return renormalise(select(model, kept))


def relative_entropies(model: NgramModel, order: int) -> Float64:
    """Return Stolcke's D in nats for each n-gram of one order, rows as in :meth:`NgramModel.ngrams`."""
    n = order - 1
    layer, contexts = model.layers[n], model.layers[n - 1]
    context = layer.keys // model.num_words
    size = len(contexts)
    ids = model.ngrams(order)[0]
    below = NgramModel(model.words, model.layers[:n])
    prob = 10.0**layer.log10_prob
    lower = 10.0 ** below.row_log10_probs(ids[:, 1:])
    left = np.maximum(1.0 - np.bincount(context, weights=prob, minlength=size), 0.0)[context]
    left_below = np.maximum(1.0 - np.bincount(context, weights=lower, minlength=size), 0.0)[context]
    history = 10.0 ** _history_log10_probs(model, n)[context]
    with np.errstate(divide="ignore", invalid="ignore"):
        weight_before = np.log(10.0) * contexts.log10_backoff[context]
        weight_after = np.log(left + prob) - np.log(left_below + lower)
        change = prob * (np.log(lower) + weight_after - np.log(prob))
        rest = np.where(left > 0, left * (weight_after - weight_before), 0.0)
        entropy = -history * (change + rest)
    # What cannot be judged stays: where the shorter context calls the word impossible, it would become so here.
    entropy = np.where((lower > 0) & ~np.isnan(entropy), entropy, np.inf)
    return np.where(prob > 0, np.maximum(entropy, 0.0), 0.0)


def _history_log10_probs(model: NgramModel, order: int) -> Float64:
    """log10 probability of each n-gram of an order as a stretch of text, ``<s>`` counted as ``</s>``."""
    ids = model.ngrams(order)[0]
    bos, eos = model.ids_by_word[BOS], model.ids_by_word[EOS]
    first = np.zeros(ids.shape, dtype=bool)
    first[:, 0] = True
    steps = model.log10_probs(ids.ravel(), first.ravel()).reshape(ids.shape)
    steps[:, 0] = np.where(ids[:, 0] == bos, model.layers[0].log10_prob[eos], steps[:, 0])
    total: Float64 = steps.sum(axis=1)
    return total


def select(model: NgramModel, kept: list[NDArray[np.bool_]]) -> NgramModel:
    """Return the model with the n-grams of which ``kept``, by order, is true; contexts of kept ones must be kept."""
    layers = [model.layers[0]]
    for n in range(1, model.order):
        layer, keep = model.layers[n], kept[n]
        if not keep.any():
            break
        context, word = np.divmod(layer.keys[keep], model.num_words)
        context = (np.cumsum(kept[n - 1]) - 1)[context]
        layers.append(NgramLayer(context * model.num_words + word, layer.log10_prob[keep], layer.log10_backoff[keep]))
    highest = layers[-1]
    layers[-1] = NgramLayer(highest.keys, highest.log10_prob, np.zeros(len(highest)))
    return NgramModel(model.words, tuple(layers))
