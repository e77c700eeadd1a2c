"""ARPA files: back-off n-gram models as text, plain or gzipped."""

from __future__ import annotations

import gzip
import io
import logging
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import IO, NoReturn

import numpy as np

from asrkit.core.errors import FormatError
from asrkit.core.files import whole_file
from asrkit.lm.model import BOS, EOS, Float64, Ids, NgramModel, RawLayer, build_model

log = logging.getLogger("asrkit")

_CHUNK_LINES = 20_000
_LOG_ZERO = -99.0  # ARPA's way to write log10(0)
_HEADER = re.compile(rb"ngram\s+(\d+)\s*=\s*(\d+)$")


def read_arpa(path: Path | str) -> NgramModel:
    """Read an ARPA file; gzip is recognised by its first bytes.

    log10 values of -99 and below become -inf. N-grams with ``<s>`` behind another word, or with a word behind
    ``</s>``, are left out and their number is logged, as Kaldi's arpa2fst does. Fields may be separated by any
    mix of blanks and tabs; words are UTF-8.

    Raises
    ------
    FormatError
        With path and line: no ``\\data\\`` or ``\\end\\``, orders or numbers of n-grams that disagree with the
        header, a line with too few or too many fields, a word without unigram, a value that is no number or
        positive, an n-gram listed twice, no ``<s>`` or ``</s>``, a damaged gzip stream.
    """
    with _reader(path) as reader:
        return reader.read()


def read_arpa_header(path: Path | str) -> list[int]:
    """Return the numbers of n-grams that an ARPA file announces, by order from 1; nothing behind is read or checked.

    Raises
    ------
    FormatError
        With path and line: there is no such header.
    """
    with _reader(path) as reader:
        return reader.header()


def write_arpa(path: Path | str, model: NgramModel) -> None:
    """Write the model with seven decimals, gzipped when the name ends in ``.gz``; equal models give equal bytes.

    A back-off weight is written for every n-gram that is the context of another one.
    """
    with whole_file(path) as part, part.open("wb") as raw:
        if Path(path).suffix == ".gz":
            with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as packed:
                for block in _arpa_blocks(model):
                    packed.write(block)
        else:
            for block in _arpa_blocks(model):
                raw.write(block)


@contextmanager
def _reader(path: Path | str) -> Iterator[_Reader]:
    path = Path(path)
    try:
        with _open_bytes(path) as handle:
            yield _Reader(path, handle)
    except (FileNotFoundError, IsADirectoryError):
        raise FormatError("no such file", where=path) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FormatError(f"damaged gzip file: {error}", where=path) from None


