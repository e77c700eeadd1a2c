"""Where the records of an OpenFst ``vector`` file over lattice arcs stand."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

COMPLETE, CUT_OFF, WRONG_COUNT = 0, 1, 2


@njit(cache=True, nogil=True)
def _int32_at(data: NDArray[np.uint8], at: int) -> int:
    """Return the little-endian 32-bit integer at a byte."""
    value = (
        np.int64(data[at])
        | (np.int64(data[at + 1]) << 8)
        | (np.int64(data[at + 2]) << 16)
        | (np.int64(data[at + 3]) << 24)
    )
    return int(value - (1 << 32) if value >= (1 << 31) else value)


@njit(cache=True, nogil=True)
def find_records(
    data: NDArray[np.uint8],
    begin: int,
    num_states: int,
    pair_bytes: int,
    compact: bool,
    state_at: NDArray[np.int64],
    arc_at: NDArray[np.int64],
    arc_sources: NDArray[np.int32],
) -> tuple[int, int, int]:
    """Walk over ``num_states`` states and their arcs: ``(status, num_arcs, end)``.

    A weight is two floats in ``pair_bytes`` bytes; a compact one goes on with an int32 number of transition_ids and
    that many int32. A state is its final weight, an int64 number of arcs, and the arcs: two int32 labels, a weight,
    an int32 destination. The bytes at which states, and the weights' labels of arcs, begin are written to the
    arrays as far as these reach; with empty ones the walk only counts.
    """
    size = len(data)
    at = begin
    num_arcs = 0
    head = 4 if compact else 0
    for state in range(num_states):
        if state < len(state_at):
            state_at[state] = at
        if at + pair_bytes + head + 8 > size:
            return CUT_OFF, num_arcs, at
        at += pair_bytes
        if compact:
            count = _int32_at(data, at)
            at += 4
            if count < 0:
                return WRONG_COUNT, num_arcs, at
            at += 4 * count
            if at + 8 > size:
                return CUT_OFF, num_arcs, at
        arcs = _int32_at(data, at)
        if arcs < 0 or _int32_at(data, at + 4) != 0:
            return WRONG_COUNT, num_arcs, at
        at += 8
        for _ in range(arcs):
            if num_arcs < len(arc_at):
                arc_at[num_arcs] = at
                arc_sources[num_arcs] = state
            num_arcs += 1
            if at + 8 + pair_bytes + head + 4 > size:
                return CUT_OFF, num_arcs, at
            at += 8 + pair_bytes
            if compact:
                count = _int32_at(data, at)
                at += 4
                if count < 0:
                    return WRONG_COUNT, num_arcs, at
                at += 4 * count
                if at + 4 > size:
                    return CUT_OFF, num_arcs, at
            at += 4
    return COMPLETE, num_arcs, at
