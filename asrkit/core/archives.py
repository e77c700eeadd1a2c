"""Kaldi archives: ``.ark`` files of matrices or integer vectors with their ``.scp`` index, byte-compatible with Kaldi.

Matrices and vectors are written in Kaldi's binary format and read back through memory maps; compressed and
text entries that Kaldi wrote are read through kaldiio. A location with a pipe is refused: nothing in a data
file is ever run.
"""

from __future__ import annotations

import io
import mmap
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import FormatError
from asrkit.core.files import read_lines, whole_file, write_lines

Array = NDArray[Any]

_MATRIX_TYPES: dict[bytes, np.dtype[Any]] = {b"FM": np.dtype("<f4"), b"DM": np.dtype("<f8")}
_VECTOR_TYPES: dict[bytes, np.dtype[Any]] = {b"FV": np.dtype("<f4"), b"DV": np.dtype("<f8")}


def read_scp(path: Path | str) -> dict[str, str]:
    """Read an scp or any other ``key value`` table, in the order of the file.

    Raises
    ------
    FormatError
        A line without a value, a duplicate key, or a value that is a pipe.
    """
    table: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), 1):
        key, _, value = line.partition(" ")
        value = value.strip()
        where = f"{path}:{number}"
        if not key or not value:
            raise FormatError(f"expected 'key value', found {line!r}", where=where)
        if key in table:
            raise FormatError(f"duplicate key {key!r}", where=where, remedy="keep one line a key")
        if value.startswith("|") or value.endswith("|"):
            raise FormatError(
                f"{key}: {value!r} is a pipe, and asrkit never runs commands from data files",
                where=where,
                remedy="run the command once and put the resulting file's path here",
            )
        table[key] = value
    return table


def resolve(location: str, beside: Path) -> Path:
    """Find the file that an scp line names.

    An absolute path, or one relative to the working directory, is taken as Kaldi takes it; then the path
    relative to the scp's folder ``beside``; then the same file name in that folder (a directory that moved).
    """
    path = Path(location)
    for candidate in (path, beside / path, beside / path.name):
        if candidate.exists():
            return candidate
    return path


class ArchiveReader(Mapping[str, Array]):
    """The entries of an scp as a mapping from key to array; arrays are memory-mapped, read-only views.

    Matrices are ``(rows, cols)`` float32 or float64, vectors ``(n,)``, alignments ``(n,)`` int32.
    """

    def __init__(self, scp: Path | str) -> None:
        self.path = Path(scp)
        self._table = read_scp(self.path)
        self._maps: dict[str, mmap.mmap] = {}

    def __len__(self) -> int:
        return len(self._table)

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __contains__(self, key: object) -> bool:
        return key in self._table

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_table": self._table, "_maps": {}}

    def __getitem__(self, key: str) -> Array:
        location = self._table[key]
        name, _, offset = location.rpartition(":")
        if not name or not offset.isdigit():
            raise FormatError(f"{key}: expected 'file:offset', found {location!r}", where=self.path)
        try:
            buffer = self._map(name)
            return _read_entry(buffer, int(offset))
        # kaldiio raises RuntimeError, and quotes whatever it finds, on what is no archive at all.
        except (struct.error, IndexError, ValueError, AssertionError, RuntimeError) as error:
            raise FormatError(
                f"{key}: entry at {location} is damaged or cut off ({str(error)[:80]!a})",
                where=self.path,
                remedy="make the archive again",
            ) from None

    def _map(self, name: str) -> mmap.mmap:
        if name not in self._maps:
            path = resolve(name, self.path.parent)
            try:
                with path.open("rb") as handle:
                    self._maps[name] = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or error
                raise FormatError(
                    f"cannot read archive {path}: {reason}", where=self.path, remedy="make the archive again"
                ) from None
        return self._maps[name]


def _read_entry(buffer: mmap.mmap, offset: int) -> Array:
    if offset >= len(buffer):
        raise ValueError("it begins behind the end of the file")
    if buffer[offset : offset + 2] != b"\x00B":
        return _read_with_kaldiio(buffer, offset)
    at = offset + 2
    kind = buffer[at : at + 2]
    if kind in _MATRIX_TYPES and buffer[at + 2 : at + 3] == b" ":
        rows, cols = struct.unpack_from("<xixi", buffer, at + 3)
        return _view(buffer, at + 13, _MATRIX_TYPES[kind], rows * cols).reshape(rows, cols)
    if kind in _VECTOR_TYPES and buffer[at + 2 : at + 3] == b" ":
        (size,) = struct.unpack_from("<xi", buffer, at + 3)
        return _view(buffer, at + 8, _VECTOR_TYPES[kind], size)
    if buffer[at : at + 1] == b"\x04":
        (size,) = struct.unpack_from("<i", buffer, at + 1)
        pairs = _view(buffer, at + 5, np.dtype([("size", "i1"), ("value", "<i4")]), size)
        return np.ascontiguousarray(pairs["value"])
    return _read_with_kaldiio(buffer, offset)


