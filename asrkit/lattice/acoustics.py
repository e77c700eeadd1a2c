"""The acoustic costs of a lattice's arcs, computed anew: by another model, or for inputs otherwise adapted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ModelError
from asrkit.lattice.lattice import IntArray, Lattice


def frames_of_tids(lattice: Lattice) -> IntArray:
    """Return the frame (0-based) at which each of ``lattice.tids`` stands, int32."""
    within = np.arange(len(lattice.tids)) - np.repeat(lattice.tid_offsets[:-1], lattice.num_tids)
    frames: IntArray = (np.repeat(lattice.state_frames[lattice.sources], lattice.num_tids) + within).astype(np.int32)
    return frames


def rescored(lattice: Lattice, loglikes: NDArray[np.float32], columns: NDArray[np.integer[Any]]) -> Lattice:
    """Return the lattice with acoustic costs of these log-likelihoods (Kaldi's gmm-rescore-lattice).

    Parameters
    ----------
    loglikes : float32, shape (num_frames, n)
        Natural log, not scaled; finite wherever a path of the lattice passes.
    columns : int, shape (num_transition_ids + 1,)
        Column of ``loglikes`` that each transition_id emits with.

    Raises
    ------
    ModelError
        Lattice and log-likelihoods have different numbers of frames, or a path is impossible.
    """
    if len(loglikes) != lattice.num_frames:
        raise ModelError(f"a lattice of {lattice.num_frames} frames, and log-likelihoods of {len(loglikes)}")
    costs = -loglikes[frames_of_tids(lattice), columns[lattice.tids]].astype(np.float64)
    if not np.isfinite(costs).all():
        raise ModelError("a path of the lattice has no likelihood", remedy="are there NaN or infinite features?")
    spans = lattice.num_tids > 0
    acoustic = np.zeros(lattice.num_arcs)
    if len(costs):
        acoustic[spans] = np.add.reduceat(costs, lattice.tid_offsets[:-1][spans])
    finals = np.where(lattice.is_final, 0.0, np.inf)
    return replace(lattice, acoustic_costs=acoustic, final_acoustic_costs=finals)
