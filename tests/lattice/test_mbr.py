"""Minimum Bayes risk against expected edit distances by enumeration."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from asrkit.core.errors import ConfigError
from asrkit.lattice.lattice import Lattice, LatticeScales, build_lattice
from asrkit.lattice.mbr import MbrResult, minimum_bayes_risk
from asrkit.lattice.mbr_kernels import INSERTION_EXCESS
from asrkit.lattice.paths import best_path
from tests.lattice.lattices import all_paths, random_lattice

SCALES = LatticeScales(acoustic_scale=0.15, graph_scale=0.5, word_insertion_penalty=0.1)


def word_probabilities(lattice: Lattice) -> dict[tuple[int, ...], float]:
    weights: defaultdict[tuple[int, ...], float] = defaultdict(float)
    for path in all_paths(lattice):
        weights[path.words] += math.exp(-path.cost(SCALES))
    total = sum(weights.values())
    return {words: weight / total for words, weight in weights.items()}


def expected_errors(probabilities: dict[tuple[int, ...], float], words: tuple[int, ...]) -> float:
    return sum(share * Levenshtein.distance(words, said) for said, share in probabilities.items())


def tree(seed: int, num_words: int = 3, num_frames: int = 4, epsilons: bool = True) -> Lattice:
    """Return a lattice whose paths never join: every state has one arc that leads to it."""
    rng = np.random.default_rng(seed)
    sources, words, costs, finals, todo = [], [], [], {}, [(0, 0)]
    while todo:
        state, frame = todo.pop()
        if frame == num_frames:
            finals[state] = rng.uniform(0, 2)
            continue
        for _ in range(int(rng.integers(1, 4))):
            sources.append(state)
            words.append(int(rng.integers(0 if epsilons else 1, num_words + 1)))
            costs.append(rng.normal(1, 2))
            todo.append((len(sources), frame + 1))
    ends = np.array([finals.get(state, np.inf) for state in range(len(sources) + 1)])
    return build_lattice(
        0,
        np.array(sources, dtype=np.int32),
        np.arange(1, len(sources) + 1, dtype=np.int32),
        np.array(words, dtype=np.int32),
        np.array(costs),
        rng.normal(0, 5, len(sources)),
        np.arange(len(sources) + 1, dtype=np.int32),
        np.ones(len(sources), dtype=np.int32),
        ends,
        np.where(ends < np.inf, 0.0, np.inf),
    )


def check_form(result: MbrResult, num_frames: int) -> None:
    assert len(result.bins) == 2 * len(result.words) + 1
    times = []
    for number, one in enumerate(result.bins):
        assert sum(one.posteriors) == pytest.approx(1)
        assert list(one.posteriors) == sorted(one.posteriors, reverse=True)
        assert min(one.begin_frames) >= -1e-9
        assert max(one.end_frames) <= num_frames + 1e-9
        assert all(begin <= end + 1e-9 for begin, end in zip(one.begin_frames, one.end_frames))
        if number % 2:
            place = one.place(result.words[number // 2])
            assert place is not None
            assert result.confidences[number // 2] == pytest.approx(one.posteriors[place])
            times.append((one.begin_frames[place], one.end_frames[place]))
    begins_and_ends = list(zip(result.begin_frames, result.end_frames))
    if all(end <= begin for (_, end), (begin, _) in pairwise(times)):
        assert begins_and_ends == times
    flat = [frame for pair in begins_and_ends for frame in pair]
    assert flat == sorted(flat)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 4), max_size=6))
def test_the_risk_of_any_words_is_exact_where_paths_do_not_join(seed: int, words: list[int]) -> None:
    lattice = tree(seed)
    probabilities = word_probabilities(lattice)
    exact = expected_errors(probabilities, tuple(words))
    kept = minimum_bayes_risk(lattice, SCALES, words, decode=False)
    assert kept.words == tuple(words)
    assert exact - 1e-9 <= kept.risk <= exact + 4 * INSERTION_EXCESS + 1e-9
    found = minimum_bayes_risk(lattice, SCALES)
    risk = expected_errors(probabilities, found.words)
    assert found.risk == pytest.approx(risk, abs=5 * INSERTION_EXCESS)
    assert risk <= expected_errors(probabilities, best_path(lattice, SCALES).words) + 5 * INSERTION_EXCESS
    check_form(found, 4)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 2))
def test_the_risk_is_an_upper_bound_and_falls_from_the_best_path(seed: int, longest_arc: int) -> None:
    lattice = random_lattice(np.random.default_rng(seed), longest_arc=longest_arc)
    probabilities = word_probabilities(lattice)
    kept = minimum_bayes_risk(lattice, SCALES, decode=False)
    assert kept.words == best_path(lattice, SCALES).words
    found = minimum_bayes_risk(lattice, SCALES)
    for result in (kept, found):
        check_form(result, 5)
        assert result.risk >= expected_errors(probabilities, result.words) - 1e-9
    assert found.risk <= kept.risk + 1e-9
    assert expected_errors(probabilities, found.words) <= kept.risk + 1e-9


def test_it_often_finds_the_very_best_words() -> None:
    """Of all sequences of the lattice's words, none has a lower risk, for nearly all lattices."""
    best = better = 0
    for seed in range(60):
        lattice = tree(seed, num_words=2)
        probabilities = word_probabilities(lattice)
        found = expected_errors(probabilities, minimum_bayes_risk(lattice, SCALES).words)
        map_words = best_path(lattice, SCALES).words
        least = min(expected_errors(probabilities, words) for words in probabilities)
        best += found <= least + 1e-3
        better += found < expected_errors(probabilities, map_words) - 1e-3
    assert best >= 55
    assert better >= 5


