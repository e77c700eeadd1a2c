"""The raw form of a lattice: no arc spans more than one frame."""

from __future__ import annotations

import numpy as np

from asrkit.lattice.lattice import Lattice, build_lattice


def raw_form(lattice: Lattice) -> Lattice:
    """Return the same paths with at most one transition_id an arc.

    An arc of several frames becomes a chain of arcs; its word and its costs stand on the first of them (as Kaldi's
    ConvertLattice has it). A lattice that is raw already is returned as it is.
    """
    lengths = lattice.num_tids
    if lengths.max(initial=0) <= 1:
        return lattice
    links = np.maximum(lengths, 1)
    first = np.concatenate([[0], np.cumsum(links)])
    is_first = np.zeros(first[-1], dtype=bool)
    is_first[first[:-1]] = True
    # Between the links of a chain stand new states, numbered behind the old ones.
    sources = np.repeat(lattice.sources, links)
    destinations = np.repeat(lattice.destinations, links)
    inner = lattice.num_states + np.arange(first[-1] - lattice.num_arcs, dtype=np.int32)
    sources[~is_first] = inner
    is_last = np.zeros_like(is_first)
    is_last[first[1:] - 1] = True
    destinations[~is_last] = inner
    num_states = lattice.num_states + len(inner)
    ends = np.full((2, num_states), np.inf)
    ends[0, : lattice.num_states], ends[1, : lattice.num_states] = (
        lattice.final_graph_costs,
        lattice.final_acoustic_costs,
    )
    repeated = np.repeat(np.arange(lattice.num_arcs), links)
    return build_lattice(
        0,
        sources,
        destinations,
        np.where(is_first, lattice.words[repeated], 0).astype(np.int32),
        np.where(is_first, lattice.graph_costs[repeated], 0.0),
        np.where(is_first, lattice.acoustic_costs[repeated], 0.0),
        np.concatenate([[0], np.cumsum(lengths[repeated] > 0)]).astype(np.int32),
        lattice.tids,
        ends[0],
        ends[1],
    )
