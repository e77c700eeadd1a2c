"""Kaldi lattice archives: ``.ark`` files of lattices with their ``.scp`` index, binary and text, read and written.

An entry is the utterance_id, a blank, and an OpenFst file (there is no ``\\0B`` mark: Kaldi's lattice holders tell the
binary form by OpenFst's magic number), or a line end, the text form and an empty line. Which of Kaldi's two kinds an
entry is, CompactLattice or Lattice, stands in it, and both are read as a :class:`Lattice`.
"""

from __future__ import annotations

import contextlib
import gzip
import mmap
import re
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.archives import ArchiveWriter, read_scp, resolve
from asrkit.core.errors import FormatError
from asrkit.lattice.binary import encode_binary, is_binary_lattice, parse_binary
from asrkit.lattice.lattice import Lattice
from asrkit.lattice.text_form import encode_text, parse_text

_REMEDY = "make the archive again"
_GZIP = b"\x1f\x8b"
_LONGEST_KEY = 4096
_BLOCK = 1 << 20
_TEXT_LINE = re.compile(rb"\d+([\t ]+\d+){0,3}([\t ]+[-+.,\w]+)?[\t ]*\r?(\n|$)")


class LatticeWriter:
    """Writes ``NAME.ark`` and ``NAME.scp`` in a folder; both appear, whole, when the ``with`` block ends well.

    Parameters
    ----------
    folder : Path
        Made if absent. The scp holds absolute paths.
    name : str
        Base name, e.g. ``"lat"``.
    compact : bool
        Write Kaldi's CompactLattice, else its Lattice, for which arcs of several frames are cut up.
    text : bool
        Write the text form.
    """

    def __init__(self, folder: Path | str, name: str, compact: bool = True, text: bool = False) -> None:
        self.compact = compact
        self.text = text
        self._archive = ArchiveWriter(folder, name)

    def __enter__(self) -> LatticeWriter:
        self._archive.__enter__()
        return self

    def write(self, utterance_id: str, lattice: Lattice) -> None:
        """Append the lattice of an utterance; its costs become float32.

        Raises
        ------
        FormatError
            A cost is too large for float32, or the utterance_id is empty or has a blank in it.
        """
        if len(utterance_id.split()) != 1 or utterance_id.strip() != utterance_id:
            raise FormatError(f"utterance_id {utterance_id!r} cannot stand in an archive: it is empty or has blanks")
        try:
            self._archive.write_parts(utterance_id, [self._encode(lattice)])
        except FormatError as error:
            raise FormatError(f"{utterance_id}: {error.message}") from None

    def _encode(self, lattice: Lattice) -> bytes:
        if not self.text:
            return encode_binary(lattice, self.compact)
        return "".join(["\n", *(f"{line}\n" for line in encode_text(lattice, self.compact)), "\n"]).encode()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.__exit__(kind, error, trace)


class LatticeReader(Mapping[str, Lattice]):
    """The lattices of an scp as a mapping from utterance_id to :class:`Lattice`, each read when it is asked for."""

    def __init__(self, scp: Path | str) -> None:
        self.path = Path(scp)
        self._table = read_scp(self.path)
        self._buffers: dict[str, _Buffer] = {}

    def __len__(self) -> int:
        return len(self._table)

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __contains__(self, key: object) -> bool:
        return key in self._table

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_table": self._table, "_buffers": {}}

    def __getitem__(self, key: str) -> Lattice:
        location = self._table[key]
        name, _, offset = location.rpartition(":")
        if not name or not (offset.isascii() and offset.isdigit()):
            raise FormatError(f"{key}: expected 'file:offset', found {location!r}", where=self.path)
        if name not in self._buffers:
            self._buffers[name] = _Buffer(resolve(name, self.path.parent))
        buffer = self._buffers[name]
        if len(offset) > 18 or int(offset) >= len(buffer.data):
            raise FormatError(f"{key}: {location} is behind the end of the archive", where=self.path, remedy=_REMEDY)
        return buffer.lattice(key, int(offset))[0]


def read_lattices(path: Path | str) -> Iterator[tuple[str, Lattice]]:
    """Yield utterance_id and lattice of each entry of an archive, in its order.

    A gzipped archive, as Kaldi's recipes leave them, is unpacked into a temporary file first.

    Raises
    ------
    FormatError
        The archive is absent, damaged or cut off; the message names the utterance.
    """
    buffer = _Buffer(Path(path))
    at, size = 0, len(buffer.data)
    while at < size:
        blank = buffer.raw.find(b" ", at, at + _LONGEST_KEY)
        key = buffer.raw[at:blank] if blank > at else b""
        try:
            name = key.decode("utf-8")
        except UnicodeDecodeError:
            name = ""
        if not name or len(name.split()) != 1 or name != name.strip():
            raise FormatError(f"no utterance_id at byte {at} of the archive", where=path, remedy=_REMEDY)
        lattice, at = buffer.lattice(name, blank + 1)
        yield name, lattice


def holds_lattices(head: bytes) -> bool:
    """Say whether these first bytes of a file are those of an archive of lattices."""
    key, blank, rest = head.partition(b" ")
    if not key or not blank or len(key.split()) != 1 or key.strip() != key:
        return False
    return is_binary_lattice(rest) or (rest[:1] == b"\n" and _TEXT_LINE.match(rest, 1) is not None)


class _Buffer:
    """The bytes of an archive, mapped into memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with _opened(path) as handle:
                self.raw = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or error
            raise FormatError(f"cannot read the archive: {reason}", where=path, remedy=_REMEDY) from None
        self.data: NDArray[np.uint8] = np.frombuffer(self.raw, dtype=np.uint8)

    def lattice(self, key: str, at: int) -> tuple[Lattice, int]:
        """Return the lattice at a byte, and where it ends."""
        try:
            if not self.raw[at : at + 1].isspace():
                return parse_binary(self.data, at)
            # Behind the key stands the end of its line, then the lattice, then an empty line.
            begin = self._line_end(at)
            if self.raw[at:begin].strip():
                raise FormatError("text on the line of the utterance_id")
            end = begin
            while self.raw[end : end + 1] not in (b"\n", b"\r"):
                end = self._line_end(end)
            try:
                lines = self.raw[begin:end].decode("ascii").splitlines()
            except UnicodeDecodeError:
                raise FormatError("bytes that are neither OpenFst's nor text") from None
            return parse_text(lines), self._line_end(end)
        except FormatError as error:
            raise FormatError(f"{key}: {error.message}", where=self.path, remedy=_REMEDY) from None

    def _line_end(self, at: int) -> int:
        end = self.raw.find(b"\n", at)
        if end < 0:
            raise FormatError("the file ends before the lattice does")
        return end + 1


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, or a temporary one with what is packed in it."""
    with path.open("rb") as handle:
        if handle.read(2) != _GZIP:
            yield handle
            return
    with tempfile.TemporaryFile(prefix="asrkit-lattices-") as unpacked, gzip.open(path) as packed:
        while block := packed.read(_BLOCK):
            unpacked.write(block)
        unpacked.flush()
        yield unpacked
