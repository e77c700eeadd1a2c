"""From a search's result to words with times, alternatives and confidences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from asrkit.decode.search import SearchResult
from asrkit.recognizer.model import RecognizerModel
from asrkit.recognizer.result import Hypothesis, Segment, Word


def make_segment(
    model: RecognizerModel, result: SearchResult, start_secs: float, end_secs: float, num_nbest: int
) -> Segment:
    """Return a stretch of a recording with its words.

    Parameters
    ----------
    result : SearchResult
        Its frame 0 is at ``start_secs``.
    num_nbest : int
        Alternatives at most, >= 1.
    """
    words = timed_words(model, result.words, result.alignment, start_secs, rough=result.word_starts)
    best = Hypothesis(words, result.total_cost)
    return Segment(start_secs, end_secs, words, (best,), result.reached_final)


def timed_words(
    model: RecognizerModel,
    words: Sequence[int],
    alignment: NDArray[np.int32],
    start_secs: float,
    rough: NDArray[np.int32] | None = None,
) -> tuple[Word, ...]:
    """Return the words of a path with their times.

    Parameters
    ----------
    words : sequence of int
        Word ids, 1-based.
    alignment : int32, shape (num_frames,)
        The transition_id of each frame.
    start_secs : float
        Time of frame 0.
    rough : int32, shape (num_words,), optional
        First frame of each word, for a path that ends within one: its phones do not tell.
    """
    spans = model.times.spans(words, alignment)
    if spans is None:
        starts = np.zeros(len(words), np.int32) if rough is None else rough
        spans = list(zip(starts.tolist(), np.append(starts[1:], len(alignment)).tolist()))
    step, symbols = model.frame_secs, model.words.symbols
    return tuple(
        Word(symbols[word], start_secs + first * step, start_secs + last * step)
        for word, (first, last) in zip(words, spans)
    )
