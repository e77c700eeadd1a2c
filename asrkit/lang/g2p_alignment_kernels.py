"""Compiled inner loops over alignment lattices; :mod:`asrkit.lang.g2p_alignment` checks the arguments.

The lattice of a word of L letters and P phones has the cells ``(i, j)``, "i letters and j phones are
said", numbered ``i * (P + 1) + j``. An arc of shape k leaves a cell over ``step_letters[k]`` letters and
``step_phones[k]`` phones; its place is ``cell * K + k``. Scores are float64 natural logs; -inf is "impossible".
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, types

_INT32 = types.Array(types.int32, 1, "C", readonly=True)
_INT64 = types.Array(types.int64, 1, "C", readonly=True)
_FLOAT64 = types.Array(types.float64, 1, "C", readonly=True)
# letter_begin, phone_begin, arc_begin, arc_unit, step_letters, step_phones
_LATTICES = (_INT64, _INT64, _INT64, _INT32, _INT32, _INT32)


@njit(types.int64(types.int64, types.int64[::1], types.int32[::1]), cache=True, nogil=True)
def _place(key, table_key, table_unit):  # type: ignore[no-untyped-def]
    """Return where ``key`` stands, or belongs, in an open-addressing table whose size is a power of two."""
    mask = len(table_key) - 1
    place = ((key * np.int64(-7046029254386353131)) >> np.int64(20)) & mask
    while table_unit[place] >= 0 and table_key[place] != key:
        place = (place + 1) & mask
    return place


@njit(
    types.boolean[::1](types.int64, types.int64, _INT32, _INT32),
    cache=True,
    nogil=True,
)
def _leads_to_the_end(num_letters, num_phones, step_letters, step_phones):  # type: ignore[no-untyped-def]
    width = num_phones + 1
    leads = np.zeros((num_letters + 1) * width, dtype=np.bool_)
    leads[num_letters * width + num_phones] = True
    for i in range(num_letters - 1, -1, -1):
        for j in range(width):
            for k in range(len(step_letters)):
                after, said = i + step_letters[k], j + step_phones[k]
                if after <= num_letters and said <= num_phones and leads[after * width + said]:
                    leads[i * width + j] = True
    return leads


@njit(
    types.void(
        _INT32, _INT32, _INT32, _INT32, types.int64, types.int64, types.boolean[::1], types.int64[::1]
    ),
    cache=True,
    nogil=True,
)  # fmt: skip
def _arc_keys(  # type: ignore[no-untyped-def]
    letters, phones, step_letters, step_phones, letter_base, phone_base, leads, keys
):
    """Set the key of every arc of a word's lattice; -1 for those on no complete path."""
    num_letters, num_phones, num_shapes = len(letters), len(phones), len(step_letters)
    width = num_phones + 1
    reached = np.zeros(len(leads), dtype=np.bool_)
    reached[0] = leads[0]
    for n in range(len(keys)):
        keys[n] = -1
    for i in range(num_letters):
        for j in range(width):
            if not reached[i * width + j]:
                continue
            for k in range(num_shapes):
                after, said = i + step_letters[k], j + step_phones[k]
                if after > num_letters or said > num_phones or not leads[after * width + said]:
                    continue
                reached[after * width + said] = True
                key = letters[i] * letter_base
                if step_letters[k] == 2:
                    key += letters[i + 1]
                key *= phone_base
                if step_phones[k] >= 1:
                    key += phones[j]
                key *= phone_base
                if step_phones[k] == 2:
                    key += phones[j + 1]
                keys[(i * width + j) * num_shapes + k] = key


@njit(types.int64[::1](types.int64[::1], types.int64), cache=True, nogil=True)
def _longer(values, size):  # type: ignore[no-untyped-def]
    longer = np.empty(size, dtype=np.int64)
    for n in range(len(values)):
        longer[n] = values[n]
    return longer


@njit(
    types.Tuple((types.int32[::1], types.int64[::1]))(
        _INT32, _INT32, _INT64, _INT64, _INT64, _INT32, _INT32, types.int64, types.int64
    ),
    cache=True,
    nogil=True,
)  # fmt: skip
def number_units(  # type: ignore[no-untyped-def]
    letters, phones, letter_begin, phone_begin, arc_begin, step_letters, step_phones, letter_base, phone_base
):
    """Return the unit of every arc (-1: on no complete path) and the key of every unit, numbered as they come.

    The key of a unit holds its letters and phones (1-based, 0 = none) as the digits of a mixed-base number:
    ``((l1 * letter_base + l2) * phone_base + p1) * phone_base + p2``.
    """
    num_words = len(letter_begin) - 1
    arc_unit = np.full(arc_begin[num_words], -1, dtype=np.int32)
    unit_key = np.empty(1 << 12, dtype=np.int64)
    num_units = 0
    table_key = np.empty(1 << 14, dtype=np.int64)
    table_unit = np.full(1 << 14, -1, dtype=np.int32)
    for word in range(num_words):
        spelling = letters[letter_begin[word] : letter_begin[word + 1]]
        said = phones[phone_begin[word] : phone_begin[word + 1]]
        keys = np.empty(arc_begin[word + 1] - arc_begin[word], dtype=np.int64)
        leads = _leads_to_the_end(len(spelling), len(said), step_letters, step_phones)
        _arc_keys(spelling, said, step_letters, step_phones, letter_base, phone_base, leads, keys)
        for n in range(len(keys)):
            if keys[n] < 0:
                continue
            place = _place(keys[n], table_key, table_unit)
            if table_unit[place] < 0:
                table_key[place], table_unit[place] = keys[n], num_units
                if num_units == len(unit_key):
                    unit_key = _longer(unit_key, 2 * num_units)
                unit_key[num_units] = keys[n]
                num_units += 1
            arc_unit[arc_begin[word] + n] = table_unit[place]
            if 2 * num_units > len(table_key):
                table_unit = np.full(2 * len(table_key), -1, dtype=np.int32)
                table_key = np.empty(len(table_unit), dtype=np.int64)
                for unit in range(num_units):
                    place = _place(unit_key[unit], table_key, table_unit)
                    table_key[place], table_unit[place] = unit_key[unit], unit
    return arc_unit, unit_key[:num_units].copy()


