"""The log energy of a frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asrkit.features.config import FrontEndConfig


def log_energy(energies: NDArray[np.float32], config: FrontEndConfig) -> NDArray[np.float32]:
    """Return the natural log of frame energies, floored by ``energy_floor`` and ``frame_energy_floor``.

    Parameters
    ----------
    energies : (n,) float32
        Sums of squares, >= 0.

    Returns
    -------
    (n,) float32
    """
    floor = max(config.energy_floor, config.frame_energy_floor)
    floored: NDArray[np.float32] = np.maximum(energies, np.float32(floor))
    return np.log(floored, out=floored)
