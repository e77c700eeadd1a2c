"""Numba kernels of the GMM room: log-sum-exp over the Gaussians of a pdf, many frames at once."""

from __future__ import annotations

import numpy as np
from numba import njit

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
