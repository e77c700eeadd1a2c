"""Bundles: several files in one, as a safetensors file of bytes. Opening one cannot execute or overwrite anything.

Each member is a tensor of type U8 under its name; ``__metadata__`` tells kind, version and the CRC-32 of every
member. Any safetensors reader lists it. Members are read where they lie, in the mapped file.
"""

from __future__ import annotations

import json
import mmap
import re
import shutil
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asrkit.core.errors import ModelError
from asrkit.core.files import whole_file

VERSION = 1
MAX_HEADER_BYTES = 1 << 20
"""A header lists members, a few dozen at most: more is damage."""

_ALIGNMENT = 64
_CHUNK_BYTES = 1 << 22
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_REMEDY = "copy the file again, or make it again with `asrkit pack`"


@dataclass(frozen=True)
class Member:
    """Where a member lies: its first byte in the file, its size in bytes, and the CRC-32 of them."""

    offset: int
    size: int
    checksum: int


@dataclass(frozen=True, eq=False)
class Bundle:
    """An open bundle.

    Attributes
    ----------
    path : Path
    version : int
    members : dict of str to Member
        By name, in the order of the file; a name is a relative path of plain letters, digits, ``_ . -`` and ``/``.
    """

    path: Path
    version: int
    members: dict[str, Member]
    _buffer: mmap.mmap = field(repr=False)

    def read(self, name: str) -> memoryview:
        """Return the bytes of a member, a view of the mapped file.

        Raises
        ------
        ModelError
            There is no such member, or its bytes are not those that were written.
        """
        if name not in self.members:
            raise ModelError(f"no {name} in it", where=self.path, remedy=_REMEDY)
        member = self.members[name]
        view = memoryview(self._buffer)[member.offset : member.offset + member.size]
        checksum = 0
        for start in range(0, member.size, _CHUNK_BYTES):
            checksum = zlib.crc32(view[start : start + _CHUNK_BYTES], checksum)
        if checksum != member.checksum:
            raise ModelError(f"{name} in it is damaged (wrong checksum)", where=self.path, remedy=_REMEDY)
        return view

    def unpack(self, names: Iterable[str], folder: Path) -> None:
        """Write members as files under ``folder``; what a name can say stays inside it."""
        for name in names:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self.read(name))


def is_bundle(path: Path, kind: str) -> bool:
    """Say whether a file is a bundle of this kind, by its header alone."""
    try:
        open_bundle(path, kind)
    except ModelError:
        return False
    return True


def write_bundle(path: Path | str, kind: str, members: Mapping[str, Path | bytes]) -> None:
    """Write files, or bytes, as one file, whole or not at all; equal members give equal bytes.

    Parameters
    ----------
    kind : str
        What the bundle is, checked by :func:`open_bundle`.
    members : mapping of str to Path or bytes
        By name; written in this order.
    """
    sizes = {name: len(m) if isinstance(m, bytes) else m.stat().st_size for name, m in members.items()}
    for name in sizes:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a member")
    checksums = {name: _checksum(member) for name, member in members.items()}
    header: dict[str, Any] = {
        "__metadata__": {
            "asrkit": json.dumps({"kind": kind, "meta": {"version": VERSION, "crc32": checksums}}, sort_keys=True)
        }
    }
    at = 0
    for name, size in sizes.items():
        header[name] = {"dtype": "U8", "shape": [size], "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    if len(text) > MAX_HEADER_BYTES:
        raise ValueError(f"{len(sizes)} members are more than a bundle holds")
    with whole_file(path) as part, part.open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for member in members.values():
            if isinstance(member, bytes):
                out.write(member)
                continue
            with member.open("rb") as source:
                shutil.copyfileobj(source, out, _CHUNK_BYTES)


def open_bundle(path: Path | str, kind: str) -> Bundle:
    """Open a bundle and check its header against the file; members are checked when they are read.

    Raises
    ------
    ModelError
        The file is absent, cut off, damaged, not one of ours, of another kind, or of a newer version.
    """
    path = Path(path)
    try:
        with path.open("rb") as handle:
            buffer = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise ModelError("no such model file", where=path) from None
    except (OSError, ValueError) as error:
        raise ModelError(f"not a readable model file: {error}", where=path) from None
    try:
        return _parse(path, kind, buffer)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, struct.error):
        raise ModelError(
            f"not a model file of the kind {kind!r} that asrkit wrote, or damaged", where=path, remedy=_REMEDY
        ) from None


def _parse(path: Path, kind: str, buffer: mmap.mmap) -> Bundle:
    (length,) = struct.unpack_from("<Q", buffer, 0)
    if not 2 <= length <= min(MAX_HEADER_BYTES, len(buffer) - 8):
        raise ValueError
    header = json.loads(buffer[8 : 8 + length].decode("utf-8"))
    described = json.loads(header.pop("__metadata__")["asrkit"])
    if described["kind"] != kind:
        raise ModelError(f"this is a {described['kind']!r} file, expected {kind!r}", where=path)
    version, checksums = described["meta"]["version"], described["meta"]["crc32"]
    if version != VERSION:
        raise ModelError(
            f"version {version!r} of the format, this asrkit reads version {VERSION}",
            where=path,
            remedy="install a newer asrkit, or pack the model again",
        )
    members: dict[str, Member] = {}
    at = 0
    for name, entry in header.items():
        (size,) = entry["shape"]
        start, end = entry["data_offsets"]
        whole = all(type(number) is int for number in (size, start, end, checksums[name]))
        if not (whole and _NAME.fullmatch(name) and entry["dtype"] == "U8" and start == at and end == at + size >= at):
            raise ValueError
        members[name] = Member(8 + length + start, size, checksums[name])
        at = end
    if 8 + length + at != len(buffer):
        raise ModelError(
            f"{len(buffer)} bytes found, its header announces {8 + length + at}", where=path, remedy=_REMEDY
        )
    return Bundle(path, version, members, buffer)


def _checksum(member: Path | bytes) -> int:
    if isinstance(member, bytes):
        return zlib.crc32(member)
    checksum = 0
    with member.open("rb") as source:
        while chunk := source.read(_CHUNK_BYTES):
            checksum = zlib.crc32(chunk, checksum)
    return checksum
