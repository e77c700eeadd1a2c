"""NIST's CTM as Kaldi writes it: ``recording channel start duration label [confidence]``, times in seconds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from asrkit.core.errors import FormatError
from asrkit.core.files import read_lines
from asrkit.data.labels.label import Label

DECIMALS = 4
"""Digits behind the point: enough for any frame shift and for hand labels in samples."""


@dataclass(frozen=True)
class CtmRow:
    """One line of a CTM.

    Attributes
    ----------
    recording_id : str
    label : Label
    channel : str
    confidence : float, optional
        In [0, 1].
    """

    recording_id: str
    label: Label
    channel: str = "1"
    confidence: float | None = None

    def __str__(self) -> str:
        # Start and end are rounded, not the duration, so that labels that touch still touch.
        start, end = round(self.label.start_secs, DECIMALS), round(self.label.end_secs, DECIMALS)
        line = f"{self.recording_id} {self.channel} {start:.{DECIMALS}f} {end - start:.{DECIMALS}f} {self.label.text}"
        return line if self.confidence is None else f"{line} {self.confidence:.4f}"


def read_ctm(path: Path | str) -> Iterator[CtmRow]:
    """Yield the rows of a CTM; comments (``;;``) and empty lines are passed over.

    Raises
    ------
    FormatError
        With file and line: a row of other than 5 or 6 fields, or numbers that are none.
    """
    for number, line in enumerate(read_lines(path), 1):
        fields = line.split()
        if not fields or line.startswith(";;"):
            continue
        try:
            recording, channel, start, duration, text, *rest = fields
            numbers = [float(field) for field in (start, duration, *rest)]
        except ValueError:
            numbers = []
        if not 2 <= len(numbers) <= 3 or not all(map(math.isfinite, numbers)) or min(numbers[:2]) < 0:
            raise FormatError(
                f"expected 'recording channel start duration label [confidence]', found {line!r}",
                where=f"{path}:{number}",
            )
        label = Label(numbers[0], round(numbers[0] + numbers[1], 7), text)
        yield CtmRow(recording, label, channel, numbers[2] if len(numbers) == 3 else None)
