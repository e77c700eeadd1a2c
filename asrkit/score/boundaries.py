"""How far the boundaries of an alignment lie from those of a reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import DataError
from asrkit.score.edits import TokenCodes, edit_operations

Span = tuple[float, float, str]
"""(start in seconds, end in seconds, phone)"""

TOLERANCES_MS = (10, 20, 25, 50)

TOUCHING_SECS = 5e-4
"""Phones touch when less than half a millisecond lies between the end of one and the start of the next."""


@dataclass(frozen=True, eq=False)
class BoundaryErrors:
    """Errors of matched boundaries, and the number of boundaries that had no counterpart; a monoid.

    Attributes
    ----------
    errors_secs : (N,) float64
        Hypothesis minus reference, seconds: positive = late.
    pairs : tuple of (str, str)
        The phones before and behind each boundary.
    unmatched : int
        Boundaries of the reference whose two phones do not follow each other in the hypothesis.
    """

    errors_secs: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    pairs: tuple[tuple[str, str], ...] = ()
    unmatched: int = 0

    def __add__(self, other: BoundaryErrors) -> BoundaryErrors:
        return BoundaryErrors.sum((self, other))

    @classmethod
    def sum(cls, parts: Sequence[BoundaryErrors]) -> BoundaryErrors:
        """Add up any number of them."""
        errors = np.concatenate([np.zeros(0), *(part.errors_secs for part in parts)])
        return cls(errors, tuple(pair for part in parts for pair in part.pairs), sum(p.unmatched for p in parts))

    def __len__(self) -> int:
        return len(self.errors_secs)

    def within(self, tolerance_secs: float) -> float:
        """Return the share of matched boundaries whose error is at most ``tolerance_secs``, in [0, 1]."""
        # Times are written with a finite number of digits: 10 ms is within 10 ms.
        return float(np.mean(np.abs(self.errors_secs) <= tolerance_secs + 1e-6))

    def figures(self) -> dict[str, Any]:
        """Return count, median, mean, bias (milliseconds) and shares (percent); of no boundaries only the counts."""
        counts: dict[str, Any] = {"boundaries": len(self), "unmatched": self.unmatched}
        if not len(self):
            return counts
        absolute = 1000 * np.abs(self.errors_secs)
        return {
            **counts,
            "median_ms": float(np.median(absolute)),
            "mean_ms": float(np.mean(absolute)),
            "bias_ms": float(1000 * np.mean(self.errors_secs)),
            **{f"within_{ms}_ms": 100 * self.within(ms / 1000) for ms in TOLERANCES_MS},
        }

    def by_class(self, class_of: Callable[[str], str]) -> dict[tuple[str, str], BoundaryErrors]:
        """Return the matched boundaries by the classes of the phones before and behind, most frequent first."""
        names = [(class_of(before), class_of(behind)) for before, behind in self.pairs]
        groups: dict[tuple[str, str], list[int]] = {}
        for index, name in enumerate(names):
            groups.setdefault(name, []).append(index)
        ranked = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
        return {
            name: BoundaryErrors(self.errors_secs[rows], tuple(self.pairs[row] for row in rows))
            for name, rows in ranked
        }


def compare_boundaries(reference: Sequence[Span], hypothesis: Sequence[Span]) -> BoundaryErrors:
    """Compare the boundaries of one utterance.

    A boundary lies between two phones of the reference that touch; those at the ends of the utterance and at gaps do
    not count. The phone sequences are matched with the fewest edits, and a boundary has its counterpart where both of
    its phones are matched with equal phones that follow each other.

    Parameters
    ----------
    reference, hypothesis : sequence of Span
        In order of time.
    """
    codes = TokenCodes()
    ours = codes.encode(phone for _, _, phone in reference)
    theirs = codes.encode(phone for _, _, phone in hypothesis)
    partner = _partners(ours, theirs)
    errors: list[float] = []
    pairs: list[tuple[str, str]] = []
    unmatched = 0
    for index in range(1, len(reference)):
        before, behind = reference[index - 1], reference[index]
        if abs(behind[0] - before[1]) >= TOUCHING_SECS:
            continue
        left, right = partner[index - 1], partner[index]
        if left is None or right != left + 1:
            unmatched += 1
            continue
        errors.append(hypothesis[right][0] - behind[0])
        pairs.append((before[2], behind[2]))
    return BoundaryErrors(np.array(errors, dtype=np.float64), tuple(pairs), unmatched)


def find_overlap(spans: Sequence[Span]) -> str | None:
    """Say which two labels, in order of time, overlap; None where none do.

    Labels that do are of two channels, or of a recording that stands twice in its file, and have no boundaries.
    """
    for before, behind in pairwise(spans):
        if behind[0] <= before[1] - TOUCHING_SECS:
            first, second = (f"{phone!r} {start:g} to {end:g} s" for start, end, phone in (before, behind))
            return f"labels overlap: {first}, {second}"
    return None


def fold_spans(spans: Sequence[Span], fold: Mapping[str, str | None], where: str) -> list[Span]:
    """Rename phones; one that the map sends to None is taken out and leaves a gap.

    Raises
    ------
    DataError
        A phone that the map does not know.
    """
    folded: list[Span] = []
    for start, end, phone in spans:
        if phone not in fold:
            raise DataError(f"the map does not know the phone {phone!r}", where=where, remedy="add it to the map")
        target = fold[phone]
        if target is not None:
            folded.append((start, end, target))
    return folded


def _partners(reference: Sequence[int], hypothesis: Sequence[int]) -> list[int | None]:
    """Return, for each token of the reference, the place of the equal token that it is matched with, or None."""
    partner: list[int | None] = []
    at = 0
    for kind, _, other in edit_operations(reference, hypothesis):
        # Up to the edit, the tokens are equal.
        partner += range(at, other)
        at = other + (kind != "delete")
        if kind != "insert":
            partner.append(None)
    partner += range(at, len(hypothesis))
    return partner
