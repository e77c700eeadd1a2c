"""How well a model predicts a text: perplexity, words outside the vocabulary, log-probability by sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import DataError
from asrkit.lm.model import BOS, EOS, Float64, Ids, NgramModel

_BLOCK_TOKENS = 1_000_000


@dataclass(frozen=True)
class TokenScores:
    """A stretch of text as a model sees it: the words and ``</s>`` of whole sentences, one entry each.

    Attributes
    ----------
    log10_prob : (T,) float64
        log10 P(word | what stands before it in its sentence). Of a word outside: that of the unknown symbol, or
        -inf in a closed model.
    outside : (T,) bool
        The word is outside the vocabulary (or is the unknown symbol itself).
    last : (T,) bool
        The entry is a sentence's ``</s>``.
    """

    log10_prob: Float64
    outside: NDArray[np.bool_]
    last: NDArray[np.bool_]


@dataclass(frozen=True)
class PerplexityReport:
    """Sums over a text, from which the figures derive; reports of parts of a text add up.

    Attributes
    ----------
    num_sentences, num_words, num_outside : int
        Words do not include ``</s>``; outside ones are among the words.
    num_impossible : int
        Words in the vocabulary (or ``</s>``) that the model gives probability 0; they make the perplexity infinite.
    log10_prob : float
        Sum over all words inside the vocabulary and all ``</s>``.
    log10_prob_outside : float
        Sum over the words outside, each taken as the unknown symbol; -inf where a closed model meets one.
    """

    num_sentences: int = 0
    num_words: int = 0
    num_outside: int = 0
    num_impossible: int = 0
    log10_prob: float = 0.0
    log10_prob_outside: float = 0.0

    def __add__(self, other: PerplexityReport) -> PerplexityReport:
        return PerplexityReport(
            self.num_sentences + other.num_sentences,
            self.num_words + other.num_words,
            self.num_outside + other.num_outside,
            self.num_impossible + other.num_impossible,
            self.log10_prob + other.log10_prob,
            self.log10_prob_outside + other.log10_prob_outside,
        )

    @property
    def perplexity(self) -> float:
        """Perplexity a predicted token: words inside the vocabulary and ``</s>`` (SRILM's ``ppl``)."""
        return _perplexity(self.log10_prob, self.num_words - self.num_outside + self.num_sentences)

    @property
    def perplexity_with_outside(self) -> float:
        """Perplexity over all words and ``</s>``; infinite where a closed model meets a word outside."""
        return _perplexity(self.log10_prob + self.log10_prob_outside, self.num_words + self.num_sentences)

    @property
    def outside_rate(self) -> float:
        """Fraction of the words that are outside the vocabulary (OOV rate)."""
        return self.num_outside / self.num_words if self.num_words else 0.0


def text_perplexity(model: NgramModel, sentences: Iterable[Sequence[str]]) -> PerplexityReport:
    """Return the perplexity report of a text; an empty sentence is one ``</s>``.

    Raises
    ------
    DataError
        There is no sentence.
    """
    total = PerplexityReport()
    for block in _blocks(sentences):
        total = total + summarise(score_tokens(model, block))
    if not total.num_sentences:
        raise DataError("the text to evaluate the language model on holds no sentences")
    return total


def summarise(scores: TokenScores) -> PerplexityReport:
    """Sum the scores of a stretch of text up."""
    inside = ~scores.outside
    return PerplexityReport(
        num_sentences=int(scores.last.sum()),
        num_words=int((~scores.last).sum()),
        num_outside=int(scores.outside.sum()),
        num_impossible=int(np.isneginf(scores.log10_prob[inside]).sum()),
        log10_prob=float(scores.log10_prob[inside].sum()),
        log10_prob_outside=float(scores.log10_prob[scores.outside].sum()),
    )


def sentence_scores(model: NgramModel, sentences: Iterable[Sequence[str]]) -> Iterator[tuple[float, int]]:
    """Yield for each sentence ``(log10 P of its inside words and </s>, number of outside words)``."""
    for block in _blocks(sentences):
        scores = score_tokens(model, block)
        ends = np.flatnonzero(scores.last)
        starts = np.concatenate([[0], ends[:-1] + 1])
        sums = np.add.reduceat(np.where(scores.outside, 0.0, scores.log10_prob), starts)
        outside = np.add.reduceat(scores.outside.astype(np.int64), starts)
        yield from zip(sums.tolist(), outside.tolist())


def score_tokens(model: NgramModel, sentences: Sequence[Sequence[str]]) -> TokenScores:
    """Score sentences token by token, all at once."""
    tokens, outside = _tokens(model, sentences)
    first = tokens == model.bos_id
    log10_prob = model.log10_probs(tokens, first)
    kept = ~first
    return TokenScores(log10_prob[kept], outside[kept], (tokens == model.eos_id)[kept])


def _tokens(model: NgramModel, sentences: Sequence[Sequence[str]]) -> tuple[Ids, NDArray[np.bool_]]:
    words = [word for sentence in sentences for word in (BOS, *sentence, EOS)]
    get = model.ids_by_word.get
    tokens = np.array([get(word, -1) for word in words], dtype=np.int32)
    unknown = model.unknown_id
    outside = (tokens < 0) | ((tokens == unknown) & (unknown >= 0))
    tokens[outside] = unknown
    return tokens, outside


def _blocks(sentences: Iterable[Sequence[str]]) -> Iterator[list[Sequence[str]]]:
    """Cut a text into stretches of whole sentences, so that memory does not grow with it."""
    block: list[Sequence[str]] = []
    size = 0
    for sentence in sentences:
        block.append(sentence)
        size += len(sentence) + 2
        if size >= _BLOCK_TOKENS:
            yield block
            block, size = [], 0
    if block:
        yield block


def _perplexity(log10_prob: float, num_tokens: int) -> float:
    if not num_tokens or np.isneginf(log10_prob):
        return float("inf")
    return float(10.0 ** (-log10_prob / num_tokens))
