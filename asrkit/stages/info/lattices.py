"""Facts of lattices: archives and their indices."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from asrkit.core.archives import read_scp, resolve
from asrkit.lattice.archive import LatticeReader, holds_lattices, read_lattices
from asrkit.lattice.binary import is_binary_lattice
from asrkit.lattice.lattice import Lattice
from asrkit.stages.info.files import HEAD_BYTES, head_of, is_index


def is_lattice_archive(path: Path) -> bool:
    """Say whether a file, gzipped or not, begins as an archive of lattices does."""
    return holds_lattices(head_of(path))


def is_lattice_index(path: Path) -> bool:
    """Say whether a file is an scp whose first line points to a lattice."""
    if not is_index(path):
        return False
    name, _, offset = next(iter(read_scp(path).values())).rpartition(":")
    try:
        with resolve(name, path.parent).open("rb") as handle:
            handle.seek(int(offset))
            head = handle.read(HEAD_BYTES)
    except (OSError, ValueError, OverflowError):
        return False
    return is_binary_lattice(head) or holds_lattices(b"key " + head)


def lattice_archive_facts(path: Path) -> dict[str, Any]:
    """Return the number, size and depth of the lattices of an archive; all of it is read."""
    return _facts(read_lattices(path))


def lattice_index_facts(path: Path) -> dict[str, Any]:
    """Return the number, size and depth of the lattices that an scp points to, and its archives."""
    archives = dict.fromkeys(location.rpartition(":")[0] for location in read_scp(path).values())
    return {**_facts(LatticeReader(path).items()), "archives": list(archives)}


def _facts(lattices: Iterable[tuple[str, Lattice]]) -> dict[str, Any]:
    """Sum up; the depth is the average number of arcs that span a frame, over all frames (Kaldi's lattice-depth)."""
    utterances = states = arcs = frames = spanned = most_arcs = 0
    deepest: tuple[float, str | None] = (0.0, None)
    for key, lattice in lattices:
        utterances += 1
        states += lattice.num_states
        arcs += lattice.num_arcs
        frames += lattice.num_frames
        spanned += len(lattice.tids)
        most_arcs = max(most_arcs, lattice.num_arcs)
        deepest = max(deepest, (lattice.depth, key), key=lambda pair: pair[0])
    return {
        "utterances": utterances,
        "states": states,
        "arcs": arcs,
        "arcs_of_the_largest": most_arcs,
        "frames": frames,
        "depth": spanned / max(frames, 1),
        "deepest": {"utterance": deepest[1], "depth": deepest[0]},
    }
