"""Stitching: windows of a true sequence give the sequence, and planted errors at the edges of windows go."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.decode.stitching import WordWindow, stitch


@dataclass(frozen=True)
class Word:
    word: str
    start_secs: float
    end_secs: float
    confidence: float | None = None


def said(text: str, start: float = 0.0, secs: float = 1.0, confidence: float | None = None) -> list[Word]:
    """Words one after the other, each of ``secs``; ``.`` is a pause."""
    words = [Word(word, start + i * secs, start + (i + 1) * secs, confidence) for i, word in enumerate(text.split())]
    return [word for word in words if word.word != "."]


def texts(words: list[Word]) -> str:
    return " ".join(word.word for word in words)


def test_edges_of_windows_are_not_trusted() -> None:
    first = WordWindow(0.0, 10.0, said("a b c d e f g h i WRONG"))
    second = WordWindow(6.0, 16.0, said("BAD h i j k l m n o p", 6.0))
    assert texts(stitch([first, second])) == "a b c d e f g h i j k l m n o p"
    # The join is the pair nearest to the middle, 8 s: a word that only one window has goes or stays by its side of it.
    third = WordWindow(6.0, 16.0, said("g h NOT j k l", 6.0))
    assert texts(stitch([first, third])) == "a b c d e f g h NOT j k l"
    fourth = WordWindow(6.0, 16.0, said("g NOT i j k l", 6.0))
    assert texts(stitch([first, fourth])) == "a b c d e f g h i j k l"


def test_a_word_said_again_is_not_the_same_word() -> None:
    first = WordWindow(0.0, 4.0, said("no no no no"))
    second = WordWindow(2.0, 6.0, said("no no no no", 2.0))
    joined = stitch([first, second])
    assert [word.start_secs for word in joined] == [0, 1, 2, 3, 4, 5]
    # One window missed one of them.
    missed = WordWindow(2.0, 6.0, said(". no no no", 2.0))
    assert [word.start_secs for word in stitch([first, missed])] == [0, 1, 2, 3, 4, 5]


def test_without_agreement_time_decides() -> None:
    first = WordWindow(0.0, 10.0, said("a b c d e f g h i j"))
    other = WordWindow(6.0, 16.0, said("q r s t u v", 6.0))
    assert texts(stitch([first, other])) == "a b c d e f g h s t u v"
    # Two versions of one stretch in the middle: the surer one, or else the first.
    for sure, expected in ((None, "one X three"), (0.9, "one Y three"), (0.1, "one X three")):
        before = WordWindow(0.0, 6.0, [*said("one", 0.0, 1.0), Word("X", 4.5, 5.4, 0.5)])
        behind = WordWindow(4.0, 9.0, [Word("Y", 4.6, 5.5, sure), Word("three", 7.0, 8.0)])
        assert texts(stitch([before, behind])) == expected
        # Neither may it be lost where each window puts it on the other's side of the middle.
        before = WordWindow(0.0, 6.0, [*said("one", 0.0, 1.0), Word("X", 4.6, 5.5, 0.5)])
        behind = WordWindow(4.0, 9.0, [Word("Y", 4.5, 5.4, sure), Word("three", 7.0, 8.0)])
        assert texts(stitch([before, behind])) == expected


def test_silence_and_windows_that_only_touch() -> None:
    assert stitch([]) == []
    empty: WordWindow[Word] = WordWindow(0.0, 10.0, [])
    assert texts(stitch([empty, WordWindow(8.0, 12.0, said("a b", 9.0))])) == "a b"
    assert texts(stitch([WordWindow(0.0, 2.0, said("a b")), WordWindow(1.2, 8.0, [])])) == "a b"
    assert texts(stitch([WordWindow(0.0, 2.0, said("a a")), WordWindow(2.0, 4.0, said("a a", 2.0))])) == "a a a a"
    with pytest.raises(ValueError, match="behind"):
        stitch([WordWindow(5.0, 9.0, said("a")), WordWindow(0.0, 4.0, said("a"))])
    with pytest.raises(ValueError, match="behind"):
        stitch([WordWindow(0.0, 9.0, said("a")), WordWindow(3.0, 5.0, said("a", 3.0))])


@settings(deadline=None)
@given(st.data())
def test_windows_of_a_sequence_give_the_sequence(data: st.DataObject) -> None:
    draw = data.draw
    words, at = [], 0.0
    for number in range(draw(st.integers(0, 30))):
        at += draw(st.sampled_from([0.0, 0.0, 0.3, 1.5]))
        length = draw(st.sampled_from([0.15, 0.3, 0.6]))
        words.append(Word(draw(st.sampled_from("ab")), at, at + length, number / 100))
        at += length
    overlap, size = draw(st.sampled_from([2.0, 3.0])), draw(st.sampled_from([7.0, 9.0]))
    windows, start = [], 0.0
    while True:
        end = start + size
        inside = [word for word in words if start <= word.start_secs and word.end_secs <= end]
        # Times of two recognitions differ a little, and a word that the edge cuts becomes another one.
        shift = draw(st.sampled_from([0.0, 0.03]))
        inside = [replace(w, start_secs=w.start_secs + shift, end_secs=w.end_secs + shift) for w in inside]
        cut = [word for word in words if word.start_secs < start < word.end_secs - 0.05]
        over = [word for word in words if word.start_secs + 0.05 < end < word.end_secs]
        inside = [replace(word, word="?", start_secs=start) for word in cut] + inside
        inside += [replace(word, word="?", end_secs=end) for word in over]
        windows.append(WordWindow(start, end, inside))
        if end >= at:
            break
        start = end - overlap
    assert texts(stitch(windows)) == texts(words)
