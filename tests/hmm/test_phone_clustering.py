from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from asrkit.hmm.phone_clustering import cluster_top_down, split_in_two
from asrkit.hmm.tree_stats import gaussian_loglikes

FLOOR = 0.01


def table_of(means: Any, counts: Any, spread: float = 1.0) -> NDArray[np.float64]:
    means, counts = np.asarray(means, float), np.asarray(counts, float)[:, None]
    return np.concatenate([counts, counts * means, counts * (means**2 + spread)], axis=1)


def score(table: NDArray[np.float64], side: NDArray[np.bool_]) -> float:
    return float(gaussian_loglikes(table[side].sum(axis=0), FLOOR) + gaussian_loglikes(table[~side].sum(axis=0), FLOOR))


@pytest.mark.parametrize("seed", range(8))
def test_two_sides_are_nearly_the_best(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = table_of(rng.normal(0, 3, (7, 3)), rng.integers(5, 200, 7))
    side = split_in_two(table, FLOOR)
    splits = [np.array(s) for s in itertools.product([False, True], repeat=7) if 0 < sum(s) < 7]
    scores = sorted(score(table, s) for s in splits)
    together = float(gaussian_loglikes(table.sum(axis=0), FLOOR))
    assert score(table, side) - together >= 0.9 * (scores[-1] - together)


@pytest.mark.parametrize("seed", range(5))
def test_no_point_wants_to_move(seed: int) -> None:
    rng = np.random.default_rng(20 + seed)
    table = table_of(rng.normal(0, 2, (20, 4)), rng.integers(5, 200, 20))
    side = split_in_two(table, FLOOR)
    assert 0 < side.sum() < 20
    for point in range(20):
        moved = side.copy()
        moved[point] = not moved[point]
        assert score(table, moved) <= score(table, side) + 1e-6


def test_planted_clusters_are_nodes() -> None:
    means = [[0, 0], [0.2, 0.1], [9, 0], [9.1, 0.3], [9, 30], [8.8, 29]]
    nodes = cluster_top_down(table_of(means, [10, 20, 30, 40, 50, 60]), FLOOR)
    assert nodes[0] == frozenset(range(6))
    assert {frozenset({0, 1}), frozenset({2, 3}), frozenset({4, 5}), frozenset({0, 1, 2, 3})} <= set(nodes)
    assert frozenset({0, 2}) not in nodes
    assert [len(node) for node in nodes] == sorted((len(node) for node in nodes), reverse=True)


def test_nodes_are_a_binary_tree() -> None:
    rng = np.random.default_rng(9)
    nodes = cluster_top_down(table_of(rng.normal(0, 2, (9, 4)), rng.integers(1, 50, 9)), FLOOR)
    assert len(nodes) == len(set(nodes)) == 2 * 9 - 1
    assert all(a <= b or b <= a or not a & b for a, b in itertools.combinations(nodes, 2))


def test_equal_points_and_a_single_one() -> None:
    assert cluster_top_down(table_of([[1.0, 2.0]], [5]), FLOOR) == [frozenset({0})]
    assert len(cluster_top_down(table_of([[1.0, 2.0]] * 3, [5, 5, 5]), FLOOR)) == 5
