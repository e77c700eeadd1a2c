"""The lattice itself: order of states, completeness, costs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import ConfigError, FormatError
from asrkit.lattice.lattice import Lattice, LatticeScales, build_lattice
from tests.lattice.lattices import all_paths, random_lattice


def _build(arcs: list[tuple[int, int, int]], finals: dict[int, float], num_states: int, start: int = 0) -> Lattice:
    """Return the lattice of arcs ``(source, destination, word)`` of one frame and of cost 1 each."""
    table = np.array(arcs, dtype=np.int32).reshape(-1, 3)
    ends = np.array([finals.get(state, np.inf) for state in range(num_states)])
    ones = np.ones(len(arcs))
    offsets = np.arange(len(arcs) + 1, dtype=np.int32)
    tids = table[:, 2] + 10
    return build_lattice(start, *table.T, ones, 2 * ones, offsets, tids, ends, np.where(ends < np.inf, 0.0, np.inf))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3))
def test_states_are_in_topological_order_and_on_complete_paths(seed: int, longest_arc: int) -> None:
    lattice = random_lattice(np.random.default_rng(seed), longest_arc=longest_arc)
    assert np.all(lattice.destinations > lattice.sources)
    assert np.all(np.diff(lattice.offsets)[~lattice.is_final] > 0)
    assert set(lattice.destinations.tolist()) == set(range(1, lattice.num_states))
    assert lattice.num_frames == 5
    assert {len(path.tids) for path in all_paths(lattice)} == {5}


def test_dead_ends_are_dropped_and_arcs_keep_their_order_and_strings() -> None:
    lattice = _build([(2, 1, 7), (0, 2, 5), (2, 3, 9), (2, 1, 8), (3, 4, 1)], {1: 0.5}, 5)
    assert (lattice.num_states, lattice.num_arcs) == (3, 3)
    assert lattice.words.tolist() == [5, 7, 8]
    assert [lattice.arc_tids(arc).tolist() for arc in range(3)] == [[15], [17], [18]]
    assert lattice.final_graph_costs.tolist() == [np.inf, np.inf, 0.5]
    assert lattice.depth == 1.5


def test_costs_are_weighed() -> None:
    lattice = _build([(0, 1, 7), (0, 1, 0)], {1: 0.5}, 2)
    scales = LatticeScales(acoustic_scale=0.1, graph_scale=3.0, word_insertion_penalty=0.25)
    assert lattice.arc_costs(scales).tolist() == pytest.approx([3.45, 3.2])
    assert lattice.final_costs(scales).tolist() == [np.inf, 1.5]


@pytest.mark.parametrize(
    ("arcs", "finals", "message"),
    [
        ([(0, 1, 1), (1, 0, 1)], {1: 0.0}, "cycle"),
        ([(0, 1, 1), (1, 1, 1)], {1: 0.0}, "cycle"),
        ([(0, 1, 1)], {}, "no complete path"),
        ([(0, 1, 1)], {2: 0.0}, "no complete path"),
        ([(0, 3, 1)], {1: 0.0}, "destination state"),
        ([(0, 1, 1)], {1: -np.inf}, "final cost"),
    ],
)
def test_what_is_no_lattice_is_refused(
    arcs: list[tuple[int, int, int]], finals: dict[int, float], message: str
) -> None:
    with pytest.raises(FormatError, match=message):
        _build(arcs, finals, 3)


def test_a_cycle_off_the_complete_paths_does_no_harm() -> None:
    assert _build([(0, 1, 1), (0, 2, 1), (2, 2, 1)], {1: 0.0}, 3).num_arcs == 1


def test_paths_of_different_lengths_into_a_state_are_told() -> None:
    lattice = _build([(0, 1, 1), (1, 2, 1), (0, 2, 1)], {2: 0.0}, 3)
    with pytest.raises(FormatError, match="different numbers of frames"):
        _ = lattice.state_frames
    lattice = _build([(0, 1, 1), (1, 2, 1)], {1: 0.0, 2: 0.0}, 3)
    with pytest.raises(FormatError, match="1 to 2 frames"):
        _ = lattice.num_frames


def test_scales_must_be_numbers() -> None:
    with pytest.raises(ConfigError, match="acoustic_scale"):
        LatticeScales(acoustic_scale=-1.0)
    with pytest.raises(ConfigError, match="word_insertion_penalty"):
        LatticeScales(word_insertion_penalty=np.inf)
