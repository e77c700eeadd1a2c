"""Determinisation of a lattice: strings, weighted subsets, epsilon closure, and the search over subsets.

A *subset* is a set of states of the lattice, each with what its best path has more than the subset's own: the
residual cost (also its graph and acoustic parts) and the residual string of transition_ids. A *string* is a node
of a trie, 0 the empty one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Count = int | np.int64
Real = float | np.float64

DONE, NO_ROOM = range(2)
# Residuals that differ by less are the same; sums of float32 costs in double precision differ by far less.
STEPS_A_UNIT = float(1 << 20)
# Places in the counts of Trie, Subsets and Output.
NODES = 0
SUBSETS, ELEMENTS = 0, 1
ARCS, QUEUED = 0, 1


class Source(NamedTuple):
    """The lattice to be determinised, its weighed costs, and the least cost from each state to an end."""

    offsets: NDArray[np.int32]
    words: NDArray[np.int32]
    destinations: NDArray[np.int32]
    costs: NDArray[np.float64]
    graph: NDArray[np.float64]
    acoustic: NDArray[np.float64]
    tid_offsets: NDArray[np.int32]
    tids: NDArray[np.int32]
    final_costs: NDArray[np.float64]
    final_graph: NDArray[np.float64]
    final_acoustic: NDArray[np.float64]
    backward: NDArray[np.float64]


class Trie(NamedTuple):
    """Strings that share their beginnings; ``table`` finds a node by parent and last label."""

    parent: NDArray[np.int32]
    label: NDArray[np.int32]
    depth: NDArray[np.int32]
    table: NDArray[np.int32]
    counts: NDArray[np.int64]


class Work(NamedTuple):
    """A subset at work: row i is a state with its residuals. Also ``place`` of a state in it, and a heap."""

    state: NDArray[np.int32]
    string: NDArray[np.int32]
    residual: NDArray[np.float64]
    place: NDArray[np.int32]
    heap: NDArray[np.int32]
    labels: NDArray[np.int32]


class Subsets(NamedTuple):
    """Subsets that are known, found by content; subset i has the elements ``first[i]`` up to ``first[i + 1]``."""

    first: NDArray[np.int64]
    state: NDArray[np.int32]
    string: NDArray[np.int32]
    residual: NDArray[np.float64]
    table: NDArray[np.int32]
    counts: NDArray[np.int64]


class Output(NamedTuple):
    """The determinised lattice: arcs ``(source state, destination, word, string)`` with graph and acoustic costs.

    A destination is the number of a subset before its closure, or -1 for the end. ``after[i] = (state, string)`` is
    what the closure of subset i leads to (state -1: not made), and ``after_costs[i]`` what it costs. ``forward`` is
    the least cost of a path to subset i, ``completion`` from there to an end; ``queue`` is a heap of subsets by the
    sum of both.
    """

    arcs: NDArray[np.int32]
    costs: NDArray[np.float64]
    forward: NDArray[np.float64]
    completion: NDArray[np.float64]
    after: NDArray[np.int32]
    after_costs: NDArray[np.float64]
    queue: NDArray[np.int32]
    queue_cost: NDArray[np.float64]
    counts: NDArray[np.int64]


@njit(cache=True, nogil=True)
def mixed(value: np.uint64, more: np.uint64) -> np.uint64:
    """Return a hash of a hash and another number."""
    value = (value ^ more) * np.uint64(0x9E3779B97F4A7C15)
    return value ^ (value >> np.uint64(29))


@njit(cache=True, nogil=True)
def child(trie: Trie, node: Count, label: Count) -> Count:
    """Return the string with one more label; -1: no room."""
    mask = np.uint64(len(trie.table) - 1)
    at = mixed(mixed(np.uint64(node), np.uint64(label)), np.uint64(7)) & mask
    while trie.table[at] >= 0:
        found = trie.table[at]
        if trie.parent[found] == node and trie.label[found] == label:
            return found
        at = (at + np.uint64(1)) & mask
    new = trie.counts[NODES]
    if new == len(trie.parent):
        return -1
    trie.table[at] = new
    trie.parent[new], trie.label[new], trie.depth[new] = node, label, trie.depth[node] + 1
    trie.counts[NODES] = new + 1
    return np.int64(new)


@njit(cache=True, nogil=True)
def common_prefix(trie: Trie, one: Count, other: Count) -> Count:
    """Return the longest string that both begin with."""
    while one != other:
        if trie.depth[one] >= trie.depth[other]:
            one = trie.parent[one]
        else:
            other = trie.parent[other]
    return one


@njit(cache=True, nogil=True)
def without_prefix(trie: Trie, node: Count, length: Count, labels: NDArray[np.int32]) -> Count:
    """Return the string without its first ``length`` labels; -1: no room."""
    count = np.int64(trie.depth[node]) - length
    for i in range(count):
        labels[count - 1 - i] = trie.label[node]
        node = trie.parent[node]
    node = 0
    for i in range(count):
        node = child(trie, node, labels[i])
        if node < 0:
            return -1
    return node


@njit(cache=True, nogil=True)
def normalise(work: Work, count: Count, trie: Trie) -> tuple[Real, Real, Real, Count]:
    """Take the best element's costs and the common prefix of the strings off all elements, and return them.

    A prefix of -1: no room.
    """
    best = 0
    prefix: Count = np.int64(work.string[0])
    for i in range(1, count):
        best = i if work.residual[i, 0] < work.residual[best, 0] else best
        prefix = common_prefix(trie, prefix, np.int64(work.string[i]))
    cost, graph, acoustic = work.residual[best, 0], work.residual[best, 1], work.residual[best, 2]
    length = np.int64(trie.depth[prefix])
    for i in range(count):
        work.residual[i, 0] -= cost
        work.residual[i, 1] -= graph
        work.residual[i, 2] -= acoustic
        if length > 0:
            work.string[i] = without_prefix(trie, np.int64(work.string[i]), length, work.labels)
            if work.string[i] < 0:
                return cost, graph, acoustic, -1
    return cost, graph, acoustic, prefix


@njit(cache=True, nogil=True)
def step_of(residual: Real) -> np.int64:
    """Return a residual cost as a whole number of the smallest steps that count."""
    return np.int64(np.rint(residual * STEPS_A_UNIT))


@njit(cache=True, nogil=True)
def find(subsets: Subsets, work: Work, count: Count) -> tuple[Count, bool]:
    """Return the number of a subset, and whether it is new; -1: no room. Elements are sorted by state."""
    value = np.uint64(count)
    for i in range(count):
        value = mixed(value, np.uint64(work.state[i]))
        value = mixed(value, np.uint64(work.string[i]))
        value = mixed(value, np.uint64(step_of(work.residual[i, 0])))
    mask = np.uint64(len(subsets.table) - 1)
    at = value & mask
    while subsets.table[at] >= 0:
        found = np.int64(subsets.table[at])
        first = subsets.first[found]
        same = subsets.first[found + 1] - first == count
        i = 0
        while same and i < count:
            same = (
                subsets.state[first + i] == work.state[i]
                and subsets.string[first + i] == work.string[i]
                and step_of(subsets.residual[first + i, 0]) == step_of(work.residual[i, 0])
                and step_of(subsets.residual[first + i, 1]) == step_of(work.residual[i, 1])
            )
            i += 1
        if same:
            return found, False
        at = (at + np.uint64(1)) & mask
    new, first = subsets.counts[SUBSETS], subsets.counts[ELEMENTS]
    if new + 1 >= len(subsets.first) or first + count > len(subsets.state):
        return np.int64(-1), False
    subsets.table[at] = new
    for i in range(count):
        subsets.state[first + i] = work.state[i]
        subsets.string[first + i] = work.string[i]
        subsets.residual[first + i] = work.residual[i]
    subsets.first[new + 1] = first + count
    subsets.counts[SUBSETS] = new + 1
    subsets.counts[ELEMENTS] = first + count
    return np.int64(new), True


@njit(cache=True, nogil=True)
def close(source: Source, work: Work, count: Count, trie: Trie) -> Count:
    """Add what arcs without word lead to, and keep the states that words leave or that are final, sorted.

    Returns the number of elements; -1: no room.
    """
    place, heap = work.place, work.heap
    size: Count = 0
    for i in range(count):
        place[work.state[i]] = i
        size = push_state(heap, size, work.state[i])
    kept = 0
    total = np.int64(count)
    # States are numbered in topological order, so what is taken from the heap is settled.
    while size > 0:
        state, size = pop_state(heap, size)
        at = place[state]
        for arc in range(source.offsets[state], source.offsets[state + 1]):
            if source.words[arc] != 0:
                continue
            target = source.destinations[arc]
            cost = work.residual[at, 0] + source.costs[arc]
            to = np.int64(place[target])
            if to < 0:
                to = total
                total += 1
                place[target] = to
                work.state[to] = target
                size = push_state(heap, size, target)
            elif cost >= work.residual[to, 0]:
                continue
            string: Count = np.int64(work.string[at])
            for i in range(source.tid_offsets[arc], source.tid_offsets[arc + 1]):
                string = child(trie, string, source.tids[i])
                if string < 0:
                    return -1
            work.string[to] = string
            work.residual[to, 0] = cost
            work.residual[to, 1] = work.residual[at, 1] + source.graph[arc]
            work.residual[to, 2] = work.residual[at, 2] + source.acoustic[arc]
    for i in range(total):
        place[work.state[i]] = -1
    for i in range(total):
        state = work.state[i]
        useful = source.final_costs[state] < np.inf
        for arc in range(source.offsets[state], source.offsets[state + 1]):
            useful = useful or source.words[arc] != 0
        if useful:
            move(work, i, kept)
            kept += 1
    sort_by_state(work, kept)
    return kept


@njit(cache=True, nogil=True)
def move(work: Work, source: Count, target: Count) -> None:
    """Copy an element to another row."""
    work.state[target] = work.state[source]
    work.string[target] = work.string[source]
    work.residual[target] = work.residual[source]


@njit(cache=True, nogil=True)
def sort_by_state(work: Work, count: Count) -> None:
    """Sort the elements by state."""
    order = np.argsort(work.state[:count])
    state, string, residual = work.state[:count][order], work.string[:count][order], work.residual[:count][order]
    work.state[:count], work.string[:count], work.residual[:count] = state, string, residual


@njit(cache=True, nogil=True)
def push_state(heap: NDArray[np.int32], size: Count, state: Count) -> Count:
    """Add a state to a heap; return its new size."""
    at = size
    while at > 0 and heap[(at - 1) >> 1] > state:
        heap[at] = heap[(at - 1) >> 1]
        at = (at - 1) >> 1
    heap[at] = state
    return size + 1


@njit(cache=True, nogil=True)
def pop_state(heap: NDArray[np.int32], size: Count) -> tuple[Count, Count]:
    """Take the lowest state from a heap; return it and the heap's new size."""
    lowest, last = heap[0], heap[size - 1]
    size -= 1
    at = 0
    while 2 * at + 1 < size:
        below = 2 * at + 1
        if below + 1 < size and heap[below + 1] < heap[below]:
            below += 1
        if heap[below] >= last:
            break
        heap[at] = heap[below]
        at = below
    heap[at] = last
    return np.int64(lowest), size


