"""A back-off n-gram model as sorted arrays, one layer an order."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import FormatError

log = logging.getLogger("asrkit")

BOS = "<s>"
EOS = "</s>"
UNKNOWN_SYMBOLS = ("<UNK>", "<unk>", "[UNK]", "[unk]")

Ids = NDArray[np.int32]
Index = NDArray[np.int64]
Float64 = NDArray[np.float64]

RawLayer = tuple[NDArray[Any], Float64, Float64]


@dataclass(frozen=True)
class NgramLayer:
    """The n-grams of one order, a layer of a trie: each points to its context in the layer of the order below.

    Attributes
    ----------
    keys : (N,) int64
        ``context * num_words + word``, strictly increasing; ``context`` is the index, in the layer below, of
        the n-gram without its last word (0 for unigrams), ``word`` the id of its last word.
    log10_prob : (N,) float64
        log10 P(word | context), <= 0; -inf = impossible (written as -99).
    log10_backoff : (N,) float64
        log10 of the weight of the shorter context after this n-gram; 0 where nothing was learnt.
    """

    keys: Index
    log10_prob: Float64
    log10_backoff: Float64

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True)
class NgramModel:
    """P(w | h) over the words and ``</s>``, in Katz's back-off form as ARPA files store it.

    ``P(w | h) = prob(h w)`` where ``h w`` is listed, else ``backoff(h) * P(w | h')``, with ``h'`` the context
    without its first word and ``backoff(h) = 1`` where ``h`` is not listed. ``<s>`` is only ever context. A word
    that is not listed is taken as the unknown symbol when the model lists one, and is impossible otherwise.

    Attributes
    ----------
    words : tuple of str
        The vocabulary, ``<s>``, ``</s>`` and the unknown symbol included; a word's id (0-based) is its place here.
    layers : tuple of NgramLayer
        ``layers[n - 1]`` holds the n-grams of order n. Layer 0 is dense: its index is the word id. A context
        of a listed n-gram is listed too.
    """

    words: tuple[str, ...]
    layers: tuple[NgramLayer, ...]

    @property
    def order(self) -> int:
        """Length of the longest n-grams."""
        return len(self.layers)

    @property
    def num_words(self) -> int:
        """Size of the vocabulary, ``<s>`` and ``</s>`` included."""
        return len(self.words)

    @property
    def num_ngrams(self) -> tuple[int, ...]:
        """Number of n-grams by order, unigrams first."""
        return tuple(len(layer) for layer in self.layers)

    @functools.cached_property
    def ids_by_word(self) -> dict[str, int]:
        """Word -> id."""
        return {word: i for i, word in enumerate(self.words)}

    @property
    def bos_id(self) -> int:
        """Id of ``<s>``."""
        return self.ids_by_word[BOS]

    @property
    def eos_id(self) -> int:
        """Id of ``</s>``."""
        return self.ids_by_word[EOS]

    @functools.cached_property
    def unknown_id(self) -> int:
        """Id of the unknown symbol (the first of :data:`UNKNOWN_SYMBOLS` that is listed), or -1 in a closed model."""
        return next((self.ids_by_word[w] for w in UNKNOWN_SYMBOLS if w in self.ids_by_word), -1)

    def ids(self, words: Iterable[str]) -> Ids:
        """Return the ids of ``words``; a word outside is the unknown symbol's id, or -1 in a closed model."""
        unknown = self.unknown_id
        get = self.ids_by_word.get
        return np.array([get(word, unknown) for word in words], dtype=np.int32)

    def ngrams(self, order: int) -> tuple[Ids, Float64, Float64]:
        """Return the n-grams of one order: ids ``(N, order)`` int32, log10_prob and log10_backoff ``(N,)`` float64.

        Rows are sorted by ids. Backoffs are zero where an n-gram is no context, and for the highest order.
        """
        layer = self.layers[order - 1]
        ids = np.empty((len(layer), order), dtype=np.int32)
        index = np.arange(len(layer), dtype=np.int64)
        for n in range(order, 0, -1):
            index, ids[:, n - 1] = np.divmod(self.layers[n - 1].keys[index], self.num_words)
        return ids, layer.log10_prob, layer.log10_backoff

    def log10_prob(self, context: Sequence[str], word: str) -> float:
        """Return log10 P(word | context); of a long context the last ``order - 1`` words count.

        -inf for a word outside a closed model. ``<s>`` stands in a context as any word does.
        """
        tokens = self.ids([*context, word])[-self.order :]
        return float(self.log10_probs(tokens, np.arange(len(tokens)) == 0)[-1])

    def score(self, sentence: Sequence[str]) -> float:
        """Return log10 P(sentence), ``</s>`` included and ``<s>`` as the first context."""
        tokens = self.ids([BOS, *sentence, EOS])
        return float(self.log10_probs(tokens, np.arange(len(tokens)) == 0)[1:].sum())

    def log10_probs(self, tokens: NDArray[Any], first: NDArray[np.bool_]) -> Float64:
        """Return log10 P(token | the tokens before it) for every position of a text.

        Parameters
        ----------
        tokens : (T,) int
            Word ids; -1 is a word outside, which is impossible (-inf) and breaks the context of what follows.
        first : (T,) bool
            Where a sentence (or any independent stretch) starts: no context reaches over this place. Put
            ``<s>`` there yourself; its own value is to be ignored.
        """
        tokens = np.asarray(tokens, dtype=np.int64)
        node = tokens  # index of the n-gram that ends here, in layer n; -1 where it is not listed
        result = np.where(tokens >= 0, self.layers[0].log10_prob[tokens], -np.inf)
        for n in range(1, self.order):
            context = np.empty_like(node)
            context[:1] = -1
            context[1:] = node[:-1]
            context[first] = -1
            node = self.find(n, context, tokens)
            backed_off = result + np.where(context >= 0, self.layers[n - 1].log10_backoff[context], 0.0)
            result = np.where(node >= 0, self.layers[n].log10_prob[node] if len(self.layers[n]) else 0.0, backed_off)
        return result

    def row_log10_probs(self, ids: NDArray[Any]) -> Float64:
        """Return log10 P(last | the others) for each row of ``ids`` (N, n): n-grams, listed or not."""
        num_rows, length = ids.shape
        ids = ids[:, -self.order :]
        length = ids.shape[1]
        result = np.empty(num_rows)
        step = 500_000
        for start in range(0, num_rows, step):
            block = ids[start : start + step]
            first = np.zeros(block.shape, dtype=bool)
            first[:, 0] = True
            result[start : start + step] = self.log10_probs(block.ravel(), first.ravel())[length - 1 :: length]
        return result

    def find(self, n: int, context: Index, word: NDArray[Any]) -> Index:
        """Return indices in ``layers[n]``, or -1, of ``context`` (index in ``layers[n-1]``) followed by ``word``."""
        return _find(self.layers[n].keys, context, word, self.num_words)


def _find(keys: Index, context: Index, word: NDArray[Any], num_words: int) -> Index:
    wanted = np.where((context >= 0) & (word >= 0), context * num_words + word, -1)
    if not len(keys):
        return np.full(len(wanted), -1, dtype=np.int64)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, place, -1)