def _view(buffer: mmap.mmap, at: int, dtype: np.dtype[Any], count: int) -> Array:
    if count < 0 or at + count * dtype.itemsize > len(buffer):
        raise ValueError(f"{count} values announced, the file ends before them")
    return np.frombuffer(buffer, dtype=dtype, count=count, offset=at)


class _MappedFile(io.RawIOBase):
    """A part of a memory map as a file: nothing of it is copied but what is read."""

    def __init__(self, buffer: mmap.mmap, offset: int) -> None:
        self._buffer, self._start, self._at = buffer, offset, offset

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(self._start, (self._start, self._at, len(self._buffer))[whence] + offset)
        return self._at - self._start

    def readinto(self, target: Any) -> int:
        part = self._buffer[self._at : self._at + len(target)]
        target[: len(part)] = part
        self._at += len(part)
        return len(part)


def _read_with_kaldiio(buffer: mmap.mmap, offset: int) -> Array:
    from kaldiio.matio import read_kaldi

    with io.BufferedReader(_MappedFile(buffer, offset)) as handle:
        value = read_kaldi(handle)
    if not isinstance(value, np.ndarray):
        raise ValueError(f"found {type(value).__name__}, expected a matrix or a vector")
    return value


class ArchiveWriter:
    """Writes ``NAME.ark`` and ``NAME.scp`` in a folder; both appear, whole, when the ``with`` block ends well.

    Parameters
    ----------
    folder : Path
        Made if absent. The scp holds absolute paths.
    name : str
        Base name, e.g. ``"feats"``.
    """

    def __init__(self, folder: Path | str, name: str) -> None:
        self.folder = Path(folder)
        self.name = name
        self._location = (self.folder / f"{name}.ark").resolve()
        self._index: list[str] = []
        self._offset = 0

    def __enter__(self) -> ArchiveWriter:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._context = whole_file(self.folder / f"{self.name}.ark")
        self._handle = self._context.__enter__().open("wb")
        return self

    def write(self, key: str, value: Array) -> None:
        """Append one entry: a 2-d float array, a 1-d float array, or a 1-d integer array (stored as int32)."""
        self.write_parts(key, _encode(value))

    def write_parts(self, key: str, parts: Iterable[bytes | memoryview]) -> None:
        """Append one entry of another kind, given as its bytes: what stands behind the key and its blank."""
        head = key.encode() + b" "
        self._index.append(f"{key} {self._location}:{self._offset + len(head)}")
        self._handle.write(head)
        for part in parts:
            self._handle.write(part)
        self._offset = self._handle.tell()

    def write_rows(self, key: str, num_cols: int, blocks: Iterable[NDArray[np.float32]]) -> int:
        """Append a float32 matrix that comes in blocks of rows, never held as a whole; return its number of rows.

        When ``blocks`` raises, nothing of the entry stays and the archive can be written on.

        Parameters
        ----------
        num_cols : int
        blocks : iterable of (n, num_cols) float32
        """
        head = key.encode() + b" "
        start, num_rows = self._offset, 0
        self._handle.write(head + _matrix_head(0, num_cols))
        try:
            for block in blocks:
                if block.ndim != 2 or block.shape[1] != num_cols or block.dtype != np.float32:
                    raise TypeError(
                        f"{key}: a block of shape {block.shape}, {block.dtype}; expected {num_cols} columns"
                    )
                self._handle.write(np.ascontiguousarray(block).data.cast("B") if block.size else b"")
                num_rows += len(block)
        except BaseException:
            self._handle.seek(start)
            self._handle.truncate()
            raise
        end = self._handle.tell()
        self._handle.seek(start + len(head))
        self._handle.write(_matrix_head(num_rows, num_cols))
        self._handle.seek(end)
        self._index.append(f"{key} {self._location}:{start + len(head)}")
        self._offset = end
        return num_rows

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.close()
        if kind is None:
            # An index of the old archive must not be found beside the new one.
            (self.folder / f"{self.name}.scp").unlink(missing_ok=True)
        self._context.__exit__(kind, error, trace)
        if kind is None:
            write_lines(self.folder / f"{self.name}.scp", self._index)


def _matrix_head(num_rows: int, num_cols: int) -> bytes:
    return b"\x00BFM \x04" + struct.pack("<i", num_rows) + b"\x04" + struct.pack("<i", num_cols)


def _encode(value: Array) -> list[bytes | memoryview]:
    if value.ndim == 1 and np.issubdtype(value.dtype, np.integer):
        pairs = np.empty(len(value), dtype=np.dtype([("size", "i1"), ("value", "<i4")]))
        pairs["size"], pairs["value"] = 4, value
        return [b"\x00B\x04" + struct.pack("<i", len(value)), pairs.tobytes()]
    if value.dtype not in (np.float32, np.float64) or value.ndim not in (1, 2):
        raise TypeError(f"cannot store an array of dtype {value.dtype} and {value.ndim} dimensions")
    letter = b"F" if value.dtype == np.float32 else b"D"
    sizes = b"".join(b"\x04" + struct.pack("<i", n) for n in value.shape)
    return [
        b"\x00B" + letter + (b"M " if value.ndim == 2 else b"V ") + sizes,
        np.ascontiguousarray(value).data.cast("B") if value.size else b"",
    ]
