"""Leaf clustering: leaves that lose little by sharing a Gaussian become one."""

from __future__ import annotations

import numpy as np

from asrkit.hmm.tree_stats import Sums, gaussian_loglikes


def merge_leaves(table: Sums, max_loss: float, variance_floor: float) -> list[int]:
    """Merge the two clusters that lose least log-likelihood, again and again while it is below ``max_loss``.

    Parameters
    ----------
    table : float64, shape (n, 1 + 2 * dim)
        Count, sum and sum of squares of the frames of each leaf.

    Returns
    -------
    list of int
        For each leaf the 0-based number of its cluster's first leaf (Kaldi's ClusterBottomUp).
    """
    size = len(table)
    sums = table.copy()
    scores = gaussian_loglikes(sums, variance_floor)
    losses = np.full((size, size), np.inf)
    for leaf in range(size - 1):
        losses[leaf, leaf + 1 :] = _losses(sums, scores, leaf, variance_floor)[leaf + 1 :]
    cluster = list(range(size))
    while size > 1:
        first, second = (int(place) for place in np.unravel_index(np.argmin(losses), losses.shape))
        if not losses[first, second] < max_loss:
            break
        cluster = [first if number == second else number for number in cluster]
        sums[first] += sums[second]
        scores[first] = gaussian_loglikes(sums[first], variance_floor)
        losses[second, :] = losses[:, second] = np.inf
        alive = np.zeros(size, dtype=np.bool_)
        alive[[number for number in set(cluster) if number != first]] = True
        renewed = np.where(alive, _losses(sums, scores, first, variance_floor), np.inf)
        losses[first, first + 1 :] = renewed[first + 1 :]
        losses[:first, first] = renewed[:first]
    return cluster


def _losses(sums: Sums, scores: Sums, leaf: int, variance_floor: float) -> Sums:
    """Return what merging ``leaf`` with each would cost."""
    return scores + scores[leaf] - gaussian_loglikes(sums + sums[leaf], variance_floor)
