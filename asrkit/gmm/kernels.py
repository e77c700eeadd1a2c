"""Numba kernels of the GMM room: likelihoods of many frames at once, and the sums of an E-step."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, types

_INT32 = types.Array(types.int32, 1, "C", readonly=True)
_FLOAT32 = types.Array(types.float32, 1, "C", readonly=True)
_FLOAT64 = types.Array(types.float64, 1, "C", readonly=True)
_ROWS = types.Array(types.float32, 2, "C", readonly=True)

LOG2E = np.float32(1.4426950408889634)
LN2_HIGH = np.float32(0.693359375)
LN2_LOW = np.float32(-2.12194440e-4)
LOWEST = np.float32(-87.0)


@njit(inline="always")
def _exp(x):  # type: ignore[no-untyped-def]
    """exp of a float32 in [-87, 0], to 2 ulp: 2^n times a polynomial (Cephes expf), without a branch."""
    n = np.floor(x * LOG2E + np.float32(0.5))
    r = x - n * LN2_HIGH - n * LN2_LOW
    p = np.float32(1.9875691500e-4)
    p = p * r + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + np.float32(5.0000001201e-1)
    p = p * (r * r) + r + np.float32(1.0)
    return p * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)


@njit(
    "void(float32[:,::1], int32[::1], float32[:,::1])", cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"}
)
def log_sum_exp_rows(logits, offsets, out):  # type: ignore[no-untyped-def]
    """For each pdf, reduce its rows of ``logits`` (num_gaussians, num_frames) into ``out`` (num_frames, num_pdfs).

    Rows ``offsets[p]`` to ``offsets[p + 1]`` belong to pdf p. Frames run along the contiguous axis, so that maximum,
    exponential and sum are vector instructions. A pdf without Gaussians gives -inf. Terms more than 87 nats below the
    largest add e^-87 of it, less than float32 can see.
    """
    num_frames = logits.shape[1]
    largest = np.empty(num_frames, dtype=np.float32)
    total = np.empty(num_frames, dtype=np.float32)
    for p in range(offsets.shape[0] - 1):
        first, last = offsets[p], offsets[p + 1]
        if last - first == 1:
            for t in range(num_frames):
                out[t, p] = logits[first, t]
            continue
        for t in range(num_frames):
            largest[t] = np.float32(-np.inf)
            total[t] = np.float32(0.0)
        for g in range(first, last):
            for t in range(num_frames):
                largest[t] = max(largest[t], logits[g, t])
        for g in range(first, last):
            for t in range(num_frames):
                total[t] += _exp(max(logits[g, t] - largest[t], LOWEST))
        for t in range(num_frames):
            if largest[t] == -np.inf:
                out[t, p] = largest[t]
            else:
                out[t, p] = largest[t] + np.log(total[t])


@njit(
    types.float64(
        _ROWS, _ROWS, _ROWS, _FLOAT64, _INT32, _INT32, _FLOAT32,
        types.float64[::1], types.float64[:, ::1], types.float64[:, ::1],
    ),
    cache=True,
    nogil=True,
    fastmath={"contract", "reassoc"},
)  # fmt: skip
def mixture_sums(  # type: ignore[no-untyped-def]
    features, means, precisions, constants, offsets, pdf_ids, weights, occupancy, first, second
):
    """Add up posteriors, and posteriors times x and x², of the Gaussians of each frame's pdf; return the loglike.

    ``constants`` is the log density at the mean, mixture weight included. Distances are float32, sums float64, in the
    order of the frames.
    """
    dim = features.shape[1]
    widest = 1
    for p in range(offsets.shape[0] - 1):
        widest = max(widest, offsets[p + 1] - offsets[p])
    posteriors = np.empty(widest)
    loglike = 0.0
    for t in range(features.shape[0]):
        begin, end = offsets[pdf_ids[t]], offsets[pdf_ids[t] + 1]
        largest = -np.inf
        for g in range(begin, end):
            distance = np.float32(0.0)
            for d in range(dim):
                apart = features[t, d] - means[g, d]
                distance += apart * apart * precisions[g, d]
            posteriors[g - begin] = constants[g] - 0.5 * distance
            largest = max(largest, posteriors[g - begin])
        total = 0.0
        for k in range(end - begin):
            posteriors[k] = math.exp(posteriors[k] - largest)
            total += posteriors[k]
        loglike += weights[t] * (largest + math.log(total))
        for g in range(begin, end):
            posterior = posteriors[g - begin] * (weights[t] / total)
            if posterior == 0.0:
                continue
            occupancy[g] += posterior
            for d in range(dim):
                x = np.float64(features[t, d])
                first[g, d] += posterior * x
                second[g, d] += posterior * (x * x)
    return loglike


@njit(
    types.void(_ROWS, _ROWS, _ROWS, _FLOAT64, _INT32, _INT32, _INT32, types.float32[::1]),
    cache=True,
    nogil=True,
    fastmath={"contract", "reassoc"},
)
def pair_loglikes(features, means, precisions, constants, offsets, frame_index, pdf_ids, out):  # type: ignore[no-untyped-def]
    """Fill in the log-likelihood of frame ``frame_index[n]`` under pdf ``pdf_ids[n]``.

    ``constants`` is the log density at the mean, mixture weight included.
    """
    dim = features.shape[1]
    for n in range(len(frame_index)):
        t = frame_index[n]
        largest = -np.inf
        total = 0.0
        for g in range(offsets[pdf_ids[n]], offsets[pdf_ids[n] + 1]):
            distance = np.float32(0.0)
            for d in range(dim):
                apart = features[t, d] - means[g, d]
                distance += apart * apart * precisions[g, d]
            score = constants[g] - 0.5 * distance
            if score > largest:
                total = total * math.exp(largest - score) + 1.0
                largest = score
            elif score > -np.inf:
                total += math.exp(score - largest)
        out[n] = largest + math.log(total) if total > 0.0 else -np.inf
