"""Hand labels as `asrkit prepare` leaves them: ``phones.ali``, lines ``utterance start_secs end_secs phone``."""

from __future__ import annotations

from pathlib import Path

from asrkit.core.errors import FormatError
from asrkit.core.files import read_lines
from asrkit.data.labels.label import Label


def read_phone_table(path: Path | str) -> dict[str, list[Label]]:
    """Read utterance -> its labels, in the order of the file.

    Raises
    ------
    FormatError
        With file and line: a line is not ``utterance start end phone``, or a label ends before it starts.
    """
    table: dict[str, list[Label]] = {}
    for number, line in enumerate(read_lines(path), 1):
        fields = line.split()
        try:
            key, start, end, phone = fields
            label = Label(float(start), float(end), phone)
        except ValueError:
            label = Label(0.0, -1.0, "")
        if not 0 <= label.start_secs <= label.end_secs < float("inf"):
            raise FormatError(f"expected 'utterance start end phone', found {line!r}", where=f"{path}:{number}")
        table.setdefault(key, []).append(label)
    return table
