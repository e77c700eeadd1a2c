"""Streams of the timing tasks: what the net is given, and what it is to answer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asrkit.nnet.timing.config import AnyTimingConfig, DelaysConfig, FunctionsConfig, SpikesConfig
from asrkit.nnet.timing.kernels import DELAYS, FUNCTIONS, SPIKES


def continual(config: AnyTimingConfig) -> bool:
    """Return whether streams are longer than an interval."""
    return not isinstance(config, DelaysConfig) or config.continual


def stream_kind(config: AnyTimingConfig) -> tuple[int, NDArray[np.float64], bool, float]:
    """Return kind, table, ``held`` and scale, as :func:`asrkit.nnet.timing.kernels.follow` takes them."""
    if isinstance(config, FunctionsConfig):
        return FUNCTIONS, function_table(config), False, 1.0
    kind = SPIKES if isinstance(config, SpikesConfig) else DELAYS
    return kind, np.zeros(config.period), isinstance(config, SpikesConfig) and config.held, config.scale


def function_table(config: FunctionsConfig) -> NDArray[np.float64]:
    """Return the function at the steps 1 to F of a period, (F,), from 0 to 1."""
    period = config.period
    t = np.arange(1, period + 1) % period
    if config.function == "cosine":
        return (1.0 - np.cos(2.0 * np.pi * t / period)) / 2.0
    if config.function == "triangle":
        return np.asarray(np.minimum(2.0 * t, 2.0 * (period - t)) / period)
    return np.asarray(2 * t > period, dtype=np.float64)


def draw_offsets(config: AnyTimingConfig, stream: np.random.Generator, number: int) -> NDArray[np.int64]:
    """Return I(n) of so many intervals, (number,) int64; zeros for functions."""
    if isinstance(config, FunctionsConfig):
        return np.zeros(number, dtype=np.int64)
    return np.asarray(config.offsets, dtype=np.int64)[stream.integers(len(config.offsets), size=number)]


def stream_arrays(
    config: AnyTimingConfig, offsets: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a stream of intervals as :func:`asrkit.nnet.timing.kernels.follow` goes through it.

    Returns
    -------
    inputs, targets : (T,)
        A target that is no number is none.
    """
    kind, table, held, scale = stream_kind(config)
    inputs, targets = [], []
    for offset in offsets:
        length = len(table) + int(offset)
        x, target = np.zeros(length), np.zeros(length)
        if kind == DELAYS:
            target[:] = np.nan
            x[-1], target[-1] = 1.0, scale * offset
        elif kind == SPIKES:
            x[: length if held else 1] = scale * offset
            target[-1] = 1.0
        else:
            target[:] = table
        inputs.append(x)
        targets.append(target)
    return np.concatenate(inputs), np.concatenate(targets)
