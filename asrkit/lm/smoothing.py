"""From counts to probabilities: Kneser-Ney in two forms, and Witten-Bell.

All three share one scheme. For an n-gram ``h w`` with count ``c`` in a context with total ``C``, an order gives
a discounted share ``(c - D) / C`` (Kneser-Ney) or ``c / (C + T)`` (Witten-Bell), and the mass that is left goes to
the distribution of the shorter context ``h'``.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError
from asrkit.lm.counts import CountLayer, NgramCounts
from asrkit.lm.model import BOS, EOS, UNKNOWN_SYMBOLS, Float64, Index, NgramLayer, NgramModel

log = logging.getLogger("asrkit")

Smoothing = Literal["kneser-ney", "kneser-ney-backoff", "witten-bell"]

FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)
FALLBACK_DISCOUNT = 0.5


@dataclass(frozen=True)
class NgramConfig:
    """How to make an n-gram model from text.

    Attributes
    ----------
    order : int
        Length of the longest n-grams, >= 1.
    smoothing : {'kneser-ney', 'witten-bell', 'kneser-ney-backoff'}
        ``kneser-ney``: interpolated, modified (three discounts an order; Chen & Goodman 1998, as KenLM's
        lmplz and SRILM's ``-kndiscount -interpolate``). ``witten-bell``: interpolated (SRILM's ``-wbdiscount
        -interpolate``). ``kneser-ney-backoff``: back-off, one discount an order (Kaldi's make_kn_lm.py, SRILM's
        ``-kn-modify-counts-at-end -ukndiscount``).
    min_count : tuple of int
        For each order, how often an n-gram must occur to be listed; the last value holds for higher orders too,
        and values may not fall. A word that occurs less often than the first value is outside the vocabulary,
        unless a word list names it. Cutting is done after estimation: the mass of what is cut goes to the
        shorter context.
    unknown : str or None
        Symbol that stands for words outside the vocabulary, an event of its own, one of
        :data:`asrkit.lm.model.UNKNOWN_SYMBOLS` since an ARPA file does not say which word it is; None: a closed
        vocabulary (n-grams that hold a word outside are not counted).
    """

    order: int = 3
    smoothing: Smoothing = "kneser-ney"
    min_count: tuple[int, ...] = (1,)
    unknown: str | None = None

    def __post_init__(self) -> None:
        if self.order < 1:
            raise ConfigError(f"order is {self.order}, expected 1 or more")
        if not self.min_count or self.min_count[0] < 1:
            raise ConfigError(f"min_count is {list(self.min_count)}, expected values of 1 or more")
        if any(b < a for a, b in zip(self.min_count, self.min_count[1:])):
            raise ConfigError(
                f"min_count is {list(self.min_count)}: it falls from one order to the next",
                remedy="an n-gram cannot be listed without the shorter ones inside it",
            )

        if self.unknown is not None and self.unknown not in UNKNOWN_SYMBOLS:
            raise ConfigError(f"unknown is {self.unknown!r}, expected one of {', '.join(UNKNOWN_SYMBOLS)}")

    def min_count_of(self, n: int) -> int:
        """Return the cut-off of order n."""
        return self.min_count[min(n, len(self.min_count)) - 1]


def estimate(counts: NgramCounts, config: NgramConfig) -> NgramModel:
    """Make the smoothed model of ``counts``.

    Every context's probabilities sum to one over the vocabulary (``<s>`` excluded), and none is zero. Single
    words are interpolated with the uniform distribution over the vocabulary, so that words of a word list which
    the text lacks have their share; with ``kneser-ney-backoff``, which takes the words as all seen and discounts
    none of them, the discount of the single words is 0 unless there are such words, among whom it is then divided.

    Kneser-Ney's discounts come from the numbers n1 ... n4 of n-grams that occur once ... four times. Where one
    of them is undefined or leaves the range (0, its count] because the text is small, the order takes
    :data:`FALLBACK_DISCOUNTS` (those of KenLM), and the log says so.

    Notes
    -----
    Modified Kneser-Ney (Chen & Goodman 1998, section 3): lower orders count distinct left neighbours,
    n-grams that begin with ``<s>`` keep their occurrences; ``Y = n1 / (n1 + 2 n2)``,
    ``D1 = 1 - 2 Y n2/n1``, ``D2 = 2 - 3 Y n3/n2``, ``D3+ = 3 - 4 Y n4/n3``.

    The back-off form is Kaldi's make_kn_lm.py: ``D = n1 / (n1 + 2 n2)`` from occurrences, for lower orders too,
    though these then count left neighbours. It differs from Kaldi's in two cases, both of tiny texts: where n1
    or n2 is zero, D is :data:`FALLBACK_DISCOUNT`, since D = 1 would make each single n-gram impossible; and where
    every word is listed in a context, its words share what the discount took (Kaldi's divides by zero).
    """
    kept = _kept(counts, config)
    interpolated = config.smoothing != "kneser-ney-backoff"
    share = {"kneser-ney": _modified, "witten-bell": _witten_bell, "kneser-ney-backoff": _single}[config.smoothing]
    layers: list[NgramLayer] = []
    lower = _uniform(counts)
    below: CountLayer | None = None
    for n, layer in enumerate(counts.layers, 1):
        parent = np.zeros(len(layer), dtype=np.int64) if below is None else layer.context
        num_contexts = 1 if below is None else len(below)
        discounted, total = share(layer, parent, num_contexts, n, len(counts.layers))
        discounted[~kept[n - 1]] = 0.0
        listed_share = _divide(discounted, total[parent])
        weight = (1.0 - np.bincount(parent, weights=listed_share, minlength=num_contexts)).astype(float)
        lower_here = lower if below is None else lower[layer.suffix]
        if interpolated:
            prob = listed_share + weight[parent] * lower_here
        elif below is None:
            prob = _spread_over_unseen(listed_share, layer)
        else:
            prob, weight = _back_off(listed_share, lower_here, parent, num_contexts, kept[n - 1], len(counts.words) - 1)
        if below is None:
            prob[0] = 0.0  # <s>
        else:
            _set_backoff(layers[-1], weight)
        with np.errstate(divide="ignore"):
            layers.append(
                NgramLayer(layer.context * len(counts.words) + layer.word, np.log10(prob), np.zeros(len(layer)))
            )
        lower, below = prob, layer
    return _only_kept(counts, layers, kept)


def uniform_unigram(words: Sequence[str]) -> NgramModel:
    """Return the model of order 1 in which each word and ``</s>`` are equally likely.

    With it a recogniser's errors show the acoustic model alone. A word that is given twice counts once.
    """
    vocabulary = (BOS, EOS, *sorted({*words} - {BOS, EOS}))
    log10_prob = np.full(len(vocabulary), -np.log10(len(vocabulary) - 1))
    log10_prob[0] = -np.inf
    return NgramModel(vocabulary, (NgramLayer(np.arange(len(vocabulary)), log10_prob, np.zeros(len(vocabulary))),))


def _kept(counts: NgramCounts, config: NgramConfig) -> list[NDArray[np.bool_]]:
    kept = [np.ones(len(counts.layers[0]), dtype=bool)]
    for n, layer in enumerate(counts.layers[1:], 2):
        kept.append((layer.raw >= config.min_count_of(n)) & kept[-1][layer.context] & kept[-1][layer.suffix])
    return kept


def _uniform(counts: NgramCounts) -> Float64:
    prob = np.full(len(counts.words), 1.0 / (len(counts.words) - 1))
    prob[0] = 0.0
    return prob


def _adjusted(layer: CountLayer, n: int, order: int) -> Index:
    """Left neighbours below the highest order, occurrences where there can be none; ``<s>`` is never predicted."""
    counts = np.where(layer.continuation > 0, layer.continuation, layer.raw) if n < order else layer.raw.copy()
    if n == 1:
        counts[0] = 0
    return counts


def _modified(layer: CountLayer, parent: Index, num_contexts: int, n: int, order: int) -> tuple[Float64, Float64]:
    counts = _adjusted(layer, n, order)
    discounts = np.array([0.0, *modified_discounts(np.bincount(counts, minlength=5)[:5].tolist(), n)])
    total = np.bincount(parent, weights=counts, minlength=num_contexts).astype(float)
    return np.maximum(counts - discounts[np.minimum(counts, 3)], 0.0).astype(float), total


def modified_discounts(counts_of_counts: list[int], n: int) -> tuple[float, float, float]:
    """Return D1, D2, D3+ from ``[_, n1, n2, n3, n4]``, or the fallback where they are not usable (see `estimate`)."""
    _, n1, n2, n3, n4 = counts_of_counts
    if n1 and n2 and n3:
        y = n1 / (n1 + 2 * n2)
        discounts = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        if all(0 < d <= j for j, d in enumerate(discounts, 1)):
            return discounts
    log.warning(
        "order %d: %d, %d, %d and %d n-grams occur once, twice, three and four times, too few to estimate discounts; "
        "%s are taken",
        *(n, n1, n2, n3, n4, ", ".join(map(str, FALLBACK_DISCOUNTS))),
    )
    return FALLBACK_DISCOUNTS


def _witten_bell(layer: CountLayer, parent: Index, num_contexts: int, n: int, order: int) -> tuple[Float64, Float64]:
    counts = layer.raw.astype(float)
    if n == 1:
        counts[0] = 0.0
    types = np.bincount(parent[counts > 0], minlength=num_contexts).astype(float)
    return counts, np.bincount(parent, weights=counts, minlength=num_contexts).astype(float) + types


def _single(layer: CountLayer, parent: Index, num_contexts: int, n: int, order: int) -> tuple[Float64, Float64]:
    counts = _adjusted(layer, n, order)
    total = np.bincount(parent, weights=counts, minlength=num_contexts).astype(float)
    if n == 1 and counts[1:].all():
        return counts.astype(float), total
    n1, n2 = np.bincount(layer.raw, minlength=3)[1:3].tolist()
    discount = n1 / (n1 + 2 * n2) if n1 and n2 else FALLBACK_DISCOUNT
    if not (n1 and n2):
        log.warning(
            "order %d: %d and %d n-grams occur once and twice, too few to estimate a discount; %g is taken",
            *(n, n1, n2, discount),
        )
    return np.maximum(counts - discount, 0.0).astype(float), total


def _back_off(
    share: Float64, lower: Float64, parent: Index, num_contexts: int, kept: NDArray[np.bool_], num_events: int
) -> tuple[Float64, Float64]:
    """Probabilities and Katz's weights: what the listed words leave over, divided by what the others have below.

    Where no others are left, the listed words share the rest in proportion (as SRILM does).
    """
    inside, lower_inside, listed = (
        np.bincount(parent[kept], weights=values[kept], minlength=num_contexts).astype(float)
        for values in (share, lower, np.ones(len(share)))
    )
    full = listed == num_events
    weight = np.ones(num_contexts)
    np.divide(1.0 - inside, 1.0 - lower_inside, out=weight, where=~full & (listed > 0))
    share = np.where(full[parent], _divide(share, inside[parent]), share)
    return np.where(kept, share, weight[parent] * lower), weight


def _spread_over_unseen(prob: Float64, layer: CountLayer) -> Float64:
    unseen = layer.raw == 0
    if unseen.any():
        prob = np.where(unseen, (1.0 - prob[~unseen].sum()) / unseen.sum(), prob)
    return prob


def _divide(share: Float64, total: Float64) -> Float64:
    return np.divide(share, total, out=np.zeros(len(share)), where=total > 0)


def _set_backoff(layer: NgramLayer, weight: Float64) -> None:
    layer.log10_backoff[:] = np.log10(weight)


def _only_kept(counts: NgramCounts, layers: list[NgramLayer], kept: list[NDArray[np.bool_]]) -> NgramModel:
    num_words = len(counts.words)
    result: list[NgramLayer] = []
    for n, (layer, keep) in enumerate(zip(layers, kept)):
        context, word = np.divmod(layer.keys[keep], num_words)
        if n:
            context = (np.cumsum(kept[n - 1]) - 1)[context]
        result.append(NgramLayer(context * num_words + word, layer.log10_prob[keep], layer.log10_backoff[keep]))
    while len(result) > 1 and not len(result[-1]):
        result.pop()
    return NgramModel(counts.words, tuple(result))
