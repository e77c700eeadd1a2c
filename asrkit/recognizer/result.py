"""What a recogniser answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Adaptation = Literal["none", "first pass", "fmllr"]
"""``none``: the model is speaker-independent. With a speaker-adaptive one, ``first pass``: its mixtures for unadapted
inputs gave the result; ``fmllr``: its inputs were adapted by two searches before the one that gave the result."""

_DECIMALS = 3


@dataclass(frozen=True)
class Word:
    """A recognised word.

    Attributes
    ----------
    word : str
    start_secs, end_secs : float
        From the beginning of the recording.
    confidence : float or None
        Posterior probability in [0, 1]; None where no lattice was made.
    """

    word: str
    start_secs: float
    end_secs: float
    confidence: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serialisable object."""
        described: dict[str, Any] = {
            "word": self.word,
            "start": round(self.start_secs, _DECIMALS),
            "end": round(self.end_secs, _DECIMALS),
        }
        return described if self.confidence is None else {**described, "confidence": round(self.confidence, 4)}


@dataclass(frozen=True)
class Hypothesis:
    """One of the word sequences that a search found.

    Attributes
    ----------
    words : tuple of Word
    cost : float
        What the search minimises, natural log.
    probability : float or None
        Its share among all that the search kept, in [0, 1]; None where no lattice was made.
    """

    words: tuple[Word, ...]
    cost: float
    probability: float | None = None

    @property
    def text(self) -> str:
        """The words, with blanks between them."""
        return " ".join(word.word for word in self.words)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serialisable object."""
        described: dict[str, Any] = {
            "text": self.text,
            "cost": round(self.cost, 4),
            "words": [word.to_json() for word in self.words],
        }
        return described if self.probability is None else {**described, "probability": round(self.probability, 6)}


@dataclass(frozen=True)
class Segment:
    """A stretch of a recording that was searched as one.

    Attributes
    ----------
    start_secs, end_secs : float
        From the beginning of the recording.
    words : tuple of Word
    nbest : tuple of Hypothesis
        The best ones, the first with the words of the segment; all different.
    complete : bool
        Whether the path ends where the grammar lets a sentence end.
    """

    start_secs: float
    end_secs: float
    words: tuple[Word, ...]
    nbest: tuple[Hypothesis, ...]
    complete: bool

    @property
    def text(self) -> str:
        """The words, with blanks between them."""
        return " ".join(word.word for word in self.words)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serialisable object."""
        return {
            "start": round(self.start_secs, _DECIMALS),
            "end": round(self.end_secs, _DECIMALS),
            "text": self.text,
            "complete": self.complete,
            "words": [word.to_json() for word in self.words],
            "nbest": [hypothesis.to_json() for hypothesis in self.nbest],
        }


@dataclass(frozen=True)
class Partial:
    """What a live recogniser believes so far of an utterance that goes on.

    Attributes
    ----------
    start_secs : float
        Where the utterance began, from the beginning of the stream.
    heard_secs : float
        Up to where it was heard.
    words : tuple of str
        The best guess.
    num_settled : int
        So many of ``words`` cannot change any more.
    """

    start_secs: float
    heard_secs: float
    words: tuple[str, ...]
    num_settled: int

    @property
    def text(self) -> str:
        """The words, with blanks between them."""
        return " ".join(self.words)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serialisable object."""
        return {
            "partial": self.text,
            "settled": " ".join(self.words[: self.num_settled]),
            "start": round(self.start_secs, _DECIMALS),
            "heard": round(self.heard_secs, _DECIMALS),
        }


@dataclass(frozen=True)
class Result:
    """What was said in a recording.

    Attributes
    ----------
    segments : tuple of Segment
        In order of time; one, unless the recording was cut or is live.
    duration_secs : float
        Length of the recording.
    adaptation : {'none', 'first pass', 'fmllr'}
        See :data:`Adaptation`.
    transform : str or None
        With ``fmllr``: the kind that there was enough speech for: ``full``, ``diag``, ``offset`` or ``none``.
    """

    segments: tuple[Segment, ...]
    duration_secs: float
    adaptation: Adaptation = "none"
    transform: str | None = None

    @property
    def words(self) -> tuple[Word, ...]:
        """All words, in order of time."""
        return tuple(word for segment in self.segments for word in segment.words)

    @property
    def text(self) -> str:
        """The words, with blanks between them."""
        return " ".join(word.word for word in self.words)

    @property
    def nbest(self) -> tuple[Hypothesis, ...]:
        """The alternatives, best first, where the recording is one segment; else see those of the segments."""
        return self.segments[0].nbest if len(self.segments) == 1 else ()

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serialisable object; times are seconds."""
        described: dict[str, Any] = {
            "text": self.text,
            "duration": round(self.duration_secs, _DECIMALS),
            "adaptation": self.adaptation,
            "segments": [segment.to_json() for segment in self.segments],
        }
        return described if self.transform is None else {**described, "transform": self.transform}
