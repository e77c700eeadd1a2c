"""Principal components of features, as visible units of unit variance or less."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError, DataError
from asrkit.nnet.energy.convolutional_config import WhiteningConfig


@dataclass(frozen=True, eq=False)
class Whitening:
    """``(x - shift) @ transform``, of utterances brought to one level before where that is wanted.

    Attributes
    ----------
    level : bool
        See :class:`~asrkit.nnet.energy.convolutional_config.WhiteningConfig`.
    shift : (D,) float32
    transform : (D, C) float32
        Eigenvectors, that of the largest eigenvalue first, each over the root of its eigenvalue and the floor; the
        largest of a vector's values is positive.
    inverse : (C, D) float32
        ``y @ inverse + shift`` is what is left of x in the components.
    """

    level: bool
    shift: NDArray[np.float32]
    transform: NDArray[np.float32]
    inverse: NDArray[np.float32]

    def __post_init__(self) -> None:
        dim, components = self.transform.shape
        if self.shift.shape != (dim,) or self.inverse.shape != (components, dim):
            raise DataError(f"a whitening of {dim} dimensions with a shift of {self.shift.shape}")
        if not all(np.isfinite(value).all() for value in (self.shift, self.transform, self.inverse)):
            raise DataError("a whitening that is not finite")

    @property
    def dim(self) -> int:
        """D."""
        return int(self.transform.shape[0])

    @property
    def components(self) -> int:
        """C."""
        return int(self.transform.shape[1])

    def apply(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the components (T, C) of an utterance (T, D).

        Raises
        ------
        DataError
            Another dimension.
        """
        if features.ndim != 2 or features.shape[1] != self.dim:
            raise DataError(f"features of shape {features.shape}, expected {self.dim} columns")
        value = levelled(features) if self.level else features
        components: NDArray[np.float32] = np.matmul(value - self.shift, self.transform)
        return components

    def undone(self, components: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the features (T, D), at the common level, that have these components (T, C) and no others."""
        features: NDArray[np.float32] = components @ self.inverse + self.shift
        return features

    @classmethod
    def of(cls, features: Iterable[NDArray[np.float32]], config: WhiteningConfig) -> Whitening:
        """Return the whitening of utterances (T, D) each.

        Raises
        ------
        DataError
            There are no frames.
        ConfigError
            More components than dimensions, or than directions in which the features vary where no floor is added.
        """
        count = 0
        total: NDArray[np.float64] = np.zeros(0)
        second: NDArray[np.float64] = np.zeros((0, 0))
        for value in features:
            wide = (levelled(value) if config.level else value).astype(np.float64)
            if not count:
                total, second = np.zeros(wide.shape[1]), np.zeros((wide.shape[1],) * 2)
            count, total, second = count + len(wide), total + wide.sum(axis=0), second + wide.T @ wide
        if not count:
            raise DataError("no frames to whiten")
        shift = total / count if config.centered else np.zeros(len(total))
        variances, vectors = np.linalg.eigh(second / count - np.outer(shift, shift))
        variances, vectors = np.maximum(variances[::-1], 0.0), vectors[:, ::-1]
        num_kept = config.components
        scales = np.sqrt(variances[:num_kept] + config.floor * variances.mean())
        if num_kept > len(total) or not scales.min() > 1e-5 * scales[0]:
            held = int((variances > 1e-10 * variances[0]).sum())
            raise ConfigError(
                f"components is {num_kept}, and features of {len(total)} dimensions vary in {held} directions",
                remedy=f"--set whitening.components={min(held, num_kept)}, or less",
            )
        vectors = vectors[:, :num_kept]
        vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(num_kept)])
        arrays = (shift, vectors / scales, (vectors * scales).T)
        return cls(config.level, *(np.ascontiguousarray(one, dtype=np.float32) for one in arrays))


def levelled(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return features (T, D) less the mean of all values, over the root mean square of what is left of it.

    An utterance that never changes has nothing left: zeros.
    """
    if not features.size:
        return features
    value: NDArray[np.float32] = features - np.float32(features.mean(dtype=np.float64))
    size = np.sqrt(np.mean(np.square(value, dtype=np.float64)))
    return value / np.float32(size) if size > 0 else value
