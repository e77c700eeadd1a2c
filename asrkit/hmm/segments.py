"""Phones and words of an alignment: where each begins and ends, and which pronunciation was said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ModelError
from asrkit.hmm.transitions import TransitionModel
from asrkit.lang.langdir import Lang

IntArray = NDArray[np.int32]

_SILENCE = -1


@dataclass(frozen=True, eq=False)
class PhoneSegments:
    """The N phones of an utterance of T frames, one after the other.

    Attributes
    ----------
    phones : (N,) int32
        1-based phone ids.
    bounds : (N + 1,) int64
        Phone i has the frames ``bounds[i]`` up to, not including, ``bounds[i + 1]``; from 0 to T.
    """

    phones: IntArray
    bounds: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.phones)

    def means(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the mean of ``values`` (T,) over the frames of each phone, (N,) float64."""
        sums = np.add.reduceat(values.astype(np.float64), self.bounds[:-1])
        return np.asarray(sums / np.diff(self.bounds))


@dataclass(frozen=True)
class WordSegment:
    """A word of a transcript, as it was said.

    Attributes
    ----------
    position : int
        0-based place in the transcript.
    variant : int
        0-based place of the pronunciation among those of the word (see :attr:`Lang.entries_of_word`).
    first, last : int
        Phones ``first`` up to, not including, ``last``, 0-based.
    """

    position: int
    variant: int
    first: int
    last: int


def cut_phones(transitions: TransitionModel, alignment: IntArray) -> PhoneSegments:
    """Cut an alignment into phones.

    Parameters
    ----------
    alignment : (T,) int32
        Transition ids of a path through a graph whose self-loops follow the arcs that leave their states (Kaldi's
        ``--reorder=true``): a phone lasts until the first arc behind the one that left it.

    Raises
    ------
    ModelError
        The alignment is empty, or begins with a self-loop or ends before its last phone does.
    """
    steps = np.flatnonzero(~transitions.is_self_loop[alignment])
    if len(steps) == 0 or steps[0] != 0 or not transitions.is_final[alignment[steps[-1]]]:
        raise ModelError("the alignment does not consist of whole phones")
    starts = np.concatenate([[0], steps[1:][transitions.is_final[alignment[steps[:-1]]]]])
    return PhoneSegments(transitions.tid_to_phone[alignment[starts]], np.append(starts, len(alignment)))


def find_words(phones: Sequence[int], word_ids: Sequence[int], lang: Lang) -> list[WordSegment] | None:
    """Find the words of a transcript among the phones that its graph's best path went through.

    Parameters
    ----------
    phones : sequence of int
        1-based phone ids, of the whole utterance.
    word_ids : sequence of int
        1-based word ids, see :meth:`Lang.transcript_ids`.
    lang : Lang
        Pronunciations and optional silence.

    Returns
    -------
    list of WordSegment, or None
        One a word; phones in none of them are optional silence. None: the phones are no pronunciation of the words.

    Notes
    -----
    Where the phones can be read in several ways, as (a)(t i) or (a t)(i), the reading of the greatest probability of
    pronunciations and silences is the one that the search took; among equally probable ones each word takes the
    pronunciation that comes first in the lexicon, and silence comes last.
    """
    # A reading so far: (log probability, its last step), by the number of phones read.
    trail: list[tuple[int, int, int, int]] = []  # (step before, variant or _SILENCE, first phone, last phone)
    readings: dict[int, tuple[float, int]] = _with_silence({0: (0.0, -1)}, phones, lang, trail)
    for word in word_ids:
        longer: dict[int, tuple[float, int]] = {}
        for at, (score, step) in readings.items():
            for variant, entry in enumerate(lang.entries_of_word.get(word, ())):
                end = at + len(entry.phones)
                if tuple(phones[at:end]) != entry.phones:
                    continue
                better = score + entry.log_probability
                if end not in longer or better > longer[end][0]:
                    longer[end] = (better, len(trail))
                    trail.append((step, variant, at, end))
        readings = _with_silence(longer, phones, lang, trail)
    if len(phones) not in readings:
        return None
    found: list[tuple[int, int, int]] = []
    step = readings[len(phones)][1]
    while step >= 0:
        step, *segment = trail[step]
        found.append((segment[0], segment[1], segment[2]))
    words = [segment for segment in reversed(found) if segment[0] != _SILENCE]
    return [WordSegment(position, *segment) for position, segment in enumerate(words)]


def _with_silence(
    readings: dict[int, tuple[float, int]], phones: Sequence[int], lang: Lang, trail: list[tuple[int, int, int, int]]
) -> dict[int, tuple[float, int]]:
    """Let each reading go on with optional silence or without."""
    silence = lang.optional_silence
    if silence is None:
        return readings
    probability = lang.config.silence_probability
    result = {at: (score + math.log1p(-probability), step) for at, (score, step) in readings.items()}
    for at, (score, step) in readings.items():
        better = score + math.log(probability)
        if at < len(phones) and phones[at] == silence and (at + 1 not in result or better > result[at + 1][0]):
            result[at + 1] = (better, len(trail))
            trail.append((step, _SILENCE, at, at + 1))
    return result
