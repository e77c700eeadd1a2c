"""The compiled loops of the two-state search that smooths speech scores."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit("void(float32[::1], int64, float64, float64[::1], uint16[:, ::1])", cache=True, nogil=True)
def advance_path(scores, num_speech, penalty, totals, origins):  # type: ignore[no-untyped-def]
    """Take the search over frames ``scores`` (T,).

    States ``0 … num_speech - 1`` are speech, the others not; each kind is a chain that is walked state by state and
    whose last state repeats, so a visit lasts as many frames at least as the chain has states. ``totals`` (K,), the
    best score of a path that ends in each state, is carried on; ``origins`` (T, K) receives the state before.
    """
    num_states = len(totals)
    new = np.empty(num_states)
    for t in range(len(scores)):
        best = -np.inf
        for state in range(num_states):
            speech = state < num_speech
            first = 0 if speech else num_speech
            last = num_speech - 1 if speech else num_states - 1
            if state > first:
                total, origin = totals[state - 1], state - 1
            else:
                origin = num_states - 1 if speech else num_speech - 1
                total = totals[origin] - penalty
            # At equal scores a path stays where it is.
            if state == last and totals[state] >= total:
                total, origin = totals[state], state
            if speech:
                total += scores[t]
            new[state] = total
            origins[t, state] = origin
            best = max(best, total)
        # Relative to the best one the scores stay small, however long the recording.
        for state in range(num_states):
            totals[state] = new[state] - best


@njit("void(uint16[:, ::1], int64, int64[::1])", cache=True, nogil=True)
def trace_back(origins, frame, states):  # type: ignore[no-untyped-def]
    """Replace each of ``states``, taken at the last frame, by the state of its path at ``frame`` (0-based)."""
    for t in range(len(origins) - 1, frame, -1):
        for i in range(len(states)):
            states[i] = origins[t, states[i]]


@njit("int64(uint16[:, ::1], int64[::1], int64, boolean[::1])", cache=True, nogil=True)
def settle(origins, states, num_speech, labels):  # type: ignore[no-untyped-def]
    """Find how many frames all paths that end in ``states`` agree about, and write their ``labels``: is it speech.

    Returns the number of frames; ``states`` is overwritten.
    """
    settled = 0
    for t in range(len(origins) - 1, -1, -1):
        same = True
        for i in range(1, len(states)):
            same &= states[i] == states[0]
        if same and settled == 0:
            settled = t + 1
        if same:
            labels[t] = states[0] < num_speech
        for i in range(len(states)):
            states[i] = origins[t, states[i]]
    return settled
