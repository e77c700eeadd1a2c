"""What a stage did, written beside its output, so that a finished stage is skipped and a changed one says why."""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asrkit
from asrkit.core.config import to_mapping
from asrkit.core.errors import ConfigError, FormatError, TooManyFailedError
from asrkit.core.files import read_json, write_json
from asrkit.core.progress import Progress, silent

log = logging.getLogger("asrkit")


@dataclass(frozen=True)
class RunOptions:
    """How to run a stage, none of which changes what it computes except the seed.

    Attributes
    ----------
    num_jobs : int
        Workers, >= 1.
    seed : int
        Seed of every random stream.
    max_failed : float
        Fraction of utterances that may fail before the stage does, in [0, 1].
    force : bool
        Run even if the output is up to date.
    verify : bool
        Hash every input again instead of trusting size and time of change.
    progress : Progress
        Wraps the iterables of long work.
    """

    num_jobs: int = 1
    seed: int = 0
    max_failed: float = 0.1
    force: bool = False
    verify: bool = False
    progress: Progress = silent


@dataclass(frozen=True)
class Failure:
    """An utterance (or file) that a stage could not use, and the reason in words."""

    utterance_id: str
    reason: str

    @classmethod
    def of(cls, utterance_id: str, error: Exception) -> Failure:
        """Return an error as a failure, without the utterance's name where that is the error's place."""
        return cls(utterance_id, str(error).removeprefix(f"{utterance_id}: "))

    def __str__(self) -> str:
        return f"{self.utterance_id}: {self.reason}"


