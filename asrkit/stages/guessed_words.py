"""Words of transcripts that the lexicon does not have, pronounced by a G2P model."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from asrkit.core.errors import FormatError
from asrkit.lang.extension import extend_lang
from asrkit.lang.langdir import Lang
from asrkit.lang.lexicon import Pronunciation
from asrkit.stages.train_g2p import pronounce_words
from asrkit.stages.unknown_words import NUM_NAMED, UnknownWords

log = logging.getLogger("asrkit")


@dataclass(frozen=True)
class GuessedWords:
    """What a G2P model makes of unknown words.

    Attributes
    ----------
    unknown : UnknownWords
        Those that were asked for; the model cannot say all of them.
    entries : tuple of Pronunciation
        By word, the best pronunciation of each first.
    model : Path
    """

    unknown: UnknownWords
    entries: tuple[Pronunciation, ...]
    model: Path

    @classmethod
    def of(cls, unknown: UnknownWords, model: Path, num: int = 1) -> GuessedWords:
        """Pronounce the words, ``num`` pronunciations of each at most, and log those that the model cannot say.

        Raises
        ------
        ModelError, FormatError
            The model is absent or damaged.
        """
        entries, failures = pronounce_words(model, sorted(unknown.counts), num, skip_unknown=True)
        for failure in failures[:NUM_NAMED]:
            log.warning("no pronunciation: %s", failure.reason)
        return cls(unknown, tuple(entries), model)

    def extend(self, lang: Lang) -> Lang:
        """Return the language with these words.

        Raises
        ------
        FormatError
            A pronunciation has a phone that the language does not.
        """
        try:
            return extend_lang(lang, self.entries, self.model)
        except FormatError as error:
            error.remedy = "train the G2P model on a lexicon of the model's phones (--strip-stress: AH0 becomes AH)"
            raise

    @property
    def num_types(self) -> int:
        """How many words have a pronunciation."""
        return len({entry.word for entry in self.entries})

    def lines(self) -> Iterable[str]:
        """Return ``word <tab> count <tab> phones`` of each pronunciation, most frequent words first."""
        counts = self.unknown.counts
        # A stable sort: the pronunciations of a word keep their order.
        ranked = sorted(self.entries, key=lambda entry: (-counts[entry.word], entry.word))
        return (f"{entry.word}\t{counts[entry.word]}\t{' '.join(entry.phones)}" for entry in ranked)
