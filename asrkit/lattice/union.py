"""The lattices that several systems made of one utterance, as one: system combination by minimum Bayes risk.

Xu, Povey, Mangu and Zhu (Computer Speech and Language 25, 2011), section 5, and Kaldi's ``lattice-combine``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from asrkit.core.errors import ConfigError
from asrkit.lattice.forward_backward import forward_backward
from asrkit.lattice.lattice import Lattice, LatticeScales


def union(lattices: Sequence[Lattice], scales: Sequence[LatticeScales], shares: Sequence[float]) -> Lattice:
    """Return a lattice of all paths of several, in which those of each have a given probability together.

    Costs are weighed already, each lattice's by scales of its own, and stand as graph costs: the scales of the result
    are those of ``LatticeScales()``, under which its total log probability is 0. Transition_ids are each system's own.

    Parameters
    ----------
    lattices : sequence of Lattice
        With word ids of one table.
    scales : sequence of LatticeScales
        Of each.
    shares : sequence of float
        Of each, above 0; they sum to 1.

    Raises
    ------
    ConfigError
        A share is not above 0.
    """
    if min(shares) <= 0:
        raise ConfigError(f"a lattice of weight {min(shares):g} in a union, expected weights above 0")
    entries, arc_costs, final_costs, offsets, destinations = [], [], [], [], []
    state, arc = 1, len(lattices)
    for lattice, own, share in zip(lattices, scales, shares, strict=True):
        entries.append((state, forward_backward(lattice, own).total_logprob - math.log(share)))
        arc_costs.append(lattice.arc_costs(own))
        final_costs.append(lattice.final_costs(own))
        offsets.append(lattice.offsets[:-1] + arc)
        destinations.append(lattice.destinations + state)
        state, arc = state + lattice.num_states, arc + lattice.num_arcs
    starts, costs = (np.array(column) for column in zip(*entries))
    no_tids = np.zeros(len(lattices) + 1, dtype=np.int64)
    tid_offsets = np.cumsum(np.concatenate([no_tids, *(lattice.num_tids for lattice in lattices)]))
    ends = np.concatenate([[np.inf], *final_costs])
    return Lattice(
        offsets=np.concatenate([[0], *offsets, [arc]]).astype(np.int32),
        words=np.concatenate([np.zeros(len(lattices)), *(lattice.words for lattice in lattices)]).astype(np.int32),
        destinations=np.concatenate([starts, *destinations]).astype(np.int32),
        graph_costs=np.concatenate([costs, *arc_costs]),
        acoustic_costs=np.zeros(arc),
        tid_offsets=tid_offsets.astype(np.int32),
        tids=np.concatenate([lattice.tids for lattice in lattices]).astype(np.int32),
        final_graph_costs=ends,
        final_acoustic_costs=np.where(np.isfinite(ends), 0.0, np.inf),
    )
