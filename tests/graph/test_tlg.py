"""TLG against enumeration: every string of outputs, what is left of it, and the words that it may stand for."""

from __future__ import annotations

import itertools
import logging
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from asrkit.core.errors import GraphError
from asrkit.decode.times import WordTimes
from asrkit.graph.fst import FstArrays
from asrkit.graph.grammar_fst import ngram_grammar
from asrkit.graph.hclg import GraphConfig
from asrkit.graph.tlg import compile_graph, compile_tlg, token_fst
from asrkit.hmm.ctc import BLANK, blank_phone, ctc_structure
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import monophone_tree
from asrkit.lang.langdir import Lang, LangConfig, make_lang
from asrkit.lang.lexicon import Pronunciation
from asrkit.lm.arpa import read_arpa
from tests.graph.languages import (
    BIGRAM,
    Weights,
    assert_same_weights,
    backoff_costs,
    graph_paths,
    habitual,
    sayings,
    tiny_lang,
    write_arpa,
)

VOCABULARY = ("A", "T", "TA", "TOO", "TWO")


@pytest.fixture(scope="module")
def arpa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_arpa(tmp_path_factory.mktemp("lm") / "bigram.arpa", BIGRAM, 2)


def grammar(lang: Lang, arpa: Path) -> FstArrays:
    return ngram_grammar(read_arpa(arpa), lang.words).fst


def strings(outputs: list[int], max_frames: int) -> dict[tuple[int, ...], list[list[tuple[int, int]]]]:
    """Labels -> every string of outputs that they are left of, as runs (output, frames), the blank among them."""
    found: dict[tuple[int, ...], list[list[tuple[int, int]]]] = {}
    for size in range(max_frames + 1):
        for frames in itertools.product([BLANK, *outputs], repeat=size):
            runs = [(output, len(list(same))) for output, same in itertools.groupby(frames)]
            labels = tuple(output for output, _ in runs if output != BLANK)
            found.setdefault(labels, []).append(runs)
    return found


def tids_of(
    runs: list[tuple[int, int]], phones: tuple[int, ...], transitions: TransitionModel, blank: int
) -> tuple[int, ...]:
    """The transition ids of a string whose labels are those of some phones."""
    left = iter(phones)
    tids: list[int] = []
    for output, count in runs:
        phone = blank if output == BLANK else next(left)
        loop, enter = (transitions.transition_id(phone, 0, output, index) for index in (0, 1))
        tids += [enter, *[loop] * (count - 1)]
    return tuple(tids)


def spoken(lang: Lang, max_frames: int, max_words: int) -> Weights:
    """What the bigram says in at most ``max_frames`` frames: (transition ids, words) -> least cost."""
    tree, transitions = ctc_structure(lang.inventory)
    pdfs = {tree.pdf_id((lang.phones.ids[one],), 0) for p in lang.pronunciations for one in p.phones}
    by_labels = strings(sorted(pdfs), max_frames)
    expected: Weights = {}
    for size in range(max_words + 1):
        for words in itertools.product(VOCABULARY, repeat=size):
            ids = tuple(lang.words.ids[word] for word in words)
            for phones, cost in sayings(lang, words):
                labels = tuple(tree.pdf_id((phone,), 0) for phone in phones)
                for runs in by_labels.get(labels, ()):
                    key = (tids_of(runs, phones, transitions, blank_phone(lang.inventory)), ids)
                    expected[key] = min(expected.get(key, math.inf), backoff_costs(BIGRAM, words) + cost)
    return expected


@pytest.mark.parametrize(("position_dependent", "max_frames"), [(False, 5), (True, 5)])
def test_the_graph_accepts_what_enumeration_says(arpa: Path, position_dependent: bool, max_frames: int) -> None:
    """Whatever the language says of silence between words: blanks are there for it."""
    silent = tiny_lang(silence_probability=0.3, position_dependent=position_dependent)
    plain = tiny_lang(silence_probability=0.0, position_dependent=position_dependent)
    tree, transitions = ctc_structure(silent.inventory)
    expected = spoken(plain, max_frames, max_frames)
    assert len(expected) > 1000
    words = {key[1] for key in expected}
    twice = plain.words.ids["A"]
    assert (twice, twice) in words
    for lang in (silent, habitual(silent) if not position_dependent else silent):
        found = compile_tlg(lang, grammar(lang, arpa), transitions)
        assert_same_weights(graph_paths(found, max_frames), expected)
    dispatched = compile_graph(plain, grammar(plain, arpa), tree, transitions, GraphConfig(3.0, 5.0), True)
    assert_same_weights(graph_paths(dispatched, max_frames), expected)