@contextmanager
def _open_bytes(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if packed:
            with gzip.GzipFile(fileobj=raw, mode="rb") as packed_bytes:
                yield io.BufferedReader(packed_bytes, 1 << 20)  # its lines are read in C
        else:
            yield raw


class _Reader:
    """Reads one file from top to bottom and knows the line it is at."""

    def __init__(self, path: Path, handle: IO[bytes]) -> None:
        self.path = path
        self.lines = iter(handle)
        self.number = 0
        self.words: list[str] = []
        self.vocabulary: dict[bytes, int] = {}
        self.row_lines: list[list[tuple[int, int]]] = []  # per order: (first row, its line) of each run of lines

    def fail(self, message: str, line: int | None = None, remedy: str | None = None) -> NoReturn:
        raise FormatError(message, where=f"{self.path}:{self.number if line is None else line}", remedy=remedy)

    def next_line(self) -> bytes:
        """The next line that is not blank, stripped; empty at the end of the file."""
        for line in self.lines:
            self.number += 1
            line = line.strip()
            if line:
                return line
        return b""

    def read(self) -> NgramModel:
        counts = self.header()
        layers = []
        for n, count in enumerate(counts, 1):
            if n > 1:
                self.expect_section(n, self.next_line())
            layers.append(self.section(n, count, n == len(counts)))
        line = self.next_line()
        if line != b"\\end\\":
            self.unexpected(line, len(counts), counts[-1])
        layers = [self.without_misplaced(ids, prob, backoff) for ids, prob, backoff in layers]
        return build_model(self.words, layers, self.place)

    def header(self) -> list[int]:
        line = self.next_line()
        while line and line != b"\\data\\":
            line = self.next_line()
        if not line:
            self.fail("no \\data\\ line", remedy="is this an ARPA file?")
        counts: list[int] = []
        while match := _HEADER.match(line := self.next_line()):
            if int(match[1]) != len(counts) + 1:
                self.fail(f"'ngram {int(match[1])}=' found, expected 'ngram {len(counts) + 1}='")
            counts.append(int(match[2]))
        if not counts:
            self.fail(f"expected 'ngram 1=COUNT', found {_show(line)}")
        self.expect_section(1, line)
        return counts

    def expect_section(self, n: int, line: bytes) -> None:
        if line != b"\\%d-grams:" % n:
            if n > 1 and not line.startswith(b"\\") and line:
                self.fail(f"more {n - 1}-grams than the header announces: {_show(line)}")
            self.fail(f"expected \\{n}-grams:, found {_show(line)}")

    def unexpected(self, line: bytes, n: int, count: int) -> NoReturn:
        if not line:
            self.fail("the file ends without \\end\\", remedy="it was cut off; make or copy it again")
        if line.startswith(b"\\"):
            self.fail(f"expected \\end\\ after the {n}-grams, found {_show(line)}")
        self.fail(f"more {n}-grams than the {count} that the header announces: {_show(line)}")

    def section(self, n: int, count: int, highest: bool) -> RawLayer:
        self.row_lines.append([])
        pieces: list[RawLayer] = []
        done = 0
        while done < count:
            start = self.number + 1
            lines = list(islice(self.lines, min(_CHUNK_LINES, count - done)))
            if not lines:
                self.fail(f"the file ends after {done} of {count} {n}-grams", remedy="make or copy it again")
            self.number += len(lines)
            fields = self.split(lines, start, done, n)
            pieces.append(self.values(fields, lines, start, n, highest))
            done += len(fields)
        if not pieces:
            return np.empty((0, n), dtype=np.int32), np.empty(0), np.empty(0)
        ids, prob, backoff = (np.concatenate(parts) for parts in zip(*pieces))
        return ids, prob, backoff

    def split(self, lines: list[bytes], start: int, done: int, n: int) -> list[list[bytes]]:
        fields = [line.split() for line in lines]
        runs = self.row_lines[n - 1]
        runs.append((done, start))
        if [] in fields:
            kept = [(f, i) for i, f in enumerate(fields) if f]
            runs[-1:] = [(done + row, start + i) for row, (_, i) in enumerate(kept)]
            fields = [f for f, _ in kept]
        return fields

    def values(self, fields: list[list[bytes]], lines: list[bytes], start: int, n: int, highest: bool) -> RawLayer:
        sizes = {len(f) for f in fields}
        width = n + 1
        if not highest and n + 2 in sizes:
            width = n + 2
            if n + 1 in sizes:
                for f in fields:
                    if len(f) == n + 1:
                        f.append(b"0")
        if not sizes <= {n + 1, width}:
            self.blame_size(lines, start, n, highest)
        flat = list(chain.from_iterable(fields))
        prob = self.floats(flat[0::width], lines, start, 0)
        if prob.size and prob.max() > 0:
            row = int(np.argmax(prob > 0))
            self.blame(lines, start, row, f"log10 probability {prob[row]:g} is positive")
        backoff = self.floats(flat[n + 1 :: width], lines, start, -1) if width == n + 2 else np.zeros(len(fields))
        if n == 1:
            return self.add_words(flat[1::width], lines, start), prob, backoff
        ids = np.empty((len(fields), n), dtype=np.int32)
        for column in range(n):
            words = flat[column + 1 :: width]
            try:
                ids[:, column] = list(map(self.vocabulary.__getitem__, words))
            except KeyError:
                row = next(i for i, word in enumerate(words) if word not in self.vocabulary)
                self.blame(lines, start, row, f"the word {_show(words[row])} is not among the unigrams")
        return ids, prob, backoff

    def add_words(self, words: list[bytes], lines: list[bytes], start: int) -> Ids:
        first = len(self.words)
        for row, word in enumerate(words):
            if word in self.vocabulary:
                self.blame(lines, start, row, f"the unigram {_show(word)} is listed twice")
            self.vocabulary[word] = first + row
            try:
                self.words.append(word.decode("utf-8"))
            except UnicodeDecodeError:
                self.blame(lines, start, row, f"the word {_show(word)} is not UTF-8")
        return np.arange(first, len(self.words), dtype=np.int32).reshape(-1, 1)

    def floats(self, texts: list[bytes], lines: list[bytes], start: int, column: int) -> Float64:
        try:
            values = np.array(list(map(float, texts)))
        except ValueError:
            row = next(i for i, text in enumerate(texts) if not _is_number(text))
            self.blame(lines, start, row, f"expected a number, found {_show(texts[row])}")
        bad = np.isnan(values) | np.isposinf(values)
        if bad.any():
            row = int(np.argmax(bad))
            what = "log10 probability" if column == 0 else "back-off weight"
            self.blame(lines, start, row, f"{what} is {_show(texts[row])}, expected a finite number")
        values[values <= _LOG_ZERO] = -np.inf
        return values

    def blame_size(self, lines: list[bytes], start: int, n: int, highest: bool) -> NoReturn:
        allowed = (n + 1,) if highest else (n + 1, n + 2)
        rows = [line for line in lines if line.strip()]
        row = next(i for i, line in enumerate(rows) if len(line.split()) not in allowed)
        line = rows[row].strip()
        if line.startswith(b"\\"):
            self.blame(lines, start, row, f"{_show(line)} found, and the header announces more {n}-grams")
        tail = "" if highest else " and perhaps a back-off weight"
        plural = "word" if n == 1 else "words"
        message = f"expected a log10 probability, {n} {plural}{tail}, found {len(line.split())} fields: {_show(line)}"
        self.blame(lines, start, row, message)

    def blame(self, lines: list[bytes], start: int, row: int, message: str) -> NoReturn:
        """Fail at the line of the row-th n-gram of a chunk, blank lines not counted."""
        at = [i for i, line in enumerate(lines) if line.strip()][row]
        self.fail(message, start + at)

    def place(self, n: int, row: int) -> str:
        first, line = max(run for run in self.row_lines[n - 1] if run[0] <= row)
        return f"{self.path}:{line + row - first}"

    def without_misplaced(self, ids: Ids, prob: Float64, backoff: Float64) -> RawLayer:
        for symbol in (BOS, EOS):
            if symbol.encode() not in self.vocabulary:
                self.fail(f"no unigram {symbol}", line=0, remedy="the model needs both <s> and </s>")
        bos, eos = self.vocabulary[BOS.encode()], self.vocabulary[EOS.encode()]
        wrong = (ids[:, 1:] == bos).any(axis=1) | (ids[:, :-1] == eos).any(axis=1)
        if not wrong.any():
            return ids, prob, backoff
        log.warning("%s: %d n-grams have <s> or </s> in the middle and are left out", self.path, wrong.sum())
        return ids[~wrong], prob[~wrong], backoff[~wrong]


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _show(text: bytes) -> str:
    decoded = text.decode("utf-8", errors="backslashreplace")
    return repr(decoded if len(decoded) <= 80 else decoded[:77] + "...") if text else "the end of the file"


def _arpa_blocks(model: NgramModel) -> Iterator[bytes]:
    head = ["\\data\\", *(f"ngram {n}={count}" for n, count in enumerate(model.num_ngrams, 1)), ""]
    yield ("\n".join(head) + "\n").encode()
    for n in range(1, model.order + 1):
        yield f"\\{n}-grams:\n".encode()
        ids, prob, backoff = model.ngrams(n)
        is_context = backoff != 0
        if n < model.order:
            is_context[model.layers[n].keys // model.num_words] = True
        for start in range(0, len(ids), _CHUNK_LINES):
            rows = slice(start, start + _CHUNK_LINES)
            yield _arpa_lines(model.words, ids[rows], prob[rows], backoff[rows], is_context[rows])
        yield b"\n"
    yield b"\\end\\\n"


def _arpa_lines(
    words: tuple[str, ...],
    ids: Ids,
    prob: Float64,
    backoff: Float64,
    is_context: np.ndarray[tuple[int], np.dtype[np.bool_]],
) -> bytes:
    columns = [[words[i] for i in column] for column in ids.T.tolist()]
    texts = map(" ".join, zip(*columns))
    probs = np.maximum(prob, _LOG_ZERO).tolist()
    weights = (np.maximum(backoff, _LOG_ZERO) + 0.0).tolist()
    lines = [
        f"{p:.7f}\t{text}\t{weight:.7f}\n" if context else f"{p:.7f}\t{text}\n"
        for p, text, weight, context in zip(probs, texts, weights, is_context.tolist())
    ]
    return "".join(lines).encode()
