"""From a search's result to words with times, alternatives and confidences."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from asrkit.decode.reading import LatticeReading, TimedWords
from asrkit.decode.search import SearchResult
from asrkit.decode.stitching import WordWindow, stitch
from asrkit.decode.times import Span
from asrkit.lattice.lattice import LatticeScales
from asrkit.recognizer.model import RecognizerModel
from asrkit.recognizer.result import Hypothesis, Segment, Word


def make_segment(
    model: RecognizerModel, result: SearchResult, start_secs: float, end_secs: float, num_nbest: int
) -> Segment:
    """Return a stretch of a recording with its words.

    The words are those of the best path, as `asrkit decode` gives them. With a lattice they have confidences, and
    each alternative has its share of the probability of the whole lattice, and confidences against the same lattice.

    Parameters
    ----------
    result : SearchResult
        Its frame 0 is at ``start_secs``.
    num_nbest : int
        Alternatives at most, >= 1.
    """
    if result.lattice is None:
        spans = model.times(result) or list(zip(result.word_starts.tolist(), result.word_ends.tolist()))
        words = _words(model, result.words, spans, start_secs)
        best = Hypothesis(words, result.total_cost)
        return Segment(start_secs, end_secs, words, (best,), result.reached_final)
    config = model.config.search
    scales = LatticeScales(config.acoustic_scale, 1.0, config.word_insertion_penalty)
    read = LatticeReading((scales,), model.times, num_nbest, posterior_scale=model.config.posterior_scale)
    reading = read(result, config)
    nbest = tuple(_hypothesis(model, one, start_secs) for one in reading.alternatives)
    return Segment(start_secs, end_secs, nbest[0].words, nbest, result.reached_final)


def join_segments(segments: Sequence[Segment]) -> Segment:
    """Return segments of which each overlaps the one before as one, with every word once."""
    if len(segments) == 1:
        return segments[0]
    words = stitch(WordWindow(one.start_secs, one.end_secs, one.words) for one in segments)
    complete = all(one.complete for one in segments)
    return Segment(segments[0].start_secs, segments[-1].end_secs, tuple(words), (), complete)


def _hypothesis(model: RecognizerModel, found: TimedWords, start_secs: float) -> Hypothesis:
    words = _words(model, found.words, found.spans, start_secs)
    sure = zip(words, found.confidences, strict=True)
    confident = tuple(dataclasses.replace(word, confidence=confidence) for word, confidence in sure)
    return Hypothesis(confident, found.cost, found.probability)


def _words(model: RecognizerModel, words: Sequence[int], spans: Sequence[Span], start_secs: float) -> tuple[Word, ...]:
    step, symbols = model.frame_secs, model.words.symbols
    return tuple(
        Word(symbols[word], start_secs + first * step, start_secs + last * step)
        for word, (first, last) in zip(words, spans, strict=True)
    )
