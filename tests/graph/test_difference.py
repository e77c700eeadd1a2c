from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from asrkit.core.errors import GraphError
from asrkit.graph.automaton import NgramAutomaton
from asrkit.graph.difference import difference
from asrkit.graph.fst import write_fst
from asrkit.graph.grammar_fst import ngram_grammar
from asrkit.lm.arpa import read_arpa
from asrkit.lm.lookahead import lookahead_model
from asrkit.lm.pruning import prune
from tests.graph.languages import BIGRAM, write_arpa
from tests.graph.test_automaton import VOCABULARY, WORDS, automaton, cost_of, sentences, trained
from tests.graph.test_grammar_fst import walk

FLOAT32 = 1e-3


@pytest.mark.parametrize("smoothing", ["witten-bell", "kneser-ney-backoff"])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_the_small_graph_and_the_difference_make_the_full_model(order: int, smoothing: str) -> None:
    model = trained(order, order, smoothing)
    for threshold in (1e-9, 1e-2, None):
        small = ngram_grammar(lookahead_model(model, threshold), WORDS).fst
        rest = difference(automaton(model), NgramAutomaton.from_fst(small))
        for words in sentences(100, order):
            # What the best path of the small graph costs, wherever it backs off.
            charged = walk(small, words, WORDS, least=True)
            assert charged + cost_of(rest, words) == pytest.approx(-math.log(10) * model.score(words), abs=FLOAT32)


def test_any_part_of_a_model_can_be_taken_away(tmp_path: Path) -> None:
    """Also one of high order, with contexts that nothing continues any more."""
    full = trained(4, 4)
    for small in (prune(full, 1e-3), read_arpa(write_arpa(tmp_path / "a.arpa", {"<s>": (-99.0, 0.0), **UNIGRAMS}, 1))):
        rest = difference(automaton(full), automaton(small))
        for words in sentences(100, 9):
            total = -math.log(10) * (full.score(words) - small.score(words))
            assert cost_of(rest, words) == pytest.approx(total, abs=FLOAT32)


UNIGRAMS = {**dict.fromkeys(VOCABULARY, (-0.8, 0.0)), "</s>": (-0.8, 0.0)}


def test_what_is_no_part_is_an_error(tmp_path: Path) -> None:
    full = automaton(trained(3, 3))
    bigram = automaton(read_arpa(write_arpa(tmp_path / "a.arpa", BIGRAM, 2)))
    with pytest.raises(GraphError, match="no part of the full one"):
        difference(bigram, full)
    fewer = {key: value for key, value in UNIGRAMS.items() if key != "TA"}
    with pytest.raises(GraphError, match="no part of the full one"):
        difference(full, automaton(read_arpa(write_arpa(tmp_path / "b.arpa", {"<s>": (-99.0, 0.0), **fewer}, 1))))


def test_it_goes_through_a_file(tmp_path: Path) -> None:
    model = trained(3, 3)
    rest = difference(automaton(model), automaton(lookahead_model(model, 1e-3)))
    write_fst(tmp_path / "rest.fst", rest.to_fst(WORDS.ids["#0"]))
    loaded = NgramAutomaton.load(tmp_path / "rest.fst")
    for one, two in zip(loaded.arrays, rest.arrays):
        np.testing.assert_array_equal(one, two)
    assert (rest.costs < 0).any()
