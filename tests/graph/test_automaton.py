from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asrkit.core.errors import GraphError
from asrkit.graph import automaton_kernels
from asrkit.graph.automaton import NgramAutomaton
from asrkit.graph.fst import FstArrays, write_fst
from asrkit.graph.grammar_fst import ngram_grammar
from asrkit.lang.symbols import SymbolTable
from asrkit.lm.arpa import read_arpa
from asrkit.lm.counts import count_ngrams
from asrkit.lm.model import NgramModel
from asrkit.lm.smoothing import NgramConfig, estimate
from tests.graph.languages import BIGRAM, write_arpa
from tests.graph.test_grammar_fst import walk

VOCABULARY = ("A", "T", "TA", "TOO", "TWO")
WORDS = SymbolTable(("<eps>", *VOCABULARY, "#0", "<s>", "</s>"))
FLOAT32 = 1e-4


def automaton(model: NgramModel, words: SymbolTable = WORDS) -> NgramAutomaton:
    return NgramAutomaton.from_fst(ngram_grammar(model, words).fst)


def trained(order: int, seed: int, smoothing: str = "witten-bell", unknown: str | None = None) -> NgramModel:
    rng = np.random.default_rng(seed)
    odds = [0.4, 0.3, 0.15, 0.1, 0.05]
    text = [[str(w) for w in rng.choice(VOCABULARY, p=odds, size=rng.integers(0, 9))] for _ in range(60)]
    config = NgramConfig(order=order, smoothing=smoothing, unknown=unknown)  # type: ignore[arg-type]
    return estimate(count_ngrams(text, order, unknown=unknown), config)


def sentences(num: int, seed: int, vocabulary: tuple[str, ...] = VOCABULARY) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    return [[str(w) for w in rng.choice(vocabulary, size=rng.integers(0, 8))] for _ in range(num)]


def cost_of(lm: NgramAutomaton, words: list[str], table: SymbolTable = WORDS) -> float:
    return lm.sentence_cost([table.ids[word] for word in words])


@pytest.mark.parametrize("smoothing", ["witten-bell", "kneser-ney-backoff"])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_every_word_costs_what_the_model_says(order: int, smoothing: str) -> None:
    model = trained(order, order, smoothing)
    lm = automaton(model)
    assert lm.order == order
    for words in sentences(200, order):
        assert cost_of(lm, words) == pytest.approx(-math.log(10) * model.score(words), abs=FLOAT32)
        state = lm.start
        for place, word in enumerate(words):
            state, cost = lm.step(state, WORDS.ids[word])
            context = ["<s>", *words[:place]]
            # The state holds the whole history that matters; a back-off weight may be paid a word early only.
            assert cost + lm.final_cost(state) == pytest.approx(
                -math.log(10) * (model.log10_prob(context, word) + model.log10_prob([*context, word], "</s>"))
                - paid_before(model, context),
                abs=FLOAT32,
            )


