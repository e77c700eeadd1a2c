"""Top-down clustering of phones by what they sound like: the source of automatic questions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asrkit.hmm.tree_stats import Sums, gaussian_loglikes


def cluster_top_down(table: Sums, variance_floor: float) -> list[frozenset[int]]:
    """Split points in two, and again, down to single ones; return the points of every node of that tree.

    Parameters
    ----------
    table : float64, shape (n, 1 + 2 * dim)
        Count, sum and sum of squares of the frames of each point; counts above 0.
    variance_floor : float
        Least variance of the Gaussian of a cluster.

    Returns
    -------
    list of frozenset of int
        0-based rows of ``table``, the largest node first; all of them, and every single one, are among them.

    Notes
    -----
    Kaldi's cluster-phones (TreeCluster with two branches) begins k-means with a random assignment; here the best cut
    along any one dimension is the beginning, and single points move while the likelihood rises.
    """
    nodes = {frozenset([point]) for point in range(len(table))}
    pending = [np.arange(len(table))]
    while pending:
        points = pending.pop()
        nodes.add(frozenset(points.tolist()))
        if len(points) > 1:
            side = split_in_two(table[points], variance_floor)
            pending += [points[side], points[~side]]
    return sorted((node for node in nodes if node), key=lambda node: (-len(node), sorted(node)))


def split_in_two(table: Sums, variance_floor: float) -> NDArray[np.bool_]:
    """Return the side of each of at least two points (n,): a split in two that no move of a single point betters."""
    side = _best_cut(table, variance_floor)
    total = table.sum(axis=0)
    best = _both(table[side].sum(axis=0), total, variance_floor)
    while True:  # an empty side is never better, so both keep a point
        signs = np.where(side, -1.0, 1.0)[:, None]
        moved = _both(table[side].sum(axis=0) + signs * table, total, variance_floor)
        choice = int(np.argmax(moved))
        if not moved[choice] > best + 1e-9 * abs(best):
            return side
        side[choice] = not side[choice]
        best = moved[choice]


def _best_cut(table: Sums, variance_floor: float) -> NDArray[np.bool_]:
    """Sort the points by their mean in each dimension in turn, and cut where the likelihood is highest."""
    dim = (table.shape[1] - 1) // 2
    means = table[:, 1 : 1 + dim] / table[:, :1]
    total = table.sum(axis=0)
    best, side = -np.inf, np.zeros(len(table), dtype=np.bool_)
    for column in range(dim):
        order = np.argsort(means[:, column], kind="stable")
        scores = _both(np.cumsum(table[order[:-1]], axis=0), total, variance_floor)
        cut = int(np.argmax(scores))
        if scores[cut] > best:
            best = scores[cut]
            side[:] = False
            side[order[: cut + 1]] = True
    return side


def _both(part: Sums, total: Sums, variance_floor: float) -> Sums:
    """Return the log-likelihood of a part and of the rest, each under its own Gaussian."""
    return gaussian_loglikes(part, variance_floor) + gaussian_loglikes(total - part, variance_floor)
