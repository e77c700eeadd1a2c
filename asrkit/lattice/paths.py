"""The best path of a lattice, and the best paths with distinct words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError
from asrkit.lattice.lattice import Lattice, LatticeScales

_FIRST_BEAM = 8.0
"""Weighed cost above the best path's within which n-best lists are sought first; doubled until they are full."""
_UNSCALED = LatticeScales()


@dataclass(frozen=True, eq=False)
class LatticePath:
    """A complete path through a lattice; costs are negative natural logs.

    Attributes
    ----------
    words : tuple of int
        Word ids, 1-based.
    graph_cost, acoustic_cost : float
        Unscaled, without word insertion penalties.
    cost : float
        Weighed by the scales that it was sought with, word insertion penalties included.
    transition_ids : (num_frames,) int32
        The alignment; 1-based.
    word_frames : tuple of int
        For each word the frame, 0-based, at which the arc with it begins. A determinised lattice holds a word on an
        arc that need not begin where the word does; see :mod:`asrkit.decode.times`.
    """

    words: tuple[int, ...]
    graph_cost: float
    acoustic_cost: float
    cost: float
    transition_ids: NDArray[np.int32]
    word_frames: tuple[int, ...]


def best_path(lattice: Lattice, scales: LatticeScales = _UNSCALED) -> LatticePath:
    """Return the path of least weighed cost; of equally good ones, one that ends early or takes the first arc."""
    from asrkit.lattice.path_kernels import costs_to_end

    costs = (lattice.arc_costs(scales), lattice.final_costs(scales))
    to_end, by = costs_to_end(lattice.offsets, lattice.destinations, *costs)
    arcs: list[int] = []
    state = 0
    while by[state] >= 0:
        arcs.append(int(by[state]))
        state = int(lattice.destinations[arcs[-1]])
    return _along(lattice, np.array(arcs, dtype=np.int64), float(to_end[0]))


def n_best(lattice: Lattice, num_paths: int, scales: LatticeScales = _UNSCALED) -> list[LatticePath]:
    """Return the best paths with distinct word sequences, by ascending weighed cost.

    Exact: the word sequences are those whose best paths are best, each with its best path. Works on any lattice,
    determinised or not. Fewer are returned where the lattice has no more word sequences.

    Parameters
    ----------
    num_paths : int
        How many at most, 1 or more.

    Notes
    -----
    A* search over word sequences, each with the set of states it leads to, as in determinisation on the fly; the
    cost still to come is known exactly from a backward pass, so that only prefixes of returned sequences are ever
    opened: at most ``num_paths`` times the length of one. What no path within a beam goes through is left out; the
    beam is widened until the list is full or nothing was left out.
    """
    from asrkit.lattice.path_kernels import best_sequences, costs_to_end

    if num_paths < 1:
        raise ConfigError(f"{num_paths} paths asked for, expected 1 or more")
    arc_costs, final_costs = lattice.arc_costs(scales), lattice.final_costs(scales)
    to_end, _ = costs_to_end(lattice.offsets, lattice.destinations, arc_costs, final_costs)
    arrays = (lattice.offsets, lattice.sources, lattice.words, lattice.destinations, arc_costs, final_costs, to_end)
    beam = _FIRST_BEAM
    while True:
        # What lies on the best path itself must not fall to rounding.
        limit = float(to_end[0]) + beam + 1e-9 * abs(float(to_end[0]))
        arcs, ends, costs, cut = best_sequences(*arrays, limit, num_paths)
        if len(costs) == num_paths or not cut:
            return [_along(lattice, path[::-1], cost) for path, cost in zip(np.split(arcs, ends[:-1]), costs.tolist())]
        beam *= 2


def _along(lattice: Lattice, arcs: NDArray[np.int64], cost: float) -> LatticePath:
    """Return the path of these arcs."""
    words, lengths = lattice.words[arcs], lattice.num_tids[arcs]
    begins = np.cumsum(lengths) - lengths
    final_state = lattice.destinations[arcs[-1]] if len(arcs) else 0
    within = np.arange(int(lengths.sum())) - np.repeat(begins, lengths)
    return LatticePath(
        tuple(words[words != 0].tolist()),
        float(lattice.graph_costs[arcs].sum() + lattice.final_graph_costs[final_state]),
        float(lattice.acoustic_costs[arcs].sum() + lattice.final_acoustic_costs[final_state]),
        cost,
        lattice.tids[np.repeat(lattice.tid_offsets[arcs], lengths) + within],
        tuple(begins[words != 0].tolist()),
    )
