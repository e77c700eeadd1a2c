"""Trainings that are killed half-way, as it were, to be taken up again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from asrkit.nnet.train.checkpoint import CheckpointStore, Snapshot


class Killed(BaseException):
    """What ends them; no ``except Exception`` holds it up."""


class MortalStore(CheckpointStore):
    """Saves whenever it may, and dies of the save of the number given."""

    def __init__(self, path: Path, key: str, saves: int) -> None:
        super().__init__(path, key, every_secs=0)
        self._left = saves

    def save(self, snapshot: Snapshot) -> None:
        super().save(snapshot)
        self._left -= 1
        if not self._left:
            raise Killed


class KillsAfter:
    """A progress that dies after so many items of those whose label holds a text."""

    def __init__(self, items: int, label: str = "") -> None:
        self._left, self._label = items, label

    def __call__(self, items: Iterable[Any], *, total: int | None, label: str) -> Iterator[Any]:
        for item in items:
            if self._label in label:
                self._left -= 1
                if self._left < 0:
                    raise Killed
            yield item
