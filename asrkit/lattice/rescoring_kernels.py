"""Composition of a lattice with an n-gram model, on demand."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from asrkit.graph.automaton_kernels import NgramArrays, end_of_set, follow

Longs = NDArray[np.int64]
Doubles = NDArray[np.float64]
Hashes = NDArray[np.uint64]
Number = int | np.int64

# Costs that a set of states keeps are multiples of this: sets that differ by rounding only are one.
QUANTUM = 2.0**-20
FIRST_ROOM = 1024


class Sets(NamedTuple):
    """Sets of a model's states, each with its cost above the best one's, numbered as they are met.

    The states of set i are ``members[first[i] : first[i + 1]]``, in increasing order, and their costs the same rows of
    ``residuals``. ``table`` finds a set by its hash: an open table, -1 where nothing is.
    """

    first: Longs
    members: Longs
    residuals: Doubles
    hashes: Hashes
    table: Longs


class Pairs(NamedTuple):
    """Pairs of a lattice's state and a set, numbered as they are met; ``table`` as in :class:`Sets`."""

    states: Longs
    sets: Longs
    hashes: Hashes
    table: Longs


class Arcs(NamedTuple):
    """Arcs between pairs: the pairs' numbers, the lattice's arc, the word's cost in the model."""

    sources: Longs
    targets: Longs
    arcs: Longs
    costs: Doubles


@njit(cache=True, nogil=True)
def grown(array: Any) -> Any:
    """Return a copy with twice the room."""
    larger = np.empty(2 * len(array), dtype=array.dtype)
    larger[: len(array)] = array
    return larger


