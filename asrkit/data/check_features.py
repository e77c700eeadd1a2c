"""The feature archives of a data directory: readable, finite, of one dimension, and as long as the audio says."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asrkit.core.archives import ArchiveReader, resolve
from asrkit.core.errors import AsrkitError, FormatError
from asrkit.core.files import read_json
from asrkit.data.findings import Finding
from asrkit.data.tables import Entry, RawDataDir, Table

_SLACK_FRAMES = 3
"""Front ends differ by a frame or two at the ends of an utterance."""


@dataclass(frozen=True)
class FeatureChecks:
    """How features are looked at.

    Attributes
    ----------
    frame_shift_ms : float or None
        Time from frame to frame; None for the one in ``frontend.json``, else 10.
    max_matrices : int
        Number of utterances, evenly spread over the data, whose values are read to find NaN and infinity.
    max_rows : int
        Most rows of each that are read.
    """

    frame_shift_ms: float | None = None
    max_matrices: int = 200
    max_rows: int = 10000


def read_front_end(folder: Path) -> dict[str, Any]:
    """Return what ``frontend.json`` of a data directory says; empty where there is none or it is damaged."""
    return _read_object(folder / "frontend.json")


def was_resampled(folder: Path) -> bool:
    """Say whether the features were made with ``--resample``: the audio then need not have the front end's rate."""
    values: Any = _read_object(folder / "stage.json")
    for key in ("extract", "config", "resample"):
        values = values.get(key) if isinstance(values, dict) else None
    return values is True


def _read_object(path: Path) -> dict[str, Any]:
    try:
        values = read_json(path)
    except FormatError:
        return {}
    return values if isinstance(values, dict) else {}


def check_features(data: RawDataDir, checks: FeatureChecks, secs: Mapping[str, float]) -> Iterator[Finding]:
    """Yield what is wrong with ``feats.scp``, ``cmvn.scp``, ``utt2num_frames`` and ``utt2dur``.

    ``secs`` is the length of each utterance's audio, where it is known.
    """
    yield from _check_durations(data, secs)
    feats, dimension = data.tables.get("feats.scp"), None
    if feats is not None:
        shapes: dict[str, tuple[int, int]] = {}
        for entry in feats.by_key.values():
            try:
                shapes[entry.key] = _shape(entry, feats)
            except (OSError, ValueError, struct.error) as error:
                message = f"{entry.key!r}: {error}"
                yield Finding("bad-features", feats.where(entry), message, entry.key)
        if shapes:
            dimension = Counter(columns for _, columns in shapes.values()).most_common(1)[0][0]
        yield from _check_dimensions(feats, shapes, dimension)
        yield from _check_lengths(data, feats, shapes, checks, secs)
        yield from _check_values(feats, list(shapes), checks)
    if "cmvn.scp" in data.tables:
        yield from _check_statistics(data.tables["cmvn.scp"], dimension)


def _shape(entry: Entry, table: Table) -> tuple[int, int]:
    """Read the size of a matrix from its first bytes: (rows, columns); see Kaldi's ``kaldi-matrix.cc``."""
    name, _, offset = entry.value.rpartition(":")
    if not name or not offset.isdigit():
        raise ValueError(f"expected 'file:offset', found {entry.value!r}")
    path = resolve(name, table.path.parent)
    with path.open("rb") as handle:
        handle.seek(int(offset))
        head = handle.read(21)
    if head[:2] == b"\0B" and head[2:4] in (b"FM", b"DM"):
        rows, columns = struct.unpack_from("<xixi", head, 5)
        width = 4 if head[2:3] == b"F" else 8
        end = int(offset) + 15 + rows * columns * width
    elif head[:2] == b"\0B" and head[2:4] == b"CM":
        start = 5 if head[4:5] == b" " else 6
        rows, columns = struct.unpack_from("<8xii", head, start)
        end = int(offset) + start + 16
    else:
        raise ValueError(f"no binary matrix at {entry.value}: it begins {head[:8]!r}")
    if rows <= 0 or columns <= 0:
        raise ValueError(f"{rows} frames of dimension {columns}")
    if end > path.stat().st_size:
        raise ValueError(f"{path} is truncated: it ends before the {rows} frames announced")
    return rows, columns


