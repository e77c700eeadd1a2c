"""The compiled inner loops of the front end; each gives a frame the same bits wherever it stands in a chunk."""

from __future__ import annotations

import numpy as np
from numba import njit

# Sums may be reordered (that is what lets them use vector registers); inf and NaN keep their meaning.
_FAST = {"reassoc", "contract"}


@njit(
    "void(float32[::1], int64, int64, float32[::1], float32, boolean, boolean, float32[:, ::1], float32[::1])",
    cache=True,
    nogil=True,
    fastmath=_FAST,
)
def window_frames(samples, start, shift, window, preemphasis, remove_dc, raw_energy, frames, energies):  # type: ignore[no-untyped-def]
    """Cut, centre, pre-emphasise and window consecutive frames.

    Writes ``frames[t, :length]`` for the frame that begins at ``samples[start + t * shift]`` and its energy (sum of
    squares after DC removal when ``raw_energy``, else after windowing); the rest of a row is left alone.
    """
    length = len(window)
    for t in range(len(energies)):
        first = start + t * shift
        frame = samples[first : first + length]
        row = frames[t]
        mean = np.float32(0.0)
        if remove_dc:
            for i in range(length):
                mean += frame[i]
            mean /= np.float32(length)
        energy = np.float32(0.0)
        if raw_energy:
            for i in range(length):
                value = frame[i] - mean
                energy += value * value
        row[0] = (frame[0] - mean) * (np.float32(1.0) - preemphasis) * window[0]
        for i in range(1, length):
            row[i] = ((frame[i] - mean) - preemphasis * (frame[i - 1] - mean)) * window[i]
        if not raw_energy:
            for i in range(length):
                energy += row[i] * row[i]
        energies[t] = energy


@njit("void(float32[:, ::1], float32[:, ::1])", cache=True, nogil=True, fastmath=_FAST)
def power_spectrum(spectrum, power):  # type: ignore[no-untyped-def]
    """Write ``power[t, k] = |X_k|**2`` from a complex spectrum seen as (n, 2 * bins) float32: re, im, re, im, ..."""
    for t in range(power.shape[0]):
        source = spectrum[t]
        row = power[t]
        for k in range(power.shape[1]):
            row[k] = source[2 * k] * source[2 * k] + source[2 * k + 1] * source[2 * k + 1]


@njit("void(float32[:, ::1], float32, float32[:, ::1], float32[::1])", cache=True, nogil=True)
def lpc_cepstra(autocorrelation, error_floor, cepstra, residual):  # type: ignore[no-untyped-def]
    """Durbin's recursion and the cepstrum of the all-pole model, frame by frame.

    Reads ``autocorrelation`` (n, order + 1); writes ``cepstra`` (n, order), the cepstra 1 .. order, and ``residual``
    (n,), the energy of the prediction error.
    """
    order = autocorrelation.shape[1] - 1
    lpc = np.zeros(order, dtype=np.float32)
    previous = np.zeros(order, dtype=np.float32)
    for t in range(autocorrelation.shape[0]):
        r = autocorrelation[t]
        error = r[0]
        for i in range(order):
            reflection = r[i + 1]
            for j in range(i):
                reflection += lpc[j] * r[i - j]
            reflection /= error
            error *= max(np.float32(1.0) - reflection * reflection, error_floor)
            for j in range(i):
                previous[j] = lpc[j]
            for j in range(i):
                lpc[j] = previous[j] - reflection * previous[i - j - 1]
            lpc[i] = -reflection
        residual[t] = error
        row = cepstra[t]
        for i in range(order):
            total = 0.0
            for j in range(i):
                total += (i - j) * lpc[j] * row[i - j - 1]
            row[i] = np.float32(-lpc[i] - total / (i + 1))