def test_two_of_the_same_have_a_blank_between_them(arpa: Path) -> None:
    """And word-position variants of one phone are the same."""
    lang = tiny_lang(silence_probability=0.0, position_dependent=True)
    _, transitions = ctc_structure(lang.inventory)
    graph = graph_paths(compile_tlg(lang, grammar(lang, arpa), transitions), 4)
    a = lang.words.ids["A"]
    said = [tids for tids, words in graph if words == (a, a)]
    assert said
    assert min(map(len, said)) == 3
    assert all(BLANK in transitions.tid_to_pdf[list(tids)][1:-1] for tids in said)


def test_each_string_of_outputs_has_one_path_for_its_phones() -> None:
    lang = tiny_lang(silence_probability=0.3)
    tree, transitions = ctc_structure(lang.inventory)
    fst = token_fst(transitions, blank_phone(lang.inventory), ())
    paths: Counter[tuple[tuple[int, ...], tuple[int, ...]]] = Counter()
    todo: list[tuple[int, tuple[int, ...], tuple[int, ...]]] = [(fst.start, (), ())]
    while todo:
        state, tids, phones = todo.pop()
        paths[tids, phones] += 1
        for arc in range(fst.arc_begin[state], fst.arc_begin[state + 1]) if len(tids) < 3 else ():
            written = (int(fst.olabel[arc]),) if fst.olabel[arc] else ()
            todo.append((int(fst.dst[arc]), (*tids, int(fst.ilabel[arc])), (*phones, *written)))
    phones_of = {tree.pdf_id((phone,), 0): phone for phone in transitions.topology.phones}
    expected = {
        (tids_of(runs, phones, transitions, 1), phones)
        for labels, ways in strings(sorted(set(phones_of) - {BLANK}), 3).items()
        for phones in [tuple(phones_of[label] for label in labels)]
        for runs in ways
    }
    assert set(paths) == expected
    assert set(paths.values()) == {1}


def test_phones_share_pdfs_as_the_language_says_and_silence_is_the_blank() -> None:
    lang = tiny_lang(position_dependent=True)
    tree, transitions = ctc_structure(lang.inventory)
    assert tree.num_pdfs == len(lang.shared_phones)
    assert transitions.num_transition_ids == 2 * sum(map(len, lang.shared_phones))
    for number, phones in enumerate(lang.shared_phones):
        assert {tree.pdf_id((phone,), 0) for phone in phones} == {number}
    assert lang.phones.symbols[blank_phone(lang.inventory)] == "SIL"
    assert tree.pdf_id((blank_phone(lang.inventory),), 0) == BLANK
    one_state = tiny_lang(position_dependent=True, num_states=1, num_silence_states=1)
    assert monophone_tree(one_state.topology, one_state.shared_phones).to_json() != tree.to_json()


def test_words_have_times_though_blanks_stand_within_them() -> None:
    lang = tiny_lang(silence_probability=0.0)
    _, transitions = ctc_structure(lang.inventory)
    blank = blank_phone(lang.inventory)
    parts = (lang.pronunciations, lang.words, lang.phones, lang.silence_phones)
    t, a = (lang.phones.ids[phone] for phone in "ta")
    tree, _ = ctc_structure(lang.inventory)
    pdf_t, pdf_a = (tree.pdf_id((phone,), 0) for phone in (t, a))
    runs = [(BLANK, 2), (pdf_t, 1), (BLANK, 3), (pdf_a, 2), (BLANK, 1), (pdf_a, 1)]
    alignment = np.array(tids_of(runs, (t, a, a), transitions, blank), dtype=np.int32)
    words = [lang.words.ids[word] for word in ("TA", "A")]
    assert WordTimes.of(transitions, *parts, blank).spans(words, alignment) == [(2, 8), (9, 10)]
    assert WordTimes.of(transitions, *parts).spans(words, alignment) is None


def test_words_of_silence_are_named(arpa: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="asrkit")
    logging.getLogger("asrkit").propagate = True  # which the command line turns off
    entries = [Pronunciation("A", ("a",)), Pronunciation("PAUSE", ("SIL",)), Pronunciation("A", ("SIL", "a"), 0.5)]
    lang = make_lang(entries, LangConfig())
    _, transitions = ctc_structure(lang.inventory)
    unigram = {"<s>": (-99.0, 0.0), "</s>": (-0.5, 0.0), "A": (-0.5, 0.0), "PAUSE": (-0.5, 0.0)}
    found = compile_tlg(lang, grammar(lang, write_arpa(tmp_path / "lm.arpa", unigram, 1)), transitions)
    assert "1 words are pronounced as silence, which CTC does not say: PAUSE" in caplog.text
    assert {words for _, words in graph_paths(found, 2)} == {(), (lang.words.ids["A"],)}


def test_a_grammar_that_cannot_be_said_is_refused() -> None:
    lang = tiny_lang()
    _, transitions = ctc_structure(lang.inventory)
    impossible = FstArrays.from_arcs(0, [np.inf], [], [], [], [], [])
    with pytest.raises(GraphError, match="no sentence"):
        compile_tlg(lang, impossible, transitions)
