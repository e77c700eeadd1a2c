"""Alignment of a hypothesis with a word transition network (Fiscus 1997)."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

WITH, SKIP, INSERT = 1, 2, 3
"""A word in a column; a column without a word; a word in a column of its own."""

_EQUAL = 1e-9


@njit(cache=True, nogil=True)
def _is_better(cost: float, distance: float, best_cost: float, best_distance: float) -> bool:
    if cost < best_cost - _EQUAL:
        return True
    return cost <= best_cost + _EQUAL and distance < best_distance - _EQUAL


@njit(cache=True, nogil=True)
def align_with_network(
    entries: NDArray[np.int32],
    weights: NDArray[np.float64],
    column_times: NDArray[np.float64],
    words: NDArray[np.int32],
    word_times: NDArray[np.float64],
) -> NDArray[np.int8]:
    """Return the steps of the alignment of least cost, in order: ``WITH``, ``SKIP`` or ``INSERT``.

    A step costs the weights of the systems that it disagrees with. Of alignments that cost the same, that whose words
    lie nearest to their columns in time is taken.

    Parameters
    ----------
    entries : (num_systems, num_columns) int32
        What each system has in each column; 0 = nothing.
    weights : (num_systems,) float64
    column_times, word_times : (num_columns,), (num_words,) float64
        Middle of each, in seconds; NaN where it is not known.
    words : (num_words,) int32
        Above 0.
    """
    num_systems, num_columns = entries.shape
    num_words = len(words)
    whole = weights.sum()
    skipped = np.empty(num_columns)
    for column in range(num_columns):
        skipped[column] = whole
        for system in range(num_systems):
            if entries[system, column] == 0:
                skipped[column] -= weights[system]
    step = np.zeros((num_words + 1, num_columns + 1), dtype=np.int8)
    costs, distances = np.zeros(num_columns + 1), np.zeros(num_columns + 1)
    for column in range(num_columns):
        costs[column + 1] = costs[column] + skipped[column]
        step[0, column + 1] = SKIP
    for at in range(num_words):
        diagonal_cost, diagonal_distance = costs[0], distances[0]
        costs[0] += whole
        step[at + 1, 0] = INSERT
        for column in range(num_columns):
            disagreeing = whole
            for system in range(num_systems):
                if entries[system, column] == words[at]:
                    disagreeing -= weights[system]
            apart = abs(word_times[at] - column_times[column])
            best_cost = diagonal_cost + disagreeing
            best_distance = diagonal_distance + (0.0 if math.isnan(apart) else apart)
            by = WITH
            cost, distance = costs[column] + skipped[column], distances[column]
            if _is_better(cost, distance, best_cost, best_distance):
                best_cost, best_distance, by = cost, distance, SKIP
            cost, distance = costs[column + 1] + whole, distances[column + 1]
            if _is_better(cost, distance, best_cost, best_distance):
                best_cost, best_distance, by = cost, distance, INSERT
            diagonal_cost, diagonal_distance = costs[column + 1], distances[column + 1]
            costs[column + 1], distances[column + 1] = best_cost, best_distance
            step[at + 1, column + 1] = by
    steps = np.empty(num_words + num_columns, dtype=np.int8)
    first, at, column = len(steps), num_words, num_columns
    while at or column:
        first -= 1
        steps[first] = step[at, column]
        if steps[first] != SKIP:
            at -= 1
        if steps[first] != INSERT:
            column -= 1
    return steps[first:]
