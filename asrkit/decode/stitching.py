"""One sequence of words from the words that were recognised in overlapping windows of a recording."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class TimedWord(Protocol):
    """A recognised word and when it was said; times in seconds of the recording."""

    @property
    def word(self) -> str:
        """The word."""
        ...

    @property
    def start_secs(self) -> float:
        """Where it begins."""
        ...

    @property
    def end_secs(self) -> float:
        """Where it ends."""
        ...

    @property
    def confidence(self) -> float | None:
        """Probability that it is right, where there is one."""
        ...


W = TypeVar("W", bound=TimedWord)

MIN_SHARED = 0.5
"""Two words are said at the same time where this part of the shorter one is shared."""


@dataclass(frozen=True)
class WordWindow(Generic[W]):
    """What was recognised in a stretch of a recording.

    Attributes
    ----------
    start_secs, end_secs : float
        The stretch.
    words : sequence of TimedWord
        In order of time.
    """

    start_secs: float
    end_secs: float
    words: Sequence[W]


def stitch(windows: Iterable[WordWindow[W]]) -> list[W]:
    """Return the words of a recording, each once, from windows in order of time of which neighbours may overlap.

    Where two windows overlap, their words are aligned: equal words said at the same time are a pair, and of all ways
    to pair them in order the one with the most pairs is taken, and of these the one that shares most time. The
    sequences are joined at the pair that lies nearest to the middle of the overlap, where both windows have context on
    either side. Without any pair the middle itself parts them; of two words there that are said at the same time
    the more confident one stays, or the earlier window's.

    Raises
    ------
    ValueError
        The windows are not in order, by both their ends.
    """
    stitched: list[W] = []
    start = reached = float("-inf")
    for window in windows:
        if window.start_secs < start or window.end_secs < max(reached, window.start_secs):
            raise ValueError(
                f"a window from {window.start_secs} to {window.end_secs} s behind one from {start} to {reached} s"
            )
        if reached > window.start_secs:
            stitched = _join(stitched, window.words, window.start_secs, reached)
        else:
            stitched = [*stitched, *window.words]
        start, reached = window.start_secs, window.end_secs
    return stitched


def _join(before: Sequence[W], behind: Sequence[W], start: float, end: float) -> list[W]:
    """Join the words of two windows that share the stretch from ``start`` to ``end``."""
    first = next((i for i, word in enumerate(before) if word.end_secs > start), len(before))
    last = next((i for i, word in enumerate(behind) if word.start_secs >= end), len(behind))
    middle = (start + end) / 2
    pairs = _pairs(before[first:], behind[:last])
    if pairs:
        left, right = min(pairs, key=lambda pair: abs(_centre(before[first + pair[0]]) - middle))
        return [*before[: first + left + 1], *behind[right + 1 :]]
    left_end = next((i for i in range(first, len(before)) if _centre(before[i]) >= middle), len(before))
    right_start = next((i for i in range(last) if _centre(behind[i]) >= middle), last)
    # The middle may lie within a word that the windows hear differently: it must be neither kept twice nor lost.
    twice = left_end > 0 and right_start < len(behind) and _same_time(before[left_end - 1], behind[right_start])
    lost = left_end < len(before) and right_start > 0 and _same_time(before[left_end], behind[right_start - 1])
    if twice and _surer(behind[right_start], before[left_end - 1]):
        left_end -= 1
    elif twice:
        right_start += 1
    elif lost and _surer(behind[right_start - 1], before[left_end]):
        right_start -= 1
    elif lost:
        left_end += 1
    return [*before[:left_end], *behind[right_start:]]


def _same_time(one: TimedWord, other: TimedWord) -> bool:
    return _shared(one, other) >= MIN_SHARED


def _surer(one: TimedWord, other: TimedWord) -> bool:
    return (one.confidence or 0.0) > (other.confidence or 0.0)


def _pairs(before: Sequence[W], behind: Sequence[W]) -> list[tuple[int, int]]:
    """Align two sequences; return the places of equal words said at the same time."""
    worth = [[(0, 0.0)] * (len(behind) + 1) for _ in range(len(before) + 1)]
    shares = [[_shared(a, b) if a.word == b.word else 0.0 for b in behind] for a in before]
    for i in range(len(before) - 1, -1, -1):
        for j in range(len(behind) - 1, -1, -1):
            best = max(worth[i + 1][j], worth[i][j + 1])
            if shares[i][j] >= MIN_SHARED:
                count, shared = worth[i + 1][j + 1]
                best = max(best, (count + 1, shared + shares[i][j]))
            worth[i][j] = best
    pairs = []
    i = j = 0
    while i < len(before) and j < len(behind):
        count, shared = worth[i + 1][j + 1]
        if shares[i][j] >= MIN_SHARED and worth[i][j] == (count + 1, shared + shares[i][j]):
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif worth[i][j] == worth[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs


def _centre(word: TimedWord) -> float:
    return (word.start_secs + word.end_secs) / 2


def _shared(one: TimedWord, other: TimedWord) -> float:
    """Return which part of the shorter of two words is shared, in [0, 1]."""
    shared = min(one.end_secs, other.end_secs) - max(one.start_secs, other.start_secs)
    shorter = min(one.end_secs - one.start_secs, other.end_secs - other.start_secs)
    return max(0.0, shared) / shorter if shorter > 0 else float(shared >= 0)