def test_the_word_of_the_majority_wins_over_the_best_path() -> None:
    """'1 2' is the best path, but most of the weight says 3 in the second place."""
    lattice = build_lattice(
        0,
        np.array([0, 0, 0, 1, 2, 3], dtype=np.int32),
        np.array([1, 2, 3, 4, 4, 4], dtype=np.int32),
        np.array([1, 4, 5, 2, 3, 3], dtype=np.int32),
        -np.log([0.4, 0.3, 0.3, 1.0, 1.0, 1.0]),
        np.zeros(6),
        np.arange(0, 14, 2, dtype=np.int32) + np.array([0, 0, 0, 0, 1, 2, 3], dtype=np.int32),
        np.ones(15, dtype=np.int32),
        np.array([np.inf] * 4 + [0.0]),
        np.array([np.inf] * 4 + [0.0]),
    )
    found = minimum_bayes_risk(lattice)
    assert found.words == (1, 3)
    assert found.confidences == pytest.approx((0.4, 0.6))
    assert (found.begin_frames, found.end_frames) == (pytest.approx((0, 2)), pytest.approx((2, 5)))
    assert found.risk == pytest.approx(0.6 + 0.4)
    assert [one.words for one in found.bins] == [(0,), (1, 4, 5), (0,), (3, 2), (0,)]
    kept = minimum_bayes_risk(lattice, decode=False)
    assert (kept.words, kept.risk) == ((1, 2), pytest.approx(0.6 + 0.6))
    assert kept.confidences == pytest.approx((0.4, 0.4))


def test_words_that_the_lattice_lacks_have_no_confidence() -> None:
    lattice = tree(1, epsilons=False)
    found = minimum_bayes_risk(lattice, SCALES, [1, 99, 2, 1], decode=False)
    assert found.confidences[1] == 0
    with pytest.raises(ConfigError, match="word id 0"):
        minimum_bayes_risk(lattice, SCALES, [0])


def test_a_lattice_without_words() -> None:
    lattice = random_lattice(np.random.default_rng(0), word_rate=0.0)
    found = minimum_bayes_risk(lattice, SCALES)
    assert (found.words, found.risk, len(found.bins)) == ((), 0, 1)
    assert found.bins[0].words == (0,)
