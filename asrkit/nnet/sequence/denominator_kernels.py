"""Compiled sums over all paths of a large graph that never changes: probabilities, scaled frame by frame."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Doubles = NDArray[np.float64]


@njit(cache=True, nogil=True)
def step_forward(
    in_begin: Longs, in_src: Ints, in_weight: Doubles, state_pdf: Ints, row: Doubles,
    before: Doubles, leak: Doubles, leaky: float, after: Doubles, lent: Doubles,
) -> float:  # fmt: skip
    """Fill ``after`` with forward probabilities, summing to 1, behind one more frame; return what they were divided by.

    ``before`` sums to 1; ``lent`` is scratch. With ``leaky`` at 0 nothing leaks.
    """
    num_states = len(after)
    for state in range(num_states):
        lent[state] = before[state] + leaky * leak[state]
    total = 0.0
    for state in range(num_states):
        mass = 0.0
        for arc in range(in_begin[state], in_begin[state + 1]):
            mass += lent[in_src[arc]] * in_weight[arc]
        mass *= row[state_pdf[state]]
        after[state] = mass
        total += mass
    if total > 0:
        for state in range(num_states):
            after[state] /= total
    return total


@njit(cache=True, nogil=True)
def sum_paths(
    in_begin: Longs, in_src: Ints, in_weight: Doubles, out_begin: Longs, out_dst: Ints, out_weight: Doubles,
    state_pdf: Ints, initial: Doubles, final: Doubles, leak: Doubles, leaky: float,
    emissions: Doubles, block: int, posteriors: NDArray[np.float32],
) -> float:  # fmt: skip
    """Fill ``posteriors`` (T, P), and return the log of the summed weight of all paths; -inf: there is none.

    ``initial`` sums to 1; ``emissions`` (T, P) are probabilities of the pdfs, but for a factor of each frame. Forward
    probabilities are kept every ``block`` frames, and computed once more in all blocks but the last.
    """
    num_frames, num_pdfs = emissions.shape
    num_states = len(state_pdf)
    num_blocks = (num_frames + block - 1) // block
    kept = np.empty((num_blocks, num_states))
    rows = np.empty((block + 1, num_states))
    scales = np.empty(num_frames)
    lent = np.empty(num_states)
    logprob = 0.0
    for frame in range(num_frames):
        place = frame % block
        if place == 0:
            for state in range(num_states):
                rows[0, state] = rows[block, state] if frame > 0 else initial[state]
                kept[frame // block, state] = rows[0, state]
        share = leaky if frame > 0 else 0.0
        scales[frame] = step_forward(
            in_begin, in_src, in_weight, state_pdf, emissions[frame], rows[place], leak, share, rows[place + 1], lent
        )  # fmt: skip
        if not scales[frame] > 0:
            return -np.inf
        logprob += math.log(scales[frame])
    last = rows[(num_frames - 1) % block + 1]
    ending = 0.0
    for state in range(num_states):
        ending += last[state] * final[state]
    if not ending > 0:
        return -np.inf
    logprob += math.log(ending)

    behind, nearer = final / ending, np.empty(num_states)
    for number in range(num_blocks - 1, -1, -1):
        first, end = number * block, min(num_frames, (number + 1) * block)
        if number < num_blocks - 1:
            rows[0] = kept[number]
            for frame in range(first, end):
                share = leaky if frame > 0 else 0.0
                step_forward(
                    in_begin, in_src, in_weight, state_pdf, emissions[frame], rows[frame - first], leak, share,
                    rows[frame - first + 1], lent,
                )  # fmt: skip
        for frame in range(end - 1, first - 1, -1):
            row, after = emissions[frame], rows[frame - first + 1]
            for pdf in range(num_pdfs):
                posteriors[frame, pdf] = 0.0
            for state in range(num_states):
                posteriors[frame, state_pdf[state]] += after[state] * behind[state]
                behind[state] *= row[state_pdf[state]] / scales[frame]
            leaked = 0.0
            for state in range(num_states):
                mass = 0.0
                for arc in range(out_begin[state], out_begin[state + 1]):
                    mass += behind[out_dst[arc]] * out_weight[arc]
                nearer[state] = mass
                leaked += leak[state] * mass
            if frame > 0 and leaky > 0:
                for state in range(num_states):
                    nearer[state] += leaky * leaked
            behind, nearer = nearer, behind
    return logprob
