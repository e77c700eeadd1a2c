"""Compiled inner loops of transform estimation; ``posteriors``, ``mllt`` and ``fmllr`` check the arguments.

Sums run in float64 in the order written (or a fixed re-association of it), so results do not depend on threads.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, types

_FEATURES = types.Array(types.float32, 2, "C", readonly=True)
_MATRIX = types.Array(types.float64, 2, "C", readonly=True)
_VECTOR = types.Array(types.float64, 1, "C", readonly=True)
_STACK = types.Array(types.float64, 3, "C", readonly=True)
_INT32 = types.Array(types.int32, 1, "C", readonly=True)
_INT64 = types.Array(types.int64, 1, "C", readonly=True)


@njit(
    types.float64(
        _FEATURES,
        _FEATURES,
        _FEATURES,
        _VECTOR,
        _INT32,
        _INT64,
        _INT64,
        _VECTOR,
        _INT64,
        types.int32[::1],
        types.float64[::1],
    ),
    cache=True,
    nogil=True,
    fastmath={"contract", "reassoc"},
)
def pair_posteriors(  # type: ignore[no-untyped-def]
    features, means, precisions, constants, offsets, index, pdfs, weights, begins, gaussians, values
):
    """Fill in the Gaussians of each (frame, pdf) and their posteriors times the weight; return the weighted loglike.

    Entry n is frame ``index[n]`` under pdf ``pdfs[n]``; its pairs start at ``begins[n]``. ``constants`` is the log
    density at the mean, weight included.
    """
    dim = features.shape[1]
    loglike = 0.0
    for n in range(index.shape[0]):
        x = features[index[n]]
        first, last = offsets[pdfs[n]], offsets[pdfs[n] + 1]
        largest = -np.inf
        for g in range(first, last):
            distance = np.float32(0.0)
            for d in range(dim):
                apart = x[d] - means[g, d]
                distance += apart * apart * precisions[g, d]
            place = begins[n] + g - first
            gaussians[place] = g
            values[place] = constants[g] - 0.5 * distance
            largest = max(largest, values[place])
        total = 0.0
        for place in range(begins[n], begins[n] + last - first):
            values[place] = math.exp(values[place] - largest)
            total += values[place]
        for place in range(begins[n], begins[n] + last - first):
            values[place] *= weights[n] / total
        loglike += weights[n] * (largest + math.log(total))
    return loglike


@njit(types.void(_MATRIX, types.float64[:, ::1]), cache=True, nogil=True)
def triangle_products(features, out):  # type: ignore[no-untyped-def]
    """Write the upper triangle of x xᵀ of each row, row by row, into ``out`` (num_frames, dim * (dim + 1) / 2)."""
    num_frames, dim = features.shape
    for n in range(num_frames):
        place = 0
        for i in range(dim):
            for j in range(i, dim):
                out[n, place + j - i] = features[n, i] * features[n, j]
            place += dim - i


@njit(
    types.void(_STACK, _MATRIX, _MATRIX, types.float64, types.int64, types.float64[:, ::1], types.float64[:, ::1]),
    cache=True,
    nogil=True,
    fastmath={"contract", "reassoc"},
)
def row_sweeps(inverses, free, linear, count, num_sweeps, transform, cofactors):  # type: ignore[no-untyped-def]
    """Replace each row of a transform (D, C) by the best one given the others, over and over, in place.

    Row w of dimension d has the objective ``count log|w · cofactor| + linear[d] · w − w G w / 2``, the cofactor having
    zeros from column D on. Its best is ``free[d] + α G⁻¹ cofactor`` with ``free = G⁻¹ linear`` and α the root of
    ``e1 α² + e2 α = count`` with the greater objective (Gales 1998; without a linear part, Gales 1999 eq. 22).

    Parameters
    ----------
    inverses : (D, C, C)
        G⁻¹, symmetric.
    cofactors : (D, D)
        Inverse transpose of the first D columns; kept up with each row that changes (Sherman and Morrison).
    """
    dim, columns = transform.shape
    direction = np.empty(columns)
    moved = np.empty(dim)
    change = np.empty(dim)
    turned = np.empty(dim)
    for _ in range(num_sweeps):
        for d in range(dim):
            e1, e2 = 0.0, 0.0
            for i in range(columns):
                total = 0.0
                for j in range(dim):
                    total += inverses[d, i, j] * cofactors[d, j]
                direction[i] = total
                e2 += total * linear[d, i]
            for j in range(dim):
                e1 += cofactors[d, j] * direction[j]
            root = math.sqrt(e2 * e2 + 4.0 * e1 * count)
            plus, minus = (-e2 + root) / (2.0 * e1), (-e2 - root) / (2.0 * e1)
            gain_plus = count * math.log(abs(plus * e1 + e2)) - 0.5 * plus * plus * e1
            gain_minus = count * math.log(abs(minus * e1 + e2)) - 0.5 * minus * minus * e1
            step = plus if gain_plus >= gain_minus else minus
            for i in range(columns):
                value = free[d, i] + step * direction[i]
                if i < dim:
                    change[i] = value - transform[d, i]
                transform[d, i] = value
            for i in range(dim):
                total = 0.0
                for j in range(dim):
                    total += cofactors[i, j] * change[j]
                moved[i] = total
            for j in range(dim):
                turned[j] = cofactors[d, j] / (1.0 + moved[d])
            for i in range(dim):
                for j in range(dim):
                    cofactors[i, j] -= moved[i] * turned[j]
