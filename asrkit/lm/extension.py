"""More words for an n-gram model that was trained without them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from asrkit.lm.model import BOS, EOS, NgramLayer, NgramModel


def extend_model(model: NgramModel, words: Iterable[str], cost: float | None = None) -> NgramModel:
    """Return the model with unigrams of more words; it knows nothing of what stands around them.

    Parameters
    ----------
    words : iterable of str
        Those that the model lists already are left as they are.
    cost : float, optional
        Negative natural log of each new unigram's probability. The other probabilities stay, so that they sum to a
        little more than one. Without it the new words share the probability of the unknown symbol with that
        symbol, in equal parts, and the sum is kept; in a model without one (or where it is impossible) each is as
        probable as the median of the listed words.

    Returns
    -------
    NgramModel
        With the new words behind the old ones.
    """
    new = [word for word in dict.fromkeys(words) if word not in model.ids_by_word]
    if not new:
        return model
    first = model.layers[0]
    log_probs = first.log10_prob.copy()
    unknown = model.unknown_id
    if cost is not None:
        new_log_prob = -cost / math.log(10)
    elif unknown >= 0 and log_probs[unknown] > -np.inf:
        new_log_prob = float(log_probs[unknown]) - math.log10(len(new) + 1)
        log_probs[unknown] = new_log_prob
    else:
        listed = [i for i, word in enumerate(model.words) if word not in (BOS, EOS) and log_probs[i] > -np.inf]
        new_log_prob = float(np.median(log_probs[listed]))
    num_words = model.num_words + len(new)
    unigrams = NgramLayer(
        np.arange(num_words, dtype=np.int64),
        np.concatenate([log_probs, np.full(len(new), min(new_log_prob, 0.0))]),
        np.concatenate([first.log10_backoff, np.zeros(len(new))]),
    )
    # A key holds the number of words; contexts and words keep theirs, and so the order of the keys.
    higher = [
        replace(layer, keys=layer.keys // model.num_words * num_words + layer.keys % model.num_words)
        for layer in model.layers[1:]
    ]
    return NgramModel((*model.words, *new), (unigrams, *higher))
