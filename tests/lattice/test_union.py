"""Unions of lattices, and minimum Bayes risk over them, against every path counted out."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import ConfigError
from asrkit.lattice.forward_backward import forward_backward
from asrkit.lattice.lattice import Lattice, LatticeScales, build_lattice
from asrkit.lattice.mbr import minimum_bayes_risk
from asrkit.lattice.union import union
from tests.lattice.lattices import all_paths, random_lattice

SCALES = (LatticeScales(0.3, 1.0, 0.2), LatticeScales(0.1, 0.7, -0.5))


def pair(seed: int) -> tuple[Lattice, Lattice]:
    rng = np.random.default_rng(seed)
    return random_lattice(rng, word_rate=0.8), random_lattice(rng, longest_arc=2)


def probabilities(lattice: Lattice, scales: LatticeScales) -> Counter[tuple[int, ...]]:
    """Word sequences and their posterior probabilities, by all paths."""
    found: Counter[tuple[int, ...]] = Counter()
    for path in all_paths(lattice):
        found[path.words] += math.exp(-path.cost(scales))
    total = sum(found.values())
    return Counter({words: value / total for words, value in found.items()})


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.05, 0.95))
def test_each_lattice_has_its_share_of_the_probability(seed: int, share: float) -> None:
    lattices = pair(seed)
    shares = (share, 1 - share)
    both = union(lattices, SCALES, shares)
    assert forward_backward(both).total_logprob == pytest.approx(0, abs=1e-9)
    expected: Counter[tuple[int, ...]] = Counter()
    for lattice, scales, weight in zip(lattices, SCALES, shares):
        for words, value in probabilities(lattice, scales).items():
            expected[words] += weight * value
    found = probabilities(both, LatticeScales())
    assert found.keys() == expected.keys()
    for words, value in expected.items():
        assert found[words] == pytest.approx(value, rel=1e-6, abs=1e-12)
    assert both.num_frames == lattices[0].num_frames
    tids = sorted(path.tids for path in all_paths(both))
    assert tids == sorted(path.tids for lattice in lattices for path in all_paths(lattice))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_words_risk_as_much_over_a_lattice_twice_as_over_it_once(seed: int) -> None:
    """Not that the same words are found: which bin an arc belongs to may be a tie, which rounding decides."""
    lattice = pair(seed)[0]
    words = minimum_bayes_risk(lattice, SCALES[0]).words
    alone = minimum_bayes_risk(lattice, SCALES[0], words, decode=False)
    both = union([lattice] * 2, [SCALES[0]] * 2, (0.5, 0.5))
    twice = minimum_bayes_risk(both, words=words, decode=False)
    assert twice.risk == pytest.approx(alone.risk, abs=1e-9)
    assert minimum_bayes_risk(both, words=words).risk <= alone.risk + 1e-9
    assert twice.risk == pytest.approx(alone.risk, abs=1e-6)


def sausage(*words: int) -> Lattice:
    """One path: a word a frame."""
    num = len(words)
    ends = np.full(num + 1, np.inf)
    ends[num] = 0.0
    return build_lattice(
        0,
        np.arange(num, dtype=np.int32),
        np.arange(1, num + 1, dtype=np.int32),
        np.array(words, dtype=np.int32),
        np.ones(num),
        np.ones(num),
        np.arange(num + 1, dtype=np.int32),
        np.ones(num, dtype=np.int32),
        ends,
        ends.copy(),
    )


def test_three_systems_that_err_at_different_places_correct_each_other() -> None:
    """None has all words right, and the words found are on no path of any."""
    systems = [sausage(1, 2, 9, 4), sausage(1, 8, 3, 4), sausage(7, 2, 3, 4)]
    shares = (0.4, 0.3, 0.3)
    found = minimum_bayes_risk(union(systems, [LatticeScales()] * 3, shares))
    assert found.words == (1, 2, 3, 4)
    np.testing.assert_allclose(found.confidences, (0.7, 0.7, 0.6, 1.0), atol=1e-9)
    heavy = minimum_bayes_risk(union(systems, [LatticeScales()] * 3, (0.8, 0.1, 0.1)))
    assert heavy.words == (1, 2, 9, 4)


def test_a_system_of_no_weight_has_no_place() -> None:
    with pytest.raises(ConfigError, match="weight 0"):
        union([sausage(1), sausage(2)], [LatticeScales()] * 2, (1.0, 0.0))
