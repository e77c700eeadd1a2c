"""When each word of a result is said."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from asrkit.graph.directory import load_graph_info, load_words
from asrkit.hmm.transitions import TransitionModel
from asrkit.lang.lexicon import Pronunciation, read_lexicon
from asrkit.lang.symbols import SymbolTable

if TYPE_CHECKING:
    from asrkit.decode.search import SearchResult

Segment = tuple[int, int, int]
"""(phone, first frame, one past the last frame)"""
Span = tuple[int, int]
"""(first frame, one past the last frame)"""


@dataclass(frozen=True)
class WordTimes:
    """Finds the frames of each word of a result.

    Attributes
    ----------
    transitions : TransitionModel
        What the alignment's transition_ids mean.
    pronunciations : mapping
        word_id -> pronunciations in phone ids.
    silence : frozenset of int
        Phones that may stand between words.
    blank : int, optional
        Phone that may stand anywhere, within words too, and belongs to none: the blank of a network trained by CTC.
    """

    transitions: TransitionModel
    pronunciations: Mapping[int, Sequence[tuple[int, ...]]]
    silence: frozenset[int]
    blank: int | None = None

    @classmethod
    def of(
        cls,
        transitions: TransitionModel,
        lexicon: Iterable[Pronunciation],
        words: SymbolTable,
        phones: SymbolTable,
        silence: Iterable[int],
        blank: int | None = None,
    ) -> WordTimes:
        """Take the pronunciations of a lexicon whose word and phones are in the tables."""
        table: dict[int, list[tuple[int, ...]]] = {}
        for entry in lexicon:
            if entry.word in words and all(phone in phones for phone in entry.phones):
                said = tuple(phones.ids[phone] for phone in entry.phones)
                table.setdefault(words.ids[entry.word], []).append(said)
        return cls(transitions, table, frozenset(silence), blank)

    def __call__(self, result: SearchResult) -> list[Span] | None:
        """Return the span of each word; None where phones and words do not fit."""
        return self.spans(result.words, result.alignment)

    def spans(self, words: Sequence[int], alignment: NDArray[np.int32]) -> list[Span] | None:
        """Return the span of each word of a path: its word ids, and the transition_id of each frame."""
        segments = [one for one in self.transitions.phone_segments(alignment) if one[0] != self.blank]
        return align_words(words, segments, self.pronunciations, self.silence)


def load_word_times(graph: Path, model: Path, transitions: TransitionModel) -> WordTimes:
    """Take the lexicon from a graph directory where it has one, else from the model's lang directory."""
    path = graph / "lexicon.txt"
    if not path.exists():
        path = model / "lang" / "lexicon.txt"
    described = load_graph_info(graph).described
    silence, blank = described.get("silence_phones", []), described.get("blank_phone")
    phones = SymbolTable.load(graph / "phones.txt")
    return WordTimes.of(transitions, read_lexicon(path, "yes"), load_words(graph), phones, silence, blank)


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