@njit(cache=True, nogil=True)
def push(output: Output, subset: Count) -> bool:
    """Queue a subset by the cost of the best path through it; False: no room."""
    queue, queue_cost = output.queue, output.queue_cost
    cost = output.forward[subset] + output.completion[subset]
    at = output.counts[QUEUED]
    if at == len(queue):
        return False
    output.counts[QUEUED] = at + 1
    while at > 0 and queue_cost[(at - 1) >> 1] > cost:
        queue[at], queue_cost[at] = queue[(at - 1) >> 1], queue_cost[(at - 1) >> 1]
        at = (at - 1) >> 1
    queue[at], queue_cost[at] = subset, cost
    return True


@njit(cache=True, nogil=True)
def pop(output: Output) -> tuple[Real, Count]:
    """Take the subset with the best path; return the path's cost and the subset."""
    queue, queue_cost = output.queue, output.queue_cost
    best, best_cost = queue[0], queue_cost[0]
    size = output.counts[QUEUED] - 1
    last, last_cost = queue[size], queue_cost[size]
    output.counts[QUEUED] = size
    at = 0
    while 2 * at + 1 < size:
        below = 2 * at + 1
        if below + 1 < size and queue_cost[below + 1] < queue_cost[below]:
            below += 1
        if queue_cost[below] >= last_cost:
            break
        queue[at], queue_cost[at] = queue[below], queue_cost[below]
        at = below
    queue[at], queue_cost[at] = last, last_cost
    return best_cost, np.int64(best)


