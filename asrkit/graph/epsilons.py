"""Removing epsilon arcs where that makes a graph smaller."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asrkit.graph.fst import FstArrays

MAX_ROUNDS = 20


def remove_epsilons_locally(fst: FstArrays) -> FstArrays:
    """Join arcs with the arc behind them where the number of arcs does not grow (after Kaldi's ``fstrmepslocal``).

    An arc is joined with the only arc (or final cost) of the state it enters, if between them they have at most
    one input and one output label. Paths keep their labels and costs. States that nothing enters any more stay;
    OpenFst's ``connect`` takes them out.

    The full removal of epsilons, which replaces every back-off arc by copies of all arcs behind it, would
    multiply the size of an n-gram graph.
    """
    for _ in range(MAX_ROUNDS):
        joined = _join_once(fst)
        if joined is None:
            break
        fst = joined
    return fst


def _join_once(fst: FstArrays) -> FstArrays | None:
    """Join every arc that can be, all at once; None when there was none."""
    num_arcs = np.diff(fst.arc_begin)
    is_final = np.isfinite(fst.final_cost)
    src = fst.sources()
    single = (num_arcs + is_final == 1)[fst.dst] & (src != fst.dst)
    behind = fst.arc_begin[fst.dst].clip(max=max(fst.num_arcs - 1, 0))
    to_arc = single & ~is_final[fst.dst] & (fst.dst[behind] != fst.dst)
    to_arc &= _at_most_one(fst.ilabel, fst.ilabel[behind]) & _at_most_one(fst.olabel, fst.olabel[behind])
    to_final = single & is_final[fst.dst] & (fst.ilabel == 0) & (fst.olabel == 0)
    if not to_arc.any() and not to_final.any():
        return None
    final = fst.final_cost.copy()
    np.minimum.at(final, src[to_final], fst.cost[to_final] + fst.final_cost[fst.dst[to_final]])
    keep = ~to_final
    return FstArrays.from_arcs(
        fst.start,
        final,
        src[keep],
        np.where(to_arc, fst.ilabel + fst.ilabel[behind], fst.ilabel)[keep],
        np.where(to_arc, fst.olabel + fst.olabel[behind], fst.olabel)[keep],
        np.where(to_arc, fst.cost + fst.cost[behind], fst.cost)[keep],
        np.where(to_arc, fst.dst[behind], fst.dst)[keep],
    )


def _at_most_one(first: NDArray[np.int32], second: NDArray[np.int32]) -> NDArray[np.bool_]:
    return (first == 0) | (second == 0)
