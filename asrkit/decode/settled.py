"""What of a running search cannot change any more: the beginning that all paths share."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

NOTHING = -1


@njit(cache=True, nogil=True)
def shared_record(link: NDArray[np.int32], num_tokens: int, records: NDArray[np.int32], num_records: int) -> int:
    """Return the last trace record that the paths of all tokens go through, or NOTHING.

    Parameters
    ----------
    link : int32, shape (room, 3)
        As in :class:`asrkit.decode.kernels.Tokens`; the first ``num_tokens`` rows count.
    records : int32, shape (room, 2)
        (previous record or a number below 0, arc); the first ``num_records`` rows count.
    """
    marked = np.zeros(num_records, dtype=np.uint8)
    count, latest = 0, 0
    for slot in range(num_tokens):
        record = link[slot, 1]
        while record < -1:
            record = link[-2 - record, 1]
        if record < 0:
            return NOTHING
        if marked[record] == 0:
            marked[record] = 1
            count += 1
            latest = max(latest, record)
    if count == 0:
        return NOTHING
    # The latest of the records where paths are is replaced by the one before it, until all are in one.
    while count > 1:
        while marked[latest] == 0:
            latest -= 1
        marked[latest] = 0
        count -= 1
        previous = records[latest, 0]
        if previous < 0:
            return NOTHING
        if marked[previous] == 0:
            marked[previous] = 1
            count += 1
            latest = max(latest, previous)
    while marked[latest] == 0:
        latest -= 1
    return latest


@njit(cache=True, nogil=True)
def arcs_to(records: NDArray[np.int32], last: int) -> NDArray[np.int32]:
    """Return the arcs of the path up to a record, first arc first; a start without arc is left out."""
    length, at = 0, last
    while at >= 0:
        length += records[at, 1] >= 0
        at = records[at, 0]
    arcs = np.empty(length, dtype=np.int32)
    at = last
    while at >= 0:
        if records[at, 1] >= 0:
            length -= 1
            arcs[length] = records[at, 1]
        at = records[at, 0]
    return arcs