def build_model(
    words: Sequence[str], layers: Sequence[RawLayer], where: Callable[[int, int], str] | None = None
) -> NgramModel:
    """Build a model from n-grams in any order of rows.

    Parameters
    ----------
    words : sequence of str
        The vocabulary, distinct, with ``<s>`` and ``</s>``.
    layers : sequence of (ids, log10_prob, log10_backoff)
        For each order n: ``(N, n)`` int, ``(N,)``, ``(N,)``. Layer 0 must list each word once. Empty layers at
        the end are cut off. A context that no layer lists is added with the probability that backing off
        gives it, which changes no probability of the model; the log says how many there were.
    where : callable, optional
        ``(order, row) -> "path:line"``, for the error message.

    Raises
    ------
    FormatError
        An n-gram is listed twice, or a word of the vocabulary has no unigram.
    """
    layers = list(layers)
    while len(layers) > 1 and not len(layers[-1][0]):
        layers.pop()
    built: list[NgramLayer] = []
    n = 0
    added = 0
    while n < len(layers):
        ids = np.asarray(layers[n][0]).reshape(-1, n + 1).astype(np.int64)
        context = _contexts(built, ids, len(words))
        missing = context < 0
        if missing.any():
            extra = np.unique(ids[missing, :-1], axis=0)
            added += len(extra)
            layers[n - 1] = _with_rows(layers[n - 1], extra)
            built, n = [], 0
            continue
        built.append(_sorted_layer(words, ids, context, layers[n], where))
        n += 1
    if len(built[0]) != len(words):
        raise FormatError(f"{len(words)} words and {len(built[0])} unigrams, expected one a word")
    model = NgramModel(tuple(words), tuple(built))
    if added:
        log.info("%d contexts of longer n-grams were not listed; they got the probability of backing off", added)
        _fill_added(model)
    return model


