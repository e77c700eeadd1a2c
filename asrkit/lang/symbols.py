"""Symbol tables: words and phones with their ids, in OpenFst's text form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from asrkit.core.errors import FormatError
from asrkit.core.files import read_lines, write_lines

EPSILON = "<eps>"


@dataclass(frozen=True)
class SymbolTable:
    """Symbols numbered from 0; symbol 0 is ``<eps>``.

    Attributes
    ----------
    symbols : tuple of str
        Symbol of each id.
    """

    symbols: tuple[str, ...]

    @cached_property
    def ids(self) -> dict[str, int]:
        """Symbol -> id."""
        return {symbol: number for number, symbol in enumerate(self.symbols)}

    def __len__(self) -> int:
        return len(self.symbols)

    def __iter__(self) -> Iterator[str]:
        return iter(self.symbols)

    def __contains__(self, symbol: object) -> bool:
        return symbol in self.ids

    def save(self, path: Path | str) -> None:
        """Write one ``symbol id`` a line (OpenFst's and Kaldi's words.txt, phones.txt)."""
        write_lines(path, (f"{symbol} {number}" for number, symbol in enumerate(self.symbols)))

    @classmethod
    def load(cls, path: Path | str) -> SymbolTable:
        """Read a table whose ids are 0, 1, 2, … in order.

        Raises
        ------
        FormatError
            The file is absent, a line is not ``symbol id``, an id is out of order, or a symbol stands twice.
        """
        symbols: list[str] = []
        for number, line in enumerate(read_lines(path)):
            fields = line.split()
            if len(fields) != 2 or fields[1] != str(number):
                raise FormatError(f"expected 'symbol {number}', found {line!r}", where=f"{path}:{number + 1}")
            symbols.append(fields[0])
        table = cls(tuple(symbols))
        if not symbols or symbols[0] != EPSILON:
            raise FormatError(f"expected {EPSILON!r} with id 0 in the first line", where=path)
        if len(table.ids) != len(symbols):
            twice = next(symbol for number, symbol in enumerate(symbols) if table.ids[symbol] != number)
            raise FormatError(f"symbol {twice!r} stands twice", where=path)
        return table
