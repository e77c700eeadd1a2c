"""What a network first does to its inputs: zero mean and unit variance in each dimension, over the training data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import DataError, ModelError
from asrkit.features.cmvn import CmvnStats

VARIANCE_FLOOR = 1e-10
"""A dimension that hardly varies tells nothing; divided by its deviation, its rounding errors would shout."""


@dataclass(frozen=True, eq=False)
class InputNormalisation:
    """``(x - shift) * scale`` in each of D dimensions.

    Attributes
    ----------
    shift, scale : (D,) float32

    Raises
    ------
    ModelError
        They are of different lengths, or not finite.
    """

    shift: NDArray[np.float32]
    scale: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.shift.ndim != 1 or self.shift.shape != self.scale.shape:
            raise ModelError(f"a normalisation of the shift {self.shift.shape} and the scale {self.scale.shape}")
        if not (np.isfinite(self.shift).all() and np.isfinite(self.scale).all()):
            raise ModelError("the normalisation of the inputs is not finite")

    @classmethod
    def of(cls, features: Iterable[NDArray[np.float32]]) -> InputNormalisation:
        """Return what brings all these features, (T, D) each, to zero mean and unit variance.

        A dimension of variance below ``VARIANCE_FLOOR`` keeps its scale.

        Raises
        ------
        DataError
            There are no frames, or the sums are not finite, or no dimension varies.
        """
        total: CmvnStats | None = None
        for value in features:
            stats = CmvnStats.of(value)
            total = stats if total is None else total + stats
        if total is None or not total.count:
            raise DataError("no frames to normalise")
        variance = total.squares / total.count - total.mean() ** 2
        if not np.isfinite(variance).all():
            raise DataError("features are not finite", remedy="`asrkit validate` names the utterances")
        if (variance <= VARIANCE_FLOOR).all():
            raise DataError("all frames are the same", remedy="look at the recordings, and at pipeline.cmvn")
        scale = np.where(variance > VARIANCE_FLOOR, 1.0 / np.sqrt(np.maximum(variance, VARIANCE_FLOOR)), 1.0)
        return cls(total.mean().astype(np.float32), scale.astype(np.float32))

    @property
    def dim(self) -> int:
        """D."""
        return len(self.shift)

    def apply(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return normalised features, (T, D) float32."""
        return (features - self.shift) * self.scale

    def spliced(self, width: int) -> InputNormalisation:
        """Return the same for ``width`` frames side by side."""
        return InputNormalisation(np.tile(self.shift, width), np.tile(self.scale, width))