@njit(cache=True, nogil=True)
def add_arc(
    output: Output, source: Count, target: Count, word: Count, graph: Real, acoustic: Real, string: Count
) -> bool:
    """Write an arc; False: no room."""
    at = output.counts[ARCS]
    if at == len(output.arcs):
        return False
    output.arcs[at, 0], output.arcs[at, 1], output.arcs[at, 2], output.arcs[at, 3] = source, target, word, string
    output.costs[at, 0], output.costs[at, 1] = graph, acoustic
    output.counts[ARCS] = at + 1
    return True


@njit(cache=True, nogil=True)
def gather(
    source: Source, states: Subsets, trie: Trie, state: Count
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]:
    """Return the arcs with words that leave an output state's elements, sorted by word and destination.

    Each is a key ``word << 32 | destination``, a string, and the residuals behind it. No rows: no room (a state
    that words leave has some).
    """
    total = 0
    for at in range(states.first[state], states.first[state + 1]):
        for arc in range(source.offsets[states.state[at]], source.offsets[states.state[at] + 1]):
            total += source.words[arc] != 0
    keys = np.empty(total, dtype=np.int64)
    strings = np.empty(total, dtype=np.int32)
    residuals = np.empty((total, 3))
    count = 0
    for at in range(states.first[state], states.first[state + 1]):
        for arc in range(source.offsets[states.state[at]], source.offsets[states.state[at] + 1]):
            if source.words[arc] == 0:
                continue
            string: Count = np.int64(states.string[at])
            for i in range(source.tid_offsets[arc], source.tid_offsets[arc + 1]):
                string = child(trie, string, source.tids[i])
                if string < 0:
                    return keys[:0], strings, residuals
            keys[count] = np.int64(source.words[arc]) << 32 | np.int64(source.destinations[arc])
            strings[count] = string
            residuals[count, 0] = states.residual[at, 0] + source.costs[arc]
            residuals[count, 1] = states.residual[at, 1] + source.graph[arc]
            residuals[count, 2] = states.residual[at, 2] + source.acoustic[arc]
            count += 1
    order = np.argsort(keys, kind="mergesort")
    return keys[order], strings[order], residuals[order]


