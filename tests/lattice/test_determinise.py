"""Determinisation against enumeration: every word sequence within the beam once, by its best path."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import ConfigError
from asrkit.lattice.determinise import determinise
from asrkit.lattice.lattice import Lattice, LatticeScales
from asrkit.lattice.paths import best_path
from tests.lattice.lattices import Path, all_paths, random_lattice

SCALES = LatticeScales(acoustic_scale=0.3, graph_scale=1.0, word_insertion_penalty=0.4)


def _best_by_words(lattice: Lattice, scales: LatticeScales) -> dict[tuple[int, ...], list[Path]]:
    """Return for each word sequence the paths that cost least (rounding apart)."""
    best: dict[tuple[int, ...], list[Path]] = {}
    for path in sorted(all_paths(lattice), key=lambda path: path.cost(scales)):
        known = best.setdefault(path.words, [path])
        if path is not known[0] and path.cost(scales) < known[0].cost(scales) + 1e-5:
            known.append(path)
    return best


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 3),
    st.sampled_from([0.0, 1.0, 5.0, 1e6]),
    st.sampled_from([SCALES, LatticeScales()]),
)
def test_each_word_sequence_within_the_beam_has_its_best_path(
    seed: int, longest_arc: int, beam: float, scales: LatticeScales
) -> None:
    rng = np.random.default_rng(seed)
    lattice = random_lattice(rng, num_frames=4, num_words=2, longest_arc=longest_arc, word_rate=0.3)
    expected = _best_by_words(lattice, scales)
    result = determinise(lattice, scales, beam)
    assert result.beam == beam
    found = list(all_paths(result.lattice))
    assert len({path.words for path in found}) == len(found)
    least = min(paths[0].cost(scales) for paths in expected.values())
    assert {path.words for path in found} >= {
        words for words, paths in expected.items() if paths[0].cost(scales) < least + beam
    }
    for path in found:
        best = expected[path.words]
        assert path.cost(scales) == pytest.approx(best[0].cost(scales), abs=1e-5)
        assert path.tids in {other.tids for other in best}
        same = next(other for other in best if other.tids == path.tids)
        assert path.acoustic_cost == pytest.approx(same.acoustic_cost, abs=1e-4)


def test_no_two_arcs_of_a_state_have_the_same_word() -> None:
    for seed in range(30):
        result = determinise(random_lattice(np.random.default_rng(seed), states_a_frame=3), SCALES, 1e6).lattice
        pairs = list(zip(result.sources.tolist(), result.words.tolist()))
        assert len(set(pairs)) == len(pairs)


def test_determinising_again_changes_no_path() -> None:
    lattice = determinise(random_lattice(np.random.default_rng(1), num_frames=6), SCALES, 1e6).lattice
    again = determinise(lattice, SCALES, 1e6).lattice
    one, other = (sorted(all_paths(item), key=lambda path: path.words) for item in (lattice, again))
    assert [(path.words, path.tids) for path in one] == [(path.words, path.tids) for path in other]
    assert [path.cost(SCALES) for path in one] == pytest.approx([path.cost(SCALES) for path in other])


def test_what_the_limit_of_arcs_cuts_off_costs_most() -> None:
    lattice = random_lattice(np.random.default_rng(5), num_frames=7, states_a_frame=3)
    whole = determinise(lattice, SCALES, 1e6).lattice
    cut = determinise(lattice, SCALES, 1e6, max_arcs=whole.num_arcs // 3)
    costs = {path.words: path.cost(SCALES) for path in all_paths(whole)}
    found = {path.words for path in all_paths(cut.lattice)}
    assert 0 < len(found) < len(costs)
    least = min(costs.values())
    assert 0 < cut.beam < max(costs.values()) - least
    assert {words for words, cost in costs.items() if cost < least + cut.beam - 1e-9} <= found


def test_a_lattice_that_memory_does_not_hold_gets_a_narrower_beam(monkeypatch: pytest.MonkeyPatch) -> None:
    lattice = random_lattice(np.random.default_rng(5), num_frames=14, states_a_frame=4, num_words=6)
    monkeypatch.setattr("asrkit.lattice.determinise._MOST_ROOM", 1 << 12)
    result = determinise(lattice, SCALES, 16.0)
    assert 0 < result.beam < 16
    best = min(path.cost(SCALES) for path in all_paths(result.lattice))
    assert best == pytest.approx(best_path(lattice, SCALES).cost)


def test_history_that_makes_no_difference_is_shared() -> None:
    """Two words in a row with two choices each: 2 + 2 arcs, not 2 + 4."""
    lattice = random_lattice(np.random.default_rng(2), num_frames=12, states_a_frame=1, word_rate=1.0, epsilon_rate=0.0)
    result = determinise(lattice, SCALES, 1e6).lattice
    words = set(zip(lattice.sources.tolist(), lattice.words.tolist()))
    assert result.num_arcs == len(words)


def test_a_negative_beam_is_refused() -> None:
    with pytest.raises(ConfigError, match="beam"):
        determinise(random_lattice(np.random.default_rng(0)), SCALES, -1.0)
