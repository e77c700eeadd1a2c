"""Where a pretraining came to, in lines for a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def history_lines(history: Sequence[Mapping[str, Any]], part: str, shown: Mapping[str, str]) -> tuple[str, ...]:
    """Return one line for each part of a training: its last epoch.

    Parameters
    ----------
    history : sequence of mappings
        A row an epoch.
    part : str
        Key of the rows that says of which part they are: a name, or the number of a layer.
    shown : mapping
        Key of what is shown -> its name; a row may lack some.
    """
    lines = []
    for one, row in {row[part]: row for row in history}.items():
        figures = [f"{name} {row[key]:.5g}" for key, name in shown.items() if row.get(key) is not None]
        name = one if isinstance(one, str) else f"{part} {one}"
        lines.append(f"{name}: after {row['epoch']} epochs: {', '.join(figures)}")
    return tuple(lines)