@njit(cache=True, nogil=True)
def add_end(source: Source, states: Subsets, output: Output, state: Count, limit: Real) -> bool:
    """Write the best way to end in an output state, if it costs at most ``limit``; False: no room."""
    best: Count = -1
    best_cost = np.inf
    for at in range(states.first[state], states.first[state + 1]):
        cost = states.residual[at, 0] + source.final_costs[states.state[at]]
        if cost < best_cost:
            best, best_cost = at, cost
    if best < 0 or best_cost > limit:
        return True
    ending = states.state[best]
    graph = states.residual[best, 1] + source.final_graph[ending]
    acoustic = states.residual[best, 2] + source.final_acoustic[ending]
    return add_arc(output, state, -1, 0, graph, acoustic, np.int64(states.string[best]))


@njit(cache=True, nogil=True)
def take_word(
    source: Source,
    keys: NDArray[np.int64],
    strings: NDArray[np.int32],
    residuals: NDArray[np.float64],
    at: Count,
    work: Work,
) -> tuple[Count, Count, Real]:
    """Put the destinations of one word's arcs, from row ``at`` on, into ``work``, each with its best arc.

    Returns the row behind the word's, the number of elements, and the least cost to an end.
    """
    word = keys[at] >> 32
    count = np.int64(0)
    completion = np.inf
    while at < len(keys) and keys[at] >> 32 == word:
        target = np.int32(keys[at] & 0x7FFFFFFF)
        if count == 0 or work.state[count - 1] != target:
            count += 1
            work.residual[count - 1, 0] = np.inf
        if residuals[at, 0] < work.residual[count - 1, 0]:
            work.state[count - 1], work.string[count - 1] = target, strings[at]
            work.residual[count - 1] = residuals[at]
        completion = min(completion, residuals[at, 0] + source.backward[target])
        at += 1
    return at, count, completion


@njit(cache=True, nogil=True)
def expand(
    source: Source,
    trie: Trie,
    work: Work,
    initials: Subsets,
    states: Subsets,
    output: Output,
    state: Count,
    forward: Real,
    cutoff: Real,
) -> bool:
    """Write the arcs that leave an output state, and queue the subsets they lead to; False: no room.

    ``forward`` is the least cost of a path to the state.
    """
    if not add_end(source, states, output, state, cutoff - forward):
        return False
    words_leave = False
    for at in range(states.first[state], states.first[state + 1]):
        for arc in range(source.offsets[states.state[at]], source.offsets[states.state[at] + 1]):
            words_leave = words_leave or source.words[arc] != 0
    if not words_leave:
        return True
    keys, strings, residuals = gather(source, states, trie, state)
    if len(keys) == 0:
        return False
    row: Count = 0
    while row < len(keys):
        word = keys[row] >> 32
        row, count, completion = take_word(source, keys, strings, residuals, row, work)
        if forward + completion > cutoff:
            continue
        cost, graph, acoustic, prefix = normalise(work, count, trie)
        if prefix < 0:
            return False
        subset, new = find(initials, work, count)
        if subset < 0 or not add_arc(output, state, subset, word, graph, acoustic, prefix):
            return False
        if new:
            output.forward[subset] = np.inf
            output.completion[subset] = completion - cost
            output.after[subset, 0] = -1
        if forward + cost < output.forward[subset] and output.after[subset, 0] < 0:
            output.forward[subset] = forward + cost
            if not push(output, subset):
                return False
    return True


