"""A language model composed on the fly: as if it were in the graph."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asrkit.decode.config import SearchConfig
from asrkit.decode.graph import SearchGraph
from asrkit.decode.search import BeamSearch
from asrkit.graph.automaton import NgramAutomaton
from asrkit.graph.grammar_fst import ngram_grammar
from asrkit.lang.symbols import SymbolTable
from asrkit.lattice.lattice import Lattice
from asrkit.lm.counts import count_ngrams
from asrkit.lm.smoothing import NgramConfig, estimate
from tests.decode.graphs import Arc, TinyGraph, random_loglikes, random_tiny
from tests.decode.test_search import TID_TO_PDF, WIDE, folded, random_sparse, search
from tests.lattice.lattices import all_paths

COST_TOLERANCE = 2e-3
NUM_WORDS = 7


def model(order: int, seed: int, num_words: int = NUM_WORDS) -> NgramAutomaton:
    rng = np.random.default_rng(seed)
    names = [f"w{word}" for word in range(1, num_words + 1)]
    odds = rng.dirichlet(np.ones(num_words))
    text = [[str(w) for w in rng.choice(names, p=odds, size=rng.integers(0, 8))] for _ in range(40)]
    lm = estimate(count_ngrams(text, order, names), NgramConfig(order=order))
    return NgramAutomaton.from_fst(ngram_grammar(lm, SymbolTable(("<eps>", *names, "#0", "<s>", "</s>"))).fst)


def composed(graph: TinyGraph, lm: NgramAutomaton) -> TinyGraph:
    """The graph in which every state knows its history."""
    pairs = {(0, lm.start): 0}
    todo, arcs, final = [(0, lm.start)], [], []
    while todo:
        state, history = todo.pop(0)
        final.append(graph.final_cost[state] + lm.final_cost(history))
        for source, destination, ilabel, olabel, cost in graph.arcs:
            if source != state:
                continue
            after, extra = lm.step(history, olabel) if olabel else (history, 0.0)
            if after >= 0:
                if (destination, after) not in pairs:
                    pairs[destination, after] = len(pairs)
                    todo.append((destination, after))
                arcs.append((pairs[state, history], pairs[destination, after], ilabel, olabel, cost + extra))
    ordered: list[Arc] = arcs
    return TinyGraph(len(pairs), tuple(ordered), tuple(final))


def with_model(graph: SearchGraph, lm: NgramAutomaton) -> SearchGraph:
    return SearchGraph(graph.graph, graph.tid_to_pdf, graph.num_pdfs, lm)


def paths_of(lattice: Lattice | None) -> list[tuple[tuple[int, ...], tuple[int, ...], float, float]]:
    assert lattice is not None
    return sorted((path.words, path.tids, round(path.acoustic_cost, 3), path.graph_cost) for path in all_paths(lattice))


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 10**9),
    st.integers(0, 5),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.8, -0.6]),
    st.sampled_from([0.0, 1.0, 5.0]),
)
def test_it_is_as_if_the_model_were_in_the_graph(
    seed: int, num_frames: int, order: int, penalty: float, lattice_beam: float
) -> None:
    rng = np.random.default_rng(seed)
    # Some words are unknown to the model: their arcs are as good as absent.
    tiny, lm = random_tiny(rng), model(order, seed % 1000, num_words=int(rng.integers(5, NUM_WORDS + 1)))
    loglikes = random_loglikes(rng, num_frames, 3)
    config = replace(WIDE, word_insertion_penalty=penalty, lattice_beam=lattice_beam)
    found = search(with_model(folded(tiny), lm), config, loglikes)
    expected = search(folded(composed(tiny, lm)), config, loglikes)
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert (found.words, found.reached_final) == (expected.words, expected.reached_final)
    for name in ("total_cost", "graph_cost", "acoustic_cost"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=COST_TOLERANCE)
    np.testing.assert_array_equal(found.alignment, expected.alignment)
    if lattice_beam:
        ours, theirs = paths_of(found.lattice), paths_of(expected.lattice)
        assert [path[:2] for path in ours] == [path[:2] for path in theirs]
        for column in (2, 3):
            np.testing.assert_allclose([p[column] for p in ours], [p[column] for p in theirs], atol=COST_TOLERANCE)


PRUNED = SearchConfig(beam=7.0, max_active=150, min_active=10, acoustic_scale=0.8, lattice_beam=4.0)


def long_search(config: SearchConfig) -> tuple[SearchGraph, NDArray[np.float32]]:
    tiny, identity = random_sparse()
    lm = model(3, 2, num_words=max(arc[3] for arc in tiny.arcs))
    graph = with_model(folded(tiny, identity, len(identity) - 1), lm)
    return graph, random_loglikes(np.random.default_rng(4), 120, len(identity) - 1)


def test_blocks_and_earlier_utterances_change_nothing() -> None:
    graph, loglikes = long_search(PRUNED)
    whole = BeamSearch(graph, PRUNED).decode(loglikes)
    used = BeamSearch(graph, replace(PRUNED, lattice_beam=0.0))
    used.decode(loglikes[:40])
    used.start(PRUNED)
    for block in np.array_split(loglikes, 13):
        used.advance(block)
        used.partial()
    pieces = used.finish()
    assert whole.total_cost == pieces.total_cost
    assert whole.words == pieces.words
    assert whole.lattice is not None
    assert pieces.lattice is not None
    for name in ("offsets", "words", "destinations", "graph_costs", "acoustic_costs", "tids"):
        np.testing.assert_array_equal(getattr(whole.lattice, name), getattr(pieces.lattice, name))
    assert whole.lattice.num_arcs > 500


def test_the_best_path_of_the_lattice_is_that_of_the_search() -> None:
    graph, loglikes = long_search(PRUNED)
    result = BeamSearch(graph, PRUNED).decode(loglikes)
    assert result.lattice is not None
    lattice = result.lattice
    costs = np.full(lattice.num_states, np.inf)
    costs[0] = 0.0
    arc_costs = lattice.graph_costs + PRUNED.acoustic_scale * lattice.acoustic_costs
    for arc in range(lattice.num_arcs):
        target = lattice.destinations[arc]
        costs[target] = min(costs[target], costs[lattice.sources[arc]] + arc_costs[arc])
    assert float((costs + lattice.final_graph_costs).min()) == pytest.approx(result.total_cost, abs=COST_TOLERANCE)
    assert graph.lm is not None
    without = BeamSearch(SearchGraph(graph.graph, graph.tid_to_pdf, graph.num_pdfs), PRUNED).decode(loglikes)
    assert without.words != result.words


def test_a_model_that_knows_no_word_leaves_nothing() -> None:
    tiny = TinyGraph(2, ((0, 1, 1, 9, 0.5), (1, 1, 1, 0, 0.5)), (math.inf, 0.0))
    assert search(with_model(folded(tiny), model(2, 1)), WIDE, random_loglikes(np.random.default_rng(1), 3, 3)) is None
    assert len(TID_TO_PDF) > 1
