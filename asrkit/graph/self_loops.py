"""Self-loops, put into a graph last, when everything else is as small as it gets."""

from __future__ import annotations

import numpy as np

from asrkit.graph.fst import FstArrays
from asrkit.hmm.transitions import TransitionModel


def add_self_loops(fst: FstArrays, transitions: TransitionModel, self_loop_scale: float) -> FstArrays:
    """Return the graph with the self-loop of each HMM state behind the arc that leaves it.

    This is Kaldi's ``add-self-loops --reorder=true``: the state that an arc with transition_id t enters gets the
    self-loop of t's transition state, with weight ``self_loop_scale * log p``; its other arcs and its final
    weight are multiplied by ``self_loop_scale * log(1 - p)``. A state entered by arcs of different transition
    states, or by epsilons too, is first given one new state for each, with an epsilon arc to it.

    Parameters
    ----------
    fst : FstArrays
        Input labels are transition ids, none of which is a self-loop, or epsilon.
    """
    split = _separate(fst, transitions.self_loop_tid[fst.ilabel])
    del fst
    loop = np.zeros(split.num_states, dtype=np.int32)
    loop[split.dst] = transitions.self_loop_tid[split.ilabel]
    has_loop = np.flatnonzero(loop).astype(np.int32)
    stay = -self_loop_scale * transitions.log_probs
    leave = np.zeros(split.num_states, dtype=np.float32)
    leave[has_loop] = -self_loop_scale * transitions.non_self_loop_log_probs[loop[has_loop]]
    src = split.sources()
    return FstArrays.from_arcs(
        split.start,
        split.final_cost + leave,
        np.concatenate([src, has_loop]),
        np.concatenate([split.ilabel, loop[has_loop]]),
        np.concatenate([split.olabel, np.zeros(len(has_loop), dtype=np.int32)]),
        np.concatenate([split.cost + leave[src], stay[loop[has_loop]]]),
        np.concatenate([split.dst, has_loop]),
    )


def _separate(fst: FstArrays, loop_of_arc: np.ndarray) -> FstArrays:
    """Split states so that all arcs into one have the same self-loop (0 = none, as the start of the graph has)."""
    base = int(loop_of_arc.max(initial=0)) + 1
    keys = np.append(fst.dst.astype(np.int64) * base + loop_of_arc, fst.start * base)
    keys, inverse = np.unique(keys, return_inverse=True)
    state, loop = np.divmod(keys, base)
    several = np.bincount(state, minlength=fst.num_states)[state] > 1
    new = several & (loop > 0)
    place = state.astype(np.int32)
    place[new] = fst.num_states + np.arange(new.sum())
    zeros = np.zeros(int(new.sum()), dtype=np.int32)
    return FstArrays.from_arcs(
        fst.start,
        np.concatenate([fst.final_cost, np.full(len(zeros), np.inf, dtype=np.float32)]),
        np.concatenate([fst.sources(), place[new]]),
        np.concatenate([fst.ilabel, zeros]),
        np.concatenate([fst.olabel, zeros]),
        np.concatenate([fst.cost, zeros]),
        np.concatenate([place[inverse[:-1]], state[new]]),
    )
