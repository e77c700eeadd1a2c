"""The modern Hopfield network of continuous states (Ramsauer et al. 2020, "Hopfield Networks is All You Need")."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import DataError
from asrkit.nnet.energy.hopfield import Recall
from asrkit.nnet.energy.hopfield_config import RecallConfig

STEADY = 1e-9
"""Largest change of any unit by which a state counts as settled."""


class ModernHopfieldNetwork:
    """Patterns that a state is drawn to by a softmax over its products with them; an update is attention.

    Its energy (eq. 2) is ``E(ξ) = -1/β log Σ_i exp(β x_iᵀ ξ) + ½ ξᵀ ξ + 1/β log M + ½ max ‖x_i‖²``, at least zero; the
    update (eq. 3) ``ξ ← Xᵀ softmax(β X ξ)`` never raises it.

    Parameters
    ----------
    patterns : (M, N) float64
        Any real values.
    beta : float, optional
        By default ``1 / √N``, as in attention.
    """

    def __init__(self, patterns: NDArray[np.generic], beta: float | None = None) -> None:
        self.patterns = np.ascontiguousarray(patterns, dtype=np.float64)
        if self.patterns.ndim != 2 or not self.patterns.size or not np.isfinite(self.patterns).all():
            raise DataError(f"expected finite patterns as rows, found an array of shape {self.patterns.shape}")
        self.beta = self.num_units**-0.5 if beta is None else beta

    @property
    def num_units(self) -> int:
        """N."""
        return int(self.patterns.shape[1])

    def energy(self, states: NDArray[np.generic]) -> NDArray[np.float64]:
        """Return the energy of states (B, N), (B,) float64."""
        values = np.asarray(states, dtype=np.float64)
        products = self.beta * (values @ self.patterns.T)
        largest = products.max(axis=1)
        log_sum = largest + np.log(np.exp(products - largest[:, None]).sum(axis=1))
        constant = np.log(len(self.patterns)) / self.beta + (self.patterns**2).sum(axis=1).max() / 2
        return np.asarray(-log_sum / self.beta + (values**2).sum(axis=1) / 2 + constant)

    def update(self, states: NDArray[np.generic]) -> NDArray[np.float64]:
        """Return the states (B, N) that follow."""
        products = self.beta * (np.asarray(states, dtype=np.float64) @ self.patterns.T)
        shares = np.exp(products - products.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        return np.asarray(shares @ self.patterns)

    def recall(self, states: NDArray[np.generic], config: RecallConfig) -> Recall:
        """Update states (B, N) until they are steady, and return their signs; a unit of exactly 0 counts as 1."""
        values = np.array(states, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != self.num_units:
            raise DataError(f"states of shape {values.shape}, and a network of {self.num_units} units")
        sweeps, settled = np.zeros(len(values), dtype=np.int64), np.zeros(len(values), dtype=bool)
        for _ in range(config.max_sweeps):
            going = ~settled
            if not going.any():
                break
            new = self.update(values[going])
            settled[going] = np.abs(new - values[going]).max(axis=1) <= STEADY
            values[going] = new
            sweeps[going] += 1
        return Recall(np.where(values < 0, -1.0, 1.0), sweeps, settled, np.zeros(len(values), dtype=bool))
