"""Praat's TextGrid files, the long and the short text form.

Format: Praat's manual, "TextGrid file formats": only free-standing numbers, strings in double quotes (a quote inside
is doubled) and ``<flags>`` carry meaning, everything else is comment. So one reader reads both forms.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from asrkit.core.errors import FormatError
from asrkit.core.files import write_text
from asrkit.data.labels.label import Label, tile

_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(?<!\S)([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?!\S)|<(\w+)>|(?<!\S)(![^\n]*)')
_DECIMALS = 7


@dataclass(frozen=True)
class Tier:
    """An interval tier: its name and its labels; stretches without a label are left out."""

    name: str
    labels: tuple[Label, ...]


@dataclass(frozen=True)
class TextGrid:
    """Tiers over one recording.

    Attributes
    ----------
    start_secs, end_secs : float
        What every tier covers.
    tiers : tuple of Tier
    """

    start_secs: float
    end_secs: float
    tiers: tuple[Tier, ...]

    def save(self, path: Path | str, short: bool = False) -> None:
        """Write the file (UTF-8), whole or not at all; gaps become intervals with empty text.

        Raises
        ------
        DataError
            Labels of a tier overlap or do not lie within the stretch.
        """
        write_text(path, self.text(short))

    def text(self, short: bool = False) -> str:
        """Return what :meth:`save` writes."""
        return "".join(f"{line}\n" for line in (_short_lines(self) if short else _long_lines(self)))


def _long_lines(grid: TextGrid) -> Iterator[str]:
    yield from ('File type = "ooTextFile"', 'Object class = "TextGrid"', "")
    yield from (f"xmin = {_number(grid.start_secs)}", f"xmax = {_number(grid.end_secs)}", "tiers? <exists>")
    yield from (f"size = {len(grid.tiers)}", "item []:")
    for index, tier in enumerate(grid.tiers, 1):
        intervals = tile(tier.labels, grid.start_secs, grid.end_secs)
        yield from (f"    item [{index}]:", '        class = "IntervalTier"', f"        name = {_string(tier.name)}")
        yield from (f"        xmin = {_number(grid.start_secs)}", f"        xmax = {_number(grid.end_secs)}")
        yield f"        intervals: size = {len(intervals)}"
        for number, label in enumerate(intervals, 1):
            yield f"        intervals [{number}]:"
            yield f"            xmin = {_number(label.start_secs)}"
            yield f"            xmax = {_number(label.end_secs)}"
            yield f"            text = {_string(label.text)}"


def _short_lines(grid: TextGrid) -> Iterator[str]:
    yield from ('File type = "ooTextFile"', 'Object class = "TextGrid"', "")
    yield from (_number(grid.start_secs), _number(grid.end_secs), "<exists>", str(len(grid.tiers)))
    for tier in grid.tiers:
        intervals = tile(tier.labels, grid.start_secs, grid.end_secs)
        yield from ('"IntervalTier"', _string(tier.name), _number(grid.start_secs), _number(grid.end_secs))
        yield str(len(intervals))
        for label in intervals:
            yield from (_number(label.start_secs), _number(label.end_secs), _string(label.text))


def _number(secs: float) -> str:
    text = f"{secs:.{_DECIMALS}f}".rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text


def _string(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def read_textgrid(path: Path | str) -> TextGrid:
    """Read a TextGrid in the long or short text form, UTF-8 or UTF-16; point tiers are passed over.

    Raises
    ------
    FormatError
        The file is absent, binary, cut off, or not a TextGrid.
    """
    tokens = _Tokens(Path(path))
    for word in ("ooTextFile", "TextGrid"):
        if tokens.string() != word:
            raise tokens.error(f"not a TextGrid in a text form, expected {word!r}")
    start, end = tokens.number(), tokens.number()
    if tokens.flag() != "exists":
        return TextGrid(start, end, ())
    tiers: list[Tier] = []
    for _ in range(tokens.count()):
        kind, name = tokens.string(), tokens.string()
        tokens.number(), tokens.number()
        if kind not in ("IntervalTier", "TextTier"):
            raise tokens.error(f"unknown class of tier {kind!r}")
        labels: list[Label] = []
        for _ in range(tokens.count()):
            label = Label(tokens.number(), tokens.number() if kind == "IntervalTier" else 0.0, tokens.string())
            if kind == "IntervalTier" and not label.start_secs <= label.end_secs:
                raise FormatError(
                    f"the label {label.text!r} from {label.start_secs:g} to {label.end_secs:g} s ends before it begins",
                    where=path,
                )
            labels += [label] if label.text else []
        tiers += [Tier(name, tuple(labels))] if kind == "IntervalTier" else []
    return TextGrid(start, end, tuple(tiers))


class _Tokens:
    """The meaningful parts of a text file of Praat's, one by one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            raw = path.read_bytes()
        except (FileNotFoundError, IsADirectoryError):
            raise FormatError("no such file", where=path) from None
        try:
            text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
        except UnicodeDecodeError:
            raise FormatError("neither UTF-8 nor UTF-16 text", where=path, remedy="save it as a text file") from None
        self._matches: Sequence[re.Match[str]] = [m for m in _TOKEN.finditer(text) if m[4] is None]
        self._text = text
        self._at = 0

    def string(self) -> str:
        return self._next(1, "a string").replace('""', '"')

    def number(self) -> float:
        return float(self._next(2, "a number"))

    def count(self) -> int:
        value = self.number()
        if not 0 <= value <= len(self._matches):
            self._at -= 1
            raise self.error("expected a count of what the file holds")
        return int(value)

    def flag(self) -> str:
        return self._next(3, "a flag")

    def _next(self, group: int, what: str) -> str:
        if self._at >= len(self._matches):
            raise FormatError(f"the file ends where {what} is expected", where=self._path)
        value: str | None = self._matches[self._at][group]
        if value is None:
            raise self.error(f"expected {what}")
        self._at += 1
        return value

    def error(self, message: str) -> FormatError:
        match = self._matches[min(self._at, len(self._matches) - 1)]
        line = self._text.count("\n", 0, match.start()) + 1
        return FormatError(f"{message}, found {match[0][:40]!r}", where=f"{self._path}:{line}")
