"""Sums over all paths through a lattice, in the log domain."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Doubles = NDArray[np.float64]


@njit(cache=True, nogil=True)
def _log_add(one: float, other: float) -> float:
    if one < other:
        one, other = other, one
    return one if other == -np.inf else one + math.log1p(math.exp(other - one))


@njit(cache=True, nogil=True)
def forward_logprobs(offsets: Ints, destinations: Ints, arc_costs: Doubles, num_states: int) -> Doubles:
    """Return the log of the summed weight of all paths from the start to each state."""
    forward = np.full(num_states, -np.inf)
    forward[0] = 0.0
    for state in range(num_states):
        for arc in range(offsets[state], offsets[state + 1]):
            destination = destinations[arc]
            forward[destination] = _log_add(forward[destination], forward[state] - arc_costs[arc])
    return forward


@njit(cache=True, nogil=True)
def backward_logprobs(offsets: Ints, destinations: Ints, arc_costs: Doubles, final_costs: Doubles) -> Doubles:
    """Return the log of the summed weight of all ways from each state to the end."""
    backward = -final_costs
    for state in range(len(final_costs) - 1, -1, -1):
        for arc in range(offsets[state], offsets[state + 1]):
            backward[state] = _log_add(backward[state], backward[destinations[arc]] - arc_costs[arc])
    return backward