@njit(cache=True, nogil=True)
def determinise_arrays(
    source: Source,
    trie: Trie,
    work: Work,
    initials: Subsets,
    states: Subsets,
    output: Output,
    beam: Real,
    max_arcs: Count,
) -> tuple[Count, Real]:
    """Fill ``output``; return DONE or NO_ROOM, and the beam within which it is complete.

    Subsets are closed and expanded in the order of the best path through them. So the cost of the best path to one
    is known when it is closed, and what ``max_arcs`` cuts off is what costs most.
    """
    trie.counts[NODES] = 1
    trie.parent[0], trie.depth[0] = -1, 0
    work.state[0], work.string[0] = 0, 0
    work.residual[0] = 0.0
    find(initials, work, 1)
    best = source.backward[0]
    output.forward[0], output.completion[0], output.after[0, 0] = 0.0, best, -1
    push(output, 0)
    # Rounding must not cut the best path off.
    cutoff = best + beam + 1e-9 * abs(best)
    while output.counts[QUEUED] > 0:
        through, subset = pop(output)
        if output.after[subset, 0] >= 0:
            continue
        if output.counts[ARCS] >= max_arcs:
            return DONE, max(through - best, 0.0)
        first, last = initials.first[subset], initials.first[subset + 1]
        for i in range(last - first):
            work.state[i], work.string[i] = initials.state[first + i], initials.string[first + i]
            work.residual[i] = initials.residual[first + i]
        forward = output.forward[subset]
        count = close(source, work, last - first, trie)
        if count < 0:
            return NO_ROOM, 0.0
        output.after[subset, 1] = 0
        output.after_costs[subset] = 0.0
        # Nothing can be put before the start.
        if subset > 0:
            cost, graph, acoustic, prefix = normalise(work, count, trie)
            if prefix < 0:
                return NO_ROOM, 0.0
            forward += cost
            output.after[subset, 1] = prefix
            output.after_costs[subset, 0], output.after_costs[subset, 1] = graph, acoustic
        state, new = find(states, work, count)
        if state < 0:
            return NO_ROOM, 0.0
        output.after[subset, 0] = state
        if new and not expand(source, trie, work, initials, states, output, state, forward, cutoff):
            return NO_ROOM, 0.0
    return DONE, beam


@njit(cache=True, nogil=True)
def strings_behind(output: Output, trie: Trie) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the string of each arc's subset's closure (0 behind an end), and the number of labels of both strings."""
    arcs = output.arcs[: output.counts[ARCS]]
    behind = np.zeros(len(arcs), dtype=np.int32)
    lengths = np.empty(len(arcs), dtype=np.int64)
    for at in range(len(arcs)):
        if arcs[at, 1] >= 0 and output.after[arcs[at, 1], 0] >= 0:
            behind[at] = output.after[arcs[at, 1], 1]
        lengths[at] = trie.depth[arcs[at, 3]] + trie.depth[behind[at]]
    return behind, lengths


@njit(cache=True, nogil=True)
def write_string(trie: Trie, node: Count, labels: NDArray[np.int32], end: Count) -> Count:
    """Write a string so that it ends before ``labels[end]``; return where it begins."""
    while node > 0:
        end -= 1
        labels[end] = trie.label[node]
        node = trie.parent[node]
    return end


@njit(cache=True, nogil=True)
def write_strings(
    trie: Trie,
    strings: NDArray[np.int32],
    behind: NDArray[np.int32],
    ends: NDArray[np.int64],
    labels: NDArray[np.int32],
) -> None:
    """Write each arc's two strings one after the other, so that they end before ``labels[ends[arc]]``."""
    for at in range(len(strings)):
        write_string(trie, np.int64(strings[at]), labels, write_string(trie, np.int64(behind[at]), labels, ends[at]))
