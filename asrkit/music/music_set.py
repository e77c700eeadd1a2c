"""Sets of pieces with their splits: the published ``.mat`` files, and folders of MIDI files."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import DataError, FormatError
from asrkit.music.midi import MidiConfig, read_midi
from asrkit.music.piano_roll import NUM_KEYS

Pieces = tuple[NDArray[np.uint8], ...]

SPLITS = ("train", "valid", "test")

MAX_UNPACKED_BYTES = 1 << 30
"""Of a ``.mat`` file; the largest published one has 34 million."""

ADDRESS = "http://www-etud.iro.umontreal.ca/~boulanni/icml2012"


@dataclass(frozen=True, eq=False)
class MusicSet:
    """Pieces as piano rolls of 88 keys from MIDI's 21 upwards.

    Attributes
    ----------
    train, valid : tuple of (T, 88) uint8
        At least one piece each, of at least one step each.
    test : tuple of (T, 88) uint8
        Empty where the set was published without.
    step_secs : float
        Length of a step in the pieces' first tempo, if they state one.
    """

    train: Pieces
    valid: Pieces
    test: Pieces = ()
    step_secs: float = 0.25

    @property
    def scored_split(self) -> str:
        """Name of the split whose figures are reported: ``test`` where there is one, else ``valid``."""
        return "test" if self.test else "valid"

    @property
    def scored(self) -> Pieces:
        """The pieces of :attr:`scored_split`."""
        return self.test or self.valid


def music_files(path: Path) -> list[Path]:
    """Return the files that :func:`read_music` reads."""
    if not path.is_dir():
        return [path]
    return [file for split in SPLITS for file in _midi_files(path / split)]


def read_music(path: Path, config: MidiConfig | None = None) -> MusicSet:
    """Read a set of pieces.

    Parameters
    ----------
    path : Path
        A ``.mat`` file of Boulanger-Lewandowski, Bengio and Vincent 2012, with the cell arrays ``traindata``,
        ``validdata`` and, in some, ``testdata``; or a folder with the folders ``train``, ``valid`` and ``test`` (which
        may be absent) of MIDI files.

    Raises
    ------
    FormatError, DataError
        Something is absent, damaged, empty or not a piano roll; the message names split and piece.
    """
    if path.is_dir():
        return _read_folder(path, config or MidiConfig())
    return _read_mat(path)


def _read_folder(path: Path, config: MidiConfig) -> MusicSet:
    rolls = {split: [read_midi(file, config) for file in _midi_files(path / split)] for split in SPLITS}
    for split in ("train", "valid"):
        if not rolls[split]:
            raise DataError(
                f"no MIDI files (.mid, .midi) in {split}/",
                where=path,
                remedy="make folders train, valid and, if wanted, test, and put the pieces into them",
            )
    train, valid, test = (tuple(roll.notes for roll in rolls[split]) for split in SPLITS)
    return MusicSet(train, valid, test, rolls["train"][0].step_secs)


def _midi_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".mid", ".midi"))


def _read_mat(path: Path) -> MusicSet:
    if not path.is_file():
        raise FormatError("no such file", where=path, remedy=f"the four sets are published at {ADDRESS}")
    _check_size(path)
    from scipy.io import loadmat

    names = {split: f"{split}data" for split in SPLITS}
    try:
        found: dict[str, Any] = loadmat(str(path), variable_names=list(names.values()))
    except Exception as error:
        # Of damaged files scipy raises whatever its parts happen to meet.
        raise FormatError(f"not a readable .mat file: {type(error).__name__}: {error}", where=path) from None
    pieces = {split: _pieces(found[name], f"{path}: {name}") for split, name in names.items() if name in found}
    missing = [names[split] for split in ("train", "valid") if not pieces.get(split)]
    if missing:
        raise FormatError(f"no pieces in {' and '.join(missing)}", where=path)
    return MusicSet(pieces["train"], pieces["valid"], pieces.get("test", ()))


def _pieces(cells: Any, where: str) -> Pieces:
    if cells.dtype != object:
        raise FormatError(f"an array of {cells.dtype}, expected a cell array of piano rolls", where=where)
    pieces = []
    for number, cell in enumerate(cells.flat, 1):
        place = f"{where}: piece {number}"
        if not isinstance(cell, np.ndarray) or cell.ndim != 2 or cell.shape[1] != NUM_KEYS or not len(cell):
            shape = getattr(cell, "shape", type(cell).__name__)
            raise DataError(f"the shape {shape}, expected (steps, {NUM_KEYS}) with one step or more", where=place)
        if cell.dtype.kind not in "biuf" or not np.isin(cell, (0, 1)).all():
            raise DataError("other values than 0 and 1", where=place)
        pieces.append(cell.astype(np.uint8))
    return tuple(pieces)


def _check_size(path: Path) -> None:
    """Unpack a MAT 5 file's compressed elements piece by piece, and stop at one that would fill the memory."""
    total = 0
    with path.open("rb") as handle:
        header = handle.read(128)
        if len(header) < 128 or header[126:128] not in (b"IM", b"MI") or header[:8] == b"\x89HDF\r\n\x1a\n":
            raise FormatError("not a .mat file of version 5 to 7", where=path)
        order = "<" if header[126:128] == b"IM" else ">"
        while len(tag := handle.read(8)) == 8:
            kind, size = struct.unpack(f"{order}II", tag)
            if kind != 15:
                total += size
                handle.seek(size, 1)
            else:
                total += _unpacked(handle, size, MAX_UNPACKED_BYTES - total, path)
            if total > MAX_UNPACKED_BYTES:
                raise FormatError(f"more than {MAX_UNPACKED_BYTES} bytes when unpacked", where=path)


def _unpacked(handle: Any, size: int, limit: int, path: Path) -> int:
    """Return how many bytes a compressed element has when unpacked, or a number above the limit."""
    unpacker, total = zlib.decompressobj(), 0
    while size and total <= limit:
        block = handle.read(min(size, 1 << 16))
        if not block:
            raise FormatError("ends in the middle of an element", where=path)
        size -= len(block)
        while block and total <= limit:
            try:
                total += len(unpacker.decompress(block, 1 << 20))
            except zlib.error as error:
                raise FormatError(f"damaged: {error}", where=path) from None
            block = unpacker.unconsumed_tail
    return total
