"""The phones of a language: which are silence, which share their models, where in a word they may stand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from asrkit.core.errors import ConfigError
from asrkit.lang.symbols import EPSILON, SymbolTable

WORD_POSITIONS = {"_B": "begin", "_E": "end", "_I": "internal", "_S": "singleton"}


@dataclass(frozen=True)
class PhoneInventory:
    """All phones with their ids; silence phones come first, disambiguation symbols last (Kaldi's order).

    Attributes
    ----------
    table : SymbolTable
        Symbols of phones and of disambiguation symbols ``#0`` …
    silence, nonsilence : tuple of int
        1-based phone ids.
    shared : tuple of tuple of int
        Phone ids that share their pdfs: the word-position variants of one phone, or a phone alone.
    disambiguation : tuple of int
        Ids of ``#0``, ``#1``, …; they stand in graphs only and have no HMM.
    """

    table: SymbolTable
    silence: tuple[int, ...]
    nonsilence: tuple[int, ...]
    shared: tuple[tuple[int, ...], ...]
    disambiguation: tuple[int, ...]

    @cached_property
    def ids(self) -> dict[str, int]:
        """Symbol -> id of the phones alone."""
        return {self.table.symbols[phone]: phone for phone in (*self.silence, *self.nonsilence)}


def make_inventory(
    silence: Sequence[str], speech: Iterable[str], position_dependent: bool, num_disambiguation: int
) -> PhoneInventory:
    """Number the phones.

    Parameters
    ----------
    silence : sequence of str
        Silence and noise phones, in the order of their ids.
    speech : iterable of str
        The other phones; they are sorted.
    position_dependent : bool
        Give every speech phone the variants ``_B _E _I _S`` and every silence phone itself and these.
    num_disambiguation : int
        Number of disambiguation symbols, ``#0`` included.

    Raises
    ------
    ConfigError
        Two phones get the same symbol.
    """
    suffixes = tuple(WORD_POSITIONS)
    groups = [[p, *(p + s for s in suffixes)] if position_dependent else [p] for p in silence]
    num_silence_groups = len(groups)
    groups += [[p + s for s in suffixes] if position_dependent else [p] for p in sorted(set(speech) - set(silence))]
    symbols = [EPSILON]
    shared: list[tuple[int, ...]] = []
    for group in groups:
        shared.append(tuple(range(len(symbols), len(symbols) + len(group))))
        symbols += group
    num_phones = len(symbols) - 1
    symbols += [f"#{number}" for number in range(num_disambiguation)]
    table = SymbolTable(tuple(symbols))
    if len(table.ids) != len(symbols):
        twice = next(symbol for number, symbol in enumerate(symbols) if table.ids[symbol] != number)
        raise ConfigError(f"two phones have the symbol {twice!r}", remedy="rename one of them")
    num_silence = sum(len(group) for group in groups[:num_silence_groups])
    return PhoneInventory(
        table,
        tuple(range(1, num_silence + 1)),
        tuple(range(num_silence + 1, num_phones + 1)),
        tuple(shared),
        tuple(range(num_phones + 1, len(symbols))),
    )


def in_word_position(phones: Sequence[str]) -> tuple[str, ...]:
    """Return the word-position variants of a word's phones: ``A_S``, or ``A_B B_I … Z_E``."""
    if len(phones) == 1:
        return (f"{phones[0]}_S",)
    return (f"{phones[0]}_B", *(f"{phone}_I" for phone in phones[1:-1]), f"{phones[-1]}_E")


def word_position(symbol: str) -> str:
    """Return Kaldi's word-boundary class of a position-dependent phone; ``nonword`` for one without suffix."""
    return WORD_POSITIONS.get(symbol[-2:], "nonword")
