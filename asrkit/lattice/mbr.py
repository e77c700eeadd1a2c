"""Minimum Bayes risk decoding: the words of fewest expected errors, with confidences, times and a confusion network.

After Xu, Povey, Mangu and Zhu, "Minimum Bayes Risk decoding and system combination based on a recursion for edit
distance", Computer Speech and Language 25 (2011), and Kaldi's ``lattice-mbr-decode``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError
from asrkit.lattice.forward_backward import forward_backward
from asrkit.lattice.lattice import Lattice, LatticeScales
from asrkit.lattice.paths import best_path

_MOST_ROUNDS = 100
_CLEARLY_MORE = 1e-9
"""By how much another word must be more probable before it takes a bin: ties stay as they are."""
_UNSCALED = LatticeScales()


@dataclass(frozen=True)
class ConfusionBin:
    """The words that may have been said at one place.

    Attributes
    ----------
    words : tuple of int
        Word ids, 1-based, 0 = none; the most probable first.
    posteriors : tuple of float
        Probability of each; they sum to 1.
    begin_frames, end_frames : tuple of float
        Expected frame where each begins, and behind its last one.
    """

    words: tuple[int, ...]
    posteriors: tuple[float, ...]
    begin_frames: tuple[float, ...]
    end_frames: tuple[float, ...]

    def place(self, word: int) -> int | None:
        """Return where a word stands in the tuples; None where the bin does not hold it."""
        return self.words.index(word) if word in self.words else None


@dataclass(frozen=True)
class MbrResult:
    """What was said, as far as a lattice tells.

    Attributes
    ----------
    words : tuple of int
        Word ids, 1-based.
    confidences : tuple of float
        For each word its probability in its bin, in [0, 1].
    begin_frames, end_frames : tuple of float
        For each word the expected frame where it begins, and behind its last one; neighbours whose expected times
        overlap meet half way.
    risk : float
        Expected number of errors of ``words``, by the recursion: not below the true one (but for 1e-5 a word), and
        equal to it where no two paths with different words join again.
    bins : tuple of ConfusionBin
        The confusion network: a bin for each word, and one before, between and behind them for what was not chosen.
    """

    words: tuple[int, ...]
    confidences: tuple[float, ...]
    begin_frames: tuple[float, ...]
    end_frames: tuple[float, ...]
    risk: float
    bins: tuple[ConfusionBin, ...]


def minimum_bayes_risk(
    lattice: Lattice,
    scales: LatticeScales = _UNSCALED,
    words: Sequence[int] | None = None,
    decode: bool = True,
) -> MbrResult:
    """Find words of least expected edit distance to what was said, if that is one of the lattice's paths.

    A local search that starts from the best path (or ``words``): each round aligns the lattice with the words found
    so far and puts the most probable word, or none, into each bin; the risk never rises from round to round.

    Parameters
    ----------
    words : sequence of int, optional
        Word ids to start from, in place of the best path's.
    decode : bool
        False: keep the words that it starts from, and only tell their confidences (Kaldi's ``--decode-mbr=false``).

    Raises
    ------
    FormatError
        Paths of different lengths lead to one state.
    ConfigError
        A word id below 1 among ``words``.

    Notes
    -----
    Arcs without word do not count as bins' contents, so raw lattices may be given; determinised ones are faster. A
    word that the lattice does not have at its place has confidence 0, and the times of its bin.
    """
    chosen = tuple(best_path(lattice, scales).words if words is None else words)
    if min(chosen, default=1) < 1:
        raise ConfigError(f"word id {min(chosen)} among the words to start from, expected 1 or more")
    recursion = _Recursion(lattice, scales, chosen)
    bins = recursion.with_gaps(recursion.local_ids(chosen))
    for _ in range(_MOST_ROUNDS):
        risk, statistics = recursion.statistics(bins)
        better = _most_probable(bins, statistics[:, :, 0]) if decode else bins
        better = recursion.with_gaps(better[better != 0])
        if np.array_equal(better, bins):
            break
        bins = better
    else:
        risk, statistics = recursion.statistics(bins)
    return recursion.result(bins, risk, statistics)


def _most_probable(bins: NDArray[np.int32], posteriors: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return the most probable word of each bin; the present one where none is clearly more probable."""
    rows = np.arange(len(bins))
    best = posteriors.argmax(axis=1).astype(np.int32)
    return np.where(posteriors[rows, best] > posteriors[rows, bins] + _CLEARLY_MORE, best, bins)


def put_in_order(begins: list[float], ends: list[float]) -> None:
    """Let each word end where the next begins, at the latest; neighbours that overlap meet half way. In place."""
    for at in range(1, len(begins)):
        if begins[at] < ends[at - 1]:
            ends[at - 1] = begins[at] = max((begins[at] + ends[at - 1]) / 2, begins[at - 1])
            ends[at] = max(ends[at], begins[at])


class _Recursion:
    """A lattice made ready: words numbered among those that occur, arcs with their probabilities."""

    def __init__(self, lattice: Lattice, scales: LatticeScales, chosen: tuple[int, ...]) -> None:
        self.lattice = lattice
        occurring = np.concatenate([[0], lattice.words, np.array(chosen, dtype=np.int32)])
        self.word_ids, local = np.unique(occurring, return_inverse=True)
        self.words = local[1 : lattice.num_arcs + 1].astype(np.int32)
        posteriors = forward_backward(lattice, scales)
        forward = posteriors.forward
        logprobs = forward[lattice.sources] - lattice.arc_costs(scales) - forward[lattice.destinations]
        arcs = (lattice.offsets, self.words, lattice.destinations, logprobs)
        self.arrays = (*arcs, posteriors.final_states, lattice.state_frames)

    def local_ids(self, words: Sequence[int]) -> NDArray[np.int32]:
        """Return the numbers of words."""
        return np.searchsorted(self.word_ids, np.array(words, dtype=np.int64)).astype(np.int32)

    @staticmethod
    def with_gaps(words: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return bins: the words, and an empty one before, between and behind them."""
        bins = np.zeros(2 * len(words) + 1, dtype=np.int32)
        bins[1::2] = words
        return bins

    def statistics(self, bins: NDArray[np.int32]) -> tuple[float, NDArray[np.float64]]:
        """Return the risk, and probability, begin and end of each word in each bin."""
        from asrkit.lattice.mbr_kernels import bin_statistics

        return bin_statistics(*self.arrays, bins, len(self.word_ids))

    def result(self, bins: NDArray[np.int32], risk: float, statistics: NDArray[np.float64]) -> MbrResult:
        """Return words, confidences, times and bins."""
        network = tuple(self._bin(table) for table in statistics)
        confidences, begins, ends = [], [], []
        for number in np.flatnonzero(bins).tolist():
            place = network[number].place(int(self.word_ids[bins[number]]))
            confidences.append(0.0 if place is None else min(network[number].posteriors[place], 1.0))
            place = 0 if place is None else place
            begins.append(network[number].begin_frames[place])
            ends.append(network[number].end_frames[place])
        put_in_order(begins, ends)
        words = tuple(self.word_ids[bins[bins != 0]].tolist())
        return MbrResult(words, tuple(confidences), tuple(begins), tuple(ends), risk, network)

    def _bin(self, table: NDArray[np.float64]) -> ConfusionBin:
        held = np.flatnonzero(table[:, 0] > 0)
        held = held[np.lexsort((held, -table[held, 0]))]
        posteriors, begins, ends = table[held].T
        return ConfusionBin(
            tuple(self.word_ids[held].tolist()),
            tuple(posteriors.tolist()),
            tuple((begins / posteriors).tolist()),
            tuple((ends / posteriors).tolist()),
        )