@njit(cache=True, nogil=True)
def mixed(value: np.uint64) -> np.uint64:
    """Return a hash of 64 bits (D. Stafford's variant 13 of the finaliser of MurmurHash3)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@njit(cache=True, nogil=True)
def with_room(table: Longs, hashes: Hashes, count: Number) -> Longs:
    """Return an open table that holds the numbers 0 to ``count - 1``, the same one while it is at most half full."""
    size = len(table)
    if 2 * count < size:
        return table
    table = np.full(2 * size, -1, dtype=np.int64)
    for number in range(count):
        place = np.int64(hashes[number] & np.uint64(2 * size - 1))
        while table[place] >= 0:
            place = (place + 1) & (2 * size - 1)
        table[place] = number
    return table


@njit(cache=True, nogil=True)
def number_of_set(sets: Sets, num_sets: Number, members: Longs, residuals: Doubles) -> tuple[Sets, Number]:
    """Return the number of a set, ``num_sets`` if it is new, and the table that holds it."""
    first, hashes, table, count = sets.first, sets.hashes, sets.table, len(members)
    value = np.uint64(count)
    for i in range(count):
        value = mixed(value ^ np.uint64(members[i]))
        value = mixed(value ^ np.uint64(np.int64(residuals[i] / QUANTUM)))
    place = np.int64(value & np.uint64(len(table) - 1))
    while table[place] >= 0:
        number = table[place]
        row = first[number]
        if hashes[number] == value and first[number + 1] - row == count:
            same = True
            for i in range(count):
                same &= sets.members[row + i] == members[i] and sets.residuals[row + i] == residuals[i]
            if same:
                return sets, number
        place = (place + 1) & (len(table) - 1)
    kept_members, kept_residuals, end = sets.members, sets.residuals, first[num_sets] + count
    while end > len(kept_members):
        kept_members, kept_residuals = grown(kept_members), grown(kept_residuals)
    kept_members[end - count : end] = members
    kept_residuals[end - count : end] = residuals
    if num_sets + 2 > len(hashes):
        first, hashes = grown(first), grown(hashes)
    first[num_sets + 1], hashes[num_sets], table[place] = end, value, num_sets
    return Sets(first, kept_members, kept_residuals, hashes, with_room(table, hashes, num_sets + 1)), num_sets


@njit(cache=True, nogil=True)
def number_of_pair(pairs: Pairs, num_pairs: Number, state: Number, own: Number) -> tuple[Pairs, Number]:
    """Return the number of a pair, ``num_pairs`` if it is new, and the table that holds it."""
    states, sets, hashes, table = pairs.states, pairs.sets, pairs.hashes, pairs.table
    value = mixed((np.uint64(state) << np.uint64(32)) ^ np.uint64(own))
    place = np.int64(value & np.uint64(len(table) - 1))
    while table[place] >= 0:
        number = table[place]
        if states[number] == state and sets[number] == own:
            return pairs, number
        place = (place + 1) & (len(table) - 1)
    if num_pairs == len(states):
        states, sets, hashes = grown(states), grown(sets), grown(hashes)
    states[num_pairs], sets[num_pairs], hashes[num_pairs], table[place] = state, own, value, num_pairs
    return Pairs(states, sets, hashes, with_room(table, hashes, num_pairs + 1)), num_pairs


@njit(cache=True, nogil=True)
def compose(
    lm: NgramArrays,
    start: int,
    cheapest: bool,
    order: int,
    offsets: NDArray[np.int32],
    words: NDArray[np.int32],
    destinations: NDArray[np.int32],
) -> tuple[Longs, Arcs, Doubles, int]:
    """Return what the words of a lattice's paths cost in a model.

    A state of the composition stands for a state of the lattice and a set of states of the model (a single one,
    unless ``cheapest``; see :func:`asrkit.graph.automaton_kernels.follow`).

    Returns
    -------
    states : int64, shape (num_new_states,)
        The lattice's state that each new state stands for; the first one is the start.
    arcs : Arcs
        The new arcs; there is none where the model makes a word impossible.
    ends : float64, shape (num_new_states,)
        Cost of ending the sentence; +inf where it is impossible.
    impossible : int
        An arc of the lattice whose word is impossible, -1 where there was none.
    """
    no_cost = np.zeros(1)
    room = np.int64(FIRST_ROOM)
    sets = Sets(
        np.zeros(room, dtype=np.int64),
        np.empty(room, dtype=np.int64),
        np.empty(room),
        np.empty(room, dtype=np.uint64),
        np.full(4 * room, -1, dtype=np.int64),
    )
    pairs = Pairs(
        np.empty(room, dtype=np.int64),
        np.empty(room, dtype=np.int64),
        np.empty(room, dtype=np.uint64),
        np.full(4 * room, -1, dtype=np.int64),
    )
    sets, _ = number_of_set(sets, 0, np.full(1, start, dtype=np.int64), no_cost)
    pairs, _ = number_of_pair(pairs, 0, 0, 0)
    num_sets, num_pairs, num_arcs, at, impossible = 1, 1, 0, 0, -1
    new = Arcs(np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room))
    ends, reached, costs = np.empty(room), np.empty(room, dtype=np.int64), np.empty(room)
    while at < num_pairs:
        state, own = pairs.states[at], pairs.sets[at]
        low, high = sets.first[own], sets.first[own + 1]
        if at == len(ends):
            ends = grown(ends)
        ends[at] = end_of_set(lm, cheapest, sets.members[low:high], sets.residuals[low:high])
        while len(reached) < (high - low) * order:
            reached, costs = grown(reached), grown(costs)
        for arc in range(offsets[state], offsets[state + 1]):
            best, found = 0.0, own
            if words[arc] != 0:
                word = np.int64(words[arc])
                members, residuals = sets.members[low:high], sets.residuals[low:high]
                count = follow(lm, cheapest, members, residuals, word, reached, costs)
                if count == 0:
                    impossible = arc
                    continue
                best = costs[:count].min()
                for i in range(count):
                    costs[i] = np.round((costs[i] - best) / QUANTUM) * QUANTUM
                sets, found = number_of_set(sets, num_sets, reached[:count], costs[:count])
                num_sets += found == num_sets
            pairs, target = number_of_pair(pairs, num_pairs, np.int64(destinations[arc]), found)
            num_pairs += target == num_pairs
            if num_arcs == len(new.arcs):
                new = Arcs(grown(new.sources), grown(new.targets), grown(new.arcs), grown(new.costs))
            new.sources[num_arcs], new.targets[num_arcs], new.arcs[num_arcs] = at, target, arc
            new.costs[num_arcs] = best
            num_arcs += 1
        at += 1
    kept = Arcs(new.sources[:num_arcs], new.targets[:num_arcs], new.arcs[:num_arcs], new.costs[:num_arcs])
    return pairs.states[:num_pairs], kept, ends[:num_pairs], impossible
