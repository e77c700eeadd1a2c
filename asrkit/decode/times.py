"""When each word of a result is said."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

Segment = tuple[int, int, int]
"""(phone, first frame, one past the last frame)"""
Span = tuple[int, int]
"""(first frame, one past the last frame)"""


def align_words(
    words: Sequence[int],
    segments: Sequence[Segment],
    pronunciations: Mapping[int, Sequence[tuple[int, ...]]],
    silence: Collection[int],
) -> list[Span] | None:
    """Return the span of each word, from the phones that the best path went through.

    Parameters
    ----------
    words : sequence of int
        Word ids, 1-based.
    segments : sequence of Segment
        The phones (1-based) of the whole utterance, in order.
    pronunciations : mapping of int to sequence of tuple of int
        word_id -> its pronunciations, in phone ids.
    silence : collection of int
        Phones that may stand between words.

    Returns
    -------
    list of Span, or None
        None when the phones are not pronunciations of the words with silence between them: the result is partial
        and ends inside a word, or the lexicon is not the graph's.

    Notes
    -----
    A determinised graph passes a word's label anywhere between the place where its pronunciation becomes unique and
    the next word, so labels alone say little of times. Kaldi's ``lattice-align-words-lexicon`` does the same. A word
    is tried before a skipped silence, so a word that is said as silence keeps its phone.
    """
    phones = [phone for phone, _, _ in segments]
    # Depth first; each entry is (segments used, words used, index of the entry before, span of the word just used).
    trail: list[tuple[int, int, int, Span | None]] = [(0, 0, -1, None)]
    seen = {(0, 0)}
    todo = [0]
    while todo:
        entry = todo.pop()
        at, number, _, _ = trail[entry]
        if at == len(phones) and number == len(words):
            return _spans(trail, entry)
        steps: list[tuple[int, int, Span | None]] = []
        if at < len(phones) and phones[at] in silence:
            steps.append((at + 1, number, None))
        for pronunciation in pronunciations.get(words[number], ()) if number < len(words) else ():
            end = at + len(pronunciation)
            if pronunciation and tuple(phones[at:end]) == tuple(pronunciation):
                steps.append((end, number + 1, (segments[at][1], segments[end - 1][2])))
        for end, used, span in steps:
            if (end, used) not in seen:
                seen.add((end, used))
                todo.append(len(trail))
                trail.append((end, used, entry, span))
    return None


def _spans(trail: list[tuple[int, int, int, Span | None]], entry: int) -> list[Span]:
    spans: list[Span] = []
    while entry >= 0:
        _, _, before, span = trail[entry]
        if span is not None:
            spans.append(span)
        entry = before
    return spans[::-1]
