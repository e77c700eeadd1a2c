"""A label with its times, and labels that cover a stretch without gaps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from asrkit.core.errors import DataError


class Label(NamedTuple):
    """What is said from ``start_secs`` to ``end_secs``, in seconds from the beginning of the recording."""

    start_secs: float
    end_secs: float
    text: str


def tile(labels: Iterable[Label], start_secs: float, end_secs: float) -> list[Label]:
    """Return the labels in order of time, with empty ones in the gaps, so that they cover ``[start, end]``.

    Raises
    ------
    DataError
        Labels overlap, last no time, or do not lie within the stretch.
    """
    tiled: list[Label] = []
    at = start_secs
    for label in sorted(labels):
        if not at <= label.start_secs < label.end_secs <= end_secs:
            raise DataError(
                f"the label {label.text!r} from {label.start_secs:g} to {label.end_secs:g} s does not fit between "
                f"{at:g} and {end_secs:g} s"
            )
        if label.start_secs > at:
            tiled.append(Label(at, label.start_secs, ""))
        tiled.append(label)
        at = label.end_secs
    if at < end_secs or not tiled:
        tiled.append(Label(at, end_secs, ""))
    return tiled
