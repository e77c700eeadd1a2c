"""Compiled kernels of random draws."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

LANES = 16
"""Generators side by side, so that the processor's vector units compute them together."""


@njit(cache=True, nogil=True)
def draw_bernoulli(state: NDArray[np.uint32], probabilities: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Write ones with these probabilities (N,), else zeros, and advance the state (4, LANES)."""
    whole = len(probabilities) - len(probabilities) % LANES
    for start in range(0, whole, LANES):
        _draw_lanes(state, probabilities[start : start + LANES], out[start : start + LANES])
    if whole < len(probabilities):
        rest = len(probabilities) - whole
        padded, drawn = np.zeros(LANES, dtype=np.float32), np.empty(LANES, dtype=np.float32)
        padded[:rest] = probabilities[whole:]
        _draw_lanes(state, padded, drawn)
        out[whole:] = drawn[:rest]


@njit(cache=True, nogil=True, inline="always")
def _draw_lanes(state: NDArray[np.uint32], probabilities: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Draw one number of each lane: xoshiro128++ (Blackman and Vigna 2021), its upper 24 bits a number in [0, 1)."""
    first, second, third, fourth = state[0], state[1], state[2], state[3]
    for lane in range(LANES):
        total = np.uint32(first[lane] + fourth[lane])
        turned = np.uint32(np.uint32(total << np.uint32(7)) | np.uint32(total >> np.uint32(25)))
        bits = np.uint32(turned + first[lane])
        shifted = np.uint32(second[lane] << np.uint32(9))
        third[lane] ^= first[lane]
        fourth[lane] ^= second[lane]
        second[lane] ^= third[lane]
        first[lane] ^= fourth[lane]
        third[lane] ^= shifted
        last = fourth[lane]
        fourth[lane] = np.uint32(np.uint32(last << np.uint32(11)) | np.uint32(last >> np.uint32(21)))
        value = np.float32(np.int32(bits >> np.uint32(8))) * np.float32(2.0**-24)
        out[lane] = np.float32(1.0) if value < probabilities[lane] else np.float32(0.0)
