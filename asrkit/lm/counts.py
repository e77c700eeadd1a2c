"""Counting n-grams: sorting and grouping windows of a text, never a dictionary of tuples."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import DataError
from asrkit.lm.model import BOS, EOS, Index


@dataclass(frozen=True)
class CountLayer:
    """The distinct n-grams of one order and how often they occur.

    Attributes
    ----------
    context : (N,) int64
        Index in the layer below of the n-gram without its last word; 0 for unigrams.
    word : (N,) int32
        Id of the last word. Rows are sorted by (context, word).
    suffix : (N,) int64
        Index in the layer below of the n-gram without its first word; 0 for unigrams.
    raw : (N,) int64
        Occurrences in the text.
    continuation : (N,) int64
        Number of distinct words that stand before the n-gram (an outside word counts as one);
        0 for the highest order and for n-grams that begin with ``<s>``, which nothing precedes.
    """

    context: Index
    word: NDArray[np.int32]
    suffix: Index
    raw: Index
    continuation: Index

    def __len__(self) -> int:
        return len(self.word)


@dataclass(frozen=True)
class NgramCounts:
    """Counts of all n-grams up to an order.

    Attributes
    ----------
    words : tuple of str
        ``<s>``, ``</s>``, then the vocabulary sorted; ids are places in this tuple. Layer 0 is dense: its index
        is the word id, and a word of the vocabulary that the text lacks counts 0.
    layers : tuple of CountLayer
        ``layers[n - 1]`` for order n; fewer than asked for when no sentence is long enough.
    num_sentences, num_tokens : int
        Sentences that are not empty, and their words (``</s>`` not counted).
    num_outside : int
        Tokens outside the vocabulary: mapped to the unknown symbol if there is one; otherwise no n-gram that
        holds one is counted.
    """

    words: tuple[str, ...]
    layers: tuple[CountLayer, ...]
    num_sentences: int
    num_tokens: int
    num_outside: int


def count_ngrams(
    sentences: Iterable[Sequence[str]],
    order: int,
    vocabulary: Collection[str] | None = None,
    unknown: str | None = None,
    min_word_count: int = 1,
) -> NgramCounts:
    """Count the n-grams of order 1 to ``order`` in ``<s> sentence </s>``; empty sentences are passed over.

    Parameters
    ----------
    sentences : iterable of sequences of str
        Read once.
    order : int
        >= 1.
    vocabulary : collection of str, optional
        The words of the model; by default those that occur ``min_word_count`` times.
    unknown : str, optional
        Symbol that stands for words outside; it joins the vocabulary. None: a closed vocabulary.
    min_word_count : int
        Without ``vocabulary``: a word that occurs less often is outside.

    Raises
    ------
    DataError
        The text holds no words.
    """
    text = _Text(sentences)
    if not text.num_tokens:
        raise DataError("the text for the language model holds no words")
    kept = _vocabulary(text, vocabulary, unknown, min_word_count)
    words = (BOS, EOS, *sorted(kept - {BOS, EOS}))
    ids = {word: i for i, word in enumerate(words)}
    outside = len(words)
    replacement = ids[unknown] if unknown is not None else outside
    table = np.array([ids.get(word, -1) for word in text.words], dtype=np.int64)
    num_outside = int((table < 0)[text.tokens].sum())
    table[table < 0] = replacement
    layers = _count(table[text.tokens], order, outside + 1)
    if num_outside and unknown is None:
        layers = _without_word(layers, outside)
    else:
        layers[0] = _first(layers[0], outside)
    while len(layers) > 1 and not len(layers[-1]):
        layers.pop()
    return NgramCounts(words, tuple(layers), text.num_sentences, text.num_tokens, num_outside)


class _Text:
    """A text as one array of provisional ids: 0 for ``<s>``, 1 for ``</s>``, words as they come."""

    def __init__(self, sentences: Iterable[Sequence[str]]) -> None:
        ids: dict[str, int] = {BOS: 0, EOS: 1}
        stream = array("i")
        self.num_sentences = 0
        for sentence in sentences:
            if sentence:
                self.num_sentences += 1
                stream.append(0)
                stream.extend([ids.setdefault(word, len(ids)) for word in sentence])
                stream.append(1)
        self.words = tuple(ids)
        self.tokens = np.frombuffer(stream, dtype=np.int32) if stream else np.empty(0, dtype=np.int32)
        self.num_tokens = len(stream) - 2 * self.num_sentences


def _vocabulary(text: _Text, vocabulary: Collection[str] | None, unknown: str | None, min_count: int) -> set[str]:
    if vocabulary is not None:
        kept = set(vocabulary)
    else:
        counts = np.bincount(text.tokens, minlength=len(text.words))
        kept = {word for word, count in zip(text.words, counts.tolist()) if count >= min_count}
    if unknown is not None:
        kept.add(unknown)
    return kept


def _count(tokens: Index, order: int, num_words: int) -> list[CountLayer]:
    """Layers of all n-grams; each order groups (index of the n-gram that ends before, next word)."""
    starts = tokens == 0
    node = tokens  # index of the n-gram of the current order that ends at each position, -1 across a sentence start
    raw = np.bincount(tokens, minlength=num_words)
    zeros = np.zeros(num_words, dtype=np.int64)
    layers = [CountLayer(zeros, np.arange(num_words, dtype=np.int32), zeros, raw, zeros)]
    for _ in range(1, order):
        context = np.full_like(node, -1)
        context[1:] = node[:-1]
        context[starts] = -1
        at = np.flatnonzero(context >= 0)
        keys, first, inverse, counts = np.unique(
            context[at] * num_words + tokens[at], return_index=True, return_inverse=True, return_counts=True
        )
        suffix = node[at[first]]
        below = layers[-1]
        preceded = np.bincount(suffix, minlength=len(below))
        layers[-1] = CountLayer(below.context, below.word, below.suffix, below.raw, preceded)
        nothing = np.zeros(len(keys), dtype=np.int64)
        layers.append(
            CountLayer(keys // num_words, (keys % num_words).astype(np.int32), suffix, counts.astype(np.int64), nothing)
        )
        node = np.full_like(node, -1)
        node[at] = inverse
    return layers


def _first(layer: CountLayer, size: int) -> CountLayer:
    return select(layer, np.arange(len(layer)) < size, None)


def _without_word(layers: Sequence[CountLayer], outside: int) -> list[CountLayer]:
    """The layers without the n-grams that hold the id ``outside`` anywhere."""
    result: list[CountLayer] = []
    keep_below: NDArray[np.bool_] | None = None
    for layer in layers:
        keep = layer.word != outside
        if keep_below is not None:
            keep &= keep_below[layer.context] & keep_below[layer.suffix]
        result.append(select(layer, keep, keep_below))
        keep_below = keep
    return result


def select(layer: CountLayer, keep: NDArray[np.bool_], keep_below: NDArray[np.bool_] | None) -> CountLayer:
    """Return the rows ``keep`` of a layer, its indices renumbered for the kept rows of the layer below."""

    def renumbered(index: Index) -> Index:
        if keep_below is None:
            return index[keep]
        return (np.cumsum(keep_below) - 1)[index[keep]]

    pick: Any = keep
    return CountLayer(
        renumbered(layer.context), layer.word[pick], renumbered(layer.suffix), layer.raw[pick], layer.continuation[pick]
    )
