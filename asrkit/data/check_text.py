"""The transcripts of a data directory: reserved and unknown words, case, Unicode forms, and how much is said."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from asrkit.core.errors import DataError
from asrkit.core.files import read_lines
from asrkit.data.findings import Finding
from asrkit.data.tables import Table

_RESERVED = re.compile(r"<eps>|<s>|</s>|#\d+", re.IGNORECASE)
_SILENCE = frozenset({"!SIL", "SIL", "<SIL>", "<sil>", "!sil", "<SILENCE>", "<silence>"})
_ALTERNATIVE = re.compile(r"\(\d+\)$")
_MARKED = re.compile(r"[<\[{(].*[>\]})]")
_PUNCTUATION = ".,;:!?\"'()[]«»„“”‘’…-"


@dataclass(frozen=True)
class TextChecks:
    """What counts as wrong with transcripts.

    Attributes
    ----------
    allow_empty : bool
        Whether an utterance may have no words.
    min_frames_per_letter : float
        Frames of 10 ms that a letter or digit takes at the least. The fastest speech has about 25 letters a second,
        4 frames each; below 3 the transcript belongs to other audio. Also used where a lexicon does not know a word.
    min_frames_per_phone : float
        The same for phones: one of the usual three states needs three frames, so fewer cannot be aligned at all.
    max_oov_rate : float
        Share of words outside the lexicon, in [0, 1], above which it is the wrong lexicon.
    """

    allow_empty: bool = False
    min_frames_per_letter: float = 3.0
    min_frames_per_phone: float = 3.0
    max_oov_rate: float = 0.5


@dataclass(frozen=True)
class Vocabulary:
    """The words of a lexicon.

    Attributes
    ----------
    path : Path
        Where they were read.
    num_phones : dict of str to int or None
        Word -> length of its shortest pronunciation; None where only the words are known.
    """

    path: Path
    num_phones: dict[str, int | None]

    @classmethod
    def from_lexicon(cls, path: Path) -> Vocabulary:
        """Read lines ``WORD PH PH …`` or ``WORD PROB PH PH …``; ``WORD(2)`` and ``;;;`` comments are CMUdict's.

        Raises
        ------
        DataError
            A line has no pronunciation, or there is no line.
        """
        rows: list[list[str]] = []
        for number, line in enumerate(read_lines(path), 1):
            fields = line.removeprefix("\ufeff").split()
            if not fields or line.startswith(";;;"):
                continue
            if len(fields) < 2:
                raise DataError(f"expected 'WORD PHONE PHONE …', found {line!r}", where=f"{path}:{number}")
            rows.append(fields)
        if not rows:
            raise DataError("no words in the lexicon", where=path)
        skip = 2 if all(len(fields) > 2 and _is_probability(fields[1]) for fields in rows) else 1
        table: dict[str, int | None] = {}
        for fields in rows:
            word, count = _ALTERNATIVE.sub("", fields[0]) or fields[0], len(fields) - skip
            table[word] = min(count, table.get(word) or count)
        return cls(path, table)

    @classmethod
    def from_lang(cls, lang: Path) -> Vocabulary:
        """Read ``words.txt`` of a lang directory, lines ``word id``.

        Raises
        ------
        DataError
            There is no such file, or no word in it.
        """
        path = lang / "words.txt"
        if not path.is_file():
            raise DataError("no words.txt", where=lang, remedy="make the directory with `asrkit make-lang`")
        words = [line.split()[0] for line in read_lines(path) if line.strip()]
        if not words:
            raise DataError("no words", where=path)
        return cls(path, dict.fromkeys(words))


def oov_rate(text: Table, vocabulary: Vocabulary) -> float:
    """Return the share of word tokens outside the vocabulary, in [0, 1]; 0 where there are no words."""
    known = [word in vocabulary.num_phones for entry in text.by_key.values() for word in entry.value.split()]
    return known.count(False) / len(known) if known else 0.0


def check_text(
    text: Table, checks: TextChecks, vocabulary: Vocabulary | None, secs: Mapping[str, float]
) -> Iterator[Finding]:
    """Yield what is wrong with the transcripts; ``secs`` is the length of each utterance where it is known."""
    known: Mapping[str, int | None] = {} if vocabulary is None else vocabulary.num_phones
    for entry in text.entries:
        words = entry.value.split()
        where = text.where(entry)
        if not words and not checks.allow_empty:
            yield Finding("empty-transcript", where, f"{entry.key!r} has no words", entry.key)
        for word in dict.fromkeys(words):
            if _RESERVED.fullmatch(word):
                message = f"{word!r} in {entry.key!r} has a meaning of its own in graphs and language models"
                yield Finding("reserved-symbol", where, message, entry.key)
            elif word in _SILENCE and word not in known:
                message = f"{word!r} in {entry.key!r} looks like silence, which needs no word"
                yield Finding("silence-word", where, message, entry.key)
        if entry.key in secs and (excess := _too_much(words, secs[entry.key], checks, known)):
            yield Finding("too-much-text", where, f"{entry.key!r}: {excess}", entry.key)
    yield from _check_case(text)
    yield from _check_normalisation(text)
    if vocabulary is not None:
        yield from _check_vocabulary(text, vocabulary, checks)


def is_mixed(text: Table) -> bool:
    """Say whether a transcript holds composed letters (NFC) in one word and decomposed ones (NFD) in another."""
    words = {word for entry in text.entries for word in entry.value.split() if not word.isascii()}
    composed = any(unicodedata.normalize("NFD", word) != word for word in words)
    return composed and any(unicodedata.normalize("NFC", word) != word for word in words)


def _too_much(words: list[str], secs: float, checks: TextChecks, known: Mapping[str, int | None]) -> str | None:
    """Compare the frames of the audio with those that the words need at the least."""
    phones = letters = 0
    for word in words:
        count = known.get(word)
        if count is not None:
            phones += count
        elif not _MARKED.fullmatch(word):
            letters += sum(map(str.isalnum, word))
    frames = 100 * secs
    needed = checks.min_frames_per_phone * phones + checks.min_frames_per_letter * letters
    if needed <= frames:
        return None
    units = " and ".join(f"{n} {name}" for n, name in ((phones, "phones"), (letters, "letters")) if n)
    return f"{len(words)} words ({units}) in {secs:.2f} s, expected {needed / 100:.2f} s or more"


def _check_case(text: Table) -> Iterator[Finding]:
    forms: dict[str, Counter[str]] = {}
    styles: dict[str, list[str]] = {"upper": [], "lower": []}
    for entry in text.by_key.values():
        words = [word for word in entry.value.split() if word not in _SILENCE and not _MARKED.fullmatch(word)]
        for word in words:
            forms.setdefault(word.casefold(), Counter())[word] += 1
        said = "".join(words)
        for style, is_so in (("upper", str.isupper), ("lower", str.islower)):
            if is_so(said) and sum(map(str.isalpha, said)) > 1:
                styles[style].append(entry.key)
    mixed = [counts for counts in forms.values() if len(counts) > 1]
    if mixed:
        most = max(mixed, key=lambda counts: counts.most_common(2)[1][1])
        example = " and ".join(f"{word!r} ({count} times)" for word, count in most.most_common(2))
        message = f"{len(mixed)} words are written in more than one case, e.g. {example}"
        yield Finding("mixed-case", str(text.path), message)
    elif styles["upper"] and styles["lower"]:
        rarer = min(styles, key=lambda style: len(styles[style]))
        key = styles[rarer][0]
        message = (
            f"{len(styles['upper'])} transcripts are in upper case and {len(styles['lower'])} in lower case, "
            f"e.g. {key!r} in {rarer} case"
        )
        yield Finding("mixed-case", text.where(text.by_key[key]), message)


def _check_normalisation(text: Table) -> Iterator[Finding]:
    if not is_mixed(text):
        return
    for entry in text.entries:
        words = [word for word in entry.value.split() if unicodedata.normalize("NFC", word) != word]
        if words:
            message = f"{words[0]!r} is decomposed (letter and accent apart), other words are composed"
            yield Finding("normalisation", text.where(entry), message, entry.key)


def _check_vocabulary(text: Table, vocabulary: Vocabulary, checks: TextChecks) -> Iterator[Finding]:
    counts: Counter[str] = Counter()
    first: dict[str, int] = {}
    num_words = 0
    for entry in text.by_key.values():
        for word in entry.value.split():
            num_words += 1
            if word not in vocabulary.num_phones and not _RESERVED.fullmatch(word):
                counts[word] += 1
                first.setdefault(word, entry.line)
    folded = {_fold(known): known for known in vocabulary.num_phones} if counts else {}
    if counts.total() > checks.max_oov_rate * num_words:
        message = f"{counts.total()} of {num_words} words are not in {vocabulary.path}"
        similar = sum(count for word, count in counts.items() if _fold(word) in folded)
        if similar > 0.5 * counts.total():
            message += f"; {similar} of them are, when case, punctuation and Unicode form are ignored"
        yield Finding("wrong-lexicon", str(text.path), message)
    for word, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        similar_word = folded.get(_fold(word))
        hint = f"; it has {similar_word!r}" if similar_word is not None else ""
        times = "once" if count == 1 else f"{count} times"
        message = f"{word!r} ({times}, first here) is not in {vocabulary.path.name}{hint}"
        yield Finding("out-of-vocabulary", text.where(first[word]), message)


def _fold(word: str) -> str:
    return unicodedata.normalize("NFKC", word).casefold().strip(_PUNCTUATION)


def _is_probability(text: str) -> bool:
    try:
        return 0.0 < float(text) <= 1.0
    except ValueError:
        return False
