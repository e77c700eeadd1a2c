"""Sequences of different lengths in one matrix, without padding: the layout that recurrent layers compute in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from asrkit.core.errors import DataError


@dataclass(frozen=True, eq=False)
class Packing:
    """Where the frames of B sequences lie among N rows, as in torch's PackedSequence.

    The rows are the first frames of all sequences, then the second frames of those that have one, and so on; the
    longest sequence comes first. So at each time the rows of those that go on are a prefix of those before.

    Attributes
    ----------
    lengths : tuple of int
        Frames of each sequence, at least 1, none longer than the one before.

    Raises
    ------
    DataError
        Another order of lengths, or an empty sequence.
    """

    lengths: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.lengths or self.lengths[-1] < 1 or list(self.lengths) != sorted(self.lengths, reverse=True):
            raise DataError(f"sequences of {list(self.lengths)} frames, expected one or more, the longest first")

    @property
    def num_sequences(self) -> int:
        """B."""
        return len(self.lengths)

    @property
    def num_rows(self) -> int:
        """N, all frames."""
        return sum(self.lengths)

    @cached_property
    def batch_sizes(self) -> list[int]:
        """Sequences that have a frame at each time, (T,)."""
        lengths = np.asarray(self.lengths)
        return [int(value) for value in np.searchsorted(-lengths, -np.arange(lengths[0]), side="left")]

    @cached_property
    def starts(self) -> list[int]:
        """Row of the first sequence's frame at each time, (T,)."""
        return [0, *np.cumsum(self.batch_sizes)[:-1].tolist()]

    def steps(self) -> list[tuple[int, int, int]]:
        """Return for each time: the first row, the row behind the last one, and the first row of the time before.

        The last is -1 at first.
        """
        before = [-1, *self.starts[:-1]]
        return [(start, start + size, last) for start, size, last in zip(self.starts, self.batch_sizes, before)]

    def rows_of(self, number: int) -> NDArray[np.int64]:
        """Return the rows of a sequence in order, (its length,) int64."""
        return np.asarray(self.starts[: self.lengths[number]], dtype=np.int64) + number

    @cached_property
    def in_order(self) -> torch.Tensor:
        """The rows of the first sequence, then those of the second, and so on, (N,) int64."""
        return torch.from_numpy(np.concatenate([self.rows_of(number) for number in range(self.num_sequences)]))

    @cached_property
    def reversal(self) -> torch.Tensor:
        """The row whose frame takes each row's place when every sequence runs backwards, (N,) int64."""
        found = np.empty(self.num_rows, dtype=np.int64)
        for number in range(self.num_sequences):
            rows = self.rows_of(number)
            found[rows] = rows[::-1]
        return torch.from_numpy(found)

    def pack(self, values: torch.Tensor) -> torch.Tensor:
        """Return the rows (N, …) of sequences that lie one below the other, (N, …)."""
        rows = torch.empty_like(values)
        rows[self.in_order.to(values.device)] = values
        return rows

    def unpack(self, rows: torch.Tensor) -> torch.Tensor:
        """Undo :meth:`pack`."""
        return rows[self.in_order.to(rows.device)]

    def pack_padded(self, padded: torch.Tensor) -> torch.Tensor:
        """Return the rows (N, …) of sequences padded at their ends, (T, B, …)."""
        return torch.cat([padded[time, :size] for time, size in enumerate(self.batch_sizes)])

    def pad(self, rows: torch.Tensor) -> torch.Tensor:
        """Return (T, B, …), zero beyond the end of a sequence."""
        padded = rows.new_zeros((self.lengths[0], self.num_sequences, *rows.shape[1:]))
        for time, (start, end, _) in enumerate(self.steps()):
            padded[time, : end - start] = rows[start:end]
        return padded

    def chunks(self, num_frames: int) -> Iterator[tuple[slice, Packing]]:
        """Yield the rows of each ``num_frames`` times in turn, and how they are packed: the sequences that go on."""
        bounds = [*self.starts, self.num_rows]
        for first in range(0, self.lengths[0], num_frames):
            last = min(first + num_frames, self.lengths[0])
            left = [min(length - first, num_frames) for length in self.lengths if length > first]
            yield slice(bounds[first], bounds[last]), Packing(tuple(left))


def pack_order(lengths: Sequence[int]) -> list[int]:
    """Return the order of sequences, the longest first; those of one length stay in their order."""
    return sorted(range(len(lengths)), key=lambda place: -lengths[place])
