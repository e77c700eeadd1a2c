from __future__ import annotations

import logging
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import GraphError
from asrkit.graph.fst import FstArrays
from asrkit.graph.grammar_fst import acceptor_grammar, ngram_grammar
from asrkit.lang.symbols import SymbolTable
from asrkit.lm.arpa import read_arpa
from asrkit.lm.counts import count_ngrams
from asrkit.lm.grammar import phrase_list
from asrkit.lm.model import NgramModel
from asrkit.lm.smoothing import NgramConfig, estimate
from tests.graph.languages import BIGRAM, backoff_costs, graph_paths, write_arpa

WORDS = SymbolTable(("<eps>", "A", "T", "TA", "TOO", "TWO", "#0", "<s>", "</s>"))


def walk(fst: FstArrays, words: list[str], table: SymbolTable, least: bool = False) -> float:
    """Cost of a sentence: back off only where a word has no arc (``least``: wherever that is cheaper)."""
    backoff = table.ids["#0"]

    def arcs(state: int) -> list[tuple[int, float, int]]:
        span = slice(fst.arc_begin[state], fst.arc_begin[state + 1])
        return list(zip(fst.ilabel[span].tolist(), fst.cost[span].tolist(), fst.dst[span].tolist()))

    def go(state: int, rest: list[str]) -> float:
        ways = []
        if not rest and np.isfinite(fst.final_cost[state]):
            ways.append(float(fst.final_cost[state]))
        ways += [cost + go(dst, rest[1:]) for label, cost, dst in arcs(state) if rest and label == table.ids[rest[0]]]
        if least or not ways:
            ways += [cost + go(dst, rest) for label, cost, dst in arcs(state) if label == backoff]
        return min(ways, default=math.inf)

    return go(fst.start, words)


def sentences(num: int, vocabulary: tuple[str, ...], seed: int) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    return [[str(w) for w in rng.choice(vocabulary, size=rng.integers(0, 7))] for _ in range(num)]


def trained(order: int, seed: int) -> NgramModel:
    rng = np.random.default_rng(seed)
    text = [[str(w) for w in rng.choice(["A", "T", "TA", "TOO"], p=[0.5, 0.3, 0.15, 0.05], size=5)] for _ in range(40)]
    return estimate(count_ngrams(text, order), NgramConfig(order=order, smoothing="witten-bell"))


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_sentences_cost_what_the_model_says(order: int) -> None:
    model = trained(order, order)
    fst = ngram_grammar(model, WORDS).fst
    for words in sentences(200, ("A", "T", "TA", "TOO"), order):
        assert walk(fst, words, WORDS) == pytest.approx(-math.log(10) * model.score(words), abs=1e-4)


def test_the_best_path_is_the_best_of_all_back_offs(tmp_path: Path) -> None:
    model = read_arpa(write_arpa(tmp_path / "bigram.arpa", BIGRAM, 2))
    fst = ngram_grammar(model, WORDS).fst
    different = 0
    for words in sentences(200, ("A", "T", "TA", "TOO", "TWO"), 1):
        best = walk(fst, words, WORDS, least=True)
        assert best == pytest.approx(backoff_costs(BIGRAM, words), abs=1e-4)
        assert walk(fst, words, WORDS) == pytest.approx(-math.log(10) * model.score(words), abs=1e-4)
        different += best < walk(fst, words, WORDS) - 1e-6
    assert different


def test_contexts_that_nothing_continues_are_no_states(tmp_path: Path) -> None:
    """TA has a back-off weight and no continuation: arcs over TA pay it and go on to the empty context."""
    fst = ngram_grammar(read_arpa(write_arpa(tmp_path / "bigram.arpa", BIGRAM, 2)), WORDS).fst
    assert fst.num_states == 1 + 5  # the empty context, <s>, A, T, TOO, TWO
    over_ta = np.flatnonzero(fst.ilabel == WORDS.ids["TA"])
    assert fst.dst[over_ta].tolist() == [0]
    assert fst.cost[over_ta] == pytest.approx([(1.1 + 0.05) * math.log(10)])


