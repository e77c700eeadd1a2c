"""Silence between words: how probable it is behind each pronunciation, and how each changes it in front of itself."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from asrkit.core.errors import FormatError
from asrkit.core.files import read_lines, write_lines
from asrkit.lang.lexicon import Pronunciation

SILENCE_FILE = "silence.txt"
START, END, OVERALL = "<s>", "</s>", "<eps>"

Said = tuple[str, ...]
"""A word and its phones; ``("<s>",)`` and ``("</s>",)`` are the ends of a sentence."""

Weights = tuple[float, float]
"""Natural logs: of going on without silence, and with it."""


@dataclass(frozen=True)
class SilenceHabit:
    """What silence does around a pronunciation w.

    Attributes
    ----------
    after : float
        P(s|w), the probability of silence behind it, in (0, 1).
    before : float
        F(s|w), by which the probability that the word in front gives to silence is multiplied, > 0.
    joined : float
        F(n|w), the same of no silence.
    """

    after: float
    before: float = 1.0
    joined: float = 1.0


@dataclass(frozen=True)
class SilenceModel:
    """Probabilities of silence between words.

    Between v and w there is silence with the weight P(s|v) F(s|w), and none with the weight (1 - P(s|v)) F(n|w), which
    need not add up to one: G. Chen, H. Xu, M. Wu, D. Povey, S. Khudanpur, "Pronunciation and silence probability
    modeling for ASR" (Interspeech 2015).

    Attributes
    ----------
    overall : float
        Probability of silence in any place; it stands for P(s|w) of a pronunciation that has no habit. In [0, 1).
    start : float
        P(s|<s>), of silence before the first word.
    end : (float, float)
        F(s|</s>) and F(n|</s>).
    habits : mapping of (word, phone, …) to SilenceHabit
    """

    overall: float
    start: float
    end: tuple[float, float]
    habits: Mapping[Said, SilenceHabit]

    @classmethod
    def constant(cls, probability: float) -> SilenceModel:
        """Return the model whose probability is the same everywhere."""
        return cls(probability, probability, (1.0, 1.0), {})

    def habit(self, pronunciation: Pronunciation) -> SilenceHabit:
        """Return the habit of a pronunciation."""
        return self.habits.get(said(pronunciation)) or SilenceHabit(self.overall)

    def of(self, pronunciations: Iterable[Pronunciation]) -> SilenceModel:
        """Return the model with a habit of each of these pronunciations and of no others."""
        return replace(self, habits={said(one): self.habit(one) for one in pronunciations})

    @property
    def start_weights(self) -> Weights:
        """Weights of what stands before the first word."""
        return log_weights(self.start)

    @property
    def end_weights(self) -> Weights:
        """Weights that the end of the sentence adds to those of the last word."""
        return math.log(self.end[1]), math.log(self.end[0])

    def save(self, path: Path | str) -> None:
        """Write one line a pronunciation, ``WORD P(s|w) F(s|w) F(n|w) PHONES``, behind those of the sentence."""
        lines = [f"{OVERALL} {self.overall!r}", f"{START} {self.start!r}", f"{END} {self.end[0]!r} {self.end[1]!r}"]
        lines += [
            f"{word} {habit.after!r} {habit.before!r} {habit.joined!r} {' '.join(phones)}"
            for (word, *phones), habit in self.habits.items()
        ]
        write_lines(path, lines)

    @classmethod
    def load(cls, path: Path | str, pronunciations: Iterable[Pronunciation]) -> SilenceModel:
        """Read what :meth:`save` wrote.

        Raises
        ------
        FormatError
            With file and line: not such a line, a number out of its range, a pronunciation that is not of the
            lexicon; or one of the lexicon's is absent.
        """
        expected = {said(pronunciation) for pronunciation in pronunciations}
        found: dict[Said, tuple[float, ...]] = {}
        for number, line in enumerate(read_lines(path), 1):
            key, values = _parse(line, f"{path}:{number}")
            if len(key) > 1 and key not in expected:
                raise _misfit(f"the lexicon does not have {' '.join(key)}", f"{path}:{number}")
            found[key] = values
        absent = next((key for key in [(OVERALL,), (START,), (END,), *sorted(expected)] if key not in found), None)
        if absent is not None:
            raise _misfit(f"no line of {' '.join(absent)}", str(path))
        (overall,), (start,), (end_silence, end_joined) = (found.pop((name,)) for name in (OVERALL, START, END))
        return cls(overall, start, (end_silence, end_joined), {key: SilenceHabit(*found[key]) for key in found})


def said(pronunciation: Pronunciation) -> Said:
    """Return what names a pronunciation: its word and phones."""
    return (pronunciation.word, *pronunciation.phones)


def log_weights(probability: float) -> Weights:
    """Return the natural logs of 1 - p and p, of a p in [0, 1)."""
    return math.log1p(-probability), math.log(probability) if probability > 0 else -math.inf


def _parse(line: str, where: str) -> tuple[Said, tuple[float, ...]]:
    """Return who a line is about, and its numbers."""
    word, *fields = line.split(" ")
    num_values = {OVERALL: 1, START: 1, END: 2}.get(word, 3)
    try:
        values = tuple(map(float, fields[:num_values]))
    except ValueError:
        values = ()
    phones = fields[num_values:]
    is_pronunciation = num_values == 3
    if len(values) < num_values or bool(phones) != is_pronunciation:
        raise FormatError(
            f"expected 'WORD P(s|w) F(s|w) F(n|w) PHONE …' (or {OVERALL}, {START}, {END} and their numbers), "
            f"found {line!r}",
            where=where,
        )
    probabilities, factors = ((), values) if word == END else (values[:1], values[1:])
    if not all(0 < p < 1 for p in probabilities) or not all(0 < f < math.inf for f in factors):
        raise FormatError(f"expected 0 < P < 1 and F > 0, found {line!r}", where=where)
    return (word, *phones), values


def _misfit(message: str, where: str) -> FormatError:
    return FormatError(message, where=where, remedy="make the directory again with `asrkit train-lexicon`")
