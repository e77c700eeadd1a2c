"""Descriptions as lines for a reader: long lists cut short, everything else as it is."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from asrkit.stages.info.kinds import Description, Facts

WIDTH = 110
NUM_ITEMS = 10
NUM_IN_ITEM = 12
NUM_FOLDERS = 4
GLUE = "\u00a0"
"""Between a name and its value, where no line may end."""


def as_lines(description: Description) -> Iterator[str]:
    """Yield the lines of a description."""
    titles = " with ".join(part.title for part in description.parts) or "directory that asrkit wrote to"
    yield f"{description.path}: {titles}"
    for number, part in enumerate(description.parts):
        if number:
            yield f"{part.title}:"
        yield from _block(part.facts, "  ")
    for name, record in description.records.items():
        yield from _record(name, record)


def _record(name: str, record: Facts) -> Iterator[str]:
    """Yield what a reader wants of a record; its configuration is left to ``--json``."""
    if record["finished"] is None:
        yield f"made by asrkit {name}, which was interrupted"
        return
    failures = f", {record['failures']} failed" if record["failures"] else ""
    seed = "" if record["seed"] is None else f", seed {record['seed']}"
    yield f"made by asrkit {name}, finished {record['finished']} after {record['seconds']:.1f} s{seed}{failures}"
    inputs = list(record["inputs"].items())
    for folder, names in inputs[:NUM_FOLDERS]:
        yield from _wrapped(f"  from {folder}: ", _some(names))
    if len(inputs) > NUM_FOLDERS:
        yield f"  from {len(inputs) - NUM_FOLDERS} more folders (--json has all)"
    if record["changed_inputs"]:
        yield from _wrapped("  changed since: ", _some(record["changed_inputs"]))
    yield from _wrapped("  figures: ", _inline(record["figures"]))
    yield from _wrapped("  with: ", _inline(record["versions"]))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= NUM_IN_ITEM else f"{len(names)} files"


def _block(facts: Mapping[str, Any], indent: str) -> Iterator[str]:
    width = max((len(key) for key in facts), default=0) + 2
    for key, value in facts.items():
        name = key.replace("_", " ")
        if isinstance(value, Mapping) and any(isinstance(one, (Mapping, list)) for one in value.values()):
            yield f"{indent}{name}"
            yield from _block(value, indent + "  ")
        elif isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
            yield f"{indent}{name}"
            for one in value[:NUM_ITEMS]:
                yield from _wrapped(f"{indent}  ", _inline(one))
            if len(value) > NUM_ITEMS:
                yield f"{indent}  … and {len(value) - NUM_ITEMS} more (--json has all)"
        else:
            yield from _wrapped(f"{indent}{name:<{width}}", _inline(value, None))


def _inline(value: Any, most: int | None = NUM_IN_ITEM) -> str:
    """Return a value in a line; of a list in it the first ``most`` items, None: all of them."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key.replace('_', ' ')}{GLUE}{_inline(one)}" for key, one in value.items()) or "none"
    if isinstance(value, list):
        return " ".join(map(_inline, value[:most])) + (" …" if len(value) > len(value[:most]) else "") or "none"
    return str(value)


def _wrapped(head: str, text: str) -> list[str]:
    """Return a head and a text, the text wrapped beside the head."""
    lines = textwrap.wrap(
        text,
        max(WIDTH, len(head) + 40),
        initial_indent=head,
        subsequent_indent=" " * min(len(head), 30),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(GLUE, " ") for line in lines] or [head.rstrip()]
