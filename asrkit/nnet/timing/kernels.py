"""The net of one memory cell, its gradient carried forwards in time, and its online training.

The 17 weights lie in one array, by what they lead to::

    0-3    input gate: from the input, the cell's output, the bias, the memory (its peephole)
    4-7    forget gate: the same
    8-10   cell: from the input, the cell's output, the bias
    11-14  output gate: as the input gate
    15-16  output unit: from the cell's output, the bias

With x the input, y the cell's output and s its memory, a dash for the step before::

    i = sigmoid(w0 x + w1 y' + w2 + w3 s')      f = sigmoid(w4 x + w5 y' + w6 + w7 s')
    s = f s' + i g(w8 x + w9 y' + w10)          o = sigmoid(w11 x + w12 y' + w13 + w14 s)
    y = o s                                     output = k(w15 y + w16)

What s and y owe to each weight is carried along (real-time recurrent learning, Williams & Zipser 1989), so that each
step can change the weights. Of these recurrences the truncated gradient (Gers et al. 2002, eq. 10-24) keeps only the
way through the memory: what reaches a gate's or the cell's sum goes no further back.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

NUM_WEIGHTS = 17

DELAYS, SPIKES, FUNCTIONS = 0, 1, 2
"""Kinds of streams."""


@njit(cache=True, nogil=True)
def sigmoid(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value))


@njit(cache=True, nogil=True)
def advance(
    weights: NDArray[np.float64],
    cell: NDArray[np.float64],
    owed: NDArray[np.float64],
    x: float,
    squashes: bool,
    learns: bool,
    truncated: bool,
) -> None:
    """Go one step on.

    Parameters
    ----------
    weights : (17,)
    cell : (5,)
        Memory, cell's output, and the gates (input, forget, output); changed.
    owed : (2, 17)
        Derivatives of memory and of the cell's output with respect to the weights; changed where ``learns``.
    squashes : bool
        g is tanh instead of the identity.
    """
    memory, y = cell[0], cell[1]
    i = sigmoid(weights[0] * x + weights[1] * y + weights[2] + weights[3] * memory)
    f = sigmoid(weights[4] * x + weights[5] * y + weights[6] + weights[7] * memory)
    g = weights[8] * x + weights[9] * y + weights[10]
    slope = 1.0
    if squashes:
        g = math.tanh(g)
        slope = 1.0 - g * g
    new = f * memory + i * g
    o = sigmoid(weights[11] * x + weights[12] * y + weights[13] + weights[14] * new)
    cell[0], cell[1], cell[2], cell[3], cell[4] = new, o * new, i, f, o
    if not learns:
        return
    to_input, to_forget, to_cell, to_output = g * i * (1.0 - i), memory * f * (1.0 - f), i * slope, new * o * (1.0 - o)
    memory_memory, memory_y, y_memory, y_y = f, 0.0, o, 0.0
    if not truncated:
        memory_memory += to_input * weights[3] + to_forget * weights[7]
        memory_y = to_input * weights[1] + to_forget * weights[5] + to_cell * weights[9]
        y_memory += to_output * weights[14]
        y_y = to_output * weights[12]
    for w in range(15):
        owed[0, w] = memory_memory * owed[0, w] + memory_y * owed[1, w]
    owed[0, 0] += to_input * x
    owed[0, 1] += to_input * y
    owed[0, 2] += to_input
    owed[0, 3] += to_input * memory
    owed[0, 4] += to_forget * x
    owed[0, 5] += to_forget * y
    owed[0, 6] += to_forget
    owed[0, 7] += to_forget * memory
    owed[0, 8] += to_cell * x
    owed[0, 9] += to_cell * y
    owed[0, 10] += to_cell
    for w in range(15):
        owed[1, w] = y_memory * owed[0, w] + y_y * owed[1, w]
    owed[1, 11] += to_output * x
    owed[1, 12] += to_output * y
    owed[1, 13] += to_output
    owed[1, 14] += to_output * new


@njit(cache=True, nogil=True)
def emit(weights: NDArray[np.float64], cell: NDArray[np.float64], logistic: bool) -> float:
    """Return the output of the net after a step."""
    total = weights[15] * cell[1] + weights[16]
    return sigmoid(total) if logistic else total


@njit(cache=True, nogil=True)
def add_gradient(
    gradient: NDArray[np.float64],
    weights: NDArray[np.float64],
    cell: NDArray[np.float64],
    owed: NDArray[np.float64],
    output: float,
    target: float,
    logistic: bool,
) -> None:
    """Add the gradient of ½ (output - target)² of this step."""
    error = output - target
    if logistic:
        error *= output * (1.0 - output)
    back = error * weights[15]
    for w in range(15):
        gradient[w] += back * owed[1, w]
    gradient[15] += error * cell[1]
    gradient[16] += error


@njit(cache=True, nogil=True)
def sequence_gradient(
    weights: NDArray[np.float64],
    inputs: NDArray[np.float64],
    targets: NDArray[np.float64],
    squashes: bool,
    logistic: bool,
    truncated: bool,
) -> NDArray[np.float64]:
    """Return the gradient of the summed ½ (output - target)² of a sequence by fixed weights, (17,).

    Parameters
    ----------
    inputs, targets : (T,)
        A target that is no number is none.
    """
    cell, owed, gradient = np.zeros(5), np.zeros((2, NUM_WEIGHTS)), np.zeros(NUM_WEIGHTS)
    for t in range(len(inputs)):
        advance(weights, cell, owed, inputs[t], squashes, True, truncated)
        if not math.isnan(targets[t]):
            add_gradient(gradient, weights, cell, owed, emit(weights, cell, logistic), targets[t], logistic)
    return gradient


@njit(cache=True, nogil=True)
def trace(
    weights: NDArray[np.float64], inputs: NDArray[np.float64], squashes: bool, logistic: bool
) -> NDArray[np.float64]:
    """Return for each step the output, the memory, the cell's output and the input, forget and output gate, (T, 6)."""
    rows, cell, owed = np.empty((len(inputs), 6)), np.zeros(5), np.zeros((2, NUM_WEIGHTS))
    for t in range(len(inputs)):
        advance(weights, cell, owed, inputs[t], squashes, False, True)
        rows[t, 0] = emit(weights, cell, logistic)
        rows[t, 1:] = cell
    return rows