def _contexts(built: Sequence[NgramLayer], ids: Index, num_words: int) -> Index:
    """Index in the last built layer of each row's context; 0 for unigrams, -1 where it is not listed."""
    context = np.zeros(len(ids), dtype=np.int64)
    for n, layer in enumerate(built):
        context = _find(layer.keys, context, ids[:, n], num_words)
    return context


def _sorted_layer(
    words: Sequence[str], ids: Index, context: Index, raw: RawLayer, where: Callable[[int, int], str] | None
) -> NgramLayer:
    keys = context * len(words) + ids[:, -1]
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    twice = np.flatnonzero(keys[1:] == keys[:-1])
    if len(twice):
        row = int(order[twice + 1].min())
        text = " ".join(words[i] for i in ids[row])
        raise FormatError(
            f"the n-gram {text!r} is listed twice", where=where(ids.shape[1], row) if where is not None else None
        )
    return NgramLayer(keys, np.asarray(raw[1], dtype=float)[order], np.asarray(raw[2], dtype=float)[order])


def _with_rows(layer: RawLayer, extra: Index) -> RawLayer:
    """``layer`` with contexts added whose probability (NaN) is filled in once the layers below are known."""
    return (
        np.concatenate([np.asarray(layer[0]).reshape(-1, extra.shape[1]), extra]),
        np.concatenate([layer[1], np.full(len(extra), np.nan)]),
        np.concatenate([layer[2], np.zeros(len(extra))]),
    )


def _fill_added(model: NgramModel) -> None:
    for n in range(1, model.order):
        layer = model.layers[n]
        rows = np.flatnonzero(np.isnan(layer.log10_prob))
        if len(rows):
            ids = model.ngrams(n + 1)[0][rows]
            backoff = model.layers[n - 1].log10_backoff[layer.keys[rows] // model.num_words]
            below = NgramModel(model.words, model.layers[:n])
            layer.log10_prob[rows] = backoff + below.row_log10_probs(ids[:, 1:])


def renormalise(model: NgramModel) -> NgramModel:
    """Return the model with back-off weights that make each context's probabilities sum to one.

    ``backoff(h) = (1 - sum P(w|h)) / (1 - sum P(w|h'))`` over the words listed after ``h`` (Katz 1987); 1 where
    every word is listed after ``h`` or none is.
    """
    num_events = model.num_words - 1  # all but <s>
    layers = list(model.layers)
    for n in range(1, model.order):
        layer = layers[n]
        below = NgramModel(model.words, tuple(layers[:n]))
        ids = NgramModel(model.words, tuple(layers)).ngrams(n + 1)[0]
        context = layer.keys // model.num_words
        lower = 10.0 ** below.row_log10_probs(ids[:, 1:])
        size = len(layers[n - 1])
        children = np.bincount(context, minlength=size)
        left = 1.0 - np.bincount(context, weights=10.0**layer.log10_prob, minlength=size)
        left_below = 1.0 - np.bincount(context, weights=lower, minlength=size)
        some = (children > 0) & (children < num_events) & (left_below > 0)
        weight = np.ones(size)
        np.divide(np.maximum(left, 0.0), left_below, out=weight, where=some)
        with np.errstate(divide="ignore"):
            layers[n - 1] = NgramLayer(layers[n - 1].keys, layers[n - 1].log10_prob, np.log10(weight))
    return NgramModel(model.words, tuple(layers))