def paid_before(model: NgramModel, context: list[str]) -> float:
    """Back-off weights of contexts that nothing continues: paid on entering, not with the next word."""
    total = 0.0
    for start in range(max(len(context) - model.order + 1, 0), len(context)):
        ids = model.ids(context[start:])
        node, listed = int(ids[0]), True
        for n in range(1, len(ids)):
            node = int(model.find(n, np.array([node]), ids[n : n + 1])[0])
            if node < 0:
                listed = False
                break
        if not listed:
            continue
        layer = model.layers[len(ids)]
        if np.any(layer.keys // model.num_words == node):
            break
        total += -math.log(10) * float(model.layers[len(ids) - 1].log10_backoff[node])
    return total


def test_words_that_the_model_lacks_are_impossible(tmp_path: Path) -> None:
    """As in a graph: the unknown symbol is a word of its own, and stands for no other."""
    table = SymbolTable(("<eps>", *VOCABULARY, "ELSE", "<UNK>", "#0", "<s>", "</s>"))
    model = trained(3, 7, unknown="<UNK>")
    lm = automaton(model, table)
    assert cost_of(lm, ["A", "ELSE"], table) == math.inf
    assert lm.step(lm.start, table.ids["ELSE"]) == (-1, math.inf)
    assert lm.step(lm.start, len(table) + 5) == (-1, math.inf)
    assert cost_of(lm, ["A", "<UNK>", "T"], table) == pytest.approx(-math.log(10) * model.score(["A", "<UNK>", "T"]))


def test_words_outside_the_lexicon_take_nothing_from_the_others() -> None:
    model = trained(3, 8)
    table = SymbolTable(("<eps>", "T", "A", "TOO", "TWO", "#0", "<s>", "</s>"))
    lm = automaton(model, table)
    assert lm.num_ngrams < automaton(model).num_ngrams
    for words in sentences(50, 8, ("A", "T", "TOO", "TWO")):
        assert cost_of(lm, words, table) == pytest.approx(-math.log(10) * model.score(words), abs=FLOAT32)


def test_contexts_that_nothing_continues(tmp_path: Path) -> None:
    model = read_arpa(write_arpa(tmp_path / "bigram.arpa", BIGRAM, 2))
    lm = automaton(model)
    for words in sentences(200, 1):
        assert cost_of(lm, words) == pytest.approx(-math.log(10) * model.score(words), abs=FLOAT32)


def free_cost(lm: NgramAutomaton, words: list[str], cheapest: bool) -> float:
    """Follow sets of states with the kernels."""
    members, residuals, total = np.array([lm.start]), np.zeros(1), 0.0
    for word in words:
        reached, costs = np.empty(100, dtype=np.int64), np.empty(100)
        count = automaton_kernels.follow(lm.arrays, cheapest, members, residuals, WORDS.ids[word], reached, costs)
        assert count <= lm.order * len(members)
        members, residuals = reached[:count].copy(), costs[:count] - costs[:count].min()
        assert np.all(np.diff(members) > 0)
        total += costs[:count].min()
    return total + automaton_kernels.end_of_set(lm.arrays, cheapest, members, residuals)


def test_backing_off_freely_costs_the_least_of_all_ways(tmp_path: Path) -> None:
    trigram = {
        **BIGRAM,
        "T A": (-0.9, -0.35),
        "TA A": (-0.9, 0.4),
        "A TA": (-0.2, -2.0),
        "<s> TWO A": (-1.5, 0.0),
        "T A T": (-2.5, 0.0),
        "TA A T": (-1.4, 0.0),
        "A T A": (-0.1, 0.0),
    }
    for name, ngrams, order in (("bigram", BIGRAM, 2), ("trigram", trigram, 3)):
        fst = ngram_grammar(read_arpa(write_arpa(tmp_path / f"{name}.arpa", ngrams, order)), WORDS).fst
        lm = NgramAutomaton.from_fst(fst)
        cheaper = 0
        for words in sentences(300, 2):
            least = free_cost(lm, words, True)
            assert least == pytest.approx(walk(fst, words, WORDS, least=True), abs=FLOAT32)
            assert free_cost(lm, words, False) == pytest.approx(cost_of(lm, words), abs=FLOAT32)
            cheaper += least < cost_of(lm, words) - FLOAT32
        assert cheaper > 20


def test_a_file_gives_the_same_automaton(tmp_path: Path) -> None:
    fst = ngram_grammar(trained(3, 3), WORDS).fst
    write_fst(tmp_path / "G.fst", fst)
    loaded, direct = NgramAutomaton.load(tmp_path / "G.fst"), NgramAutomaton.from_fst(fst)
    assert loaded.start == direct.start
    for one, two in zip(loaded.arrays, direct.arrays):
        np.testing.assert_array_equal(one, two)
    assert direct.num_bytes <= 12 * direct.num_ngrams + 16 * direct.num_states + 4 * (len(WORDS) + 1)


def wrong(fst: FstArrays, **columns: tuple[int, int]) -> FstArrays:
    changed = {name: getattr(fst, name).copy() for name in columns}
    for name, (place, value) in columns.items():
        changed[name][place] = value
    return replace(fst, **changed)


def test_what_is_no_model_is_an_error() -> None:
    fst = ngram_grammar(trained(3, 3), WORDS).fst
    back = int(np.flatnonzero(fst.olabel == 0)[0])
    twice = int(fst.arc_begin[1])
    with pytest.raises(GraphError, match="back-off arcs are not those"):
        NgramAutomaton.from_fst(wrong(fst, dst=(back, fst.num_states - 1)), "here")
    with pytest.raises(GraphError, match="back-off arcs are not those"):
        NgramAutomaton.from_fst(wrong(fst, olabel=(twice, 0), dst=(twice, 0)))
    with pytest.raises(GraphError, match="word ids up to 2000000000"):
        NgramAutomaton.from_fst(wrong(fst, olabel=(0, 2_000_000_000)))
    with pytest.raises(GraphError, match="two arcs of one word"):
        NgramAutomaton.from_fst(wrong(fst, olabel=(0, int(fst.olabel[1]))))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["an4_dev_split_tg.arpa", "librispeech_mini_bg.arpa.gz"])
def test_golden_models(golden_lm: Path, name: str) -> None:
    model = read_arpa(golden_lm / name)
    vocabulary = tuple(sorted(word for word in model.words if word not in ("<s>", "</s>")))
    table = SymbolTable(("<eps>", *vocabulary, "#0", "<s>", "</s>"))
    lm = automaton(model, table)
    for words in sentences(300, 8, vocabulary):
        assert cost_of(lm, words, table) == pytest.approx(-math.log(10) * model.score(words), rel=1e-5, abs=FLOAT32)
