"""How well the notes of the next step are foretold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class NoteCounts:
    """Expected counts of notes over all steps; a monoid under ``+``.

    The frame-level accuracy of Bay, Ehmann and Downie 2009 ("Evaluation of multiple-F0 estimation and tracking
    systems") is Σ TP / (Σ TP + Σ FP + Σ FN), the sums over all steps. Of a prediction that is drawn from a model, the
    expectations of the counts follow from the probability of each note alone.

    Attributes
    ----------
    hits, extra, missed : float
        Notes foretold that sound (true positives), foretold that do not (false positives), not foretold that do
        (false negatives).
    """

    hits: float = 0.0
    extra: float = 0.0
    missed: float = 0.0

    def __add__(self, other: NoteCounts) -> NoteCounts:
        return NoteCounts(self.hits + other.hits, self.extra + other.extra, self.missed + other.missed)

    @property
    def accuracy(self) -> float:
        """In [0, 1]; 1 where there were no notes and none were foretold."""
        total = self.hits + self.extra + self.missed
        return self.hits / total if total else 1.0


def count_notes(
    notes: NDArray[np.floating | np.integer], probabilities: NDArray[np.floating] | NDArray[np.bool_]
) -> NoteCounts:
    """Count notes (T, K) against the probabilities (T, K) with which each is drawn."""
    foretold = np.asarray(probabilities, np.float64)
    hits = float((notes * foretold).sum())
    return NoteCounts(hits, float(foretold.sum()) - hits, float(notes.sum(dtype=np.float64)) - hits)


BOUNDS = np.arange(1, 20) / 20
"""Probabilities from which on a note may be counted as foretold."""


class BoundedCounts:
    """Counts of the notes that are foretold where all that are likely enough are, for each of :data:`BOUNDS`.

    A note of probability p that is foretold as well adds p to the hits, takes p from the missed ones, and adds 1 - p to
    the extra ones. Of predictions with an accuracy of J that is a gain where p > J / (1 + J): below a half.
    """

    def __init__(self) -> None:
        self._counts = [NoteCounts() for _ in BOUNDS]

    def add(self, notes: NDArray[np.floating | np.integer], probabilities: NDArray[np.floating]) -> None:
        """Count notes (T, K) against their probabilities (T, K)."""
        self._counts = [
            before + count_notes(notes, probabilities >= bound) for before, bound in zip(self._counts, BOUNDS)
        ]

    @property
    def best(self) -> float:
        """The bound nearest to J / (1 + J) of its own accuracy J, the best one where probabilities are true.

        It is found with less data than the bound of the highest accuracy, around which accuracies differ little.
        """
        accuracies = np.array([counts.accuracy for counts in self._counts])
        return float(BOUNDS[np.argmin(np.abs(BOUNDS - accuracies / (1 + accuracies)))])
