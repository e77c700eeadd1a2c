"""Phones and words of alignments against what graphs were asked to say, over every path of a hard little language."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import ModelError
from asrkit.graph.training import TrainingGraphCompiler
from asrkit.hmm.segments import cut_phones, find_words
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import monophone_tree
from asrkit.hmm.viterbi import viterbi
from asrkit.lang.langdir import Lang, LangConfig, make_lang
from asrkit.lang.lexicon import Pronunciation
from asrkit.lang.silence import SilenceHabit, SilenceModel
from tests.graph.languages import habitual, random_triphone_tree, sayings, tiny_lang

WORDS = ("A", "T", "TA", "TOO", "TWO")


def random_path(lang: Lang, words: tuple[str, ...], seed: int, triphones: bool) -> tuple[TransitionModel, np.ndarray]:
    """The best path of a transcript's graph under random log-likelihoods."""
    tree = random_triphone_tree(lang.topology, seed) if triphones else monophone_tree(lang.topology, lang.shared_phones)
    transitions = TransitionModel.from_tree(tree, lang.topology)
    graph = TrainingGraphCompiler(lang, tree, transitions).compile(lang.transcript_ids(words)[0])
    rng = np.random.default_rng(seed)
    num_frames = (graph.min_num_frames() or 1) + int(rng.integers(0, 30))
    loglikes = rng.normal(scale=4.0, size=(num_frames, transitions.num_pdfs)).astype(np.float32)
    arc_logprob = graph.arc_logprob + transitions.log_probs[graph.arc_label]
    path = viterbi(graph, transitions.tid_to_pdf[graph.arc_label], arc_logprob, loglikes)
    assert path is not None
    return transitions, graph.arc_label[path.arcs]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=4),
    positions=st.booleans(),
    triphones=st.booleans(),
    trained_silence=st.booleans(),
)
def test_every_path_is_cut_into_the_phones_and_words_of_its_transcript(
    seed: int, words: list[str], positions: bool, triphones: bool, trained_silence: bool
) -> None:
    lang = tiny_lang(position_dependent=positions)
    lang = habitual(lang, seed) if trained_silence else lang
    transitions, alignment = random_path(lang, tuple(words), seed, triphones)
    phones = cut_phones(transitions, alignment)
    # The same cuts as the transition model's own walk over the frames.
    walked = transitions.phone_segments(alignment)
    assert [(int(p), int(a), int(b)) for p, a, b in zip(phones.phones, phones.bounds, phones.bounds[1:])] == walked
    # A saying of the transcript, and the words its pronunciations with only silence between.
    assert tuple(phones.phones.tolist()) in {said for said, _ in sayings(lang, words)}
    ids = lang.transcript_ids(words)[0].tolist()
    found = find_words(phones.phones.tolist(), ids, lang)
    assert found is not None
    assert [word.position for word in found] == list(range(len(words)))
    for word, word_id in zip(found, ids):
        entry = lang.entries_of_word[word_id][word.variant]
        assert tuple(phones.phones[word.first : word.last].tolist()) == entry.phones
    gaps = [(0, found[0].first), *((a.last, b.first) for a, b in itertools.pairwise(found))]
    for first, last in [*gaps, (found[-1].last, len(phones))]:
        assert phones.phones[first:last].tolist() in ([], [lang.optional_silence])


def language(*entries: tuple[str, str, float], **config: object) -> Lang:
    return make_lang([Pronunciation(w, tuple(p.split()), q) for w, p, q in entries], LangConfig(**config))  # type: ignore[arg-type]


def phone_ids(lang: Lang, text: str) -> list[int]:
    return [lang.phones.ids[phone] for phone in text.split()]


def spans(lang: Lang, words: str, phones: str) -> list[tuple[int, int, int]] | None:
    found = find_words(phone_ids(lang, phones), lang.transcript_ids(words.split())[0].tolist(), lang)
    return None if found is None else [(word.variant, word.first, word.last) for word in found]