@njit(types.float64(*_LATTICES, _FLOAT64, types.float64[::1], types.float64[::1]), cache=True, nogil=True)
def expect(  # type: ignore[no-untyped-def]
    letter_begin, phone_begin, arc_begin, arc_unit, step_letters, step_phones, log_prob, counts, word_loglike
):
    """Add the expected count of every unit to ``counts``, set each word's log-likelihood, and return their sum.

    A word without a complete path has the log-likelihood -inf and is left out of counts and sum.
    """
    num_shapes = len(step_letters)
    total = 0.0
    for word in range(len(letter_begin) - 1):
        num_letters = letter_begin[word + 1] - letter_begin[word]
        num_phones = phone_begin[word + 1] - phone_begin[word]
        width = num_phones + 1
        num_cells = (num_letters + 1) * width
        base = arc_begin[word]
        backward = np.full(num_cells, -np.inf)
        backward[num_cells - 1] = 0.0
        terms = np.empty(num_shapes)
        for cell in range(num_cells - width - 1, -1, -1):
            best = -np.inf
            for k in range(num_shapes):
                unit = arc_unit[base + cell * num_shapes + k]
                terms[k] = -np.inf
                if unit >= 0:
                    terms[k] = log_prob[unit] + backward[cell + step_letters[k] * width + step_phones[k]]
                    best = max(best, terms[k])
            if best > -np.inf:
                mass = 0.0
                for k in range(num_shapes):
                    if terms[k] > -np.inf:
                        mass += math.exp(terms[k] - best)
                backward[cell] = best + math.log(mass)
        word_loglike[word] = backward[0]
        if backward[0] == -np.inf:
            continue
        total += backward[0]
        # The posterior of a cell runs forward: each arc takes its share of what has come to its cell.
        occupancy = np.zeros(num_cells)
        occupancy[0] = 1.0
        for cell in range(num_cells - width):
            if occupancy[cell] == 0.0:
                continue
            for k in range(num_shapes):
                unit = arc_unit[base + cell * num_shapes + k]
                if unit >= 0:
                    after = cell + step_letters[k] * width + step_phones[k]
                    share = occupancy[cell] * math.exp(log_prob[unit] + backward[after] - backward[cell])
                    counts[unit] += share
                    occupancy[after] += share
    return total


@njit(types.Tuple((types.int32[::1], types.int64[::1]))(*_LATTICES, _FLOAT64), cache=True, nogil=True)
def align(letter_begin, phone_begin, arc_begin, arc_unit, step_letters, step_phones, log_prob):  # type: ignore[no-untyped-def]
    """Return the units of every word's most probable path, one behind the other, and where each word's begin.

    A word without a path has no units. Of equal paths the one whose first different arc has the smaller shape wins.
    """
    num_shapes = len(step_letters)
    num_words = len(letter_begin) - 1
    units = np.empty(letter_begin[num_words], dtype=np.int32)
    begin = np.zeros(num_words + 1, dtype=np.int64)
    for word in range(num_words):
        num_letters = letter_begin[word + 1] - letter_begin[word]
        num_phones = phone_begin[word + 1] - phone_begin[word]
        width = num_phones + 1
        num_cells = (num_letters + 1) * width
        base = arc_begin[word]
        score = np.full(num_cells, -np.inf)
        shape = np.full(num_cells, -1, dtype=np.int32)
        score[num_cells - 1] = 0.0
        for cell in range(num_cells - width - 1, -1, -1):
            for k in range(num_shapes):
                unit = arc_unit[base + cell * num_shapes + k]
                if unit >= 0:
                    here = log_prob[unit] + score[cell + step_letters[k] * width + step_phones[k]]
                    if here > score[cell]:
                        score[cell] = here
                        shape[cell] = k
        cell = 0
        count = begin[word]
        while shape[cell] >= 0:
            k = shape[cell]
            units[count] = arc_unit[base + cell * num_shapes + k]
            count += 1
            cell += step_letters[k] * width + step_phones[k]
        begin[word + 1] = count
    return units[: begin[num_words]].copy(), begin
