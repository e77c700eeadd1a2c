"""Lattices of the search: exact by enumeration, the same for any blocks, and their best path is the search's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asrkit.decode.config import SearchConfig
from asrkit.decode.search import BeamSearch, SearchResult
from asrkit.lattice.lattice import Lattice, LatticeScales
from tests.decode.graphs import TinyGraph, enumerate_paths, random_loglikes, random_tiny
from tests.decode.test_search import COST_TOLERANCE, TID_TO_PDF, WIDE, folded, random_sparse, search
from tests.lattice.lattices import all_paths

Key = tuple[tuple[int, ...], tuple[int, ...], float]


def _scales(config: SearchConfig) -> LatticeScales:
    return LatticeScales(config.acoustic_scale, 1.0, config.word_insertion_penalty)


def _best_cost(lattice: Lattice, scales: LatticeScales) -> float:
    costs = np.full(lattice.num_states, np.inf)
    costs[0] = 0.0
    arc_costs = lattice.arc_costs(scales)
    for arc in range(lattice.num_arcs):
        target = lattice.destinations[arc]
        costs[target] = min(costs[target], costs[lattice.sources[arc]] + arc_costs[arc])
    return float((costs + lattice.final_costs(scales)).min())


def _assert_same(one: Lattice, other: Lattice) -> None:
    for name in ("offsets", "words", "destinations", "graph_costs", "acoustic_costs", "tids", "final_graph_costs"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**9), st.integers(0, 5), st.sampled_from([0.0, 0.8, -0.6]), st.sampled_from([0.5, 2.0, 6.0]))
def test_every_path_within_the_lattice_beam_is_there(
    seed: int, num_frames: int, penalty: float, lattice_beam: float
) -> None:
    rng = np.random.default_rng(seed)
    tiny = random_tiny(rng)
    loglikes = random_loglikes(rng, num_frames, 3)
    if rng.random() < 0.3 and num_frames:
        loglikes[rng.integers(num_frames), rng.integers(3)] = -np.inf
    config = replace(WIDE, word_insertion_penalty=penalty, lattice_beam=lattice_beam)
    result = search(folded(tiny), config, loglikes)
    expected = enumerate_paths(tiny, loglikes, TID_TO_PDF, config.acoustic_scale, penalty)
    if result is None:
        assert not expected
        return
    expected = [path for path in expected if path.final == result.reached_final]
    least = min(path.cost for path in expected)
    assert result.lattice is not None
    scales = _scales(config)
    found = [(path.words, path.tids, path.cost(scales)) for path in all_paths(result.lattice)]
    assert min(cost for _, _, cost in found) == pytest.approx(result.total_cost, abs=COST_TOLERANCE)
    # All that are clearly within the beam are there, as often as the graph has them; nothing else is.
    everything: list[Key] = [(path.words, path.labels, path.cost) for path in expected]
    _assert_contains(everything, found)
    _assert_contains(found, [path for path in everything if path[2] < least + lattice_beam - COST_TOLERANCE])
    # Each arc is on a path within the beam.
    forward, backward = _potentials(result.lattice, scales)
    through = forward[result.lattice.sources] + result.lattice.arc_costs(scales)
    assert np.all(through + backward[result.lattice.destinations] <= least + lattice_beam + COST_TOLERANCE)


def _assert_contains(more: list[Key], less: list[Key]) -> None:
    """Each path of ``less`` is one of its own in ``more``, with the same cost."""
    costs: dict[tuple[tuple[int, ...], tuple[int, ...]], list[float]] = {}
    for words, labels, cost in sorted(more, key=lambda path: path[2]):
        costs.setdefault((words, labels), []).append(cost)
    for words, labels, cost in sorted(less, key=lambda path: path[2]):
        near = [i for i, other in enumerate(costs.get((words, labels), [])) if abs(other - cost) < COST_TOLERANCE]
        assert near, (words, labels, cost)
        del costs[words, labels][near[0]]


def _potentials(lattice: Lattice, scales: LatticeScales) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    forward = np.full(lattice.num_states, np.inf)
    forward[0] = 0.0
    backward = lattice.final_costs(scales)
    costs = lattice.arc_costs(scales)
    for arc in range(lattice.num_arcs):
        target, source = lattice.destinations[arc], lattice.sources[arc]
        forward[target] = min(forward[target], forward[source] + costs[arc])
    for arc in reversed(range(lattice.num_arcs)):
        target, source = lattice.destinations[arc], lattice.sources[arc]
        backward[source] = min(backward[source], backward[target] + costs[arc])
    return forward, backward


def _decode(tiny: TinyGraph, identity: NDArray[np.int32], config: SearchConfig, num_frames: int) -> SearchResult:
    loglikes = random_loglikes(np.random.default_rng(3), num_frames, len(identity) - 1)
    return BeamSearch(folded(tiny, identity, len(identity) - 1), config).decode(loglikes)


PRUNED = SearchConfig(beam=7.0, max_active=150, min_active=10, acoustic_scale=0.8, lattice_beam=4.0)


def test_the_best_path_of_the_lattice_is_that_of_the_search() -> None:
    tiny, identity = random_sparse()
    for config in (PRUNED, replace(PRUNED, word_insertion_penalty=0.7), replace(PRUNED, lattice_beam=0.01)):
        result = _decode(tiny, identity, config, 130)
        assert result.lattice is not None
        assert _best_cost(result.lattice, _scales(config)) == pytest.approx(result.total_cost, abs=1e-3)
        assert result.lattice.num_frames == 130
        plain = _decode(tiny, identity, replace(config, lattice_beam=0.0), 130)
        assert (plain.words, plain.total_cost, plain.lattice) == (result.words, result.total_cost, None)


def test_pruning_on_the_way_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny, identity = random_sparse()
    pruned = _decode(tiny, identity, PRUNED, 130).lattice
    monkeypatch.setattr("asrkit.decode.search.prune_links", lambda *_: None)
    late = _decode(tiny, identity, PRUNED, 130).lattice
    assert pruned is not None
    assert late is not None
    assert pruned.num_arcs > 1000
    _assert_same(pruned, late)


def test_lattices_do_not_depend_on_the_blocks_nor_on_what_was_searched_before() -> None:
    tiny, identity = random_sparse()
    graph = folded(tiny, identity, len(identity) - 1)
    loglikes = random_loglikes(np.random.default_rng(4), 90, len(identity) - 1)
    whole = BeamSearch(graph, PRUNED).decode(loglikes).lattice
    search = BeamSearch(graph, replace(PRUNED, lattice_beam=0.0))
    search.decode(loglikes[:40])
    search.start(PRUNED)
    for block in np.array_split(loglikes, 13):
        search.advance(block)
        search.partial()
    pieces = search.finish().lattice
    assert whole is not None
    assert pieces is not None
    _assert_same(whole, pieces)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9))
def test_cycles_of_epsilon_arcs_leave_an_acyclic_lattice_with_the_best_path(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tiny = random_tiny(rng, num_epsilons=8, epsilon_cycles=True, lowest_epsilon_cost=0.0)
    config = replace(WIDE, lattice_beam=5.0)
    result = search(folded(tiny), config, random_loglikes(rng, 4, 3))
    if result is not None:
        assert result.lattice is not None
        assert _best_cost(result.lattice, _scales(config)) == pytest.approx(result.total_cost, abs=COST_TOLERANCE)


def test_random_graphs_do_have_several_paths_within_the_beam() -> None:
    numbers = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        result = search(folded(random_tiny(rng)), replace(WIDE, lattice_beam=6.0), random_loglikes(rng, 4, 3))
        if result is not None:
            assert result.lattice is not None
            numbers.append(len(list(all_paths(result.lattice))))
    assert sum(number > 3 for number in numbers) > 20
