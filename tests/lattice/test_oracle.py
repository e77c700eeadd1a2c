"""Oracle errors against the edit distances of all paths."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from asrkit.core.errors import ConfigError
from asrkit.lattice.oracle import oracle_errors
from tests.lattice.lattices import all_paths, random_lattice


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.sampled_from([1, 2, 3, -1, 900]), max_size=7))
def test_no_path_is_nearer(seed: int, reference: list[int]) -> None:
    lattice = random_lattice(np.random.default_rng(seed), longest_arc=2)
    distances = {path.words: Levenshtein.distance(reference, path.words) for path in all_paths(lattice)}
    found = oracle_errors(lattice, reference)
    assert found.errors == min(distances.values()) == distances[found.words]
    assert found.reference_words == len(reference)
    assert found.insertions - found.deletions == len(found.words) - len(reference)
    assert min(found.insertions, found.deletions, found.substitutions) >= 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_what_the_lattice_holds_is_found(seed: int) -> None:
    lattice = random_lattice(np.random.default_rng(seed))
    for path in list(all_paths(lattice))[:20]:
        found = oracle_errors(lattice, path.words)
        assert (found.words, found.errors) == (path.words, 0)


def test_the_kinds_of_errors_are_told_apart() -> None:
    lattice = random_lattice(np.random.default_rng(0), num_words=1, word_rate=1.0, epsilon_rate=0.0)
    assert {path.words for path in all_paths(lattice)} == {(1,) * 5}
    for reference, kinds in (
        ([1, 1, 2, 1, 1], (0, 0, 1)),
        ([1, 1, 1, 2, 1, 1], (0, 1, 0)),
        ([1, 1, 1], (2, 0, 0)),
        ([], (5, 0, 0)),
        ([2, 2, 2, 2, 2, 2], (0, 1, 5)),
    ):
        found = oracle_errors(lattice, reference)
        assert (found.insertions, found.deletions, found.substitutions) == kinds


def test_a_reference_of_no_words_is_refused() -> None:
    with pytest.raises(ConfigError, match="word id 0"):
        oracle_errors(random_lattice(np.random.default_rng(0)), [1, 0])
