"""The tables of a data directory read as they are: whatever is wrong with them as text is kept and told, not raised.

`asrkit.data.datadir` reads the same files strictly and stops at the first fault; this reader is for finding and
mending all faults at once.
"""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from asrkit.core.errors import ConfigError


@dataclass(frozen=True)
class TableSpec:
    """How a file of a data directory is built.

    Attributes
    ----------
    keyed_by : {'utterance', 'recording', 'speaker'}
        What its ids are. (``wav.scp`` is keyed by utterance where there are no segments, ``cmvn.scp`` where
        normalisation is per utterance: see :meth:`RawDataDir.keyed_by`.)
    holds : {'path', 'words', 'fields'}
        A path is everything behind the id, with the spaces in it; words may be none.
    num_fields : int or None
        Number of fields behind the id; None for any number but zero.
    derived : bool
        Made from the audio by a stage of asrkit, which can make it again.
    partial : bool
        May lack some ids.
    repeats : bool
        Has several lines an id, in an order of their own.
    """

    keyed_by: Literal["utterance", "recording", "speaker"] = "utterance"
    holds: Literal["path", "words", "fields"] = "fields"
    num_fields: int | None = 1
    derived: bool = False
    partial: bool = False
    repeats: bool = False


SPECS: dict[str, TableSpec] = {
    "wav.scp": TableSpec("recording", "path"),
    "segments": TableSpec(num_fields=3),
    "utt2spk": TableSpec(),
    "spk2utt": TableSpec("speaker", num_fields=None),
    "text": TableSpec(holds="words"),
    "text_phones": TableSpec(holds="words", partial=True),
    "phones.ali": TableSpec(num_fields=3, partial=True, repeats=True),
    "spk2gender": TableSpec("speaker", partial=True),
    "spk2warp": TableSpec("speaker"),
    "utt2lang": TableSpec(partial=True),
    "utt2uniq": TableSpec(partial=True),
    "utt2warp": TableSpec(partial=True),
    "utt2dur": TableSpec(derived=True),
    "utt2num_frames": TableSpec(derived=True),
    "feats.scp": TableSpec(holds="path", derived=True),
    "vad.scp": TableSpec(holds="path", derived=True, partial=True),
    "cmvn.scp": TableSpec("speaker", "path", derived=True),
}

REQUIRED = ("wav.scp", "utt2spk", "spk2utt")

