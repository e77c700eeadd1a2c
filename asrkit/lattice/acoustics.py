"""The acoustic costs of a lattice's arcs, computed anew: by another model, or for inputs otherwise adapted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ModelError
from asrkit.lattice.lattice import IntArray, Lattice


def frames_of_tids(lattice: Lattice) -> IntArray:
    """Return the frame (0-based) at which each of ``lattice.tids`` stands, int32."""
    within = np.arange(len(lattice.tids)) - np.repeat(lattice.tid_offsets[:-1], lattice.num_tids)
    frames: IntArray = (np.repeat(lattice.state_frames[lattice.sources], lattice.num_tids) + within).astype(np.int32)
    return frames


def rescored(lattice: Lattice, loglikes: NDArray[np.float32]) -> Lattice:
    """Return the lattice with acoustic costs of these log-likelihoods (Kaldi's gmm-rescore-lattice).

    Parameters
    ----------
    loglikes : float32, shape (len(lattice.tids),)
        Of each of ``lattice.tids`` at its frame (see :func:`frames_of_tids`), natural log, not scaled, finite.

    Raises
    ------
    ModelError
        There are more or fewer of them, or a path is impossible.
    """
    if loglikes.shape != lattice.tids.shape:
        raise ModelError(f"a lattice of {len(lattice.tids)} transition_ids, and {len(loglikes)} log-likelihoods")
    if not np.isfinite(loglikes).all():
        raise ModelError("a path of the lattice has no likelihood", remedy="are there NaN or infinite features?")
    spans = lattice.num_tids > 0
    costs = np.zeros(lattice.num_arcs)
    if spans.any():
        costs[spans] = np.add.reduceat(-loglikes.astype(np.float64), lattice.tid_offsets[:-1][spans])
    return replace(lattice, acoustic_costs=costs, final_acoustic_costs=np.where(lattice.is_final, 0.0, np.inf))
