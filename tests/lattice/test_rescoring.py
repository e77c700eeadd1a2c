from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import ConfigError, DataError
from asrkit.graph.automaton import NgramAutomaton
from asrkit.graph.grammar_fst import ngram_grammar
from asrkit.lang.symbols import SymbolTable
from asrkit.lattice.lattice import Lattice
from asrkit.lattice.rescoring import add_model, replace_model
from asrkit.lm.arpa import read_arpa
from asrkit.lm.counts import count_ngrams
from asrkit.lm.model import NgramModel
from asrkit.lm.smoothing import NgramConfig, estimate
from tests.graph.languages import BIGRAM, write_arpa
from tests.graph.test_grammar_fst import walk
from tests.lattice.lattices import Path as LatticePath
from tests.lattice.lattices import all_paths, random_lattice

WORDS = SymbolTable(("<eps>", "A", "T", "TA", "TOO", "TWO", "#0", "<s>", "</s>"))
NUM_WORDS = 5
FLOAT32 = 1e-3
Key = tuple[tuple[int, ...], tuple[int, ...], float, float]


def model(order: int, seed: int, vocabulary: tuple[str, ...] = WORDS.symbols[1:6]) -> NgramModel:
    rng = np.random.default_rng(seed)
    text = [[str(w) for w in rng.choice(vocabulary, size=rng.integers(0, 6))] for _ in range(40)]
    return estimate(count_ngrams(text, order), NgramConfig(order=order, smoothing="kneser-ney"))


def automaton(lm: NgramModel) -> NgramAutomaton:
    return NgramAutomaton.from_fst(ngram_grammar(lm, WORDS).fst)


def exact(lm: NgramModel) -> Callable[[tuple[int, ...]], float]:
    def cost(words: tuple[int, ...]) -> float:
        return -math.log(10) * lm.score([WORDS.symbols[word] for word in words])

    return cost


def keyed(path: LatticePath, change: float = 0.0) -> Key:
    """A path in a form that rounding does not change, its graph cost changed by so much."""
    return path.words, path.tids, round(path.acoustic_cost, 6), path.graph_cost + change


def same_paths(found: Lattice, expected: list[Key]) -> None:
    paths = sorted(keyed(path) for path in all_paths(found))
    expected = sorted(expected)
    assert [path[:3] for path in paths] == [path[:3] for path in expected]
    np.testing.assert_allclose([p[3] for p in paths], [p[3] for p in expected], atol=FLOAT32, rtol=0)


def lattice_of(seed: int, longest_arc: int) -> Lattice:
    rng = np.random.default_rng(seed)
    return random_lattice(rng, num_frames=4, num_words=NUM_WORDS, word_rate=0.7, longest_arc=longest_arc)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    old_order=st.integers(1, 4),
    new_order=st.integers(1, 4),
    longest_arc=st.sampled_from([1, 3]),
    scales=st.sampled_from([(1.0, 1.0), (0.5, 0.5), (1.0, 0.7), (0.0, 0.3)]),
)
def test_every_path_gets_the_difference_of_the_models(
    seed: int, old_order: int, new_order: int, longest_arc: int, scales: tuple[float, float]
) -> None:
    lattice = lattice_of(seed, longest_arc)
    old, new = model(old_order, seed), model(new_order, seed + 1)
    found = replace_model(lattice, automaton(old), automaton(new), *scales, False, False)
    old_cost, new_cost = exact(old), exact(new)
    same_paths(
        found,
        [keyed(p, scales[1] * new_cost(p.words) - scales[0] * old_cost(p.words)) for p in all_paths(lattice)],
    )


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), order=st.integers(1, 4), freely=st.booleans())
def test_the_model_that_is_there_already_changes_nothing(seed: int, order: int, freely: bool) -> None:
    lattice, lm = lattice_of(seed, 2), automaton(model(order, seed))
    found = replace_model(lattice, lm, lm, old_backs_off_freely=freely, new_backs_off_freely=freely)
    same_paths(found, [keyed(path) for path in all_paths(lattice)])


