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


def count_notes(notes: NDArray[np.uint8], probabilities: NDArray[np.floating]) -> NoteCounts:
    """Count notes (T, K) against the probabilities (T, K) with which each is drawn."""
    foretold = np.asarray(probabilities, np.float64)
    hits = float((notes * foretold).sum())
    return NoteCounts(hits, float(foretold.sum()) - hits, float(notes.sum(dtype=np.float64)) - hits)
