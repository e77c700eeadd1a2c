"""Determinisation: one path for each word sequence, the best one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asrkit.core.errors import ConfigError, DataError
from asrkit.lattice import determinise_kernels as kernels
from asrkit.lattice.lattice import Lattice, LatticeScales, build_lattice
from asrkit.lattice.path_kernels import costs_to_end

_MOST_ROOM = 1 << 22
"""Strings or subsets at most: about 1 GB."""
_LEAST_BEAM = 1e-3


@dataclass(frozen=True)
class Determinised:
    """A determinised lattice.

    Attributes
    ----------
    lattice : Lattice
        For each word sequence one path.
    beam : float
        Word sequences whose best path costs at most this more than the best of all are complete: the beam that was
        asked for, or less where it would have made too many arcs or taken too much memory.
    """

    lattice: Lattice
    beam: float


def determinise(lattice: Lattice, scales: LatticeScales, beam: float, max_arcs: int = 200_000) -> Determinised:
    """Keep for each word sequence its best path, with its costs and alignment.

    Weighted determinisation of a word acceptor with residual costs and strings, epsilon arcs removed on the way,
    best paths first (Povey et al. 2012, "Generating exact lattices in the WFST framework", section 4.3; Kaldi's
    DeterminizeLatticePruned). Word sequences that share a history share its states.

    Parameters
    ----------
    lattice : Lattice
        Any.
    scales : LatticeScales
        What "best" means. The costs of the result are unscaled like those of ``lattice``.
    beam : float
        Word sequences that cost at most this more than the best one are kept; some others may be too.
    max_arcs : int
        Stop at this number of arcs. Where memory ends before, the beam is halved.

    Raises
    ------
    ConfigError
        ``beam`` is negative or NaN.
    DataError
        The lattice is too large for any beam.
    """
    if not beam >= 0:
        raise ConfigError(f"the beam of the determinisation is {beam}, expected a number of 0 or more")
    costs, final_costs = lattice.arc_costs(scales), lattice.final_costs(scales)
    backward, _ = costs_to_end(lattice.offsets, lattice.destinations, costs, final_costs)
    source = kernels.Source(
        *(lattice.offsets, lattice.words, lattice.destinations, costs, lattice.graph_costs, lattice.acoustic_costs),
        *(lattice.tid_offsets, lattice.tids, final_costs, lattice.final_graph_costs, lattice.final_acoustic_costs),
        backward,
    )
    first_room = room = 1 << max(12, int(np.ceil(np.log2(2 * lattice.num_arcs + 1))))
    while True:
        trie, output = _trie(room), _output(room)
        work = _work(lattice.num_states, max(lattice.num_frames, 1))
        status, reached = kernels.determinise_arrays(
            source, trie, work, _subsets(room), _subsets(room), output, float(beam), max_arcs
        )
        if status == kernels.DONE:
            return Determinised(_lattice(trie, output), float(reached))
        room *= 4
        if room > max(_MOST_ROOM, first_room):
            room, beam = first_room, beam / 2
        if beam < _LEAST_BEAM:
            raise DataError(
                f"a lattice of {lattice.num_arcs} arcs is too large to be determinised", remedy="lower the lattice beam"
            )


def _lattice(trie: kernels.Trie, output: kernels.Output) -> Lattice:
    arcs = output.arcs[: output.counts[kernels.ARCS]]
    ends = arcs[:, 1] < 0
    behind, lengths = kernels.strings_behind(output, trie)
    after = output.after[arcs[:, 1]]
    costs = output.costs[: len(arcs)] + np.where(ends[:, None], 0.0, output.after_costs[arcs[:, 1]])
    end = int(max(arcs[:, 0].max(), after[:, 0].max(where=~ends, initial=0))) + 1
    # A way to end without transition_ids is a final cost.
    at_once = ends & (lengths == 0)
    final = np.full((2, end + 1), np.inf)
    final[:, end] = 0.0
    final[:, arcs[at_once, 0]] = costs[at_once].T
    # What is behind the limit of arcs was not made.
    kept = ~at_once & (ends | (after[:, 0] >= 0))
    offsets = np.concatenate([[0], np.cumsum(lengths[kept])])
    tids = np.empty(offsets[-1], dtype=np.int32)
    kernels.write_strings(trie, arcs[kept, 3], behind[kept], offsets[1:], tids)
    return build_lattice(
        start=0,
        sources=arcs[kept, 0],
        destinations=np.where(ends, end, after[:, 0])[kept].astype(np.int32),
        words=arcs[kept, 2],
        graph_costs=costs[kept, 0],
        acoustic_costs=costs[kept, 1],
        tid_offsets=offsets.astype(np.int32),
        tids=tids,
        final_graph_costs=final[0],
        final_acoustic_costs=final[1],
    )


def _trie(room: int) -> kernels.Trie:
    return kernels.Trie(
        parent=np.empty(room, dtype=np.int32),
        label=np.empty(room, dtype=np.int32),
        depth=np.empty(room, dtype=np.int32),
        table=np.full(2 * room, -1, dtype=np.int32),
        counts=np.zeros(1, dtype=np.int64),
    )


def _subsets(room: int) -> kernels.Subsets:
    return kernels.Subsets(
        first=np.zeros(room + 1, dtype=np.int64),
        state=np.empty(room, dtype=np.int32),
        string=np.empty(room, dtype=np.int32),
        residual=np.empty((room, 3)),
        table=np.full(2 * room, -1, dtype=np.int32),
        counts=np.zeros(2, dtype=np.int64),
    )


def _output(room: int) -> kernels.Output:
    return kernels.Output(
        arcs=np.empty((room, 4), dtype=np.int32),
        costs=np.empty((room, 2)),
        forward=np.empty(room),
        completion=np.empty(room),
        after=np.empty((room, 2), dtype=np.int32),
        after_costs=np.empty((room, 2)),
        queue=np.empty(room, dtype=np.int32),
        queue_cost=np.empty(room),
        counts=np.zeros(2, dtype=np.int64),
    )


def _work(num_states: int, num_frames: int) -> kernels.Work:
    return kernels.Work(
        state=np.empty(num_states, dtype=np.int32),
        string=np.empty(num_states, dtype=np.int32),
        residual=np.empty((num_states, 3)),
        place=np.full(num_states, -1, dtype=np.int32),
        heap=np.empty(num_states, dtype=np.int32),
        labels=np.empty(num_frames, dtype=np.int32),
    )
