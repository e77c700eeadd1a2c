"""Best paths through lattices: costs to the end, and an A* search over word sequences."""

from __future__ import annotations

import heapq

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Doubles = NDArray[np.float64]


@njit(cache=True, nogil=True)
def costs_to_end(offsets: Ints, destinations: Ints, arc_costs: Doubles, final_costs: Doubles) -> tuple[Doubles, Longs]:
    """Return the least cost from each state to the end, and the arc by which it leaves (-1: it ends there)."""
    num_states = len(final_costs)
    costs = final_costs.copy()
    by = np.full(num_states, -1, dtype=np.int64)
    for state in range(num_states - 1, -1, -1):
        for arc in range(offsets[state], offsets[state + 1]):
            cost = arc_costs[arc] + costs[destinations[arc]]
            if cost < costs[state]:
                costs[state] = cost
                by[state] = arc
    return costs, by


@njit(cache=True, nogil=True)
def _with_room(table: Longs, used: int, more: int) -> Longs:
    """Return the table, or a larger copy of it, with room for so many rows behind those in use."""
    if used + more <= len(table):
        return table
    grown = np.empty((2 * (used + more), table.shape[1]), dtype=np.int64)
    grown[:used] = table[:used]
    return grown


@njit(cache=True, nogil=True)
def _trace(
    prefixes: Longs, reached: Longs, sources: Ints, words: Ints, prefix: int, state: int, arcs: Longs, begin: int
) -> tuple[Longs, int]:
    """Write the arcs of the best path of a word sequence to a state, last one first; return where they end."""
    at = begin
    while True:
        low, high = prefixes[prefix, 1], prefixes[prefix, 2]
        while high - low > 1:
            middle = (low + high) // 2
            if reached[middle, 0] <= state:
                low = middle
            else:
                high = middle
        arc = reached[low, 1]
        if arc < 0:
            return arcs, at
        arcs = _with_room(arcs, at, 1)
        arcs[at, 0] = arc
        at += 1
        state = int(sources[arc])
        if words[arc] != 0:
            prefix = int(prefixes[prefix, 0])


