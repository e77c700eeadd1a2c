"""Sweeps over the units of Hopfield networks, one unit after the other."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def sweep(
    weights: NDArray[np.float64], state: NDArray[np.float64], fields: NDArray[np.float64], order: NDArray[np.int64]
) -> int:
    """Let units see their fields in turn, and return how many changed.

    Parameters
    ----------
    weights : (N, N)
        Symmetric, its diagonal zero.
    state : (N,)
        ±1; changed.
    fields : (N,)
        ``weights @ state``; changed with it. A unit whose field is zero stays as it is.
    order : (K,)
        Units.
    """
    flips = 0
    for unit in order:
        if fields[unit] * state[unit] < 0:
            state[unit] = -state[unit]
            fields += 2.0 * state[unit] * weights[unit]
            flips += 1
    return flips