def test_backing_off_freely_is_the_cost_that_a_graph_gives(tmp_path: Path) -> None:
    trigram = {**BIGRAM, "TA A": (-0.9, 0.4), "A TA": (-0.2, -2.0), "TA A T": (-1.4, 0.0), "A TA A": (-2.0, 0.0)}
    cheaper = 0
    for order, ngrams in ((2, BIGRAM), (3, trigram)):
        lm = read_arpa(write_arpa(tmp_path / f"{order}.arpa", ngrams, order))
        fst = ngram_grammar(lm, WORDS).fst
        for seed in range(20):
            lattice = lattice_of(seed, 1)
            expected = []
            for path in all_paths(lattice):
                least = walk(fst, [WORDS.symbols[word] for word in path.words], WORDS, least=True)
                cheaper += least < exact(lm)(path.words) - FLOAT32
                expected.append(keyed(path, least))
            same_paths(add_model(lattice, automaton(lm), 1.0), expected)
    assert cheaper > 20


def test_paths_that_the_new_model_makes_impossible_go() -> None:
    lattice = lattice_of(3, 1)
    old, new = model(2, 1), model(3, 2, ("A", "T", "TA", "TOO"))
    lost = WORDS.ids["TWO"]
    kept = [path for path in all_paths(lattice) if lost not in path.words]
    assert 0 < len(kept) < len(list(all_paths(lattice)))
    found = replace_model(lattice, automaton(old), automaton(new))
    same_paths(found, [keyed(p, exact(new)(p.words) - exact(old)(p.words)) for p in kept])
    with pytest.raises(DataError, match=f"gives word {lost} of the lattice no probability"):
        replace_model(lattice, automaton(new), automaton(old))
    only_lost = Lattice(**{**vars_of(lattice), "words": np.full_like(lattice.words, lost)})
    with pytest.raises(DataError, match="no path of the lattice a probability"):
        add_model(only_lost, automaton(new), 1.0)
    with pytest.raises(ConfigError, match="scale"):
        add_model(lattice, automaton(new), math.nan)


def vars_of(lattice: Lattice) -> dict[str, np.ndarray]:
    return {name: getattr(lattice, name) for name in Lattice.__dataclass_fields__}


def test_histories_are_told_apart_only_as_far_as_the_model_does() -> None:
    """A unigram has one history: the lattice keeps its size, and a trigram's grows."""
    lattice = random_lattice(np.random.default_rng(5), num_frames=12, num_words=NUM_WORDS, states_a_frame=3)
    assert add_model(lattice, automaton(model(1, 1)), 1.0).num_arcs == lattice.num_arcs
    assert add_model(lattice, automaton(model(3, 1)), 1.0).num_arcs > lattice.num_arcs


def test_many_states_make_the_tables_grow() -> None:
    lattice = random_lattice(np.random.default_rng(6), num_frames=60, num_words=NUM_WORDS, states_a_frame=12)
    lm = automaton(model(4, 2))
    there = add_model(lattice, lm, 1.0)
    assert there.num_states > 4 * 1024
    back = add_model(there, lm, -1.0)
    words = rng_path(there, np.random.default_rng(1))
    assert cost_along(back, words) == pytest.approx(cost_along(lattice, words), abs=FLOAT32)


def rng_path(lattice: Lattice, rng: np.random.Generator) -> list[tuple[int, tuple[int, ...], float]]:
    """A random complete path, as what identifies each arc: word, transition_ids, acoustic cost."""
    state, path = 0, []
    while lattice.offsets[state] < lattice.offsets[state + 1]:
        arc = int(rng.integers(lattice.offsets[state], lattice.offsets[state + 1]))
        path.append(
            (int(lattice.words[arc]), tuple(lattice.arc_tids(arc).tolist()), float(lattice.acoustic_costs[arc]))
        )
        state = int(lattice.destinations[arc])
    return path


def cost_along(lattice: Lattice, path: list[tuple[int, tuple[int, ...], float]]) -> float:
    state, total = 0, 0.0
    for wanted in path:
        for arc in range(lattice.offsets[state], lattice.offsets[state + 1]):
            own = int(lattice.words[arc]), tuple(lattice.arc_tids(arc).tolist()), float(lattice.acoustic_costs[arc])
            if own == wanted:
                break
        assert own == wanted
        total += float(lattice.graph_costs[arc])
        state = int(lattice.destinations[arc])
    return total + float(lattice.final_graph_costs[state])
