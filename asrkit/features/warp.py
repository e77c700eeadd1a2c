"""Vocal tract length normalisation: the frequency axis, stretched piecewise linearly (Kaldi's mel-computations.cc)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError


@dataclass(frozen=True)
class Warp:
    """The warping function F of frequencies, with F(low) = low, F(high) = high and F(f) = f / factor in between.

    The inflection points l and h are placed so that ``min(l, F(l)) == vtln_low_hz`` and
    ``max(h, F(h)) == vtln_high_hz``: no mel bin becomes empty. Outside [low_hz, high_hz] F is the identity.

    Attributes
    ----------
    factor : float
        Warp factor; > 1 moves what is heard up the mel scale (a longer vocal tract), < 1 down (a shorter one).
    low_hz, high_hz : float
        Edges of the filterbank.
    vtln_low_hz, vtln_high_hz : float
        Cut-offs of the linear part.

    Raises
    ------
    ConfigError
        The points are not in order: the factor is too far from 1 for the cut-offs.
    """

    factor: float
    low_hz: float
    high_hz: float
    vtln_low_hz: float
    vtln_high_hz: float

    def __post_init__(self) -> None:
        if self.factor == 1.0:
            return
        if self.factor <= 0 or not self.low_hz < self._lower < self._upper < self.high_hz:
            raise ConfigError(
                f"vtln_warp {self.factor:g} with vtln_low {self.vtln_low_hz:g} Hz and vtln_high "
                f"{self.vtln_high_hz:g} Hz does not fit a filterbank from {self.low_hz:g} to {self.high_hz:g} Hz",
                remedy="choose cut-offs within the filterbank, and a factor near 1 (0.8 to 1.2 are usual)",
            )

    @property
    def _lower(self) -> float:
        return self.vtln_low_hz * max(1.0, self.factor)

    @property
    def _upper(self) -> float:
        return self.vtln_high_hz * min(1.0, self.factor)

    def __call__(self, frequency_hz: NDArray[np.float64]) -> NDArray[np.float64]:
        """Warp frequencies in Hz, elementwise."""
        f = np.asarray(frequency_hz, dtype=np.float64)
        if self.factor == 1.0:
            return f
        points = [self.low_hz, self._lower, self._upper, self.high_hz]
        images = [self.low_hz, self._lower / self.factor, self._upper / self.factor, self.high_hz]
        inside = (f >= self.low_hz) & (f <= self.high_hz)
        return np.where(inside, np.interp(f, points, images), f)