@njit(cache=True, nogil=True)
def follow(
    kind: int,
    table: NDArray[np.float64],
    held: bool,
    scale: float,
    offsets: NDArray[np.int64],
    weights: NDArray[np.float64],
    velocity: NDArray[np.float64],
    free: NDArray[np.float64],
    options: tuple[bool, bool, bool],
    rates: tuple[float, float],
    max_error: float,
    learns: bool,
) -> tuple[int, int, float]:
    """Go through a stream until its end or the first large error, and where ``learns`` change the weights each step.

    Parameters
    ----------
    kind : int
        :data:`DELAYS`, :data:`SPIKES` or :data:`FUNCTIONS`.
    table : (F,)
        Values of the function at each step of a period; its length is the period, or the least interval.
    held : bool
        Of spikes: the offset is the input throughout its interval, not only at the first step.
    scale : float
        What offsets are multiplied by as targets or inputs.
    offsets : (N,)
        What each interval is longer than F by.
    velocity : (17,)
        Last change of the weights; changed.
    free : (17,)
        1, or 0 for a weight that stays as it is.
    options : (bool, bool, bool)
        ``squashes``, ``logistic`` and ``truncated``.
    rates : (float, float)
        Learning rate and momentum.

    Returns
    -------
    intervals : int
        Finished without a large error.
    steps : int
    squares : float
        Sum of the squared errors.
    """
    squashes, logistic, truncated = options
    cell, owed, gradient = np.zeros(5), np.zeros((2, NUM_WEIGHTS)), np.zeros(NUM_WEIGHTS)
    least, steps, squares = len(table), 0, 0.0
    for number in range(len(offsets)):
        length = least + offsets[number]
        for tick in range(1, length + 1):
            x, target, aimed = 0.0, 0.0, True
            if kind == DELAYS:
                aimed = tick == length
                if aimed:
                    x, target = 1.0, scale * offsets[number]
            elif kind == SPIKES:
                if held or tick == 1:
                    x = scale * offsets[number]
                if tick == length:
                    target = 1.0
            else:
                target = table[tick - 1]
            steps += 1
            advance(weights, cell, owed, x, squashes, learns, truncated)
            right = True
            gradient[:] = 0.0
            if aimed:
                output = emit(weights, cell, logistic)
                squares += (output - target) ** 2
                right = abs(output - target) < max_error
                if learns:
                    add_gradient(gradient, weights, cell, owed, output, target, logistic)
            if learns:
                for w in range(NUM_WEIGHTS):
                    velocity[w] = rates[1] * velocity[w] - rates[0] * gradient[w] * free[w]
                    weights[w] += velocity[w]
            if not right:
                return number, steps, squares
    return len(offsets), steps, squares


@njit(cache=True, nogil=True)
def train_block(
    kind: int,
    table: NDArray[np.float64],
    held: bool,
    scale: float,
    continual: bool,
    pool: NDArray[np.int64],
    weights: NDArray[np.float64],
    velocity: NDArray[np.float64],
    free: NDArray[np.float64],
    options: tuple[bool, bool, bool],
    rates: tuple[float, float],
    max_error: float,
    periods: tuple[int, int],
    max_streams: int,
    max_steps: int,
) -> tuple[bool, int, int, int]:
    """Train on a stream and test on another, in turn, until the test is passed or a bound is reached.

    Parameters
    ----------
    continual : bool
        A stream is many intervals; else it is one, and a test is many streams.
    pool : (P,)
        Offsets, taken from its beginning; no stream begins that they might not suffice for.
    periods : (int, int)
        Intervals of a training stream, and those that a test is passed with.

    Returns
    -------
    passed : bool
    streams, steps : int
        Training streams, and steps of training and of tests.
    best : int
        Most intervals that a test went right for.
    """
    training, testing = periods
    place, streams, steps, best = 0, 0, 0, 0
    while streams < max_streams and steps < max_steps and place + training + testing <= len(pool):
        right, taken, _ = follow(
            kind, table, held, scale, pool[place : place + training], weights, velocity, free, options, rates,
            max_error, True,
        )  # fmt: skip
        place += min(right + 1, training)
        streams += 1
        steps += taken
        size = testing if continual else 1
        passed = 0
        while passed < testing:
            right, taken, _ = follow(
                kind, table, held, scale, pool[place : place + size], weights, velocity, free, options, rates,
                max_error, False,
            )  # fmt: skip
            place += min(right + 1, size)
            steps += taken
            passed += right
            if right < size:
                break
        best = max(best, passed)
        if passed >= testing:
            return True, streams, steps, best
    return False, streams, steps, best
