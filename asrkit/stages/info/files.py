"""Facts of single files: language models, model files, archives and their indices."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from asrkit.core.archives import ArchiveReader, read_scp
from asrkit.core.errors import AsrkitError, FormatError
from asrkit.lang.g2p import KIND as G2P_KIND
from asrkit.lang.g2p import G2p
from asrkit.lm.arpa import read_arpa_header

HEAD_BYTES = 4096


def is_gzipped(path: Path) -> bool:
    """Say whether a file begins as a gzip file does."""
    with path.open("rb") as handle:
        return handle.read(2) == b"\x1f\x8b"


def head_of(path: Path) -> bytes:
    """Return the first bytes of a file, unpacked where it is gzipped."""
    if not is_gzipped(path):
        with path.open("rb") as handle:
            return handle.read(HEAD_BYTES)
    try:
        with gzip.open(path) as packed:
            return packed.read(HEAD_BYTES)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return b""


def is_arpa(path: Path) -> bool:
    """Say whether a file begins as an ARPA file does, behind whatever comments."""
    return b"\\data\\" in head_of(path).split()


def arpa_facts(path: Path) -> dict[str, Any]:
    """Return order and numbers of n-grams, as the header announces them."""
    counts = read_arpa_header(path)
    return {
        "order": len(counts),
        "words": counts[0],
        "ngrams": counts,
        "gzipped": is_gzipped(path),
        "megabytes": path.stat().st_size / 1e6,
    }


def container_head(path: Path) -> dict[str, Any] | None:
    """Return kind, metadata and tensors of one of our model files, without reading the tensors; None for others."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as handle:
            described = json.loads((handle.metadata() or {})["asrkit"])
            shapes = {name: handle.get_slice(name).get_shape() for name in handle.keys()}  # noqa: SIM118 (no mapping)
        return {"kind": described["kind"], "meta": described["meta"], "tensors": shapes}
    except (SafetensorError, OSError, ValueError, KeyError, TypeError):
        return None


def is_g2p(path: Path) -> bool:
    """Say whether a file holds a G2P model."""
    head = container_head(path)
    return head is not None and head["kind"] == G2P_KIND


def is_container(path: Path) -> bool:
    """Say whether a file is one of our model files."""
    return container_head(path) is not None


def g2p_facts(path: Path) -> dict[str, Any]:
    """Return what a G2P model knows: letters, phones, graphones, and the size of its n-gram."""
    model = G2p.load(path)
    return {
        "letters": list(model.letters),
        "phones": list(model.phones),
        "graphones": len(model.graphones),
        "order": model.config.order,
        "smoothing": model.config.smoothing,
        "states": len(model.automaton.state_begin) - 1,
        "arcs": len(model.automaton.arc_unit),
        "fold_case": model.config.fold_case,
        "strip_stress": model.config.strip_stress,
        "megabytes": path.stat().st_size / 1e6,
    }


def container_facts(path: Path) -> dict[str, Any]:
    """Return kind, parameters and tensors of a model file; its directory says more."""
    head = container_head(path)
    assert head is not None
    shapes = {name: "x".join(map(str, shape)) for name, shape in head["tensors"].items()}
    return {
        "kind": head["kind"],
        "parameters": sum(int(np.prod(shape)) for shape in head["tensors"].values()),
        "meta": head["meta"],
        "tensors": shapes,
    }


def is_index(path: Path) -> bool:
    """Say whether a file is an scp whose lines point into archives."""
    if b"\0" in head_of(path):
        return False
    try:
        locations = list(read_scp(path).values())
    except AsrkitError:
        return False
    return bool(locations) and all(location.rpartition(":")[2].isdigit() for location in locations)


def index_facts(path: Path) -> dict[str, Any]:
    """Return what an scp points to."""
    reader = ArchiveReader(path)
    archives = dict.fromkeys(location.rpartition(":")[0] for location in read_scp(path).values())
    return {**_array_facts(reader.items()), "archives": list(archives)}


def is_archive(path: Path) -> bool:
    """Say whether a file is a Kaldi archive: a key, a blank, and the mark of a binary entry or the bracket of text."""
    key, blank, rest = head_of(path).partition(b" ")
    return bool(key and blank) and b"\n" not in key and (rest[:2] == b"\x00B" or rest.lstrip().startswith(b"["))


def archive_facts(path: Path) -> dict[str, Any]:
    """Return what an archive holds; all of it is read."""
    from kaldiio import load_ark

    try:
        with path.open("rb") as handle:
            return _array_facts(load_ark(handle))
    except (struct.error, IndexError, ValueError, AssertionError, EOFError) as error:
        raise FormatError(f"damaged or cut off ({error})", where=path, remedy="make the archive again") from None


def _array_facts(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Count entries by what they are, and their rows (of a vector: its elements)."""
    kinds: Counter[tuple[str, int | None]] = Counter()
    lengths: list[int] = []
    for _, array in items:
        kinds[str(array.dtype), array.shape[1] if array.ndim == 2 else None] += 1
        lengths.append(len(array))
    return {
        "entries": len(lengths),
        "rows": sum(lengths),
        "rows_of_an_entry": {"fewest": min(lengths, default=0), "most": max(lengths, default=0)},
        "hold": [{"entries": number, "dtype": dtype, "columns": cols} for (dtype, cols), number in kinds.items()],
    }
