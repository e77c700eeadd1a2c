"""Times of words that no search found as one path: each from a path that has the word at its place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from asrkit.decode.times import Span

Place = tuple[float, float]
"""(frame where an arc with the word begins, where it ends): about where the word is, or expected"""


def place_words(
    words: Sequence[int],
    expected: Sequence[Place],
    paths: Iterable[tuple[Sequence[int], Sequence[Place], Sequence[Span]]],
) -> tuple[list[Span], bool]:
    """Return a span for each word, in order and apart, and whether all are those of paths.

    A path of just these words gives all spans. Else a word has that of the first path that has the same word there:
    the places overlap by half of the shorter, and the span lies between its neighbours as far as these are placed.
    Words that no path has keep what was expected, cut down to what their neighbours leave.

    Parameters
    ----------
    words : sequence of int
        Word ids.
    expected : sequence of (float, float)
        The place of each, in order.
    paths : iterable of (words, places, spans)
        The best first, and of each word of it place and span; none is asked for when all words are placed.
    """
    placed: list[Span | None] = [None] * len(words)
    if words:
        for path in paths:
            if tuple(path[0]) == tuple(words):
                return list(path[2]), True
            _take(words, expected, placed, *path)
            if None not in placed:
                break
    found: list[Span] = []
    for at, span in enumerate(placed):
        if span is None:
            low = found[-1][1] if found else 0
            high = next((later[0] for later in placed[at:] if later is not None), None)
            begin, end = (max(round(bound), low) for bound in expected[at])
            span = (begin, end) if high is None else (min(begin, high), min(end, high))
        found.append(span)
    return found, None not in placed


def _take(
    words: Sequence[int],
    expected: Sequence[Place],
    placed: list[Span | None],
    said: Sequence[int],
    places: Sequence[Place],
    spans: Sequence[Span],
) -> None:
    """Place the words that a path has."""
    for at, word in enumerate(words):
        if placed[at] is not None:
            continue
        low = next((span[1] for span in reversed(placed[:at]) if span is not None), 0)
        high = next((span[0] for span in placed[at + 1 :] if span is not None), None)
        begin, end = expected[at]
        overlaps = [
            (min(place[1], end) - max(place[0], begin), place, span)
            for other, place, span in zip(said, places, spans, strict=True)
            if other == word and span[0] >= low and (high is None or span[1] <= high)
        ]
        if overlaps:
            shared, place, span = max(overlaps, key=lambda one: one[0])
            if shared > 0 and 2 * shared >= min(place[1] - place[0], end - begin):
                placed[at] = span
