"""Compiled sums of the criteria over the paths of a lattice."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Doubles = NDArray[np.float64]


@njit(cache=True, nogil=True)
def expected_values(
    offsets: Ints, destinations: Ints, arc_costs: Doubles, forward: Doubles, backward: Doubles, values: Doubles
) -> tuple[Doubles, Doubles]:
    """Return the mean value of the ways from the start to each state, and of those from it to the end.

    The value of a way is the sum of the ``values`` of its arcs; its weight is exp(-cost).
    """
    num_states = len(forward)
    before, behind = np.zeros(num_states), np.zeros(num_states)
    for state in range(num_states):
        for arc in range(offsets[state], offsets[state + 1]):
            target = destinations[arc]
            share = math.exp(forward[state] - arc_costs[arc] - forward[target])
            before[target] += share * (before[state] + values[arc])
    for state in range(num_states - 1, -1, -1):
        for arc in range(offsets[state], offsets[state + 1]):
            target = destinations[arc]
            share = math.exp(backward[target] - arc_costs[arc] - backward[state])
            behind[state] += share * (behind[target] + values[arc])
    return before, behind


@njit(cache=True, nogil=True)
def add_to_frames(tid_offsets: Ints, frames: Ints, pdf_ids: Ints, arc_weights: Doubles, total: Doubles) -> None:
    """Add the weight of each arc to ``total`` (T, P) at the frames and pdfs of its transition_ids."""
    for arc in range(len(arc_weights)):
        for place in range(tid_offsets[arc], tid_offsets[arc + 1]):
            total[frames[place], pdf_ids[place]] += arc_weights[arc]
