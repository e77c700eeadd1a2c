"""Planted speech: voices of harmonics in noise, at known times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RATE = 16000
BURSTS = ((1.0, 2.5), (3.5, 5.5), (7.0, 8.0))
Samples = NDArray[np.float32]


def vowels(secs: float, seed: int, level: float = 2000.0) -> Samples:
    """Harmonics of a moving pitch with a level that rises and falls as syllables do."""
    stream = np.random.default_rng(seed)
    t = np.arange(round(secs * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(120 + 20 * np.sin(2 * np.pi * 0.7 * t)) / RATE
    voice = sum(np.cos(k * phase + stream.uniform(0, 6)) / k for k in range(1, 30))
    return np.asarray(level * voice * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * t)), dtype=np.float32)


def planted(
    noise: float, seed: int = 1, secs: float = 9.0, bursts: Sequence[tuple[float, float]] = BURSTS
) -> tuple[Samples, NDArray[np.bool_]]:
    """Bursts of voice in noise of a level; and, for each frame, whether its centre is voice."""
    num_samples = round(secs * RATE)
    samples = (noise * np.random.default_rng(seed).standard_normal(num_samples)).astype(np.float32)
    labels = np.zeros(num_samples, dtype=bool)
    for number, (start, end) in enumerate(bursts):
        first, last = round(start * RATE), round(end * RATE)
        samples[first:last] += vowels(end - start, seed + number)[: last - first]
        labels[first:last] = True
    return samples, labels[200 :: RATE // 100]
