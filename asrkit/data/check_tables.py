"""Each table of a data directory by itself: its text, the form of its lines, the order and uniqueness of its ids."""

from __future__ import annotations

import math
from collections.abc import Iterator

from asrkit.data.findings import Finding
from asrkit.data.tables import REQUIRED, Entry, RawDataDir, Table, sort_key
from asrkit.data.warps import EXPECTED, WARP_TABLES, parse_warp

_NUMBERS = {"utt2num_frames": "a whole number", "utt2dur": "seconds"}


def check_tables(data: RawDataDir) -> Iterator[Finding]:
    """Yield what is wrong with each table by itself, and which tables are missing."""
    for name in REQUIRED:
        if name not in data.tables:
            remedy = "`asrkit validate --fix` makes it from utt2spk" if name == "spk2utt" else ""
            yield Finding("missing-table", str(data.path / name), f"no {name}", remedy=remedy)
    if "text" not in data.tables:
        yield Finding("no-text", str(data.path), "no file `text`")
    for table in data.tables.values():
        is_of_utterances = data.keyed_by(table) == "utterance"
        for fault in table.faults:
            utterance_id = fault.key if is_of_utterances else None
            yield Finding(fault.kind, table.where(fault.line), fault.message, utterance_id)
        for finding in (*_check_form(table), *_check_order(table), *_check_repeats(table)):
            yield finding if is_of_utterances else _without_utterance(finding)


def parse_segment(entry: Entry) -> tuple[str, float, float | None] | None:
    """Return (recording_id, start_secs, end_secs) of a line of ``segments``; None if it has not that form.

    A negative end means the end of the recording and becomes None.
    """
    fields = entry.value.split(" ")
    if len(fields) != 3:
        return None
    try:
        start, end = float(fields[1]), float(fields[2])
    except ValueError:
        return None
    if not (math.isfinite(start) and math.isfinite(end)):
        return None
    return fields[0], start, None if end < 0 else end


def is_pipe(value: str) -> bool:
    """Say whether the value of an scp line is a command to be run."""
    return value.startswith("|") or value.endswith("|")


def _check_form(table: Table) -> Iterator[Finding]:
    spec = table.spec
    for entry in table.entries:
        fields = entry.value.split()
        if spec.holds == "path":
            if not fields:
                yield _bad_line(table, entry, "expected an id and a path, found no path")
            elif is_pipe(entry.value):
                message = f"{entry.value!r} is a command, expected the path of a file"
                yield Finding("pipe", table.where(entry), message, entry.key)
        elif table.name == "segments":
            if parse_segment(entry) is None:
                yield _bad_line(table, entry, "expected 'utterance recording start_secs end_secs'")
        elif table.name in _NUMBERS:
            if not _is_number(entry.value, whole=table.name == "utt2num_frames"):
                yield _bad_line(table, entry, f"expected an id and {_NUMBERS[table.name]}")
        elif table.name in WARP_TABLES:
            if parse_warp(entry.value) is None:
                yield _bad_line(table, entry, f"expected an id and {EXPECTED}")
        elif spec.holds == "fields" and (not fields or (spec.num_fields or len(fields)) != len(fields)):
            number = "one field" if spec.num_fields == 1 else f"{spec.num_fields or 'one or more'} fields"
            yield _bad_line(table, entry, f"expected an id and {number}")


def _is_number(text: str, whole: bool) -> bool:
    try:
        return (int(text) if whole else float(text)) >= 0
    except ValueError:
        return False


def _bad_line(table: Table, entry: Entry, expected: str) -> Finding:
    return Finding("bad-line", table.where(entry), f"{expected}, found {entry.text()!r}", entry.key)


def _check_order(table: Table) -> Iterator[Finding]:
    for before, entry in zip(table.entries, table.entries[1:]):
        if sort_key(entry.key) < sort_key(before.key):
            message = f"{entry.key!r} comes after {before.key!r}, expected before it (order of bytes)"
            yield Finding("unsorted", table.where(entry), message, entry.key)


def _check_repeats(table: Table) -> Iterator[Finding]:
    if table.spec.repeats:
        return
    seen: dict[str, Entry] = {}
    for entry in table.entries:
        first = seen.setdefault(entry.key, entry)
        if first is entry:
            continue
        if first.value == entry.value:
            message = f"{entry.key!r} stands in line {first.line} already, with the same value"
            yield Finding("duplicate", table.where(entry), message, entry.key)
        else:
            message = f"{entry.key!r} is {entry.value!r} here and {first.value!r} in line {first.line}"
            yield Finding("conflict", table.where(entry), message, entry.key)


def _without_utterance(finding: Finding) -> Finding:
    return Finding(finding.kind, finding.where, finding.message, None, finding.remedy)
