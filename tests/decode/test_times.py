"""Words laid over phones: planted, ambiguous, impossible, and against enumeration."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.decode.times import Segment, align_words

SIL = 1
LEXICON = {5: [(2, 3)], 6: [(2, 3, 4), (2,)], 7: [(SIL,)], 8: [(4,), (3, 4)]}


def segments_of(phones: list[int]) -> list[Segment]:
    """Phone i lasts i + 1 frames, so that spans tell positions."""
    ends = np.cumsum([i + 1 for i in range(len(phones))]).tolist()
    return [(phone, end - i - 1, end) for i, (phone, end) in enumerate(zip(phones, ends))]


def test_planted_words_with_silence_around_them() -> None:
    segments = segments_of([SIL, 2, 3, SIL, 2, 3, 4, SIL])
    assert align_words([5, 6], segments, LEXICON, {SIL}) == [(1, 6), (10, 28)]


def test_a_pronunciation_is_chosen_so_that_all_fits() -> None:
    # 6 as (2), then 8 as (3, 4): the greedy choice of (2, 3, 4) leaves nothing for 8.
    assert align_words([6, 8], segments_of([2, 3, 4]), LEXICON, {SIL}) == [(0, 1), (1, 6)]


def test_a_word_of_silence_keeps_its_phone() -> None:
    assert align_words([5, 7], segments_of([2, 3, SIL]), LEXICON, {SIL}) == [(0, 3), (3, 6)]
    assert align_words([5], segments_of([2, 3, SIL]), LEXICON, {SIL}) == [(0, 3)]


def test_what_does_not_fit_is_none() -> None:
    assert align_words([5, 6], segments_of([2, 3, 2, 3]), LEXICON, {SIL}) is None
    assert align_words([5], segments_of([2, 3, 4]), LEXICON, {SIL}) is None
    assert align_words([9], segments_of([2]), LEXICON, {SIL}) is None
    assert align_words([], segments_of([]), LEXICON, {SIL}) == []
    assert align_words([], segments_of([SIL, SIL]), LEXICON, {SIL}) == []


def test_ten_thousand_words_are_no_recursion() -> None:
    phones = [2, 3, SIL, 4] * 5000
    spans = align_words([5, 8] * 5000, segments_of(phones), LEXICON, {SIL})
    assert spans is not None
    assert len(spans) == 10_000
    assert spans[0] == (0, 3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([1, 2, 3, 4]), max_size=7), st.lists(st.sampled_from([5, 6, 7, 8]), max_size=3))
def test_against_every_way_to_lay_the_words(phones: list[int], words: list[int]) -> None:
    segments = segments_of(phones)
    ways = []
    for choice in itertools.product(*(LEXICON[word] for word in words)):
        room = len(phones) - sum(map(len, choice))
        for gaps in itertools.product(range(max(room, -1) + 1), repeat=len(words) + 1):
            if sum(gaps) != room:
                continue
            said: list[int] = [SIL] * gaps[0]
            spans = []
            for pronunciation, gap in zip(choice, gaps[1:]):
                spans.append((len(said), len(said) + len(pronunciation)))
                said += [*pronunciation, *[SIL] * gap]
            if said == phones:
                ways.append([(segments[first][1], segments[last - 1][2]) for first, last in spans])
    found = align_words(words, segments, LEXICON, {SIL})
    assert (found in ways) if ways else (found is None)
