from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from asrkit.hmm.leaf_clustering import merge_leaves
from asrkit.hmm.tree_stats import gaussian_loglikes
from tests.hmm.test_phone_clustering import FLOOR, table_of


def naive(table: NDArray[np.float64], max_loss: float) -> list[int]:
    """Every pair of clusters again and again."""
    clusters = [[leaf] for leaf in range(len(table))]

    def loglike(leaves: list[int]) -> float:
        return float(gaussian_loglikes(table[leaves].sum(axis=0), FLOOR))

    while len(clusters) > 1:
        loss, a, b = min(
            (loglike(clusters[a]) + loglike(clusters[b]) - loglike(clusters[a] + clusters[b]), a, b)
            for a, b in itertools.combinations(range(len(clusters)), 2)
        )
        if not loss < max_loss:
            break
        clusters[a] += clusters.pop(b)
    return [min(next(c for c in clusters if leaf in c)) for leaf in range(len(table))]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("max_loss", [5.0, 20.0, 1e9])
def test_merges_are_those_of_the_slow_way(seed: int, max_loss: float) -> None:
    rng = np.random.default_rng(seed)
    table = table_of(rng.normal(0, 1, (9, 2)), rng.integers(10, 100, 9))
    merged = merge_leaves(table, max_loss, FLOOR)
    assert merged == naive(table, max_loss)
    assert (len(set(merged)) == 1) == (max_loss == 1e9)


def test_nothing_is_merged_where_nothing_may_be_lost() -> None:
    table = table_of([[0.0], [0.5], [9.0]], [10, 20, 30])
    assert merge_leaves(table, 0.0, FLOOR) == [0, 1, 2]
    assert merge_leaves(table, 5.0, FLOOR) == [0, 0, 2]
    assert merge_leaves(table[:1], 5.0, FLOOR) == [0]
