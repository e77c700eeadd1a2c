"""Compiled inner loops over a state graph; :mod:`asrkit.hmm.viterbi` and ``forward_backward`` check the arguments.

Every input array is declared read-only, so that a memory-mapped one needs no copy. pdf columns and states are
0-based; path scores are float64 natural logs; -inf is "impossible" and never a special case.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, types

_INT32 = types.Array(types.int32, 1, "C", readonly=True)
_FLOAT32 = types.Array(types.float32, 1, "C", readonly=True)
_FLOAT64 = types.Array(types.float64, 1, "C", readonly=True)
_LOGLIKES = types.Array(types.float32, 2, "C", readonly=True)
# arc_begin, arc_dst, arc_pdf, arc_logprob, initial_logprob, final_logprob, loglikes
_GRAPH = (_INT32, _INT32, _INT32, _FLOAT64, _FLOAT32, _FLOAT32, _LOGLIKES)
_SCALE_AND_BEAM = (types.float64, types.float64)
_STATES = types.int32[::1]
_SCORES = types.float64[::1]
_TOKENS = types.int32[::1]

_FIRST_CAPACITY = 1 << 14
# A term this far (natural log) below the largest of fewer than 2^31 does not change their float64 sum by one bit.
_NO_BIT = -64.0
# exp of less is 0 in float64.
_UNDERFLOW = -746.0


@njit(types.int64(_FLOAT32, _STATES, _SCORES), cache=True, nogil=True)
def _start(initial_logprob, active, score):  # type: ignore[no-untyped-def]
    """Make the initial states active; return their number."""
    num_active = 0
    for state in range(len(initial_logprob)):
        if initial_logprob[state] > -np.inf:
            score[state] = initial_logprob[state]
            active[num_active] = state
            num_active += 1
    return num_active


@njit(types.float64(_STATES, types.int64, _SCORES), cache=True, nogil=True)
def _best(active, num_active, score):  # type: ignore[no-untyped-def]
    best = -np.inf
    for position in range(num_active):
        best = max(best, score[active[position]])
    return best


@njit(types.int64(types.int64, _TOKENS, _TOKENS, types.int64, _STATES, _TOKENS), cache=True, nogil=True)
def _drop_dead_tokens(count, token_arc, token_prev, num_next, next_active, next_from):  # type: ignore[no-untyped-def]
    """Keep, in order, only the tokens that a next state descends from; renumber ``next_from``; return how many."""
    place = np.full(count, -1, dtype=np.int32)
    for position in range(num_next):
        token = next_from[next_active[position]]
        if token >= 0:
            place[token] = 0
    for token in range(count - 1, -1, -1):  # a token comes after its predecessor
        if place[token] == 0 and token_prev[token] >= 0:
            place[token_prev[token]] = 0
    survivors = 0
    for token in range(count):
        if place[token] == 0:
            previous = token_prev[token]
            token_arc[survivors] = token_arc[token]
            token_prev[survivors] = place[previous] if previous >= 0 else -1
            place[token] = survivors
            survivors += 1
    for position in range(num_next):
        successor = next_active[position]
        if next_from[successor] >= 0:
            next_from[successor] = place[next_from[successor]]
    return survivors


@njit(_TOKENS(_TOKENS, types.int64, types.int64), cache=True, nogil=True)
def _grown(values, count, capacity):  # type: ignore[no-untyped-def]
    larger = np.empty(capacity, dtype=np.int32)
    for k in range(count):  # Numba compiles a slice assignment for two seconds
        larger[k] = values[k]
    return larger


@njit(cache=True, nogil=True, inline="always")
def _expand_best(  # type: ignore[no-untyped-def]
    arc_begin, arc_dst, arc_pdf, arc_logprob, frame_loglikes, scale, beam,
    num_active, active, score, state_token, next_active, next_score, next_arc, next_from,
):  # fmt: skip
    """Take every arc of the active states once; return the number of states reached and the best score."""
    cutoff = _best(active, num_active, score) - beam
    best = -np.inf
    num_next = 0
    for position in range(num_active):
        state = active[position]
        here = score[state]
        score[state] = -np.inf
        if here < cutoff:
            continue
        for arc in range(arc_begin[state], arc_begin[state + 1]):
            there = here + arc_logprob[arc] + scale * frame_loglikes[arc_pdf[arc]]
            successor = arc_dst[arc]
            # what is already below the beam of this frame need not be stored: the best can only rise
            if there > next_score[successor] and there >= best - beam:
                if next_score[successor] == -np.inf:
                    next_active[num_next] = successor
                    num_next += 1
                next_score[successor] = there
                next_arc[successor] = arc
                next_from[successor] = state_token[state]
                best = max(best, there)
    return num_next, best


@njit(types.Tuple((types.int32[::1], types.float64))(*_GRAPH, *_SCALE_AND_BEAM), cache=True, nogil=True)
def viterbi_kernel(  # type: ignore[no-untyped-def]
    arc_begin, arc_dst, arc_pdf, arc_logprob, initial_logprob, final_logprob, loglikes, scale, beam
):
    """Return the best arc sequence (T,) int32 and its score; where there is none, an empty one and -inf.

    A token is an arc taken and the number of the token before it. When the store is full, tokens that no
    active state descends from are dropped, and it grows only if more than half are still needed: as the paths
    of the active states meet a little way back, memory follows the number of active states and not its product
    with the number of frames.
    """
    num_frames, num_states = loglikes.shape[0], len(initial_logprob)
    score, next_score = np.full(num_states, -np.inf), np.full(num_states, -np.inf)
    active, next_active = np.empty(num_states, dtype=np.int32), np.empty(num_states, dtype=np.int32)
    next_arc, next_from = np.empty(num_states, dtype=np.int32), np.empty(num_states, dtype=np.int32)
    state_token = np.full(num_states, -1, dtype=np.int32)
    capacity, count = _FIRST_CAPACITY, 0
    token_arc, token_prev = np.empty(capacity, dtype=np.int32), np.empty(capacity, dtype=np.int32)
    num_active = _start(initial_logprob, active, score)

    for frame in range(num_frames):
        num_next, best = _expand_best(
            arc_begin, arc_dst, arc_pdf, arc_logprob, loglikes[frame], scale, beam,
            num_active, active, score, state_token, next_active, next_score, next_arc, next_from,
        )  # fmt: skip
        if count + num_next > capacity:
            count = _drop_dead_tokens(count, token_arc, token_prev, num_next, next_active, next_from)
            while count + num_next > capacity // 2:
                capacity *= 2
            token_arc = _grown(token_arc, count, capacity)
            token_prev = _grown(token_prev, count, capacity)
        num_active = 0
        for position in range(num_next):
            successor = next_active[position]
            if next_score[successor] >= best - beam:
                token_arc[count] = next_arc[successor]
                token_prev[count] = next_from[successor]
                state_token[successor] = count
                score[successor] = next_score[successor]
                active[num_active] = successor
                num_active += 1
                count += 1
            next_score[successor] = -np.inf

    total, last = -np.inf, -1
    for position in range(num_active):
        state = active[position]
        if score[state] + final_logprob[state] > total:
            total = score[state] + final_logprob[state]
            last = state_token[state]
    if total == -np.inf:
        return np.empty(0, dtype=np.int32), -np.inf
    path = np.empty(num_frames, dtype=np.int32)
    for frame in range(num_frames - 1, -1, -1):
        path[frame] = token_arc[last]
        last = token_prev[last]
    return path, total


@njit(cache=True, nogil=True, inline="always")
def _expand_sum(  # type: ignore[no-untyped-def]
    arc_begin, arc_dst, arc_pdf, arc_logprob, frame_loglikes, scale,
    num_active, active, score, next_active, peak, mass,
):  # fmt: skip
    """Sum over the arcs of the active states; ``log(mass) + peak`` is the score of each of the states reached."""
    num_next = 0
    for position in range(num_active):
        state = active[position]
        here = score[state]
        score[state] = -np.inf
        for arc in range(arc_begin[state], arc_begin[state + 1]):
            there = here + arc_logprob[arc] + scale * frame_loglikes[arc_pdf[arc]]
            successor = arc_dst[arc]
            if there == -np.inf:
                continue
            if peak[successor] == -np.inf:
                next_active[num_next] = successor
                num_next += 1
                peak[successor] = there
                mass[successor] = 1.0
                continue
            behind = there - peak[successor]
            if behind > 0:
                mass[successor] = 1.0 + (mass[successor] * math.exp(-behind) if -behind > _NO_BIT else 0.0)
                peak[successor] = there
            elif behind > _NO_BIT:
                mass[successor] += math.exp(behind)
    return num_next


@njit(
    types.Tuple((types.int64[::1], types.int32[::1], types.float64[::1], types.float64[::1]))(
        *_GRAPH[:5], _LOGLIKES, *_SCALE_AND_BEAM
    ),
    cache=True,
    nogil=True,
)
def forward_kernel(  # type: ignore[no-untyped-def]
    arc_begin, arc_dst, arc_pdf, arc_logprob, initial_logprob, loglikes, scale, beam
):
    """Return the active states and their forward scores before frame 0, 1, … T, one ragged row each.

    ``states[row_begin[t]:row_begin[t + 1]]`` are active, ``alpha`` beside them is relative to the best of the
    row, and ``offset[t]`` is how much was taken off on the way from row t - 1 (so the scores stay small however
    long the utterance). A row may be empty.
    """
    num_frames, num_states = loglikes.shape[0], len(initial_logprob)
    score, peak, mass = np.full(num_states, -np.inf), np.full(num_states, -np.inf), np.empty(num_states)
    active, next_active = np.empty(num_states, dtype=np.int32), np.empty(num_states, dtype=np.int32)
    row_begin, offset = np.zeros(num_frames + 2, dtype=np.int64), np.zeros(num_frames + 1)
    capacity = 4 * num_states + 1024
    states, alpha = np.empty(capacity, dtype=np.int32), np.empty(capacity)

    num_next = _start(initial_logprob, next_active, peak)
    mass[:] = 1.0
    num_active = 0
    for frame in range(num_frames + 1):
        if frame > 0:
            num_next = _expand_sum(
                arc_begin, arc_dst, arc_pdf, arc_logprob, loglikes[frame - 1], scale,
                num_active, active, score, next_active, peak, mass,
            )  # fmt: skip
        best = -np.inf
        for position in range(num_next):
            state = next_active[position]
            score[state] = peak[state] + (math.log(mass[state]) if mass[state] > 1.0 else 0.0)
            peak[state] = -np.inf
            best = max(best, score[state])
        count = row_begin[frame]
        if count + num_next > capacity:
            capacity = 2 * (count + num_next)
            states = _grown(states, count, capacity)
            larger = np.empty(capacity)
            for k in range(count):
                larger[k] = alpha[k]
            alpha = larger
        num_active = 0
        for position in range(num_next):
            state = next_active[position]
            score[state] -= best
            if score[state] >= -beam:
                states[count + num_active] = state
                alpha[count + num_active] = score[state]
                active[num_active] = state
                num_active += 1
            else:
                score[state] = -np.inf
        row_begin[frame + 1] = count + num_active
        offset[frame] = best if num_next > 0 else 0.0
    return row_begin, states, alpha, offset


@njit(
    types.void(
        *_GRAPH, types.float64, types.float64, types.int64[::1], types.int32[::1], types.float64[::1],
        types.float64[::1], _INT32, types.float64[::1], types.float32[:, ::1],
    ),
    cache=True,
    nogil=True,
)  # fmt: skip
def backward_kernel(  # type: ignore[no-untyped-def]
    arc_begin, arc_dst, arc_pdf, arc_logprob, initial_logprob, final_logprob, loglikes, scale, log_norm,
    row_begin, states, alpha, offset, arc_unit, arc_occupancy, unit_posteriors,
):  # fmt: skip
    """Add to ``arc_occupancy`` (A,) and fill ``unit_posteriors`` (T, U), walking back over the forward pass's rows.

    ``log_norm`` is the log of the sum of exp(alpha + final_logprob) over the last row. The backward scores are
    reduced by the same offsets as the forward ones, so their sum needs no other normalisation: that the
    posteriors of a frame add up to one is a fact about the two passes and not forced.
    """
    num_frames, num_states = loglikes.shape[0], len(initial_logprob)
    beta_after, beta_here = np.full(num_states, -np.inf), np.full(num_states, -np.inf)
    widest = 1
    for state in range(num_states):
        widest = max(widest, arc_begin[state + 1] - arc_begin[state])
    values, share = np.empty(widest), np.empty(widest)
    row = np.empty(unit_posteriors.shape[1])
    for position in range(row_begin[num_frames], row_begin[num_frames + 1]):
        beta_after[states[position]] = final_logprob[states[position]]

    for frame in range(num_frames - 1, -1, -1):
        row[:] = 0.0
        for position in range(row_begin[frame], row_begin[frame + 1]):
            state = states[position]
            first, end = arc_begin[state], arc_begin[state + 1]
            peak = -np.inf
            for arc in range(first, end):
                value = arc_logprob[arc] + scale * loglikes[frame, arc_pdf[arc]] + beta_after[arc_dst[arc]]
                values[arc - first] = value
                peak = max(peak, value)
            if peak == -np.inf:
                continue
            mass = 0.0
            for k in range(end - first):
                if values[k] - peak > _NO_BIT:
                    share[k] = math.exp(values[k] - peak)
                    mass += share[k]
                else:
                    share[k] = 0.0
            log_mass = math.log(mass) if mass > 1.0 else 0.0
            beta_here[state] = peak + log_mass - offset[frame + 1]
            log_others = alpha[position] - offset[frame + 1] - log_norm
            if log_others + peak + log_mass > _UNDERFLOW:
                others = math.exp(log_others + peak)
                for arc in range(first, end):
                    posterior = others * share[arc - first]
                    if posterior == 0.0:  # negligible beside the best arc of the state, yet a number
                        posterior = math.exp(log_others + values[arc - first])
                    arc_occupancy[arc] += posterior
                    row[arc_unit[arc]] += posterior
        for unit in range(len(row)):
            unit_posteriors[frame, unit] = row[unit]
        for position in range(row_begin[frame + 1], row_begin[frame + 2]):
            beta_after[states[position]] = -np.inf
        beta_after, beta_here = beta_here, beta_after
