from __future__ import annotations

import itertools
import math

import pytest

from asrkit.graph.lexicon_fst import lexicon_fst
from tests.graph.languages import assert_same_weights, graph_paths, sayings, tiny_lang

ALL_WORDS = ("<UNK>", "A", "T", "TA", "TOO", "TWO")


@pytest.mark.parametrize("silence_probability", [0.0, 0.3])
@pytest.mark.parametrize("position_dependent", [False, True])
def test_accepts_pronunciations_with_optional_silence(silence_probability: float, position_dependent: bool) -> None:
    lang = tiny_lang(silence_probability=silence_probability, position_dependent=position_dependent)
    expected = {}
    for size in range(4):
        for words in itertools.product(ALL_WORDS, repeat=size):
            for phones, cost in sayings(lang, words):
                if len(phones) <= 3:
                    key = (phones, tuple(lang.words.ids[word] for word in words))
                    expected[key] = min(cost, expected.get(key, math.inf))
    assert len(expected) > 60
    assert_same_weights(graph_paths(lexicon_fst(lang, disambiguated=False), 3), expected, 1e-5)


def test_disambiguated_is_the_same_but_for_its_symbols() -> None:
    lang = tiny_lang(silence_probability=0.3)
    first = lang.inventory.disambiguation[0]
    plain = graph_paths(lexicon_fst(lang, disambiguated=False), 3)
    stripped = {}
    for (phones, words), cost in graph_paths(lexicon_fst(lang, disambiguated=True), 7).items():
        if lang.words.ids["#0"] in words:
            continue
        key = (tuple(phone for phone in phones if phone < first), words)
        if len(key[0]) <= 3:
            stripped[key] = min(cost, stripped.get(key, math.inf))
    assert_same_weights({k: v for k, v in stripped.items() if k in plain}, plain, 1e-5)


def test_disambiguated_lexicon_reads_every_string_one_way() -> None:
    """Phones with their symbols tell the words: what determinisation needs. Without them they do not."""
    lang = tiny_lang(silence_probability=0.3)
    inputs = [phones for phones, _ in graph_paths(lexicon_fst(lang, disambiguated=True), 5)]
    assert len(inputs) == len(set(inputs)) > 200
    plain = [phones for phones, _ in graph_paths(lexicon_fst(lang, disambiguated=False), 5)]
    assert len(plain) > len(set(plain))


def test_back_off_symbol_passes_through() -> None:
    lang = tiny_lang()
    fst = lexicon_fst(lang, disambiguated=True)
    loops = (fst.ilabel == lang.phones.ids["#0"]) & (fst.olabel == lang.words.ids["#0"])
    assert loops.sum() == 1
    assert (fst.sources()[loops] == fst.dst[loops]).all()
    assert not (lexicon_fst(lang, disambiguated=False).ilabel >= lang.inventory.disambiguation[0]).any()
