"""Text for language models: one sentence a line, or Kaldi's ``text`` whose first field is an utterance id."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from asrkit.core.errors import DataError, FormatError
from asrkit.lm.model import BOS, EOS

_VARIANT = re.compile(r"(.+)\(\d+\)")


def read_sentences(path: Path | str, data_text: bool = False) -> Iterator[tuple[str, list[str]]]:
    """Yield ``(name, words)`` for every line, in order; words are what blanks separate.

    Parameters
    ----------
    path : Path
        UTF-8 text, gzipped when the name ends in ``.gz``.
    data_text : bool
        The first field of a line is an utterance id; it becomes the name. Otherwise the name is the line's
        number, from 1. An empty line is an empty sentence.

    Raises
    ------
    FormatError
        The file is absent, not UTF-8 or damaged.
    DataError
        A sentence holds ``<s>`` or ``</s>``, which stand for its ends and are put there by us, or a line of a
        Kaldi ``text`` is empty.
    """
    path = Path(path)
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as handle:
            for number, line in enumerate(handle, 1):
                words = line.decode("utf-8-sig" if number == 1 else "utf-8").split()
                if BOS in words or EOS in words:
                    raise DataError(
                        "a sentence holds <s> or </s>",
                        where=f"{path}:{number}",
                        remedy="remove them: every line is a sentence, and its ends are marked by asrkit",
                    )
                if not data_text:
                    yield str(number), words
                elif words:
                    yield words[0], words[1:]
                else:
                    raise DataError("empty line, expected an utterance id and words", where=f"{path}:{number}")
    except (FileNotFoundError, IsADirectoryError):
        raise FormatError("no such file", where=path) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FormatError(f"damaged gzip file: {error}", where=path) from None
    except UnicodeDecodeError as error:
        raise FormatError(
            f"not UTF-8 text (byte 0x{error.object[error.start]:02x})",
            where=f"{path}:{number}",
            remedy="convert it to UTF-8",
        ) from None


def read_word_list(path: Path | str) -> tuple[str, ...]:
    """Read a word list: the first field of every line that is not empty, in order, each word once.

    So a plain list, Kaldi's ``words.txt`` and a lexicon all serve. ``<s>``, ``</s>``, ``<eps>`` and
    disambiguation symbols (``#0``) are left out, and so is ``WORD(2)``, a further pronunciation in dictionaries of
    CMU's form, where ``WORD`` is listed too.

    Raises
    ------
    FormatError
        The file is absent, not UTF-8, or holds no word.
    """
    path = Path(path)
    words: dict[str, None] = {}
    try:
        data = path.read_bytes()
        text = gzip.decompress(data) if path.suffix == ".gz" else data
        for line in text.decode("utf-8-sig").splitlines():
            fields = line.split()
            if fields and not _is_symbol(fields[0]):
                words[fields[0]] = None
    except (FileNotFoundError, IsADirectoryError):
        raise FormatError("no such file", where=path) from None
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise FormatError(f"not a readable word list: {error}", where=path) from None
    if not words:
        raise FormatError("no words in the list", where=path)
    return tuple(word for word in words if not ((variant := _VARIANT.fullmatch(word)) and variant[1] in words))


def _is_symbol(word: str) -> bool:
    return word in (BOS, EOS, "<eps>") or (word[0] == "#" and word[1:].isdigit())
