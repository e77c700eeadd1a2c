"""How many random patterns a Hopfield network holds: near 0.138 N by Hebb (Amit, Gutfreund & Sompolinsky 1985)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.core.streams import random_stream
from asrkit.nnet.energy.hopfield import HopfieldNetwork
from asrkit.nnet.energy.hopfield_config import CapacityConfig


@dataclass(frozen=True)
class LoadResult:
    """What networks of a size hold at a load.

    Attributes
    ----------
    units, patterns : int
    recalled : float
        Share of the cues whose pattern was recalled: an overlap of at least ``CapacityConfig.overlap``.
    exact : float
        Share of those whose every unit was.
    overlap : float
        Mean product of the units of what was recalled and of the pattern.
    """

    units: int
    patterns: int
    recalled: float
    exact: float
    overlap: float

    @property
    def load(self) -> float:
        """Patterns a unit."""
        return self.patterns / self.units


def measure_load(size_and_load: tuple[int, float], config: CapacityConfig, seed: int) -> LoadResult:
    """Store random patterns in networks, and ask for some of them."""
    units, load = size_and_load
    count = max(1, round(load * units))
    overlaps = []
    for number in range(config.networks):
        stream = random_stream(seed, "hopfield capacity", f"{units} {count} {number}")
        patterns = np.where(stream.random((count, units)) < 0.5, -1.0, 1.0)
        outer = config.rule == "outer"
        network = HopfieldNetwork.outer_product(patterns) if outer else HopfieldNetwork.pseudo_inverse(patterns)
        asked = patterns[: config.cues]
        found = network.recall(add_noise(asked, config.noise, stream), config.recall, stream)
        overlaps.append((found.states * asked).mean(axis=1))
    each = np.concatenate(overlaps)
    return LoadResult(
        units,
        count,
        float((each >= config.overlap).mean()),
        float((each == 1).mean()),
        float(each.mean()),
    )


def add_noise(patterns: NDArray[np.float64], share: float, stream: np.random.Generator) -> NDArray[np.float64]:
    """Return patterns (M, N) with ``round(share * N)`` units of each turned round."""
    noisy = patterns.copy()
    for row in noisy:
        row[stream.permutation(len(row))[: round(share * len(row))]] *= -1
    return noisy


def half_load(results: Sequence[LoadResult]) -> float | None:
    """Return the load at which half of the cues are recalled, between the two loads around it; None beyond them."""
    rows = sorted(results, key=lambda one: one.load)
    for low, high in itertools.pairwise(rows):
        if low.recalled >= 0.5 > high.recalled:
            return low.load + (high.load - low.load) * (low.recalled - 0.5) / (low.recalled - high.recalled)
    return None
