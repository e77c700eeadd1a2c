"""Tables of transcripts that users keep: CSV or TSV with a header, columns found by their names."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asrkit.core.errors import DataError
from asrkit.core.files import read_lines

COLUMNS: dict[str, tuple[str, ...]] = {
    "audio": ("file", "path", "audio", "filename", "file_name", "wav", "recording"),
    "text": ("text", "transcript", "transcription", "sentence", "words"),
    "speaker": ("speaker", "speaker_id", "spk", "client_id"),
    "start": ("start", "start_secs", "begin"),
    "end": ("end", "end_secs", "stop"),
    "id": ("id", "utterance", "utterance_id", "utt_id"),
}
"""What a column holds -> the names it may have in a header, upper or lower case."""


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes
    ----------
    where : str
        ``path:line``.
    audio : str
        As written, without white space around.
    text : str or None
        Likewise; None where no transcript was looked for.
    speaker, utterance_id : str or None
        None where the table has no such column or the field is empty.
    start_secs, end_secs : float or None
        A stretch of the recording.
    """

    where: str
    audio: str
    text: str | None
    speaker: str | None = None
    utterance_id: str | None = None
    start_secs: float | None = None
    end_secs: float | None = None


def read_table(path: Path) -> list[Row]:
    """Read a table; the delimiter (tab, comma, semicolon or bar) is the one most frequent in the header.

    Fields may be quoted as in CSV; in a tab-separated table quotes are text. A byte-order mark and CRLF are fine.

    Raises
    ------
    DataError
        No header with an audio and a text column, a line with too few fields, a time that is no number, or an
        empty audio field.
    FormatError
        The file is not UTF-8.
    """
    text = "\n".join(read_lines(path)).removeprefix("\ufeff")
    header_line = text.split("\n", 1)[0]
    delimiter = max("\t,;|", key=header_line.count)
    lines = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quoting=csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL,
    )
    try:
        header = next(lines, [])
        columns = _columns(header, path)
        return list(_rows(lines, columns, path))
    except csv.Error as error:
        raise DataError(f"not a table: {error}", where=f"{path}:{lines.line_num}") from None


def _columns(header: list[str], path: Path) -> dict[str, int]:
    """Return what a column holds -> its 0-based number."""
    names = [name.strip().lower() for name in header]
    columns = {
        held: next(names.index(name) for name in allowed if name in names)
        for held, allowed in COLUMNS.items()
        if any(name in names for name in allowed)
    }
    for held in ("audio", "text"):
        if held not in columns:
            raise DataError(
                f"no {held} column in the header {', '.join(header)!r}",
                where=f"{path}:1",
                remedy=f"name one of its columns {' or '.join(COLUMNS[held][:3])}",
            )
    return columns


def _rows(lines: Any, columns: dict[str, int], path: Path) -> Iterator[Row]:
    """Yield the rows of ``lines``, a csv reader past its header."""
    for fields in lines:
        where = f"{path}:{lines.line_num}"
        if not any(field.strip() for field in fields):
            continue
        needed = max(columns["audio"], columns["text"])
        if len(fields) <= needed:
            raise DataError(f"{len(fields)} fields, expected at least {needed + 1}: {fields}", where=where)
        held = {name: fields[number].strip() if number < len(fields) else "" for name, number in columns.items()}
        if not held["audio"]:
            raise DataError("the audio field is empty", where=where)
        yield Row(
            where,
            held["audio"],
            held["text"],
            held.get("speaker") or None,
            held.get("id") or None,
            _secs(held.get("start"), where),
            _secs(held.get("end"), where),
        )


def _secs(text: str | None, where: str) -> float | None:
    if not text:
        return None
    try:
        secs = float(text)
    except ValueError:
        secs = math.nan
    if not math.isfinite(secs):
        raise DataError(f"expected seconds, found {text!r}", where=where)
    return secs