@dataclass(frozen=True)
class StageReport:
    """What a stage did.

    Attributes
    ----------
    stage : str
        Name of the command, e.g. ``"train-gmm mono"``.
    out : Path
        The directory (or file) it wrote.
    figures : dict
        What it measured, JSON-serialisable; printed by the command line in this order.
    failures : tuple of Failure
        Utterances left out.
    skipped : bool
        The output was up to date and nothing ran.
    seconds : float
        Wall time.
    lines : tuple of str
        Text for a reader (a table, a listing), printed before the figures.
    """

    stage: str
    out: Path
    figures: dict[str, Any] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    skipped: bool = False
    seconds: float = 0.0
    lines: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the report as one JSON-serialisable object."""
        return {
            "stage": self.stage,
            "out": str(self.out),
            "skipped": self.skipped,
            "seconds": round(self.seconds, 3),
            "figures": self.figures,
            "failures": {failure.utterance_id: failure.reason for failure in self.failures},
        }


@dataclass(frozen=True)
class StageResult:
    """What the body of a stage gives back: figures, failures, and lines for a reader."""

    figures: dict[str, Any] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    lines: tuple[str, ...] = ()


def run_stage(
    stage: str,
    out: Path,
    inputs: Iterable[Path],
    config: Any,
    outputs: Iterable[Path],
    options: RunOptions,
    body: Callable[[], StageResult],
    uses_seed: bool = True,
    sealed: bool = True,
) -> StageReport:
    """Run ``body`` unless its outputs are up to date, and record it in ``out/stage.json``.

    A stage is up to date when its record names the same configuration, seed and input hashes, and every output
    file is there. Several stages may share a directory: the record holds one entry a stage.

    Parameters
    ----------
    inputs : iterable of Path
        Every file that decides the result; absent ones are recorded as absent.
    config : dataclass or None
        Compared field by field; what differs is named in the log.
    outputs : iterable of Path
        Files that the body makes, each whole or not at all.
    sealed : bool
        An output that something else changed means to run again; False where that is meant to happen
        (`asrkit validate --fix` mends what `asrkit prepare` wrote).
    """
    record_path = Path(out) / "stage.json"
    records = _read_records(record_path)
    before = records.get(stage)
    if not isinstance(before, dict) or not isinstance(before.get("inputs"), dict):
        before = None
    now: dict[str, Any] = {
        "config": {} if config is None else to_mapping(config),
        "seed": options.seed if uses_seed else None,
        "inputs": _describe(inputs, (before or {}).get("inputs", {}), options.verify),
    }
    outputs = list(outputs)
    if before is not None and not options.force:
        changes = _changes(before, now) + _altered(outputs, before.get("outputs"), sealed)
        if not changes:
            failures = tuple(Failure(key, reason) for key, reason in before.get("failures", {}).items())
            return StageReport(stage, out, before.get("figures", {}), failures, skipped=True)
        log.info("%s: running again: %s", stage, "; ".join(changes))
    check_place(Path(out), outputs)
    # While the body replaces outputs the record of the old ones must not speak for them, were it killed: all that
    # stays of it is which files there are.
    if stage in records:
        records[stage] = {"outputs": (before or {}).get("outputs", {})}
        write_json(record_path, records)
    started = time.monotonic()
    result = body()
    seconds = time.monotonic() - started
    now.update(
        versions=_versions(),
        figures=result.figures,
        failures={failure.utterance_id: failure.reason for failure in result.failures},
        seconds=round(seconds, 3),
        outputs=_stamps(outputs),
    )
    records = _read_records(record_path)
    records[stage] = now
    write_json(record_path, records)
    return StageReport(stage, out, result.figures, result.failures, False, seconds, result.lines)


def check_failures(
    failures: Iterable[Failure],
    total: int,
    options: RunOptions,
    where: Path | str,
    what: str = "utterances",
    remedy: str = "run `asrkit validate`, mend the data, or raise --max-failed",
) -> None:
    """Raise :class:`TooManyFailedError` when more than ``options.max_failed`` of ``total`` utterances failed.

    All failures are then logged, since no report will list them.

    Parameters
    ----------
    what : str
        What they are, where they are not utterances.
    """
    failures = list(failures)
    if failures and len(failures) > options.max_failed * total:
        for failure in failures:
            log.warning("%s", failure)
        raise TooManyFailedError(
            f"{len(failures)} of {total} {what} failed, --max-failed allows {options.max_failed:g} of them"
            f"{first_of(failures)}",
            where=where,
            remedy=remedy,
        )


def first_of(failures: Sequence[Failure]) -> str:
    """Return the end of a message that nothing could be used: the first failure, or nothing where there is none."""
    return f"; the first: {failures[0]}" if failures else ""


def check_apart(out: Path, *read: Path) -> None:
    """Refuse an output directory that is also read: the stage would overwrite what it was made from.

    Raises
    ------
    ConfigError
        ``out`` is one of ``read``.
    """
    if out.resolve() in {path.resolve() for path in read}:
        raise ConfigError("OUT is one of the directories that are read", where=out, remedy="name another directory")


def check_place(out: Path, outputs: Iterable[Path] = ()) -> None:
    """Refuse, before any work, an output directory that cannot be made or written to.

    Raises
    ------
    ConfigError
        It or a folder above it is a file, or may not be written to; or a file that is to be made is a directory.
    """
    place = next(folder for folder in (out, *out.absolute().parents) if folder.exists() or folder.is_symlink())
    if not place.is_dir():
        raise ConfigError("not a directory, and OUT is one", where=place, remedy="name another OUT, or move it away")
    if not os.access(place, os.W_OK | os.X_OK):
        raise ConfigError("you may not write here", where=place, remedy="name another OUT, or change its permissions")
    for path in outputs:
        if path.is_dir():
            raise ConfigError(
                "a directory where a file is to be made", where=path, remedy="move it, or name another OUT"
            )


def _read_records(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        records = read_json(path)
    except FormatError as error:
        log.warning("%s; every stage of this directory will run again", error)
        return {}
    return records if isinstance(records, dict) else {}


def _describe(inputs: Iterable[Path], before: Mapping[str, Any], verify: bool) -> dict[str, Any]:
    described: dict[str, Any] = {}
    for path in map(Path, dict.fromkeys(os.path.abspath(path) for path in inputs)):
        if not path.exists():
            described[str(path)] = None
            continue
        stat = path.stat()
        known = before.get(str(path))
        if not verify and known and (known.get("size"), known.get("mtime_ns")) == (stat.st_size, stat.st_mtime_ns):
            digest = known.get("sha256")
        else:
            digest = _hash(path)
        described[str(path)] = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": digest}
    return described


def _stamps(paths: Iterable[Path]) -> dict[str, list[int]]:
    """Return path -> [size, time of change in ns], by which a later run knows that a file is still the same."""
    return {os.path.abspath(path): [path.stat().st_size, path.stat().st_mtime_ns] for path in paths}


def _altered(outputs: Iterable[Path], before: Any, sealed: bool) -> list[str]:
    known = before if isinstance(before, dict) else {}
    altered = []
    for path in outputs:
        if not path.exists():
            altered.append(f"{path} is missing")
        elif sealed and known.get(os.path.abspath(path)) != _stamps([path])[os.path.abspath(path)]:
            altered.append(f"{path} was changed by something else")
    return altered


def _hash(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    changes: list[str] = []
    old, new = before.get("config", {}), now["config"]
    changes += [
        f"{key} was {old.get(key)!r}, is {new.get(key)!r}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]
    if before.get("seed") != now["seed"]:
        changes.append(f"seed was {before.get('seed')}, is {now['seed']}")
    old, new = before.get("inputs", {}), now["inputs"]
    for path in sorted({*old, *new}):
        was, is_ = old.get(path), new.get(path)
        if (was and was.get("sha256")) != (is_ and is_["sha256"]):
            changes.append(f"{path} changed")
    return changes


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    packages = {name: version(name) for name in ("numpy", "numba", "kaldifst")}
    return {
        "asrkit": asrkit.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.machine()} {platform.processor()}".strip(),
        **packages,
    }
