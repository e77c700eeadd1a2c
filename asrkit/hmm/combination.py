"""Several systems heard as one: the average of what they say of each frame.

Systems that share a context tree score the same pdfs, whatever models them. Averaging is Bourlard & Morgan's (1994)
combination of experts: of log-likelihoods a product of them, of posteriors a sum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class CombinationConfig:
    """How systems are averaged.

    Attributes
    ----------
    weights : tuple of float
        What each system counts, in their order, 0 or more; only their ratios matter. None: all count the same. A
        system of weight 0 is as if it were not there.
    domain : {'log', 'linear'}
        ``log``: the weighted mean of the loglikes, that is, of the log posteriors less that of the log priors; mixtures
        may take part, and as their loglikes range much wider than those of networks, they need a smaller weight.
        ``linear``: log of the weighted mean of the posteriors, less log of that of the priors; networks only.
    """

    weights: tuple[float, ...] = ()
    domain: Literal["log", "linear"] = "log"

    def __post_init__(self) -> None:
        check_weights(self.weights)

    def shares(self, num_systems: int) -> tuple[float, ...]:
        """Return the weights of so many systems, which sum to 1; weights for another number are a ConfigError."""
        return shares_of(self.weights, num_systems)


def check_weights(weights: Sequence[float]) -> None:
    """Refuse weights of systems that are negative or infinite, or all 0."""
    if any(not 0 <= weight < math.inf for weight in weights) or (weights and not any(weights)):
        listed = ", ".join(f"{weight:g}" for weight in weights)
        raise ConfigError(f"the weights of the systems are {listed}, expected numbers of 0 or more, not all 0")


def shares_of(weights: Sequence[float], num_systems: int) -> tuple[float, ...]:
    """Return weights that sum to 1, equal ones where none are given.

    Raises
    ------
    ConfigError
        There are weights for another number of systems.
    """
    weights = tuple(weights) or (1.0,) * num_systems
    if len(weights) != num_systems:
        raise ConfigError(
            f"{len(weights)} weights for {num_systems} systems", remedy="give one for each system, in their order"
        )
    return tuple(weight / sum(weights) for weight in weights)


def mean_loglikes(loglikes: Sequence[FloatArray], shares: Sequence[float]) -> FloatArray:
    """Return the weighted mean of loglikes, (num_frames, num_pdfs) float32.

    Parameters
    ----------
    loglikes : sequence of (num_frames, num_pdfs) float32
        Of each system.
    shares : sequence of float
        Of each system, above 0; they sum to 1.
    """
    total = np.float32(shares[0]) * loglikes[0]
    for share, values in zip(shares[1:], loglikes[1:], strict=True):
        total += np.float32(share) * values
    return total


def mean_posteriors(
    log_posteriors: Sequence[FloatArray], log_priors: Sequence[FloatArray], shares: Sequence[float]
) -> FloatArray:
    """Return log of the mean posterior, less log of the mean prior: (num_frames, num_pdfs) float32.

    Parameters
    ----------
    log_posteriors : sequence of (num_frames, num_pdfs) float32
        Of each system, natural log.
    log_priors : sequence of (num_pdfs,) float32
    shares : sequence of float
        Of each system, above 0; they sum to 1.
    """
    return _log_mean(log_posteriors, shares) - _log_mean(log_priors, shares)


def _log_mean(values: Sequence[FloatArray], shares: Sequence[float]) -> FloatArray:
    total = values[0] + np.float32(np.log(shares[0]))
    for share, value in zip(shares[1:], values[1:], strict=True):
        np.logaddexp(total, value + np.float32(np.log(share)), out=total)
    return total
