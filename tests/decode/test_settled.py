"""What cannot change any more, against the traces of all tokens and against every continuation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import DataError
from asrkit.decode import kernels
from asrkit.decode.config import SearchConfig
from asrkit.decode.graph import SearchGraph
from asrkit.decode.search import BeamSearch
from tests.decode.graphs import random_tiny


def make_search(seed: int, beam: float) -> tuple[BeamSearch, np.random.Generator]:
    rng = np.random.default_rng(seed)
    graph = random_tiny(rng, num_states=6, num_arcs=16)
    tids = np.concatenate([[0], np.arange(4)]).astype(np.int32)
    return BeamSearch(SearchGraph(graph.arrays(), tids, 4), SearchConfig(beam, min_active=0, acoustic_scale=1.0)), rng


def traces(search: BeamSearch) -> list[list[int]]:
    tokens = search._tokens
    return [kernels.trace(tokens, slot).tolist() for slot in range(tokens.counts[kernels.TOKENS])]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1.0, 3.0, 100.0]))
def test_settled_words_are_those_of_the_beginning_that_all_paths_share(seed: int, beam: float) -> None:
    search, rng = make_search(seed, beam)
    search.start()
    assert search.settled_words() == ()
    labels = search.graph.graph.olabels
    for _ in range(12):
        settled = search.settled_words()
        try:
            search.advance(4 * rng.standard_normal((1, 4)).astype(np.float32))
        except DataError:
            return
        shared = [arcs[0] for arcs in itertools.takewhile(lambda a: len(set(a)) == 1, zip(*traces(search)))]
        found = search.settled_words()
        words = tuple(int(labels[arc]) for arc in shared if labels[arc])
        # Tokens of one frame may share arcs that are not in a record yet.
        assert words[: len(found)] == found
        assert found[: len(settled)] == settled
        assert search.partial().words[: len(found)] == found


def test_most_of_a_long_utterance_is_settled() -> None:
    lengths = []
    for seed in range(40):
        search, rng = make_search(seed, 3.0)
        search.start()
        try:
            search.advance(4 * rng.standard_normal((60, 4)).astype(np.float32))
        except DataError:
            continue
        lengths.append((len(search.settled_words()), len(search.partial().words)))
    settled, all_words = map(sum, zip(*lengths))
    assert all_words > 100
    assert settled > 0.6 * all_words


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000))
def test_the_relative_cost_is_that_of_the_best_complete_path(seed: int) -> None:
    search, rng = make_search(seed, 100.0)
    search.start()
    try:
        search.advance(rng.standard_normal((4, 4)).astype(np.float32))
    except DataError:
        return
    relative, partial = search.relative_cost(), search.partial()
    final = search.finish()
    assert relative >= 0
    assert (relative < np.inf) == final.reached_final
    if final.reached_final:
        assert final.total_cost == pytest.approx(partial.total_cost + relative)


def test_what_is_not_open_is_not_asked() -> None:
    search, _ = make_search(0, 1.0)
    for ask in (search.settled_words, search.relative_cost):
        with pytest.raises(RuntimeError, match="before start"):
            ask()
