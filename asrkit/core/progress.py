"""How long work tells that it goes on: a stage wraps its iterables, the command line decides what is shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")


class Progress(Protocol):
    """Wraps an iterable and shows how far it has come."""

    def __call__(self, items: Iterable[T], *, total: int | None, label: str) -> Iterator[T]:
        """Yield ``items`` unchanged; ``total`` is their number if known, ``label`` says what is being done."""
        ...


def silent(items: Iterable[T], *, total: int | None, label: str) -> Iterator[T]:
    """Show nothing."""
    yield from items
