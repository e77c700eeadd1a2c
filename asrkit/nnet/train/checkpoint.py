"""Checkpoints of a network's training: from each, a killed run continues to the same result."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from asrkit.core.container import load_model, save_model
from asrkit.core.errors import AsrkitError

log = logging.getLogger("asrkit")

KIND = "nnet-checkpoint-2"
"""With the number of the form: what an earlier version left, of another one, is not gone on from."""

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A moment of a training.

    Attributes
    ----------
    arrays : mapping of str to ndarray
        Weights, and what the optimiser remembers.
    progress : mapping
        Where the training stands; JSON-serialisable.
    """

    arrays: Arrays
    progress: Mapping[str, Any]


class CheckpointStore:
    """The file in which an unfinished training keeps its last snapshot.

    Parameters
    ----------
    path : Path
    key : str
        What the training is; a checkpoint of another one is ignored.
    every_secs : float
        Between two snapshots within an epoch.
    read_only : bool
        Save nothing: another process does.
    """

    def __init__(self, path: Path, key: str, every_secs: float = 120.0, read_only: bool = False) -> None:
        self.path, self.key, self._every_secs, self._read_only = path, key, every_secs, read_only
        self._last = time.monotonic()

    def load(self) -> Snapshot | None:
        """Return the last snapshot, None if there is none of this training."""
        if not self.path.exists():
            return None
        try:
            arrays, meta = load_model(self.path, KIND)
            if meta["key"] != self.key:
                return None
            return Snapshot(arrays, meta["progress"])
        except (AsrkitError, KeyError, TypeError) as error:
            log.warning(
                "%s: the checkpoint is damaged or of another version (%s); training starts again", self.path, error
            )
            return None

    @property
    def due(self) -> bool:
        """Whether it is time for another snapshot."""
        return time.monotonic() - self._last >= self._every_secs

    def save(self, snapshot: Snapshot) -> None:
        """Write a snapshot in the place of the last one."""
        if self._read_only:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        save_model(self.path, KIND, snapshot.arrays, {"key": self.key, "progress": dict(snapshot.progress)})
        self._last = time.monotonic()

    def clear(self) -> None:
        """Remove the checkpoint of a finished training."""
        self.path.unlink(missing_ok=True)


def with_prefix(prefix: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """Return the arrays with a prefix before each name."""
    return {f"{prefix}{name}": array for name, array in arrays.items()}


def without_prefix(prefix: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """Return the arrays whose names have a prefix, without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