def test_back_off_skips_a_context_whose_suffix_is_not_listed(tmp_path: Path) -> None:
    ngrams = {
        "<s>": (-99.0, 0.0),
        "</s>": (-0.5, 0.0),
        "A": (-0.4, -0.7),
        "T": (-0.6, -0.3),
        "<s> T": (-0.2, -0.1),
        "T A": (-0.25, -0.35),
        "<s> T A": (-0.05, 0.0),
        "T A </s>": (-0.15, 0.0),
    }
    model = read_arpa(write_arpa(tmp_path / "trigram.arpa", ngrams, 3))
    fst = ngram_grammar(model, WORDS).fst
    for words in sentences(200, ("A", "T"), 3):
        assert walk(fst, words, WORDS) == pytest.approx(-math.log(10) * model.score(words), abs=1e-4)
        assert walk(fst, words, WORDS, least=True) == pytest.approx(backoff_costs(ngrams, words), abs=1e-4)


def test_words_outside_the_lexicon_are_dropped_and_counted(tmp_path: Path) -> None:
    more = {"ELSE": (-1.0, -0.1), "A ELSE": (-0.5, 0.0), "ELSE T": (-0.5, 0.0)}
    grammar = ngram_grammar(read_arpa(write_arpa(tmp_path / "a.arpa", {**BIGRAM, **more}, 2)), WORDS)
    assert grammar.dropped_words == ("ELSE",)
    assert grammar.dropped_ngrams == 3
    without = ngram_grammar(read_arpa(write_arpa(tmp_path / "b.arpa", BIGRAM, 2)), WORDS)
    for words in sentences(50, ("A", "T", "TWO"), 5):
        assert walk(grammar.fst, words, WORDS) == walk(without.fst, words, WORDS)


def test_a_model_of_foreign_words_is_an_error(tmp_path: Path) -> None:
    ngrams = {"<s>": (-99.0, 0.0), "</s>": (-0.3, 0.0), "ta": (-0.3, 0.0)}
    model = read_arpa(write_arpa(tmp_path / "a.arpa", ngrams, 1))
    with pytest.raises(GraphError, match="none of the 3 words .* in the same case"):
        ngram_grammar(model, WORDS)


def test_words_that_only_look_like_symbols_are_not_spoken(tmp_path: Path) -> None:
    ngrams = {**BIGRAM, "#0": (-1.0, 0.0), "<eps>": (-1.0, 0.0)}
    grammar = ngram_grammar(read_arpa(write_arpa(tmp_path / "a.arpa", ngrams, 2)), WORDS)
    assert set(grammar.dropped_words) == {"#0", "<eps>"}
    assert (grammar.fst.olabel[grammar.fst.ilabel == WORDS.ids["#0"]] == 0).all()


@given(st.dictionaries(st.tuples(*[st.sampled_from(["A", "T", "TA"])] * 3), st.floats(0.1, 9.0), min_size=1))
@settings(max_examples=50, deadline=None)
def test_phrases_cost_what_their_weights_say(phrases: dict[tuple[str, ...], float]) -> None:
    acceptor = phrase_list(list(phrases), list(phrases.values()))
    paths = graph_paths(acceptor_grammar(acceptor, WORDS).fst, 4)
    total = sum(phrases.values())
    assert len(paths) == len(phrases)
    for words, weight in phrases.items():
        ids = tuple(WORDS.ids[word] for word in words)
        assert paths[ids, ids] == pytest.approx(-math.log(weight / total), abs=1e-4)


def test_phrases_with_unknown_words_are_left_out() -> None:
    grammar = acceptor_grammar(phrase_list([("A", "T"), ("A", "ELSE"), ("<s>",)]), WORDS)
    assert grammar.dropped_words == ("<s>", "ELSE")
    assert grammar.dropped_ngrams == 2
    a, t = WORDS.ids["A"], WORDS.ids["T"]
    assert list(graph_paths(grammar.fst, 3)) == [((a, t), (a, t))]
    with pytest.raises(GraphError, match="none of the 1 words of the grammar"):
        acceptor_grammar(phrase_list([("ELSE",)]), WORDS)


@pytest.mark.slow
def test_golden_trigram_costs_what_the_model_says(golden_lm: Path) -> None:
    logging.getLogger("asrkit").setLevel(logging.ERROR)
    model = read_arpa(golden_lm / "an4_dev_split_tg.arpa")
    vocabulary = tuple(word for word in model.words if word not in ("<s>", "</s>"))
    table = SymbolTable(("<eps>", *sorted(vocabulary), "#0", "<s>", "</s>"))
    fst = ngram_grammar(model, table).fst
    for words in sentences(300, vocabulary, 8):
        assert walk(fst, words, table) == pytest.approx(-math.log(10) * model.score(words), abs=1e-3)
