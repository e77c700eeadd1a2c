from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest

from asrkit.graph.lexicon_fst import lexicon_fst
from asrkit.lang.langdir import Lang, LangConfig, make_lang
from asrkit.lang.lexicon import Pronunciation
from asrkit.lang.silence import SilenceHabit, SilenceModel
from tests.graph.languages import assert_same_weights, graph_paths, habitual, sayings, tiny_lang

ALL_WORDS = ("<UNK>", "A", "T", "TA", "TOO", "TWO")


def lang_with(silence: float | str, **config: object) -> Lang:
    if silence == "trained":
        return habitual(tiny_lang(silence_probability=0.3, **config))
    return tiny_lang(silence_probability=silence, **config)


@pytest.mark.parametrize("silence", [0.0, 0.3, "trained"])
@pytest.mark.parametrize("position_dependent", [False, True])
def test_accepts_pronunciations_with_optional_silence(silence: float | str, position_dependent: bool) -> None:
    lang = lang_with(silence, position_dependent=position_dependent)
    expected = {}
    for size in range(4):
        for words in itertools.product(ALL_WORDS, repeat=size):
            for phones, cost in sayings(lang, words):
                if len(phones) <= 3:
                    key = (phones, tuple(lang.words.ids[word] for word in words))
                    expected[key] = min(cost, expected.get(key, math.inf))
    assert len(expected) > 60
    assert_same_weights(graph_paths(lexicon_fst(lang, disambiguated=False), 3), expected, 1e-5)


@pytest.mark.parametrize(("silence", "num_phones"), [(0.3, 3), ("trained", 2)])
def test_disambiguated_is_the_same_but_for_its_symbols(silence: float | str, num_phones: int) -> None:
    lang = lang_with(silence)
    first = lang.inventory.disambiguation[0]
    plain = graph_paths(lexicon_fst(lang, disambiguated=False), num_phones)
    stripped = {}
    for (phones, words), cost in graph_paths(lexicon_fst(lang, disambiguated=True), 7).items():
        if lang.words.ids["#0"] in words:
            continue
        key = (tuple(phone for phone in phones if phone < first), words)
        if len(key[0]) <= num_phones:
            stripped[key] = min(cost, stripped.get(key, math.inf))
    assert_same_weights({k: v for k, v in stripped.items() if k in plain}, plain, 1e-5)


@pytest.mark.parametrize("silence", [0.3, "trained"])
def test_disambiguated_lexicon_reads_every_string_one_way(silence: float | str) -> None:
    """Phones with their symbols tell the words: what determinisation needs. Without them they do not."""
    lang = lang_with(silence)
    inputs = [phones for phones, _ in graph_paths(lexicon_fst(lang, disambiguated=True), 5)]
    assert len(inputs) == len(set(inputs)) > 130
    plain = [phones for phones, _ in graph_paths(lexicon_fst(lang, disambiguated=False), 5)]
    assert len(plain) > len(set(plain))


def test_silence_probabilities_by_hand() -> None:
    """<s> sil A B sil </s>, <s> A sil B </s> and the two others that matter, each with the product of its factors."""
    entries = [Pronunciation("A", ("a",)), Pronunciation("B", ("b", "i"), 0.5), Pronunciation("B", ("b",))]
    lang = make_lang(entries, LangConfig())
    habits = {
        ("<UNK>", "SPN"): SilenceHabit(0.5),
        ("A", "a"): SilenceHabit(0.2, 1.5, 0.7),
        ("B", "b", "i"): SilenceHabit(0.4, 0.8, 1.1),
        ("B", "b"): SilenceHabit(0.1, 1.6, 0.9),
    }
    lang = replace(lang, trained_silence=SilenceModel(0.3, 0.9, (2.5, 0.05), habits))
    found = graph_paths(lexicon_fst(lang, disambiguated=False), 6, 2)
    ids, words = lang.phones.ids, (lang.words.ids["A"], lang.words.ids["B"])
    for phones, weight in {
        "SIL a b i SIL": 0.9 * 1.5 * (0.8 * 1.1) * 0.5 * (0.4 * 2.5),
        "a SIL b": (0.1 * 0.7) * (0.2 * 1.6) * (0.9 * 0.05),
        "SIL a SIL b i": 0.9 * 1.5 * (0.2 * 0.8) * 0.5 * (0.6 * 0.05),
        "a b SIL": (0.1 * 0.7) * (0.8 * 0.9) * (0.1 * 2.5),
    }.items():
        assert found[tuple(ids[p] for p in phones.split()), words] == pytest.approx(-math.log(weight), abs=1e-5)
    assert found[(ids["SIL"],), ()] == pytest.approx(-math.log(0.9 * 2.5), abs=1e-5)
    assert found[(), ()] == pytest.approx(-math.log(0.1 * 0.05), abs=1e-5)
    assert (ids["SIL"], ids["SIL"]) not in {phones for phones, _ in found}


@pytest.mark.parametrize("silence", [0.3, "trained"])
def test_back_off_symbol_passes_through(silence: float | str) -> None:
    lang = lang_with(silence)
    fst = lexicon_fst(lang, disambiguated=True)
    loops = (fst.ilabel == lang.phones.ids["#0"]) & (fst.olabel == lang.words.ids["#0"])
    assert loops.sum() == (2 if silence == "trained" else 1)
    assert (fst.sources()[loops] == fst.dst[loops]).all()
    assert not (lexicon_fst(lang, disambiguated=False).ilabel >= lang.inventory.disambiguation[0]).any()
