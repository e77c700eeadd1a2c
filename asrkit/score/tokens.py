"""From the words of a transcript to the tokens that are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from asrkit.core.errors import AsrkitError, DataError, FormatError
from asrkit.core.files import read_lines
from asrkit.score.timit import FOLD_39, fold_phones

Unit = Literal["word", "char", "phone"]
Fold = Literal["none", "timit39"]

SPACE = "␣"
"""How a counted space between words is shown."""


@dataclass(frozen=True)
class TokenRules:
    """What is done to both sides before they are compared, in this order.

    1. Spelling variants are replaced (``variants``). 2. Tokens in ``ignore`` are removed. 3. Phones are folded.
    4. Tokens in ``ignore`` are removed again, now under their folded names. 5. Words are split into characters.

    Attributes
    ----------
    unit : {'word', 'char', 'phone'}
        Words and phones are the fields of a line; characters are Unicode code points.
    fold : {'none', 'timit39'}
        ``timit39``: TIMIT's 61 or 48 phones become 39; see :mod:`asrkit.score.timit`.
    ignore : frozenset of str
        Tokens that do not count, on either side.
    count_spaces : bool
        With characters: a space between two words is a token of its own (shown as ``␣``).
    variants : mapping of str to str
        Spelling variant -> the spelling it counts as.
    """

    unit: Unit = "word"
    fold: Fold = "none"
    ignore: frozenset[str] = frozenset()
    count_spaces: bool = False
    variants: Mapping[str, str] = field(default_factory=dict)

    def apply(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return the tokens of one transcript.

        Raises
        ------
        DataError
            A phone outside the set that is folded.
        """
        tokens = tuple(words)
        if self.variants:
            tokens = tuple(self.variants.get(token, token) for token in tokens)
        tokens = self._without_ignored(tokens)
        if self.fold == "timit39":
            tokens = self._without_ignored(fold_phones(tokens, FOLD_39))
        if self.unit == "char":
            tokens = tuple((SPACE if self.count_spaces else "").join(tokens))
        return tokens

    def apply_to_all(self, transcripts: Mapping[str, Sequence[str]], where: Path | str) -> dict[str, tuple[str, ...]]:
        """Return utterance_id -> tokens; an error says in which file (``where``) and utterance it was met."""
        tokens: dict[str, tuple[str, ...]] = {}
        for key, words in transcripts.items():
            try:
                tokens[key] = self.apply(words)
            except AsrkitError as error:
                raise DataError(f"{key}: {error.message}", where=where, remedy=error.remedy) from None
        return tokens

    def _without_ignored(self, tokens: tuple[str, ...]) -> tuple[str, ...]:
        if not self.ignore:
            return tokens
        return tuple(token for token in tokens if token not in self.ignore)


def read_variants(path: Path | str) -> dict[str, str]:
    """Read a table of spelling variants: lines ``VARIANT SPELLING``, one token each.

    Empty lines and lines that start with ``;;`` (comments, as in NIST's GLM files) are passed over; the other
    features of NIST's format are not.

    Raises
    ------
    FormatError
        A line without exactly two fields, a variant given twice, or a spelling that is itself a variant.
    """
    variants: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(read_lines(path), 1):
        fields = line.split()
        if not fields or line.startswith(";;"):
            continue
        if len(fields) != 2:
            raise FormatError(
                f"expected 'VARIANT SPELLING', found {line!r}",
                where=f"{path}:{number}",
                remedy="one word for one word; comments start with ;;",
            )
        variant, spelling = fields
        if variant in variants:
            raise FormatError(
                f"{variant!r} was given before, at line {lines[variant]}",
                where=f"{path}:{number}",
                remedy="keep one line a variant",
            )
        variants[variant], lines[variant] = spelling, number
    for variant, spelling in variants.items():
        if spelling in variants and variant != spelling:
            raise FormatError(
                f"{variant!r} becomes {spelling!r}, which becomes {variants[spelling]!r}",
                where=f"{path}:{lines[variant]}",
                remedy=f"map {variant!r} to its last spelling",
            )
    return variants
