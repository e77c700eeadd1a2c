"""Pronunciation lexicons: which phones a word is said with, and how probably."""

from __future__ import annotations

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from asrkit.core.errors import FormatError
from asrkit.core.files import read_lines

RESERVED_WORDS = frozenset({"<eps>", "<s>", "</s>"})
_DISAMBIGUATION = re.compile(r"#(\d+|-1)")
_BLANK = re.compile(r"[ \t\r\f\v]+")

Probabilities = Literal["auto", "yes", "no"]


@dataclass(frozen=True)
class Pronunciation:
    """One way to say a word.

    Attributes
    ----------
    word : str
    phones : tuple of str
        Phone symbols, at least one.
    probability : float
        Relative to the word's most probable pronunciation, in (0, 1].
    """

    word: str
    phones: tuple[str, ...]
    probability: float = 1.0


def read_lexicon(
    path: Path | str, probabilities: Probabilities = "auto", allowed_phones: Collection[str] | None = None
) -> list[Pronunciation]:
    """Read a lexicon: one ``WORD PHONE …`` or ``WORD PROBABILITY PHONE …`` a line, plain or gzip.

    Probabilities are divided by the largest of the word (Kaldi's ``--max-normalize``). Empty lines and
    lines that begin with ``;;;`` (cmudict's comments) are passed over.

    Parameters
    ----------
    probabilities : {'auto', 'yes', 'no'}
        Whether the second field is a probability; 'auto' = it is a number in (0, 1] in every line.
    allowed_phones : collection of str, optional
        The phones that may occur.

    Raises
    ------
    FormatError
        With file and line: not UTF-8, a word without phones, a reserved symbol, an unknown phone, a probability
        that is none, an entry that stands twice; or the lexicon is empty.
    """
    rows = [
        (number, fields)
        for number, line in enumerate(_lines(Path(path)), 1)
        if (fields := _fields(line)) and not fields[0].startswith(";;;")
    ]
    if not rows:
        raise FormatError("the lexicon is empty", where=path, remedy="write one 'WORD PHONE PHONE …' a line")
    with_probability = _has_probabilities(rows, probabilities, path)
    entries: list[Pronunciation] = []
    seen: dict[tuple[str, ...], int] = {}
    for number, fields in rows:
        where = f"{path}:{number}"
        probability = _probability(fields, where) if with_probability else 1.0
        word, phones = fields[0], tuple(fields[2:] if with_probability else fields[1:])
        _check_entry(word, phones, allowed_phones, where)
        first = seen.setdefault((word, *phones), number)
        if first != number:
            raise FormatError(
                f"{word!r} with the phones {' '.join(phones)} stands in line {first} already",
                where=where,
                remedy="keep one of the two lines",
            )
        entries.append(Pronunciation(word, phones, probability))
    return normalise(entries)


def normalise(entries: Sequence[Pronunciation]) -> list[Pronunciation]:
    """Divide every probability by the largest of its word."""
    largest: dict[str, float] = {}
    for entry in entries:
        largest[entry.word] = max(entry.probability, largest.get(entry.word, 0.0))
    return [Pronunciation(e.word, e.phones, e.probability / largest[e.word]) for e in entries]


def disambiguate(pronunciations: Iterable[Sequence[Hashable]]) -> list[int]:
    """Return, for each pronunciation, the number of the disambiguation symbol to put behind it; 0 = none.

    A pronunciation that begins another one, or that several entries share, gets #1, #2, … so that no two
    entries with their symbols are equal or one the beginning of another (Kaldi's ``add_lex_disambig.pl``).
    """
    keys = [tuple(phones) for phones in pronunciations]
    count = Counter(keys)
    prefixes = {key[:size] for key in count for size in range(1, len(key))}
    last: Counter[tuple[Hashable, ...]] = Counter()
    symbols: list[int] = []
    for key in keys:
        if count[key] > 1 or key in prefixes:
            last[key] += 1
        symbols.append(last[key])
    return symbols


def is_reserved(symbol: str) -> bool:
    """Whether a word or phone would clash with epsilon, sentence or disambiguation symbols."""
    return symbol in RESERVED_WORDS or _DISAMBIGUATION.fullmatch(symbol) is not None


def _lines(path: Path) -> Iterator[str]:
    """Lines of a plain or gzip file; a byte order mark in front is no part of the first word."""
    if path.suffix == ".gz" and path.is_file():
        try:
            text = gzip.decompress(path.read_bytes()).decode("utf-8")
        except (OSError, EOFError, zlib.error) as error:
            raise FormatError(f"not a readable gzip file: {error}", where=path) from None
        except UnicodeDecodeError as error:
            number = error.object[: error.start].count(b"\n") + 1
            raise FormatError("not UTF-8 text", where=f"{path}:{number}", remedy="convert it to UTF-8") from None
        lines = text.split("\n")
    else:
        lines = read_lines(path)
    for index, line in enumerate(lines):
        yield line.removeprefix("\ufeff") if index == 0 else line


def _fields(line: str) -> list[str]:
    """Split at ASCII blanks only, as Kaldi does: a no-break space is part of a symbol."""
    stripped = line.strip(" \t\r\f\v")
    return _BLANK.split(stripped) if stripped else []


def _as_number(field: str) -> float | None:
    try:
        return float(field)
    except ValueError:
        return None


def _has_probabilities(rows: list[tuple[int, list[str]]], said: Probabilities, path: Path | str) -> bool:
    if said != "auto":
        return said == "yes"
    numbers = [(n, len(f) > 2 and (value := _as_number(f[1])) is not None and 0 < value <= 1) for n, f in rows]
    found = [number for number, is_number in numbers if is_number]
    if found and len(found) < len(rows):
        other = next(number for number, is_number in numbers if not is_number)
        raise FormatError(
            f"the second field is a probability here, and none in line {other}",
            where=f"{path}:{found[0]}",
            remedy="give a probability in every line, or say --set pronunciation_probabilities=no (or yes)",
        )
    return bool(found)


def _probability(fields: list[str], where: str) -> float:
    value = _as_number(fields[1]) if len(fields) > 1 else None
    if value is None or not 0 < value < float("inf"):
        found = repr(fields[1]) if len(fields) > 1 else "nothing"
        raise FormatError(f"{fields[0]!r}: expected a probability > 0 behind the word, found {found}", where=where)
    return value


def _check_entry(word: str, phones: tuple[str, ...], allowed: Collection[str] | None, where: str) -> None:
    if not phones:
        raise FormatError(f"word {word!r} has no phones", where=where, remedy="give its phones, or take it out")
    for symbol in (word, *phones):
        if is_reserved(symbol):
            raise FormatError(
                f"{symbol!r} is reserved for epsilon, sentence ends and disambiguation",
                where=where,
                remedy="give it another name",
            )
    if allowed is not None:
        for phone in phones:
            if phone not in allowed:
                raise FormatError(
                    f"word {word!r} has the unknown phone {phone!r}",
                    where=where,
                    remedy="correct it, or add it to the list of phones",
                )