_ODD_SPACES = re.compile("[\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")
_ZERO_WIDTH = re.compile("[\u200b\u2060\ufeff]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True)
class Fault:
    """Something wrong with a table as text: ``kind`` of `findings.KINDS`, 1-based line or None for the whole file.

    It is ``mendable`` where writing ``entries`` again mends it.
    """

    kind: str
    message: str
    line: int | None = None
    key: str | None = None
    mendable: bool = True


@dataclass(frozen=True)
class Entry:
    """One line that is not blank: its 1-based number, its id, and what follows with white space made regular."""

    line: int
    key: str
    value: str

    def text(self) -> str:
        """Return the line as it should stand in the file."""
        return f"{self.key} {self.value}".rstrip(" ")


@dataclass(frozen=True)
class Table:
    """A file of a data directory as it is.

    Attributes
    ----------
    path : Path
        The file.
    spec : TableSpec
        How it should be built.
    entries : tuple of Entry
        In the order of the file, repeated ids included.
    faults : tuple of Fault
        What is wrong with it as text.
    raw : bytes
        The file.
    """

    path: Path
    spec: TableSpec
    entries: tuple[Entry, ...]
    faults: tuple[Fault, ...]
    raw: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.path.name

    @cached_property
    def by_key(self) -> dict[str, Entry]:
        """The entries by id; of a repeated id, the first."""
        table: dict[str, Entry] = {}
        for entry in self.entries:
            table.setdefault(entry.key, entry)
        return table

    def where(self, entry: Entry | int | None = None) -> str:
        """Return ``path:line``."""
        line = entry.line if isinstance(entry, Entry) else entry
        return str(self.path) if line is None else f"{self.path}:{line}"


@dataclass(frozen=True)
class RawDataDir:
    """All tables of a data directory as they are, by file name; absent files have no entry."""

    path: Path
    tables: dict[str, Table]

    @classmethod
    def read(cls, path: Path, encoding: str | None = None) -> RawDataDir:
        """Read every known table; ``encoding`` is used where a file is not UTF-8, instead of a guess."""
        if encoding is not None:
            try:
                codecs.lookup(encoding)
            except LookupError:
                raise ConfigError(f"unknown encoding {encoding!r}", remedy="e.g. cp1252, cp1251, shift_jis") from None
        files = {name: path / name for name in SPECS}
        return cls(
            path, {name: read_table(file, SPECS[name], encoding) for name, file in files.items() if file.is_file()}
        )

    def keyed_by(self, table: Table) -> Literal["utterance", "recording", "speaker"]:
        """Say what the ids of a table are, in this directory."""
        if table.name == "wav.scp" and "segments" not in self.tables:
            return "utterance"
        if table.name == "cmvn.scp" and "utt2spk" in self.tables:
            speakers = {entry.value for entry in self.tables["utt2spk"].entries}
            keys = table.by_key.keys()
            if len(keys & self.tables["utt2spk"].by_key.keys()) > len(keys & speakers):
                return "utterance"
        return table.spec.keyed_by

    def of_utterances(self) -> list[Table]:
        """Return the tables whose ids are utterances."""
        return [table for table in self.tables.values() if self.keyed_by(table) == "utterance"]


def sort_key(text: str) -> bytes:
    """Return the key of the C locale's order: the bytes of UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def read_table(path: Path, spec: TableSpec, encoding: str | None = None) -> Table:
    """Read a table, noting what is wrong with it as text.

    A byte of a path that is not UTF-8 and is so in the file's name on the disk too is kept (as a lone surrogate,
    Python's ``surrogateescape``), since the path is right as it is.
    """
    raw = path.read_bytes()
    if not raw.strip():
        return Table(path, spec, (), (Fault("empty-table", "the file is empty", mendable=False),), raw)
    faults: list[Fault] = []
    text = _decode(raw, spec, encoding, faults)
    lines = _split(text, faults)
    entries: list[Entry] = []
    for number, line in enumerate(lines, 1):
        entry = _parse(number, line, spec, faults)
        if entry is not None:
            entries.append(entry)
    return Table(path, spec, tuple(entries), tuple(faults), raw)


def _decode(raw: bytes, spec: TableSpec, encoding: str | None, faults: list[Fault]) -> str:
    """Decode a file by its byte order mark, else as UTF-8, else as UTF-16 by its zeros, else line by line."""
    if raw.startswith(codecs.BOM_UTF8):
        faults.append(Fault("byte-order-mark", "the file begins with a byte order mark (EF BB BF)", 1))
        raw = raw[len(codecs.BOM_UTF8) :]
    wide = next((name for mark, name in _BYTE_ORDER_MARKS.items() if raw.startswith(mark)), None) or _wide(raw)
    if wide is not None:
        try:
            text = raw.decode(wide).removeprefix("\ufeff")
        except UnicodeDecodeError:
            pass
        else:
            faults.append(Fault("encoding", f"the file is {wide.upper()}, expected UTF-8"))
            return text
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        lines = raw.split(b"\n")
        return "\n".join(_decode_line(number, line, spec, encoding, faults) for number, line in enumerate(lines, 1))


def _wide(raw: bytes) -> str | None:
    """Guess UTF-16 without a mark: text in it that is mostly ASCII has a zero in every second byte."""
    head = raw[: 1 << 12]
    for name, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[0::2])):
        if len(raw) % 2 == 0 and zeros.count(0) > 0.8 * len(zeros):
            return name
    return None


def _decode_line(number: int, line: bytes, spec: TableSpec, encoding: str | None, faults: list[Fault]) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
    if spec.holds == "path" and os.path.exists(b"".join(line.split(None, 1)[1:]).strip()):
        text = line.decode("utf-8", "surrogateescape")
        message = f"byte 0x{byte:02x} is not UTF-8, and the file's name on the disk has it too: rename the file"
        faults.append(Fault("encoding", message, number, text.split(None, 1)[0], False))
        return text
    name, text = _guess(line, encoding)
    message = f"byte 0x{byte:02x} is not UTF-8; read as {name} the line is {_shorten(text.strip())!r}"
    faults.append(Fault("encoding", message, number, _first_word(text)))
    return text


def _guess(line: bytes, encoding: str | None) -> tuple[str, str]:
    """Decode one line of an 8-bit file: as told, else as Windows' Western European, else as Latin-1 (never fails)."""
    for name in filter(None, (encoding, "cp1252")):
        try:
            return name, line.decode(name)
        except UnicodeDecodeError:
            continue
    return "latin-1", line.decode("latin-1")


def _split(text: str, faults: list[Fault]) -> list[str]:
    for pattern, name in ((r"\r\n", "CR LF (Windows)"), (r"\r(?!\n)", "CR (old Mac)")):
        ends = [match.start() for match in re.finditer(pattern, text)]
        if ends:
            first = 1 + len(re.findall(r"\r\n|\r|\n", text[: ends[0]]))
            faults.append(Fault("line-ends", f"{len(ends)} lines end in {name}, expected LF", first))
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if lines[-1] == "":
        lines.pop()
    else:
        faults.append(Fault("last-line", f"the last line has no end: {_shorten(lines[-1])!r}", len(lines)))
    return lines


def _parse(number: int, line: str, spec: TableSpec, faults: list[Fault]) -> Entry | None:
    clean = line if spec.holds == "path" else _ZERO_WIDTH.sub("", _ODD_SPACES.sub(" ", line))
    if clean != line:
        odd = sorted({f"U+{ord(mark):04X}" for mark in (*_ODD_SPACES.findall(line), *_ZERO_WIDTH.findall(line))})
        faults.append(Fault("odd-space", f"{', '.join(odd)} in {_shorten(line)!r}", number, _first_word(clean)))
    fields = re.split("[ \t]+", clean.strip(" \t"), maxsplit=1 if spec.holds == "path" else 0)
    if fields == [""]:
        faults.append(Fault("blank-line", "blank line, expected an id", number))
        return None
    entry = Entry(number, fields[0], " ".join(fields[1:]))
    if control := _CONTROLS.search(clean):
        message = f"U+{ord(control[0]):04X} in {_shorten(line)!r}"
        faults.append(Fault("control-character", message, number, entry.key, False))
    # An id alone may end in one space: that is how Kaldi writes an empty transcript.
    if clean != line or line in (entry.text(), f"{entry.key} "):
        return entry
    message = f"{_white_space(line)} in {_shorten(line)!r}"
    faults.append(Fault("white-space", message, number, entry.key))
    return entry


def _white_space(line: str) -> str:
    found: Iterator[str] = (
        name
        for name, is_there in (
            ("tab", "\t" in line),
            ("leading white space", line[:1] in " \t"),
            ("trailing white space", line[-1:] in " \t"),
            ("several spaces in a row", "  " in line.strip(" \t")),
        )
        if is_there
    )
    return " and ".join(found)


def _first_word(line: str) -> str | None:
    return next(iter(line.split(None, 1)), None)


def _shorten(text: str, width: int = 60) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
