"""Looking up words in an n-gram automaton: called from the loops of rescoring and search."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

State = int | np.int64

IMPOSSIBLE = -1


class NgramArrays(NamedTuple):
    """The arrays of an :class:`asrkit.graph.automaton.NgramAutomaton`.

    ``unigrams[word]`` is the row of a word behind the empty history, -1 where it has none, int32.
    """

    offsets: NDArray[np.int32]
    words: NDArray[np.int32]
    costs: NDArray[np.float32]
    destinations: NDArray[np.int32]
    backoffs: NDArray[np.int32]
    backoff_costs: NDArray[np.float32]
    final_costs: NDArray[np.float32]
    unigrams: NDArray[np.int32]


@njit(cache=True, nogil=True)
def find(lm: NgramArrays, state: State, word: State) -> np.int64:
    """Return the row of a word behind a state, -1 where it is not listed there."""
    if state == 0:
        return np.int64(lm.unigrams[word]) if word < len(lm.unigrams) else np.int64(-1)
    words = lm.words
    low, high = np.int64(lm.offsets[state]), np.int64(lm.offsets[state + 1])
    end = high
    while low < high:
        middle = (low + high) >> 1
        if words[middle] < word:
            low = middle + 1
        else:
            high = middle
    return low if low < end and words[low] == word else np.int64(-1)


@njit(cache=True, nogil=True)
def step(lm: NgramArrays, state: State, word: State) -> tuple[np.int64, float]:
    """Return the state behind a word (1-based) and its cost; (IMPOSSIBLE, +inf) where it has no probability."""
    cost = 0.0
    at = np.int64(state)
    while at >= 0:
        row = find(lm, at, word)
        if row >= 0:
            cost += lm.costs[row]
            return (np.int64(lm.destinations[row]), cost) if cost < np.inf else (np.int64(IMPOSSIBLE), np.inf)
        cost += lm.backoff_costs[at]
        at = np.int64(lm.backoffs[at])
    return np.int64(IMPOSSIBLE), np.inf


@njit(cache=True, nogil=True)
def end(lm: NgramArrays, state: State) -> float:
    """Return the cost of ending the sentence in a state; +inf where it is impossible."""
    cost = 0.0
    at = np.int64(state)
    while at >= 0:
        if lm.final_costs[at] < np.inf:
            return cost + lm.final_costs[at]
        cost += lm.backoff_costs[at]
        at = np.int64(lm.backoffs[at])
    return np.inf


@njit(cache=True, nogil=True)
def follow(
    lm: NgramArrays,
    cheapest: bool,
    members: NDArray[np.int64],
    residuals: NDArray[np.float64],
    word: State,
    reached: NDArray[np.int64],
    costs: NDArray[np.float64],
) -> State:
    """Follow a word from a set of states, each with a cost; return how many states are reached, at which costs.

    ``cheapest``: any state may back off at any time, as a path through a graph may; else only one that does not list
    the word. A state from whose longer history it is reached at no higher cost is left out: nothing more would come
    of it. ``reached`` and ``costs`` must have room for ``len(members)`` times the order of the model.
    """
    count = 0
    for i in range(len(members)):
        at, cost = members[i], residuals[i]
        while at >= 0 and cost < np.inf:
            row = find(lm, at, word)
            if row >= 0 and lm.costs[row] < np.inf:
                state, total = np.int64(lm.destinations[row]), cost + lm.costs[row]
                j = 0
                while j < count and reached[j] != state:
                    j += 1
                if j == count:
                    reached[j], costs[j] = state, total
                    count += 1
                else:
                    costs[j] = min(costs[j], total)
            if row >= 0 and not cheapest:
                break
            cost += lm.backoff_costs[at]
            at = np.int64(lm.backoffs[at])
    for i in range(count):
        at, cost = reached[i], costs[i]
        while at >= 0 and cost < np.inf:
            for j in range(count):
                if j != i and reached[j] == at and cost <= costs[j]:
                    costs[j] = np.inf
            cost += lm.backoff_costs[at]
            at = np.int64(lm.backoffs[at])
    kept = 0
    for i in range(count):
        if costs[i] < np.inf:
            # In order of state, so that equal sets are equal arrays.
            state, cost = reached[i], costs[i]
            j = kept
            while j > 0 and reached[j - 1] > state:
                reached[j], costs[j] = reached[j - 1], costs[j - 1]
                j -= 1
            reached[j], costs[j] = state, cost
            kept += 1
    return kept


@njit(cache=True, nogil=True)
def end_of_set(lm: NgramArrays, cheapest: bool, members: NDArray[np.int64], residuals: NDArray[np.float64]) -> float:
    """Return the cost of ending the sentence in a set of states; +inf where it is impossible."""
    best = np.inf
    for i in range(len(members)):
        at, cost = members[i], residuals[i]
        while at >= 0:
            best = min(best, cost + lm.final_costs[at])
            if lm.final_costs[at] < np.inf and not cheapest:
                break
            cost += lm.backoff_costs[at]
            at = np.int64(lm.backoffs[at])
    return best


@njit(cache=True, nogil=True)
def less_small_model(
    full: NgramArrays,
    full_start: State,
    small: NgramArrays,
    small_start: State,
    costs: NDArray[np.float32],
    backoff_costs: NDArray[np.float32],
    final_costs: NDArray[np.float32],
) -> bool:
    """Take the small model's costs away from the full one's; False where the small one is no part of it."""
    num_states = len(full.final_costs)
    same = np.full(num_states, -1, dtype=np.int64)
    same[0], same[full_start] = 0, small_start
    # A history is met before those that it begins.
    for state in range(num_states):
        if same[state] < 0:
            return False
        for row in range(full.offsets[state], full.offsets[state + 1]):
            after, cost = step(small, same[state], np.int64(full.words[row]))
            if after < 0:
                return False
            costs[row] -= cost
            destination = full.destinations[row]
            if same[destination] < 0:
                same[destination] = after
            elif same[destination] != after:
                return False
        if final_costs[state] < np.inf:
            cost = end(small, same[state])
            if cost == np.inf:
                return False
            final_costs[state] -= cost
        at = same[state]
        if state > 0:
            shorter = same[full.backoffs[state]]
            while at >= 0 and at != shorter:
                for row in range(small.offsets[at], small.offsets[at + 1]):
                    if find(full, state, np.int64(small.words[row])) < 0:
                        return False
                if small.final_costs[at] < np.inf and full.final_costs[state] == np.inf:
                    return False
                backoff_costs[state] -= small.backoff_costs[at]
                at = np.int64(small.backoffs[at])
            if at < 0:
                return False
    return True