@njit(cache=True, nogil=True)
def best_sequences(
    offsets: Ints,
    sources: Ints,
    words: Ints,
    destinations: Ints,
    arc_costs: Doubles,
    final_costs: Doubles,
    to_end: Doubles,
    limit: float,
    num_paths: int,
) -> tuple[Longs, Longs, Doubles, bool]:
    """Find the best paths with distinct word sequences, among those of a cost of at most ``limit``.

    Parameters
    ----------
    to_end : (num_states,)
        Of :func:`costs_to_end`.

    Returns
    -------
    arcs, ends : arcs of the paths one after the other, each from its last to its first; and where each ends
    costs
    cut : bool
        Whether anything was left out for its cost: else, where there are fewer paths than asked for, these are all.

    Notes
    -----
    A word sequence is opened by finding the states that it leads to and the arcs that leave them with a word
    (``reached`` and ``leaving``, one block for each opened sequence); arcs with the same word are linked, and are
    opened together. The queue holds sequences by the cost of their best whole path.
    """
    num_states = len(final_costs)
    costs = np.full(num_states, np.inf)
    arrivals = np.empty(num_states, dtype=np.int64)
    head_of_word = np.full(words.max() + 1 if len(words) else 1, -1, dtype=np.int64)
    prefixes = np.empty((64, 3), dtype=np.int64)  # parent, rows of reached
    reached = np.empty((256, 2), dtype=np.int64)  # state, arc by which the best path arrives
    leaving = np.empty((256, 2), dtype=np.int64)  # arc, row of the next one with the same word
    leaving_costs = np.empty(256)
    num_prefixes = num_reached = num_leaving = num_found = 0
    found_arcs, found_ends, found_costs = (
        np.empty((256, 1), dtype=np.int64),
        np.zeros(num_paths + 1, dtype=np.int64),
        np.empty(num_paths),
    )
    entries = np.full(
        (256, 3), -1, dtype=np.int64
    )  # parent, row of leaving (-1: none), state where it ends (-1: goes on)
    queue, num_entries = [(to_end[0], 0)], 1
    cut = False
    while len(queue) > 0 and num_found < num_paths:
        whole, entry = heapq.heappop(queue)
        parent, row, end = entries[entry, 0], entries[entry, 1], entries[entry, 2]
        if end >= 0:
            found_arcs, at = _trace(prefixes, reached, sources, words, parent, end, found_arcs, found_ends[num_found])
            found_costs[num_found] = whole
            num_found += 1
            found_ends[num_found] = at
            continue
        first, last = num_states, -1
        if parent < 0:
            first = last = 0
            costs[0], arrivals[0] = 0.0, -1
        while row >= 0:
            arc = leaving[row, 0]
            state = int(destinations[arc])
            if leaving_costs[row] < costs[state]:
                costs[state], arrivals[state] = leaving_costs[row], arc
                first, last = min(first, state), max(last, state)
            row = leaving[row, 1]
        prefixes = _with_room(prefixes, num_prefixes, 1)
        prefixes[num_prefixes, 0], prefixes[num_prefixes, 1] = parent, num_reached
        begin = num_leaving
        best_end, best_end_cost = -1, np.inf
        state = first
        while state <= last:
            cost = costs[state]
            if cost < np.inf:
                costs[state] = np.inf
                reached = _with_room(reached, num_reached, 1)
                reached[num_reached, 0], reached[num_reached, 1] = state, arrivals[state]
                num_reached += 1
                if cost + final_costs[state] < best_end_cost:
                    best_end, best_end_cost = state, cost + final_costs[state]
                degree = offsets[state + 1] - offsets[state]
                leaving = _with_room(leaving, num_leaving, degree)
                if len(leaving_costs) < len(leaving):
                    longer = np.empty(len(leaving))
                    longer[:num_leaving] = leaving_costs[:num_leaving]
                    leaving_costs = longer
                for arc in range(offsets[state], offsets[state + 1]):
                    destination = int(destinations[arc])
                    behind = cost + arc_costs[arc]
                    if behind + to_end[destination] > limit:
                        cut = True
                    elif words[arc] != 0:
                        leaving[num_leaving, 0], leaving[num_leaving, 1] = arc, head_of_word[words[arc]]
                        leaving_costs[num_leaving] = behind
                        head_of_word[words[arc]] = num_leaving
                        num_leaving += 1
                    elif behind < costs[destination]:
                        costs[destination], arrivals[destination] = behind, arc
                        last = max(last, destination)
            state += 1
        prefixes[num_prefixes, 2] = num_reached
        if best_end_cost <= limit:
            entries = _with_room(entries, num_entries, 1)
            entries[num_entries, 0], entries[num_entries, 1], entries[num_entries, 2] = num_prefixes, -1, best_end
            heapq.heappush(queue, (best_end_cost, num_entries))
            num_entries += 1
        elif best_end_cost < np.inf:
            cut = True
        for row in range(begin, num_leaving):
            word = words[leaving[row, 0]]
            at = head_of_word[word]
            if at >= 0:
                head_of_word[word] = -1
                best = np.inf
                link = at
                while link >= 0:
                    best = min(best, leaving_costs[link] + to_end[destinations[leaving[link, 0]]])
                    link = leaving[link, 1]
                entries = _with_room(entries, num_entries, 1)
                entries[num_entries, 0], entries[num_entries, 1], entries[num_entries, 2] = num_prefixes, at, -1
                heapq.heappush(queue, (best, num_entries))
                num_entries += 1
        num_prefixes += 1
    return found_arcs[: found_ends[num_found], 0], found_ends[1 : num_found + 1], found_costs[:num_found], cut
