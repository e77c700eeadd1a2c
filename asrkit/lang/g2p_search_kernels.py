"""Compiled search for pronunciations in an automaton of graphones; :mod:`asrkit.lang.g2p_search` checks the arguments.

Scores are natural logs, float32 in the automaton and float64 in the search; -inf is "impossible".
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, types

_INT32 = types.Array(types.int32, 1, "C", readonly=True)
_INT64 = types.Array(types.int64, 1, "C", readonly=True)
_FLOAT32 = types.Array(types.float32, 1, "C", readonly=True)
_SCORES = types.float64[::1]
# state_begin, arc_unit, arc_next, arc_logprob, backoff_state, backoff_logprob
_AUTOMATON = (_INT64, _INT32, _INT32, _FLOAT32, _INT32, _FLOAT32)


@njit(types.int64(_INT32, types.int64, types.int64, types.int64), cache=True, nogil=True)
def _first_arc(arc_unit, begin, end, unit):  # type: ignore[no-untyped-def]
    """Return the first place in ``arc_unit[begin:end]``, which is sorted, whose unit is ``unit`` or greater."""
    while begin < end:
        middle = (begin + end) >> 1
        if arc_unit[middle] < unit:
            begin = middle + 1
        else:
            end = middle
    return begin


@njit(types.float64(*_AUTOMATON, types.int64, types.int64), cache=True, nogil=True)
def _log_prob(  # type: ignore[no-untyped-def]
    state_begin, arc_unit, arc_next, arc_logprob, backoff_state, backoff_logprob, state, unit
):
    """Return the natural log probability of one unit in a state."""
    sofar = 0.0
    while True:
        end = state_begin[state + 1]
        arc = _first_arc(arc_unit, state_begin[state], end, unit)
        if arc < end and arc_unit[arc] == unit:
            return sofar + arc_logprob[arc]
        if state == 0:
            return -np.inf
        sofar += backoff_logprob[state]
        state = backoff_state[state]


@njit(types.float64(types.int64, types.int32[:, ::1], _SCORES, types.float64, types.int64), cache=True, nogil=True)
def _cutoff(node, nodes, node_score, cutoff, max_active):  # type: ignore[no-untyped-def]
    """Raise ``cutoff`` until at most ``max_active`` nodes (but for ties) of the chain that begins at ``node`` pass."""
    first, count = node, 0
    while node >= 0:
        count += node_score[node] >= cutoff
        node = nodes[node, 2]
    if count <= max_active:
        return cutoff
    scores = np.empty(count)
    node, count = first, 0
    while node >= 0:
        if node_score[node] >= cutoff:
            scores[count] = node_score[node]
            count += 1
        node = nodes[node, 2]
    scores.sort()
    return scores[count - max_active]


@njit(types.int32[:, ::1](types.int32[:, ::1], types.int64), cache=True, nogil=True)
def _with_room(rows, needed):  # type: ignore[no-untyped-def]
    if needed <= len(rows):
        return rows
    longer = np.empty((max(2 * len(rows), needed), rows.shape[1]), dtype=np.int32)
    for n in range(len(rows)):
        for k in range(rows.shape[1]):
            longer[n, k] = rows[n, k]
    return longer


@njit(_SCORES(_SCORES, types.int64), cache=True, nogil=True)
def _scores_with_room(scores, needed):  # type: ignore[no-untyped-def]
    if needed <= len(scores):
        return scores
    longer = np.empty(max(2 * len(scores), needed))
    for n in range(len(scores)):
        longer[n] = scores[n]
    return longer


@njit(
    types.UniTuple(types.int64, 2)(
        *_AUTOMATON,
        # node, target place, unit range, beam
        types.int64, types.int64, types.int64, types.int64, types.float64,
        # nodes, node_score, num_nodes, head, best
        types.int32[:, ::1], _SCORES, types.int64, types.int32[::1], _SCORES,
        # arcs, arc_score, num_arcs
        types.int32[:, ::1], _SCORES, types.int64,
        # node_of_state, stamp, token
        types.int32[:, ::1], types.int64[::1], types.int64,
    ),
    cache=True,
    nogil=True,
)  # fmt: skip
def _expand(  # type: ignore[no-untyped-def]
    state_begin, arc_unit, arc_next, arc_logprob, backoff_state, backoff_logprob,
    node, target, low, high, beam, nodes, node_score, num_nodes, head, best, arcs, arc_score, num_arcs,
    node_of_state, stamp, token,
):  # fmt: skip
    """Take every unit of a range from a node, shorter histories after longer; return the numbers of nodes and arcs.

    A unit that a longer history lists is not looked up in a shorter one: ``stamp`` holds ``token`` for it.
    """
    bucket = target % 3
    state, sofar = np.int64(nodes[node, 0]), node_score[node]
    while sofar >= best[target] - beam:
        end = state_begin[state + 1]
        arc = _first_arc(arc_unit, state_begin[state], end, low)
        while arc < end and arc_unit[arc] < high:
            unit, successor, there = arc_unit[arc], arc_next[arc], sofar + arc_logprob[arc]
            arc += 1
            if stamp[unit] == token:
                continue
            stamp[unit] = token
            if there < best[target] - beam or there == -np.inf:
                continue
            best[target] = max(best[target], there)
            to = np.int64(node_of_state[bucket, successor])
            if not (0 <= to < num_nodes and nodes[to, 0] == successor and nodes[to, 1] == target):
                to = num_nodes
                num_nodes += 1
                node_of_state[bucket, successor] = to
                nodes[to, 0], nodes[to, 1], nodes[to, 2] = successor, target, head[target]
                head[target] = to
                node_score[to] = there
            node_score[to] = max(node_score[to], there)
            arcs[num_arcs, 0], arcs[num_arcs, 1], arcs[num_arcs, 2] = node, to, unit
            arc_score[num_arcs] = there - node_score[node]
            num_arcs += 1
        if state == 0:
            break
        sofar += backoff_logprob[state]
        state = np.int64(backoff_state[state])
    return num_nodes, num_arcs


@njit(_SCORES(types.int32[:, ::1], _SCORES, types.int64), cache=True, nogil=True)
def _sum_paths(arcs, arc_score, num_nodes):  # type: ignore[no-untyped-def]
    """Return the log of the summed probability of all paths to each node; arcs into a node come before those out."""
    total = np.full(num_nodes, -np.inf)
    total[0] = 0.0
    for n in range(len(arcs)):
        old, new = total[arcs[n, 1]], total[arcs[n, 0]] + arc_score[n]
        high = max(old, new)
        if high > -np.inf:
            total[arcs[n, 1]] = high + math.log1p(math.exp(min(old, new) - high))
    return total


@njit(
    types.Tuple((types.int32[:, ::1], _SCORES, _SCORES, types.float64))(
        *_AUTOMATON,
        # start state, unit of the word's end, unit ranges (L, 2) begin and end, beam, max_active
        types.int64, types.int64, types.int32[:, ::1], types.int32[:, ::1], types.float64, types.int64,
        # work space: node of a state (3, S), stamp of a unit (U,)
        types.int32[:, ::1], types.int64[::1],
    ),
    cache=True,
)  # fmt: skip
def search(  # type: ignore[no-untyped-def]
    state_begin, arc_unit, arc_next, arc_logprob, backoff_state, backoff_logprob,
    start, end_unit, range_begin, range_end, beam, max_active, node_of_state, stamp,
):  # fmt: skip
    """Return the lattice of a word's pronunciations: its arcs (A, 3), nodes from and to and the unit; their natural
    log probabilities (A,); the best score (N,) with which each node is reached; and the log of the sum of all paths.

    A node is a pair of n-gram history and place, the number of letters read; node 0 is the start, the last node
    the end. ``range_begin[i, d]`` to ``range_end[i, d]`` are the units that spell the d + 1 letters from i on.
    The interpreter's lock is held all the while, since the work space is shared between calls. What
    it holds from earlier calls is harmless: a node is believed only if it has this state and place in this call.
    """
    num_letters = len(range_begin)
    nodes = np.empty((1 << 10, 3), dtype=np.int32)  # state, place, next node of this place
    node_score = np.empty(1 << 10)
    arcs = np.empty((1 << 11, 3), dtype=np.int32)
    arc_score = np.empty(1 << 11)
    head = np.full(num_letters + 1, -1, dtype=np.int32)
    best = np.full(num_letters + 1, -np.inf)
    nodes[0, 0], nodes[0, 1], nodes[0, 2] = start, 0, -1
    node_score[0], best[0], head[0] = 0.0, 0.0, 0
    num_nodes, num_arcs, token = 1, 0, 0
    for n in range(len(stamp)):
        stamp[n] = 0
    for place in range(num_letters):
        node = np.int64(head[place])
        cutoff = _cutoff(node, nodes, node_score, best[place] - beam, max_active)
        while node >= 0:
            for d in range(2):
                low, high = np.int64(range_begin[place, d]), np.int64(range_end[place, d])
                if low == high or node_score[node] < cutoff:
                    continue
                nodes = _with_room(nodes, num_nodes + high - low)
                node_score = _scores_with_room(node_score, num_nodes + high - low)
                arcs = _with_room(arcs, num_arcs + high - low)
                arc_score = _scores_with_room(arc_score, num_arcs + high - low)
                token += 1
                num_nodes, num_arcs = _expand(
                    state_begin, arc_unit, arc_next, arc_logprob, backoff_state, backoff_logprob,
                    node, place + d + 1, low, high, beam, nodes, node_score, num_nodes, head, best,
                    arcs, arc_score, num_arcs, node_of_state, stamp, token,
                )  # fmt: skip
            node = np.int64(nodes[node, 2])
    arcs = _with_room(arcs, num_arcs + num_nodes)
    arc_score = _scores_with_room(arc_score, num_arcs + num_nodes)
    node_score = _scores_with_room(node_score, num_nodes + 1)
    node_score[num_nodes] = -np.inf
    node = np.int64(head[num_letters])
    while node >= 0:
        arc_score[num_arcs] = _log_prob(
            state_begin, arc_unit, arc_next, arc_logprob, backoff_state, backoff_logprob, nodes[node, 0], end_unit
        )
        arcs[num_arcs, 0], arcs[num_arcs, 1], arcs[num_arcs, 2] = node, num_nodes, end_unit
        node_score[num_nodes] = max(node_score[num_nodes], node_score[node] + arc_score[num_arcs])
        num_arcs += 1
        node = np.int64(nodes[node, 2])
    arcs, arc_score = arcs[:num_arcs].copy(), arc_score[:num_arcs].copy()
    total = _sum_paths(arcs, arc_score, num_nodes + 1)
    return arcs, arc_score, node_score[: num_nodes + 1].copy(), total[num_nodes]