def test_of_two_readings_the_more_probable_one_is_taken() -> None:
    short_first = language(("X", "a", 1.0), ("X", "a t", 0.5), ("Y", "i", 0.8), ("Y", "t i", 1.0))
    assert spans(short_first, "X Y", "a t i") == [(0, 0, 1), (1, 1, 3)]
    long_first = language(("X", "a", 0.3), ("X", "a t", 1.0), ("Y", "i", 0.8), ("Y", "t i", 1.0))
    assert spans(long_first, "X Y", "a t i") == [(1, 0, 2), (0, 2, 3)]


def test_silence_probabilities_decide_between_readings() -> None:
    """X Y as (a)(SIL i) or (a)(SIL)(i): which one depends on P(s|X) F(s|Y) against P(n|X) F(n|Y)."""
    lang = language(("X", "a", 1.0), ("Y", "i", 1.0), ("Y", "SIL i", 0.5))
    for after, before, reading in ((0.2, 1.0, (1, 1, 3)), (0.8, 1.0, (0, 2, 3)), (0.8, 0.01, (1, 1, 3))):
        habits = {("X", "a"): SilenceHabit(after), ("Y", "i"): SilenceHabit(0.5, before)}
        trained = replace(lang, trained_silence=SilenceModel(0.5, 0.5, (1.0, 1.0), habits))
        assert spans(trained, "X Y", "a SIL i") == [(0, 0, 1), reading]


def test_equally_probable_readings_are_told_apart_by_the_order_of_the_lexicon() -> None:
    one = language(("X", "a", 1.0), ("X", "a t", 1.0), ("Y", "i", 1.0), ("Y", "t i", 1.0))
    other = language(("X", "a t", 1.0), ("X", "a", 1.0), ("Y", "i", 1.0), ("Y", "t i", 1.0))
    assert spans(one, "X Y", "a t i") == [(0, 0, 1), (1, 1, 3)]
    assert spans(other, "X Y", "a t i") == [(0, 0, 2), (0, 2, 3)]


def test_a_word_that_is_said_as_silence_keeps_its_phone() -> None:
    lang = language(("X", "a", 1.0), ("<SIL>", "SIL", 1.0))
    assert spans(lang, "X <SIL> X", "a SIL a") == [(0, 0, 1), (0, 1, 2), (0, 2, 3)]
    assert spans(lang, "X <SIL> X", "SIL a SIL SIL a") is not None
    assert spans(lang, "X X", "a SIL SIL a") is None


@pytest.mark.parametrize("phones", ["a", "a t", "t i", "a i i", "SIL", ""])
def test_phones_of_another_transcript_are_no_reading(phones: str) -> None:
    lang = language(("X", "a", 1.0), ("Y", "t i", 1.0), ("Z", "i", 1.0))
    assert spans(lang, "X Y", phones) is None


def test_without_optional_silence_there_is_none() -> None:
    lang = language(("X", "a", 1.0), silence_probability=0.0)
    assert spans(lang, "X X", "a a") == [(0, 0, 1), (0, 1, 2)]
    assert spans(lang, "X X", "a SIL a") is None


def test_means_are_those_of_the_frames_of_each_phone() -> None:
    transitions, alignment = random_path(tiny_lang(), ("TWO", "A"), 3, False)
    phones = cut_phones(transitions, alignment)
    values = np.random.default_rng(0).normal(size=len(alignment)).astype(np.float32)
    expected = [values[a:b].mean() for a, b in zip(phones.bounds, phones.bounds[1:])]
    np.testing.assert_allclose(phones.means(values), expected, rtol=1e-5)


def test_what_is_no_sequence_of_phones_is_refused() -> None:
    transitions, alignment = random_path(tiny_lang(), ("TWO", "A"), 3, False)
    # Cut off before the last phone is left.
    unfinished = alignment[: int(cut_phones(transitions, alignment).bounds[-2]) + 1]
    loops = np.flatnonzero(transitions.is_self_loop)[:1].astype(np.int32)
    for wrong in (alignment[:0], np.concatenate([loops, alignment]), unfinished):
        with pytest.raises(ModelError, match="whole phones"):
            cut_phones(transitions, wrong)
