"""The edit-distance recursion over a lattice and its derivatives (Xu, Povey, Mangu and Zhu 2011, figures 4 and 5)."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Doubles = NDArray[np.float64]

INSERTION_EXCESS = 1e-5
"""What an insertion into no bin costs above 1 (the paper's delta), so that bins take insertions where they can."""


@njit(cache=True, nogil=True)
def _distances_behind(
    before: Doubles, word: int, bins: Ints, behind: Doubles, by: NDArray[np.int8], excess: float
) -> None:
    """Write the distances at the end of an arc with a word, from those at its begin, and how each came about.

    1: the word is aligned with bin q; 2: it is inserted; 3: bin q is left empty behind it.
    """
    behind[0] = before[0] + 1.0 + excess
    for q in range(1, len(behind)):
        aligned = before[q - 1] + (0.0 if word == bins[q - 1] else 1.0)
        inserted = before[q] + 1.0 + excess
        skipped = behind[q - 1] + (0.0 if bins[q - 1] == 0 else 1.0)
        if aligned <= inserted and aligned <= skipped:
            behind[q], by[q] = aligned, 1
        elif inserted <= skipped:
            behind[q], by[q] = inserted, 2
        else:
            behind[q], by[q] = skipped, 3


@njit(cache=True, nogil=True)
def bin_statistics(
    offsets: Ints,
    words: Ints,
    destinations: Ints,
    arc_logprobs: Doubles,
    final_probs: Doubles,
    frames: Ints,
    bins: Ints,
    num_words: int,
) -> tuple[float, NDArray[np.float64]]:
    """Return the expected edit distance to the words of the bins, and what each bin is aligned with.

    Parameters
    ----------
    words : (num_arcs,) int32
        0 = none, else below ``num_words``.
    arc_logprobs : (num_arcs,) float64
        Log probability of each arc among those that enter its destination.
    final_probs : (num_states,) float64
        Probability of ending in each state.
    frames : (num_states,) int32
    bins : (num_bins,) int32
        Word of each bin; 0 = none.

    Returns
    -------
    distance : float
    statistics : (num_bins, num_words, 3) float64
        For each bin and word (0: none) its probability, and this times the frames where it begins and where it ends.
    """
    num_states, num_bins = len(final_probs), len(bins)
    distances = np.zeros((num_states, num_bins + 1))
    behind = np.empty(num_bins + 1)
    by = np.zeros(num_bins + 1, dtype=np.int8)
    for q in range(1, num_bins + 1):
        distances[0, q] = distances[0, q - 1] + (0.0 if bins[q - 1] == 0 else 1.0)
    total = 0.0
    for state in range(num_states):
        total += final_probs[state] * distances[state, num_bins]
        for arc in range(offsets[state], offsets[state + 1]):
            weight = math.exp(arc_logprobs[arc])
            if words[arc] == 0:
                distances[destinations[arc]] += weight * distances[state]
            else:
                _distances_behind(distances[state], words[arc], bins, behind, by, INSERTION_EXCESS)
                distances[destinations[arc]] += weight * behind
    statistics = np.zeros((num_bins, num_words, 3))
    shares = np.zeros((num_states, num_bins + 1))  # derivative of the total by each distance
    shares[:, num_bins] = final_probs
    along = np.empty(num_bins + 1)
    for state in range(num_states - 1, -1, -1):
        for arc in range(offsets[state], offsets[state + 1]):
            weight, word, destination = math.exp(arc_logprobs[arc]), words[arc], destinations[arc]
            along[:] = weight * shares[destination]
            if word == 0:
                shares[state] += along
                continue
            _distances_behind(distances[state], word, bins, behind, by, INSERTION_EXCESS)
            begin, end = frames[state], frames[destination]
            for q in range(num_bins, 0, -1):
                if by[q] == 1:
                    shares[state, q - 1] += along[q]
                    statistics[q - 1, word, 0] += along[q]
                    statistics[q - 1, word, 1] += along[q] * begin
                    statistics[q - 1, word, 2] += along[q] * end
                elif by[q] == 2:
                    shares[state, q] += along[q]
                else:
                    along[q - 1] += along[q]
                    statistics[q - 1, 0, 0] += along[q]
                    statistics[q - 1, 0, 1] += along[q] * end
                    statistics[q - 1, 0, 2] += along[q] * end
            shares[state, 0] += along[0]
    for q in range(num_bins, 0, -1):
        statistics[q - 1, 0, 0] += shares[0, q]
        shares[0, q - 1] += shares[0, q]
    return total, statistics
