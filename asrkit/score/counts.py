"""Error counts that add, and the rates that follow from them."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class ErrorCounts:
    """How many errors some utterances hold: a monoid under ``+``; rates are derived from sums, never averaged.

    Attributes
    ----------
    insertions, deletions, substitutions : int
        Edits of the alignment.
    reference_tokens : int
        Tokens (words, characters, phones) of the reference.
    sentences, wrong_sentences : int
        Utterances, and those with at least one error.
    """

    insertions: int = 0
    deletions: int = 0
    substitutions: int = 0
    reference_tokens: int = 0
    sentences: int = 0
    wrong_sentences: int = 0

    @classmethod
    def zero(cls) -> ErrorCounts:
        """Return the counts of no utterances."""
        return cls()

    def __add__(self, other: ErrorCounts) -> ErrorCounts:
        return ErrorCounts(
            self.insertions + other.insertions,
            self.deletions + other.deletions,
            self.substitutions + other.substitutions,
            self.reference_tokens + other.reference_tokens,
            self.sentences + other.sentences,
            self.wrong_sentences + other.wrong_sentences,
        )

    @property
    def errors(self) -> int:
        """Insertions, deletions and substitutions together."""
        return self.insertions + self.deletions + self.substitutions

    @property
    def correct_tokens(self) -> int:
        """Reference tokens that were recognised."""
        return self.reference_tokens - self.deletions - self.substitutions

    @property
    def error_rate(self) -> float:
        """Errors by reference tokens, in [0, inf]; 0 when there are neither, inf when only errors."""
        return _ratio(self.errors, self.reference_tokens)

    @property
    def sentence_error_rate(self) -> float:
        """Wrong sentences by sentences, in [0, 1]; 0 when there are none."""
        return _ratio(self.wrong_sentences, self.sentences)


def _ratio(part: int, whole: int) -> float:
    if whole == 0:
        return math.inf if part else 0.0
    return part / whole
