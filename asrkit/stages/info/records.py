"""Facts of a record: when, how long, with what and from which inputs a command made something."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from asrkit.core.errors import FormatError
from asrkit.core.files import read_json

RECORD = "stage.json"


def records_of(path: Path) -> dict[str, dict[str, Any]]:
    """Return command -> facts, for all commands that wrote a directory, or those that wrote a file.

    Raises
    ------
    FormatError
        The record is damaged.
    """
    folder = path if path.is_dir() else path.parent
    if not (folder / RECORD).exists():
        return {}
    records = read_json(folder / RECORD)
    if not isinstance(records, dict) or not all(isinstance(record, dict) for record in records.values()):
        raise FormatError("not the record of any command", where=folder / RECORD, remedy="run the command again")
    return {
        name: record_facts(record)
        for name, record in records.items()
        if path.is_dir() or any(Path(output).name == path.name for output in record.get("outputs", {}))
    }


def record_facts(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of one command's record; one that was interrupted says no more than that."""
    inputs = record.get("inputs")
    if inputs is None:
        return {"finished": None}
    return {
        "finished": _finished(record.get("outputs", {})),
        "seconds": record.get("seconds"),
        "seed": record.get("seed"),
        "inputs": _by_folder(inputs),
        "changed_inputs": [path for path, known in inputs.items() if _has_changed(Path(path), known)],
        "figures": record.get("figures", {}),
        "failures": len(record.get("failures", {})),
        "versions": record.get("versions", {}),
        "config": record.get("config", {}),
    }


def _finished(outputs: Mapping[str, Any]) -> str | None:
    """Return the time of change of the newest output, as the record has it: ISO 8601 in local time."""
    times = [int(stamp[1]) for stamp in outputs.values()]
    return datetime.fromtimestamp(max(times) / 1e9).astimezone().isoformat(timespec="seconds") if times else None


def _by_folder(paths: Mapping[str, Any]) -> dict[str, list[str]]:
    folders: dict[str, list[str]] = {}
    for path, known in paths.items():
        if known is not None:
            folders.setdefault(str(Path(path).parent), []).append(Path(path).name)
    return folders


def _has_changed(path: Path, known: Mapping[str, Any] | None) -> bool:
    """Say whether an input's size or time of change is no longer the recorded one."""
    if known is None or not path.exists():
        return known is not None or path.exists()
    stat = path.stat()
    return (stat.st_size, stat.st_mtime_ns) != (known.get("size"), known.get("mtime_ns"))
