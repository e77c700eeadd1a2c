"""Edit distance between a lattice and a word sequence."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int32]


@njit(cache=True, nogil=True)
def fewest_edits(
    offsets: Ints, sources: Ints, words: Ints, destinations: Ints, is_final: NDArray[np.bool_], reference: Ints
) -> tuple[int, NDArray[np.int64]]:
    """Return the final state of the path nearest to the reference, and the arcs of that path.

    ``edits[s, r]`` is the least number of edits between the first r reference words and the words of a path to state
    s; ``by[s, r]`` the arc by which that path arrives, or -1 where the last step deletes a reference word.
    """
    num_states, length = len(is_final), len(reference)
    far = np.int32(2**30)
    edits = np.full((num_states, length + 1), far, dtype=np.int32)
    by = np.full((num_states, length + 1), -1, dtype=np.int32)
    edits[0, 0] = 0
    best = -1
    for state in range(num_states):
        row = edits[state]
        for at in range(length):
            if row[at] + 1 < row[at + 1]:
                row[at + 1] = row[at] + 1
                by[state, at + 1] = -1
        if is_final[state] and (best < 0 or row[length] < edits[best, length]):
            best = state
        for arc in range(offsets[state], offsets[state + 1]):
            destination, word = destinations[arc], words[arc]
            inserted = np.int32(word != 0)
            for at in range(length + 1):
                if row[at] + inserted < edits[destination, at]:
                    edits[destination, at] = row[at] + inserted
                    by[destination, at] = arc
                if word != 0 and at > 0:
                    aligned = row[at - 1] + np.int32(word != reference[at - 1])
                    # Of equal ends an alignment of two words is taken before an insertion.
                    if aligned <= edits[destination, at]:
                        edits[destination, at] = aligned
                        by[destination, at] = arc
    arcs = np.empty(num_states, dtype=np.int64)
    count = 0
    state, at = best, length
    while state != 0 or at > 0:
        arc = by[state, at]
        if arc < 0:
            at -= 1
            continue
        source = sources[arc]
        if words[arc] != 0 and at > 0:
            aligned = edits[source, at - 1] + np.int32(words[arc] != reference[at - 1])
            if aligned == edits[state, at]:
                at -= 1
        arcs[count] = arc
        count += 1
        state = int(source)
    return best, arcs[:count][::-1].copy()
