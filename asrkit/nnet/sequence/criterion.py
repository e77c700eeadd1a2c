"""What sequence training maximises: a number for an utterance, and its derivative by the loglikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Loglikes = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The criterion of an utterance of T frames.

    Attributes
    ----------
    value : float
        Sum over the frames.
    derivative : (T, num_pdfs) float32
        Of the value by each log-likelihood.
    """

    value: float
    derivative: NDArray[np.float32]

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.derivative)


class Criterion(Protocol):
    """A criterion over utterances; may be used from several threads."""

    @property
    def ceiling(self) -> float:
        """What the value of a frame cannot exceed."""
        ...

    def __call__(self, utterance_id: str, loglikes: Loglikes, /) -> Evaluation:
        """Evaluate an utterance whose log-likelihoods, (T, num_pdfs), natural log, are given.

        A constant added to all log-likelihoods of a frame changes nothing. An :class:`AsrkitError` says why the
        utterance cannot be used.
        """
        ...
