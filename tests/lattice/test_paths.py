"""Best paths against the enumeration of all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import ConfigError
from asrkit.lattice.lattice import Lattice, LatticeScales
from asrkit.lattice.paths import LatticePath, best_path, n_best
from tests.lattice.lattices import Path, all_paths, random_lattice

SCALES = LatticeScales(acoustic_scale=0.3, graph_scale=0.8, word_insertion_penalty=-0.4)


def best_of_each(lattice: Lattice, scales: LatticeScales) -> list[Path]:
    """Return the best path of each word sequence, best first."""
    best: dict[tuple[int, ...], Path] = {}
    for path in all_paths(lattice):
        if path.words not in best or path.cost(scales) < best[path.words].cost(scales):
            best[path.words] = path
    return sorted(best.values(), key=lambda path: path.cost(scales))


def assert_same(found: LatticePath, expected: Path, scales: LatticeScales) -> None:
    assert found.words == expected.words
    assert found.cost == pytest.approx(expected.cost(scales))
    assert found.graph_cost == pytest.approx(expected.graph_cost)
    assert found.acoustic_cost == pytest.approx(expected.acoustic_cost)
    assert tuple(found.transition_ids.tolist()) == expected.tids
    assert found.transition_ids.dtype == np.int32


def sample(seed: int, longest_arc: int, factor: float = 1.0) -> Lattice:
    lattice = random_lattice(np.random.default_rng(seed), num_frames=5, num_words=2, longest_arc=longest_arc)
    return replace(lattice, graph_costs=lattice.graph_costs * factor, acoustic_costs=lattice.acoustic_costs * factor)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 2), st.sampled_from([0.01, 1.0, 30.0]))
def test_the_list_is_that_of_the_enumeration(seed: int, longest_arc: int, factor: float) -> None:
    lattice = sample(seed, longest_arc, factor)
    expected = best_of_each(lattice, SCALES)
    for num_paths in (1, 3, len(expected), len(expected) + 5):
        found = n_best(lattice, num_paths, SCALES)
        assert len(found) == min(num_paths, len(expected))
        for ours, theirs in zip(found, expected):
            assert_same(ours, theirs, SCALES)
    assert_same(best_path(lattice, SCALES), expected[0], SCALES)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_scales_decide(seed: int) -> None:
    lattice = sample(seed, 1)
    for scales in (LatticeScales(), LatticeScales(0.0, 1.0), LatticeScales(1.0, 0.0, 3.0)):
        assert_same(best_path(lattice, scales), best_of_each(lattice, scales)[0], scales)


def test_word_frames_are_those_where_arcs_begin() -> None:
    for seed in range(20):
        lattice = sample(seed, 3)
        for path in n_best(lattice, 10):
            at = {(0, 0, 0)}  # (state, words used, frames used) along arcs that agree with the path
            ends = set()
            while at:
                state, word, frame = at.pop()
                if lattice.is_final[state] and (word, frame) == (len(path.words), 5):
                    ends.add(state)
                for arc in range(lattice.offsets[state], lattice.offsets[state + 1]):
                    label, tids = int(lattice.words[arc]), lattice.arc_tids(arc).tolist()
                    fits = path.transition_ids[frame : frame + len(tids)].tolist() == tids
                    if label and (word == len(path.words) or path.words[word] != label):
                        fits = False
                    if label and fits and path.word_frames[word] != frame:
                        fits = False
                    if fits:
                        at.add((int(lattice.destinations[arc]), word + bool(label), frame + len(tids)))
            assert ends
        assert any(path.word_frames != tuple(range(len(path.words))) for path in n_best(lattice, 10))


def test_equal_paths_with_the_same_words_count_once() -> None:
    """Twenty frames with two equally good arcs each: a million paths, four word sequences."""
    arcs = np.repeat(np.arange(20), 2)
    words = np.zeros(40, dtype=np.int32)
    words[[0, 1, 38, 39]] = 1, 2, 1, 2
    flat = Lattice(
        offsets=np.arange(0, 44, 2, dtype=np.int32).clip(0, 40),
        words=words,
        destinations=(arcs + 1).astype(np.int32),
        graph_costs=np.zeros(40),
        acoustic_costs=np.zeros(40),
        tid_offsets=np.arange(41, dtype=np.int32),
        tids=np.ones(40, dtype=np.int32),
        final_graph_costs=np.where(np.arange(21) == 20, 0.0, np.inf),
        final_acoustic_costs=np.where(np.arange(21) == 20, 0.0, np.inf),
    )
    assert sorted(path.words for path in n_best(flat, 100)) == [(1, 1), (1, 2), (2, 1), (2, 2)]


def test_no_paths_are_no_list() -> None:
    with pytest.raises(ConfigError, match="0 paths"):
        n_best(sample(0, 1), 0)
