"""An aligned utterance: its labels, phones and words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.data.datadir import Utterance
from asrkit.hmm.segments import PhoneSegments, WordSegment
from asrkit.hmm.viterbi import Alignment


@dataclass(frozen=True, eq=False)
class AlignedUtterance:
    """What became of an utterance that could be aligned.

    Attributes
    ----------
    utterance : Utterance
    alignment : Alignment
        Transition ids and log-likelihoods.
    phones : PhoneSegments
    words : tuple of WordSegment
    unknown : frozenset of int
        0-based places in the transcript of words that were aligned as the unknown word.
    loglikes : (N,) float64
        Acoustic log-likelihood per frame of each phone, natural log.
    goodness : (N,) float64 or None
        The same less that of the best pdf of each frame: at most 0, where the phone fits better than any other.
    bounds_secs : (N + 1,) float64
        Boundaries of the phones, in seconds of the recording.
    """

    utterance: Utterance
    alignment: Alignment
    phones: PhoneSegments
    words: tuple[WordSegment, ...]
    unknown: frozenset[int]
    loglikes: NDArray[np.float64]
    goodness: NDArray[np.float64] | None
    bounds_secs: NDArray[np.float64]
