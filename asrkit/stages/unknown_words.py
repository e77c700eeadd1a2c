"""Words of transcripts that the lexicon does not have: counted, listed, refused or warned of."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from asrkit.core.errors import DataError
from asrkit.data.datadir import DataDir

log = logging.getLogger("asrkit")

NUM_NAMED = 10


def check_known(num_unknown: int, num_words: int, text: Path) -> None:
    """Warn of words that a training takes for the unknown word, and refuse transcripts that have no others.

    Parameters
    ----------
    num_unknown, num_words : int
        Words outside the lexicon, and all words.
    text : Path
        The file of the transcripts.

    Raises
    ------
    DataError
        Not one word is in the lexicon.
    """
    if num_words and num_unknown == num_words:
        raise DataError(
            "no word of the transcripts is in the lexicon", where=text, remedy="use the lang directory of this corpus"
        )
    if num_unknown:
        log.warning("%d of %d words of %s are not in the lexicon", num_unknown, num_words, text)


@dataclass(frozen=True)
class UnknownWords:
    """Words outside the lexicon.

    Attributes
    ----------
    counts : Counter of str
        How often each occurs.
    first : dict of str to str
        The first utterance that has it.
    """

    counts: Counter[str]
    first: dict[str, str]

    @classmethod
    def of(cls, data: DataDir, known: frozenset[str]) -> UnknownWords:
        """Find the words of the transcripts that are not known."""
        counts: Counter[str] = Counter()
        first: dict[str, str] = {}
        for key, utterance in data.utterances.items():
            for word in utterance.words or ():
                if word not in known:
                    counts[word] += 1
                    first.setdefault(word, key)
        return cls(counts, first)

    @property
    def num_words(self) -> int:
        """How many words of the transcripts are unknown."""
        return sum(self.counts.values())

    def _ranked(self) -> list[tuple[str, int]]:
        return sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))

    def _named(self) -> str:
        ranked = self._ranked()
        return ", ".join(word for word, _ in ranked[:NUM_NAMED]) + (", …" if len(ranked) > NUM_NAMED else "")

    def lines(self) -> Iterable[str]:
        """Return ``word <tab> count <tab> first utterance``, most frequent first."""
        return (f"{word}\t{count}\t{self.first[word]}" for word, count in self._ranked())

    def refuse(self, text: Path, remedy: str = "give their pronunciations with --lexicon, or say --oov unk") -> None:
        """Raise a DataError where the transcripts, of the file ``text``, have any."""
        if self.counts:
            raise DataError(
                f"{self.num_words} words are not in the lexicon: {self._named()}",
                where=text,
                remedy=remedy,
            )

    def warn(self, where: Path) -> None:
        """Log how many there are, and the most frequent ones."""
        if self.counts:
            log.warning(
                "%d words of %s are not in the lexicon and were aligned as the unknown word: %s",
                self.num_words,
                where / "text",
                self._named(),
            )
