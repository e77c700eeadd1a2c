"""Model files: named arrays and JSON metadata in one safetensors file. Opening one cannot execute anything."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ModelError
from asrkit.core.files import whole_file


def check_finished(what: str, folder: Path, files: Iterable[Path], remedy: str) -> None:
    """Raise :class:`ModelError` where files of a directory are missing.

    Parameters
    ----------
    what : str
        What the directory should be, for the message: ``classifier``.
    """
    absent = [path.name for path in files if not path.is_file()]
    if absent:
        raise ModelError(f"not a finished {what}: {', '.join(absent)} missing", where=folder, remedy=remedy)


def save_model(path: Path | str, kind: str, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
    """Write arrays and metadata under ``path``, whole or not at all.

    Parameters
    ----------
    kind : str
        What the file holds, e.g. ``"gmm"``; checked by :func:`load_model`.
    arrays : mapping of str to ndarray
        Any numeric dtype.
    meta : mapping
        JSON-serialisable description.
    """
    from safetensors.numpy import save_file

    header = {"asrkit": json.dumps({"kind": kind, "meta": dict(meta)}, sort_keys=True)}
    with whole_file(path) as part:
        save_file({name: np.asarray(a, order="C") for name, a in arrays.items()}, part, metadata=header)


def load_model(path: Path | str, kind: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read what :func:`save_model` wrote: ``(arrays, meta)``.

    Raises
    ------
    ModelError
        The file is absent, damaged, not one of ours, or of another kind.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    found, meta = _read_header(path)
    if found != kind:
        raise ModelError(f"this is a {found!r} file, expected {kind!r}", where=path)
    try:
        with safe_open(path, framework="numpy") as handle:
            return {name: handle.get_tensor(name) for name in handle.keys()}, meta  # noqa: SIM118 (not a mapping)
    except (SafetensorError, ValueError, OSError) as error:
        raise ModelError(f"not a readable safetensors file: {error}", where=path) from None


def read_kind(path: Path | str) -> str:
    """Return what a model file holds, as :func:`save_model` was told; raises as :func:`load_model`."""
    return _read_header(Path(path))[0]


def _read_header(path: Path) -> tuple[str, dict[str, Any]]:
    """Return kind and metadata."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ModelError("no such model file", where=path)
    try:
        with safe_open(path, framework="numpy") as handle:
            header = handle.metadata() or {}
    except (SafetensorError, ValueError, OSError) as error:
        raise ModelError(f"not a readable safetensors file: {error}", where=path) from None
    try:
        described = json.loads(header["asrkit"])
        return described["kind"], described["meta"]
    except (KeyError, TypeError, json.JSONDecodeError):
        raise ModelError("a safetensors file, but not one that asrkit wrote", where=path) from None
