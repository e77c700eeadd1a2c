"""Linear interpolation of two models into one back-off model, with a weight given or tuned on held-out text."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asrkit.core.errors import ConfigError, DataError
from asrkit.lm.model import BOS, EOS, Float64, Ids, Index, NgramLayer, NgramModel, renormalise
from asrkit.lm.perplexity import score_tokens

log = logging.getLogger("asrkit")


@dataclass(frozen=True)
class WeightTuning:
    """What :func:`tune_weight` found: the first model's weight, and the held-out perplexity after each iteration."""

    weight: float
    perplexities: tuple[float, ...]


def interpolate(first: NgramModel, second: NgramModel, weight: float) -> NgramModel:
    """Return the back-off model of ``weight * first + (1 - weight) * second``.

    The vocabularies are united; a word outside a model has probability 0 in it (its unknown symbol, where it
    has one, is a word like others). Every n-gram that either model lists gets exactly the interpolated
    probability; back-off weights are then set so that each context sums to one. N-grams that neither lists get
    theirs by backing off, which approximates the interpolated value (as SRILM's static ``-mix-lm`` does).

    Raises
    ------
    ConfigError
        The weight is not inside (0, 1).
    """
    if not 0 < weight < 1:
        raise ConfigError(f"the weight of the first model is {weight:g}, expected a number between 0 and 1")
    seen = {*first.words, *second.words} - {BOS, EOS}
    words = (BOS, EOS, *sorted(seen))
    ids = {word: i for i, word in enumerate(words)}
    layers = _union(first, second, ids)
    united = NgramModel(words, tuple(layers))
    for n, layer in enumerate(layers, 1):
        rows = united.ngrams(n)[0]
        prob = weight * _probs(first, words, rows) + (1 - weight) * _probs(second, words, rows)
        with np.errstate(divide="ignore"):
            layer.log10_prob[:] = np.log10(prob)
    return renormalise(united)


def _union(first: NgramModel, second: NgramModel, ids: dict[str, int]) -> list[NgramLayer]:
    """The n-grams of both models, renumbered for the united vocabulary; their values are still to be set."""
    models = (first, second)
    tables = [np.array([ids[word] for word in model.words], dtype=np.int64) for model in models]
    places: list[Index] = []  # per model: where its n-grams of the order below stand in the union
    layers: list[NgramLayer] = []
    for n in range(max(first.order, second.order)):
        keys = []
        for i, model in enumerate(models):
            if n < model.order:
                context, word = np.divmod(model.layers[n].keys, model.num_words)
                context = places[i][context] if n else context
                keys.append(context * len(ids) + tables[i][word])
            else:
                keys.append(np.empty(0, dtype=np.int64))
        union = np.union1d(*keys)
        places = [np.searchsorted(union, wanted) for wanted in keys]
        layers.append(NgramLayer(union, np.zeros(len(union)), np.zeros(len(union))))
    return layers


def _probs(model: NgramModel, words: Sequence[str], rows: Ids) -> Float64:
    table = np.array([model.ids_by_word.get(word, -1) for word in words], dtype=np.int32)
    prob: Float64 = 10.0 ** model.row_log10_probs(table[rows])
    return prob


def tune_weight(
    first: NgramModel,
    second: NgramModel,
    sentences: Sequence[Sequence[str]],
    max_iterations: int = 100,
    tolerance: float = 1e-6,
) -> WeightTuning:
    """Return the weight of ``first`` that makes held-out text most likely, by EM (Jelinek & Mercer 1980).

    Words outside both vocabularies are left out; a word outside one has probability 0 there. The likelihood
    is concave in the weight, and no iteration lowers it. Stops when the weight moves by less than ``tolerance``.

    Raises
    ------
    DataError
        No word of the text is possible in either model.
    """
    one, two = (10.0 ** _strict(model, sentences) for model in (first, second))
    usable = (one > 0) | (two > 0)
    one, two = one[usable], two[usable]
    if not len(one):
        raise DataError("the held-out text holds nothing that either model can predict")
    weight = 0.5
    perplexities = []
    for _ in range(max_iterations):
        mixed = weight * one + (1 - weight) * two
        perplexities.append(float(np.exp(-np.log(mixed).mean())))
        before, weight = weight, float((weight * one / mixed).mean())
        if abs(weight - before) < tolerance:
            break
    return WeightTuning(weight, tuple(perplexities))


def _strict(model: NgramModel, sentences: Sequence[Sequence[str]]) -> Float64:
    """log10 P of each token, with words outside impossible also where the model has an unknown symbol."""
    scores = score_tokens(model, sentences)
    return np.where(scores.outside, -np.inf, scores.log10_prob)
