"""Hopfield networks: patterns as the low points of an energy, into which a damaged one falls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import DataError
from asrkit.nnet.energy.hopfield_config import RecallConfig
from asrkit.nnet.energy.hopfield_kernels import sweep

States = NDArray[np.float64]
"""(B, N), each ±1."""


@dataclass(frozen=True, eq=False)
class Recall:
    """What states fell into.

    Attributes
    ----------
    states : (B, N) float64
        ±1.
    sweeps : (B,) int64
        Until nothing changed any more, that last one counted.
    settled : (B,) bool
        Nothing would change.
    cycles : (B,) bool
        Ended in a cycle of two states, as synchronous recall may; the rest ran out of sweeps.
    """

    states: States
    sweeps: NDArray[np.int64]
    settled: NDArray[np.bool_]
    cycles: NDArray[np.bool_]


class HopfieldNetwork:
    """N units of ±1 with symmetric weights and no threshold (Hopfield 1982).

    Its energy is ``E(s) = -½ sᵀ W s``; a unit takes the sign of its field ``W s``, and keeps its own where that is 0.

    Parameters
    ----------
    weights : (N, N) float64
        Symmetric; its diagonal zero, without which a unit would cling to what it is.
    """

    def __init__(self, weights: NDArray[np.float64]) -> None:
        self.weights = np.ascontiguousarray(weights, dtype=np.float64)

    @classmethod
    def outer_product(cls, patterns: NDArray[np.generic]) -> HopfieldNetwork:
        """Store patterns (M, N) by Hebb's rule, ``W = 1/N Σ ξ ξᵀ``."""
        values = _as_states(patterns)
        return cls(_without_diagonal(values.T @ values / values.shape[1]))

    @classmethod
    def pseudo_inverse(cls, patterns: NDArray[np.generic]) -> HopfieldNetwork:
        """Store patterns (M, N) by the projection onto them (Personnaz, Guyon & Dreyfus 1985).

        Each is a fixed point as long as they do not span the whole space, however alike they are.
        """
        values = _as_states(patterns)
        _, spread, axes = np.linalg.svd(values, full_matrices=False)
        axes = axes[spread > spread[0] * max(values.shape) * np.finfo(np.float64).eps]
        return cls(_without_diagonal(axes.T @ axes))

    @property
    def num_units(self) -> int:
        """N."""
        return len(self.weights)

    def energy(self, states: NDArray[np.generic]) -> NDArray[np.float64]:
        """Return the energy of states (B, N), (B,) float64."""
        values = _as_states(states)
        return np.asarray(-0.5 * ((values @ self.weights) * values).sum(axis=1))

    def recall(self, states: NDArray[np.generic], config: RecallConfig, stream: np.random.Generator) -> Recall:
        """Let states (B, N) fall, each until nothing changes, or for ``config.max_sweeps``.

        Parameters
        ----------
        stream : Generator
            Orders of the units; synchronous recall draws nothing.
        """
        values = _as_states(states).copy()
        if values.shape[1] != self.num_units:
            raise DataError(f"states of {values.shape[1]} units, and a network of {self.num_units}")
        if config.update == "synchronous":
            return self._together(values, config.max_sweeps)
        sweeps, settled = np.zeros(len(values), dtype=np.int64), np.zeros(len(values), dtype=bool)
        fields = values @ self.weights
        for number, (state, field) in enumerate(zip(values, fields)):
            while not settled[number] and sweeps[number] < config.max_sweeps:
                settled[number] = sweep(self.weights, state, field, stream.permutation(self.num_units)) == 0
                sweeps[number] += 1
        return Recall(values, sweeps, settled, np.zeros(len(values), dtype=bool))

    def _together(self, values: States, max_sweeps: int) -> Recall:
        """Update all units at once, until a state is its own successor or that of its successor."""
        sweeps, settled, cycles = np.zeros(len(values), dtype=np.int64), *np.zeros((2, len(values)), dtype=bool)
        before = np.zeros_like(values)  # no state
        for _ in range(max_sweeps):
            going = ~(settled | cycles)
            if not going.any():
                break
            fields = values[going] @ self.weights
            new = np.where(fields == 0, values[going], np.sign(fields))
            settled[going] = (new == values[going]).all(axis=1)
            cycles[going] = (new == before[going]).all(axis=1) & ~settled[going]
            before[going] = values[going]
            values[going] = new
            sweeps[going] += 1
        return Recall(values, sweeps, settled, cycles)


def _as_states(values: NDArray[np.generic]) -> States:
    states = np.asarray(values, dtype=np.float64)
    if states.ndim != 2 or not states.size or not (np.abs(states) == 1).all():
        raise DataError(f"expected patterns of -1 and 1 as rows, found an array of shape {states.shape}")
    return states


def _without_diagonal(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = (weights + weights.T) / 2
    np.fill_diagonal(weights, 0.0)
    return weights