def _check_dimensions(table: Table, shapes: Mapping[str, tuple[int, int]], expected: int | None) -> Iterator[Finding]:
    for key, (_, columns) in shapes.items():
        if columns != expected:
            message = f"{key!r} has dimension {columns}, most have {expected}"
            yield Finding("feature-dimension", table.where(table.by_key[key]), message, key)


def _check_lengths(
    data: RawDataDir,
    feats: Table,
    shapes: Mapping[str, tuple[int, int]],
    checks: FeatureChecks,
    secs: Mapping[str, float],
) -> Iterator[Finding]:
    counts = data.tables.get("utt2num_frames")
    shift_ms = checks.frame_shift_ms or read_front_end(data.path).get("frame_shift_ms", 10.0)
    for key, (rows, _) in shapes.items():
        where = feats.where(feats.by_key[key])
        stated = counts.by_key.get(key) if counts is not None else None
        if stated is not None and stated.value.isdigit() and int(stated.value) != rows:
            message = f"{key!r} has {rows} frames, utt2num_frames:{stated.line} says {stated.value}"
            yield Finding("feature-frames", where, message, key)
        elif key in secs:
            expected = 1000 * secs[key] / shift_ms
            if abs(rows - expected) > _SLACK_FRAMES + 0.01 * expected:
                message = (
                    f"{key!r} has {rows} frames, expected about {expected:.0f} for {secs[key]:.2f} s "
                    f"and a shift of {shift_ms:g} ms"
                )
                yield Finding("feature-frames", where, message, key)


def _check_values(feats: Table, keys: list[str], checks: FeatureChecks) -> Iterator[Finding]:
    step = max(1, -(-len(keys) // checks.max_matrices))
    try:
        reader = ArchiveReader(feats.path)
    except AsrkitError:
        return  # the table itself is wrong, which is said elsewhere
    for key in keys[::step]:
        where = feats.where(feats.by_key[key])
        try:
            matrix = reader[key][: checks.max_rows]
        except AsrkitError as error:
            yield Finding("bad-features", where, error.message, key)
            continue
        wrong = ~np.isfinite(matrix)
        if wrong.any():
            first = int(np.flatnonzero(wrong.any(axis=1))[0])
            message = f"{key!r}: {int(wrong.sum())} values are NaN or infinite, the first in frame {first} (0-based)"
            yield Finding("feature-values", where, message, key)


def _check_statistics(table: Table, dimension: int | None) -> Iterator[Finding]:
    """Statistics are (2, dimension + 1): sums with the count, and sums of squares; see Kaldi's ``cmvn.h``."""
    try:
        reader = ArchiveReader(table.path)
    except AsrkitError:
        return
    for key, entry in table.by_key.items():
        try:
            matrix = reader[key]
        except AsrkitError as error:
            yield Finding("bad-features", table.where(entry), error.message)
            continue
        if matrix.ndim != 2 or matrix.shape[0] != 2 or (dimension and matrix.shape[1] != dimension + 1):
            message = f"{key!r}: statistics of shape {matrix.shape}, expected (2, {(dimension or 0) + 1 or 'n'})"
            yield Finding("feature-dimension", table.where(entry), message)
        elif not np.isfinite(matrix).all() or matrix[0, -1] <= 0:
            message = f"{key!r}: statistics over {matrix[0, -1]:g} frames, NaN, or infinite"
            yield Finding("feature-values", table.where(entry), message)


def _check_durations(data: RawDataDir, secs: Mapping[str, float]) -> Iterator[Finding]:
    table = data.tables.get("utt2dur")
    if table is None:
        return
    for key, entry in table.by_key.items():
        try:
            stated = float(entry.value)
        except ValueError:
            continue
        if key in secs and not abs(stated - secs[key]) <= 0.03 + 0.001 * secs[key]:
            message = f"{key!r} lasts {secs[key]:.3f} s, utt2dur says {stated:g}"
            yield Finding("feature-frames", table.where(entry), message, key)
