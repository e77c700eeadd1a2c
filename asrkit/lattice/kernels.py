"""The order of a lattice's states, and their frames."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def topological_rank(
    start: int, first: NDArray[np.int64], destinations: NDArray[np.int64], final: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], int]:
    """Return the place of each state in a topological order (-1: on no complete path), and how many have one.

    The arcs of state s are ``destinations[first[s] : first[s + 1]]``. The count is 0 where no path is complete, and
    -1 where the arcs of complete paths form a cycle.
    """
    num_states = len(final)
    reached = np.zeros(num_states, dtype=np.bool_)
    queue = np.empty(num_states, dtype=np.int64)
    queue[0], reached[start], end = start, True, 1
    at = 0
    while at < end:
        for arc in range(first[queue[at]], first[queue[at] + 1]):
            state = destinations[arc]
            if not reached[state]:
                reached[state] = True
                queue[end] = state
                end += 1
        at += 1
    # The arcs the other way round, counted out by destination.
    last = np.zeros(num_states + 1, dtype=np.int64)
    for arc in range(len(destinations)):
        last[destinations[arc] + 1] += 1
    for state in range(num_states):
        last[state + 1] += last[state]
    sources = np.empty(len(destinations), dtype=np.int64)
    filled = last[:-1].copy()
    for source in range(num_states):
        for arc in range(first[source], first[source + 1]):
            sources[filled[destinations[arc]]] = source
            filled[destinations[arc]] += 1
    alive = np.zeros(num_states, dtype=np.bool_)
    at = end = 0
    for state in range(num_states):
        if final[state] and reached[state]:
            alive[state] = True
            queue[end] = state
            end += 1
    while at < end:
        for arc in range(last[queue[at]], last[queue[at] + 1]):
            state = sources[arc]
            if reached[state] and not alive[state]:
                alive[state] = True
                queue[end] = state
                end += 1
        at += 1
    count = end
    rank = np.full(num_states, -1, dtype=np.int64)
    if count == 0:
        return rank, 0
    waiting = np.zeros(num_states, dtype=np.int64)
    for source in range(num_states):
        if alive[source]:
            for arc in range(first[source], first[source + 1]):
                waiting[destinations[arc]] += 1
    at = end = 0
    if waiting[start] == 0:
        queue[0] = start
        end = 1
    while at < end:
        source = queue[at]
        rank[source] = at
        at += 1
        for arc in range(first[source], first[source + 1]):
            state = destinations[arc]
            waiting[state] -= 1
            if alive[state] and waiting[state] == 0:
                queue[end] = state
                end += 1
    return rank, count if end == count else -1


@njit(cache=True, nogil=True)
def state_frames(
    offsets: NDArray[np.int32], destinations: NDArray[np.int32], tid_offsets: NDArray[np.int32]
) -> tuple[NDArray[np.int32], bool]:
    """Return the number of frames before each state of a lattice, and whether all paths to a state agree on it."""
    frames = np.full(len(offsets) - 1, -1, dtype=np.int32)
    frames[0] = 0
    consistent = True
    for state in range(len(frames)):
        for arc in range(offsets[state], offsets[state + 1]):
            frame = frames[state] + tid_offsets[arc + 1] - tid_offsets[arc]
            target = destinations[arc]
            consistent = consistent and (frames[target] < 0 or frames[target] == frame)
            frames[target] = frame
    return frames, consistent
