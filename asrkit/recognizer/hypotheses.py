"""From a search's result to words with times, alternatives and confidences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from asrkit.decode.search import SearchResult
from asrkit.decode.stitching import WordWindow, stitch
from asrkit.lattice.determinise import determinise
from asrkit.lattice.forward_backward import forward_backward
from asrkit.lattice.lattice import Lattice, LatticeScales
from asrkit.lattice.mbr import minimum_bayes_risk
from asrkit.lattice.paths import LatticePath, n_best
from asrkit.recognizer.model import RecognizerModel
from asrkit.recognizer.result import Hypothesis, Segment, Word


def make_segment(
    model: RecognizerModel, result: SearchResult, start_secs: float, end_secs: float, num_nbest: int
) -> Segment:
    """Return a stretch of a recording with its words.

    The words are those of the best path, as `asrkit decode` gives them. With a lattice each has its posterior
    probability as confidence (that of its bin in the confusion network around the best path), and each alternative
    its share of the probability of the whole lattice, and confidences against the same lattice.

    Parameters
    ----------
    result : SearchResult
        Its frame 0 is at ``start_secs``.
    num_nbest : int
        Alternatives at most, >= 1.
    """
    words = timed_words(model, result.words, result.alignment, start_secs, rough=result.word_starts)
    if result.lattice is None:
        best = Hypothesis(words, result.total_cost)
        return Segment(start_secs, end_secs, words, (best,), result.reached_final)
    scales = LatticeScales(
        acoustic_scale=1.0 / model.config.lm_weight, word_insertion_penalty=model.config.insertion_penalty
    )
    lattice = determinise(result.lattice, scales, model.config.lattice_beam).lattice
    total = forward_backward(lattice, scales).total_logprob
    nbest = tuple(
        _with_confidences(model, path, lattice, scales, start_secs, total)
        for path in n_best(lattice, num_nbest, scales)
    )
    same = next((one.cost for one in nbest if one.text == " ".join(word.word for word in words)), result.total_cost)
    risk = minimum_bayes_risk(lattice, scales, result.words, decode=False)
    words = tuple(replace(word, confidence=c) for word, c in zip(words, risk.confidences, strict=True))
    # The search's own best path goes first: of equally good ones the lattice may give another.
    first = Hypothesis(words, same, _share(total, same))
    others = [one for one in nbest if one.text != first.text]
    return Segment(start_secs, end_secs, words, (first, *others)[:num_nbest], result.reached_final)


def join_segments(segments: Sequence[Segment]) -> Segment:
    """Return segments of which each overlaps the one before as one, with every word once."""
    if len(segments) == 1:
        return segments[0]
    words = stitch(WordWindow(one.start_secs, one.end_secs, one.words) for one in segments)
    complete = all(one.complete for one in segments)
    return Segment(segments[0].start_secs, segments[-1].end_secs, tuple(words), (), complete)


def _with_confidences(
    model: RecognizerModel, path: LatticePath, lattice: Lattice, scales: LatticeScales, start_secs: float, total: float
) -> Hypothesis:
    frames = np.array(path.word_frames, dtype=np.int32)
    words = timed_words(model, path.words, path.transition_ids, start_secs, rough=frames)
    confidences = minimum_bayes_risk(lattice, scales, path.words, decode=False).confidences
    confident = tuple(replace(word, confidence=c) for word, c in zip(words, confidences, strict=True))
    return Hypothesis(confident, path.cost, _share(total, path.cost))


def _share(log_total: float, cost: float) -> float:
    return min(1.0, math.exp(-cost - log_total))


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
