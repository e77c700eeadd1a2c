"""Phones and words of an alignment: where each begins and ends, and which pronunciation was said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ModelError
from asrkit.hmm.transitions import TransitionModel
from asrkit.lang.langdir import Lang
from asrkit.lang.silence import Weights

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
    trail: list[tuple[int, int, int, int]] = []  # (step before, variant or _SILENCE, first phone, last phone)
    ends: list[_Reading] = [(0, 0.0, -1, lang.silence.start_weights)]
    for word in word_ids:
        readings = _with_silence(ends, phones, lang, trail)
        ends = []
        for (at, silent), (score, step) in readings.items():
            for variant, entry in enumerate(lang.entries_of_word.get(word, ())):
                end = at + len(entry.phones)
                if tuple(phones[at:end]) == entry.phones:
                    ends.append((end, score + entry.before[silent] + entry.log_probability, len(trail), entry.after))
                    trail.append((step, variant, at, end))
    last = lang.silence.end_weights
    whole = [
        (score + last[silent], step)
        for (at, silent), (score, step) in _with_silence(ends, phones, lang, trail).items()
        if at == len(phones)
    ]
    if not whole:
        return None
    found: list[tuple[int, int, int]] = []
    _, step = max(whole, key=lambda reading: reading[0])
    while step >= 0:
        step, *segment = trail[step]
        found.append((segment[0], segment[1], segment[2]))
    words = [segment for segment in reversed(found) if segment[0] != _SILENCE]
    return [WordSegment(position, *segment) for position, segment in enumerate(words)]


_Reading = tuple[int, float, int, Weights]
"""(phones read, log probability, its last step, weights of no silence and of silence next)"""


def _with_silence(
    ends: Sequence[_Reading], phones: Sequence[int], lang: Lang, trail: list[tuple[int, int, int, int]]
) -> dict[tuple[int, bool], tuple[float, int]]:
    """Let each reading go on without optional silence or with it.

    Returns (phones read, whether silence is the last of them) -> (log probability, last step) of the best.
    """
    readings: dict[tuple[int, bool], tuple[float, int]] = {}
    for silent in (False, True):
        for at, score, step, weights in ends:
            if silent and not (at < len(phones) and phones[at] == lang.optional_silence):
                continue
            key, better = (at + silent, silent), score + weights[silent]
            if key not in readings or better > readings[key][0]:
                if silent:
                    trail.append((step, _SILENCE, at, at + 1))
                readings[key] = (better, len(trail) - 1 if silent else step)
    return readings
