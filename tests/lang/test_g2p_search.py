"""The automaton against the n-gram it is made of, and the search against all pronunciations there are."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from asrkit.core.errors import ConfigError, DataError, ModelError
from asrkit.lang.g2p import G2p, G2pConfig, train_g2p
from asrkit.lang.g2p_alignment import AlignmentConfig
from asrkit.lang.g2p_search import GraphoneAutomaton, SearchConfig, best_pronunciations, build_automaton, search
from asrkit.lm.counts import count_ngrams
from asrkit.lm.model import BOS, EOS, NgramModel
from asrkit.lm.pruning import prune
from asrkit.lm.smoothing import NgramConfig, estimate

EXHAUSTIVE = SearchConfig(beam=math.inf, max_active=10**6, max_paths=10**6)
TOY = {
    "cab": [("K", "AE", "B")],
    "cell": [("S", "EH", "L")],
    "lace": [("L", "EY", "S")],
    "call": [("K", "AO", "L")],
    "able": [("EY", "B", "AH", "L")],
    "clique": [("K", "L", "IY", "K")],
    "quell": [("K", "W", "EH", "L"), ("K", "W", "EH", "L", "AH")],
    "axe": [("AE", "K", "S")],
    "bell": [("B", "EH", "L")],
    "be": [("B", "IY")],
}


def ngram(order: int, smoothing: str = "kneser-ney") -> NgramModel:
    text = ["a b c a", "b c a b c", "c c a", "a", "b a b a c d", "d a b c a"]
    config = NgramConfig(order, smoothing)  # type: ignore[arg-type]
    return estimate(count_ngrams([line.split() for line in text], order), config)


def probability(automaton: GraphoneAutomaton, units: Sequence[int]) -> float:
    """Follow the automaton over a sequence, in plain Python."""
    state, total = automaton.start, 0.0
    for unit in units:
        while True:
            arcs = slice(automaton.state_begin[state], automaton.state_begin[state + 1])
            place = np.flatnonzero(automaton.arc_unit[arcs] == unit)
            if len(place):
                total += float(automaton.arc_logprob[arcs][place[0]])
                state = int(automaton.arc_next[arcs][place[0]])
                break
            if state == 0:
                return -math.inf
            total += float(automaton.backoff_logprob[state])
            state = int(automaton.backoff_state[state])
    return total


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("smoothing", ["kneser-ney", "witten-bell", "kneser-ney-backoff"])
def test_the_automaton_gives_the_probabilities_of_the_ngram(order: int, smoothing: str) -> None:
    model = ngram(order, smoothing)
    automaton = build_automaton(model)
    automaton.check()
    rng = np.random.default_rng(order)
    for _ in range(60):
        words = [model.words[i] for i in rng.integers(2, model.num_words, rng.integers(0, 8))]
        units = model.ids([*words, EOS]).tolist()
        assert probability(automaton, units) == pytest.approx(model.score(words) * math.log(10), rel=1e-5)
    assert automaton.arc_unit[0] == model.ids_by_word[BOS]


def test_a_pruned_ngram_is_an_automaton_too() -> None:
    model = prune(ngram(4, "witten-bell"), 0.01)
    assert sum(model.num_ngrams) < sum(ngram(4).num_ngrams)
    automaton = build_automaton(model)
    automaton.check()
    for text in ("a b c a", "d d", "c a b c d a", ""):
        units = model.ids([*text.split(), EOS]).tolist()
        assert probability(automaton, units) == pytest.approx(model.score(text.split()) * math.log(10), rel=1e-5)


def toy(order: int = 3, max_letters: int = 2, search: SearchConfig = EXHAUSTIVE) -> G2p:
    config = G2pConfig(order, alignment=AlignmentConfig(max_letters=max_letters), search=search)
    return train_g2p(TOY, config)[0]


def all_paths(g2p: G2p, letters: Sequence[str]) -> Iterator[tuple[int, ...]]:
    if not letters:
        yield ()
    for unit, graphone in enumerate(g2p.graphones, 2):
        size = len(graphone.letters)
        if graphone.letters == tuple(letters[:size]):
            for rest in all_paths(g2p, letters[size:]):
                yield (unit, *rest)


def enumerated(g2p: G2p, word: str) -> tuple[dict[tuple[str, ...], float], float]:
    """Log probability of every pronunciation of a word, and of all its paths together."""
    found: dict[tuple[str, ...], list[float]] = {}
    for path in all_paths(g2p, tuple(word)):
        phones = tuple(phone for unit in path for phone in g2p.table.phones[unit])
        found.setdefault(phones, []).append(probability(g2p.automaton, [*path, g2p.table.end]))
    sums = {phones: float(np.logaddexp.reduce(scores)) for phones, scores in found.items()}
    total = float(np.logaddexp.reduce(list(sums.values())))
    return {phones: score for phones, score in sums.items() if phones}, total


@pytest.mark.parametrize("order", [1, 2, 4])
@pytest.mark.parametrize("max_letters", [1, 2])
@pytest.mark.parametrize("word", ["cab", "lebell", "quace", "l", "axell"])
def test_the_search_without_limits_finds_every_pronunciation_in_order(order: int, max_letters: int, word: str) -> None:
    g2p = toy(order, max_letters)
    expected, total = enumerated(g2p, word)
    lattice = search(g2p.automaton, g2p.table, word, EXHAUSTIVE)
    found = best_pronunciations(lattice, g2p.table, 10**6, 10**6)
    assert lattice.total == pytest.approx(total, rel=1e-9)
    assert dict(found) == pytest.approx(expected, rel=1e-9)
    assert len(found) == len(dict(found)) == len(expected)
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True)
    assert lattice.best[-1] == pytest.approx(
        max(probability(g2p.automaton, [*path, g2p.table.end]) for path in all_paths(g2p, tuple(word))), rel=1e-9
    )
    assert [phones for phones, _ in g2p.pronounce(word, 3)] == [phones for phones, _ in found[:3]]
    assert g2p.pronounce(word, 3)[0][1] == pytest.approx(found[0][1] - total, rel=1e-9)


def test_paths_come_best_first_and_those_of_one_pronunciation_add_up() -> None:
    g2p = toy(2, 2)
    word = "bell"
    lattice = search(g2p.automaton, g2p.table, word, EXHAUSTIVE)
    one = best_pronunciations(lattice, g2p.table, 1, 1)
    many = best_pronunciations(lattice, g2p.table, 1, 10**6)
    assert one[0][1] == pytest.approx(lattice.best[-1], rel=1e-9)
    assert many[0][0] == one[0][0]
    assert many[0][1] > one[0][1] + 1e-3  # more than one path says B EH L
    fewer = best_pronunciations(lattice, g2p.table, 5, 1)
    assert len(fewer) == 5  # paths are taken beyond max_paths until there are as many as asked for


def test_a_beam_loses_paths_but_finds_no_others() -> None:
    wide, narrow = toy(3, 2), toy(3, 2, SearchConfig(beam=2.0, max_active=3))
    lost = 0
    for word in ("cable", "lacquell", "quace"):
        every = search(wide.automaton, wide.table, word, EXHAUSTIVE)
        some = search(narrow.automaton, narrow.table, word, narrow.config.search)
        assert some.best[-1] <= every.best[-1] + 1e-9
        assert some.total < every.total
        lost += len(every.arcs) - len(some.arcs)
        expected, _ = enumerated(wide, word)
        assert set(dict(best_pronunciations(some, narrow.table, 100, 1000))) <= set(expected)
    assert lost > 50


def test_max_active_bounds_the_histories_at_each_letter() -> None:
    g2p = toy(4, 1)
    counts = []
    for max_active in (1, 4):
        lattice = search(g2p.automaton, g2p.table, "laceable", SearchConfig(math.inf, max_active, 1))
        counts.append(len(np.unique(lattice.arcs[:, 0])))
    assert counts[0] < counts[1] <= 8 * 4 + 20  # nodes of the last place are all followed to the end


def test_what_a_search_leaves_in_the_work_space_does_not_matter() -> None:
    g2p = toy()
    fresh = {word: toy().pronounce(word, 4) for word in ("cable", "axe", "quell")}
    for word in ("axe", "cable", "quell", "cable", "axe"):
        assert g2p.pronounce(word, 4) == fresh[word]
    nodes, stamp = g2p.automaton.work_space
    nodes[:] = np.random.default_rng(0).integers(-5, 50, nodes.shape)
    stamp[:] = 2
    assert g2p.pronounce("cable", 4) == fresh["cable"]


def test_a_word_that_no_pieces_spell_has_no_paths() -> None:
    g2p = toy(2, 2)
    assert ("x",) not in g2p.table.ranges  # x was seen in pieces of two letters only
    lattice = search(g2p.automaton, g2p.table, "bx", EXHAUSTIVE)
    assert lattice.total == lattice.best[-1] == -math.inf
    assert best_pronunciations(lattice, g2p.table, 3, 10) == []
    with pytest.raises(DataError, match="no pronunciation for 'bx'"):
        g2p.pronounce("bx")
    assert toy(2, 1).pronounce("bx")[0][0][0] == "B"


@pytest.mark.parametrize("values", [{"beam": 0.0}, {"max_active": 0}, {"max_paths": 0}])
def test_wrong_configuration(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))):
        SearchConfig(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("arc_next", lambda a: a + np.int32(10**6)),
        ("arc_unit", lambda a: a[::-1].copy()),
        ("arc_unit", lambda a: a.astype(np.int64)),
        ("backoff_state", lambda a: a + np.int32(1)),
        ("state_begin", lambda a: a[:-1].copy()),
        ("state_begin", lambda a: a[::-1].copy()),
        ("arc_logprob", lambda a: a[1:].copy()),
        ("start", lambda a: -1),
    ],
)
def test_damaged_arrays_are_refused(name: str, change: object) -> None:
    automaton = toy().automaton
    automaton.check()
    damaged = dataclasses.replace(automaton, **{name: change(getattr(automaton, name))})  # type: ignore[operator]
    with pytest.raises(ModelError, match="contradict"):
        damaged.check()
