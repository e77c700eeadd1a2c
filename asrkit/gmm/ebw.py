"""Extended Baum-Welch: discriminative updates of Gaussian mixtures, from numerator and denominator statistics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError, ModelError
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.stats import GmmStats

Doubles = NDArray[np.float64]

WEIGHT_SWEEPS = 50
"""Steps of the weights' update, each of which raises its auxiliary function (Kaldi's number)."""


@dataclass(frozen=True)
class EbwConfig:
    """How far an update goes (Kaldi's EbwOptions and EbwWeightOptions, gmm-ismooth-stats).

    Attributes
    ----------
    e : float
        E: a Gaussian's smoothing constant D is at least this times its denominator occupancy.
    tau : float
        Frames of I-smoothing of a Gaussian's mean and variance.
    smooth_to : {'ml', 'model'}
        Where these frames lie: where maximum likelihood would put the Gaussian, or where it is.
    min_ml_occupancy : float
        A Gaussian that has fewer frames in the maximum-likelihood statistics is smoothed to where it is.
    weight_tau : float
        Frames of a pdf for which the old mixture weights count.
    min_weight_count : float
        A pdf whose numerator and denominator have fewer frames together keeps its weights, unless ``weight_tau`` is
        above 0.
    min_gaussian_weight, min_variance : float
        Floors.
    """

    e: float = 2.0
    tau: float = 200.0
    smooth_to: Literal["ml", "model"] = "ml"
    min_ml_occupancy: float = 10.0
    weight_tau: float = 10.0
    min_weight_count: float = 10.0
    min_gaussian_weight: float = 1e-5
    min_variance: float = 0.001

    def __post_init__(self) -> None:
        for name in ("e", "tau", "min_ml_occupancy", "weight_tau", "min_weight_count"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected a number of 0 or more")
        if not 0 <= self.min_gaussian_weight < 1:
            raise ConfigError(f"min_gaussian_weight is {self.min_gaussian_weight}, expected 0 or more and less than 1")
        if not 0 < self.min_variance < math.inf:
            raise ConfigError(f"min_variance is {self.min_variance}, expected a number above 0")


@dataclass(frozen=True)
class EbwReport:
    """What an update did.

    Attributes
    ----------
    updated : int
        Gaussians with statistics.
    raised : int
        Those whose variances wanted a larger D than E and the occupancies say.
    floored : int
        Elements of variances raised to the floor.
    gain : float
        Rise of the auxiliary function of means, variances and weights, natural log, over all frames (unscaled).
    """

    updated: int
    raised: int
    floored: int
    gain: float


def ebw_update(
    gmms: DiagGmms, num: GmmStats, den: GmmStats, config: EbwConfig, likely: GmmStats | None = None
) -> tuple[DiagGmms, EbwReport]:
    """Return the mixtures after one step of extended Baum-Welch; none is removed.

    Parameters
    ----------
    num, den : GmmStats
        What the model is to be drawn to and pushed away from, under its own posteriors of Gaussians; what both have of
        a frame may be left out of both.
    likely : GmmStats, optional
        Maximum-likelihood statistics, of the references alone: what ``smooth_to = "ml"`` smooths to, and what tells
        how much was left out of both sides; default ``num`` (right where nothing was left out).

    Notes
    -----
    With x and S the numerator's minus the denominator's sums of x and x², and c the difference of occupancies, the
    mean becomes (x + Dμ) / (c + D) and the variance (S + D(σ² + μ²)) / (c + D) minus the new mean's square. D is for
    each Gaussian the larger of E times the denominator's occupancy, and twice the smallest value that keeps all
    variances positive (D. Povey and P. Woodland, "Minimum phone error and I-smoothing for improved discriminative
    training", 2002; D. Povey's thesis, 2003, section 4.3; Kaldi's ebw-diag-gmm.cc, which finds that value by trying).
    Weights: thesis, equations 4.32 to 4.35, with the occupancies of both sides before anything was left out. Kaldi
    takes what is left, in which a few frames of difference outweigh the many that agree: on two hours of speech one
    such step changed half of the weights by more than a third, and errors rose.
    """
    for stats in (num, den, likely or num):
        if stats.first.shape != gmms.means.shape:
            raise ModelError(f"statistics of shape {stats.first.shape} for means of shape {gmms.means.shape}")
    old_means, old_variances = gmms.means.astype(np.float64), gmms.variances.astype(np.float64)
    smooth = _prior(gmms, likely or num, config)
    # About the old means, where the squares of large means do not drown the spread.
    occupancy = num.occupancy - den.occupancy + smooth.occupancy
    first = num.first - den.first + smooth.first
    second = num.second - den.second + smooth.second
    second = second - 2 * old_means * first + occupancy[:, None] * old_means**2
    first = first - occupancy[:, None] * old_means
    touched = (num.occupancy > 0) | (den.occupancy > 0)
    by_occupancy = config.e * den.occupancy
    by_variance = 2 * _least_smoothing(occupancy, first, second, old_variances)
    smoothing = np.maximum(by_occupancy, by_variance)
    count = np.where(touched, occupancy + smoothing, 1.0)[:, None]
    shifts = first / count
    variances = (second + smoothing[:, None] * old_variances) / count - shifts**2
    floored = touched[:, None] & (variances < config.min_variance)
    variances = np.where(touched[:, None], np.maximum(variances, config.min_variance), old_variances)
    means = np.where(touched[:, None], old_means + shifts, old_means)
    before = np.log(old_variances) + (variances + (means - old_means) ** 2) / old_variances
    after = np.log(variances) + 1.0
    gain = float((0.5 * count * (before - after))[touched].sum())
    weights, weight_gain = _new_weights(gmms, *_whole_occupancies(num, den, likely), config)
    updated = DiagGmms(weights.astype(np.float32), means.astype(np.float32), variances.astype(np.float32), gmms.offsets)
    raised = int((touched & (by_variance > by_occupancy)).sum())
    return updated, EbwReport(int(touched.sum()), raised, int(floored.sum()), gain + weight_gain)


def _prior(gmms: DiagGmms, likely: GmmStats, config: EbwConfig) -> GmmStats:
    """Return the statistics that I-smoothing adds: ``tau`` frames of each Gaussian."""
    means = gmms.means.astype(np.float64)
    squares = gmms.variances.astype(np.float64) + means**2
    if config.smooth_to == "ml":
        enough = likely.occupancy >= max(config.min_ml_occupancy, np.finfo(float).tiny)
        per_frame = 1.0 / np.where(enough, likely.occupancy, 1.0)[:, None]
        means = np.where(enough[:, None], likely.first * per_frame, means)
        squares = np.where(enough[:, None], likely.second * per_frame, squares)
    return GmmStats(np.full(gmms.num_gaussians, config.tau), config.tau * means, config.tau * squares)


def _least_smoothing(occupancy: Doubles, first: Doubles, second: Doubles, variances: Doubles) -> Doubles:
    """Return for each Gaussian the smallest D >= 0 from which on all its variances are positive.

    Sums are about the old mean. The new variance times (c + D)² is the quadratic
    ``σ² D² + (S + c σ²) D + (c S - x²)`` in D; its larger root is where it turns positive for good, and lies above
    -c, where the quadratic is -x².
    """
    linear = second + occupancy[:, None] * variances
    constant = occupancy[:, None] * second - first**2
    inside = linear**2 - 4 * variances * constant
    root = (np.sqrt(np.maximum(inside, 0.0)) - linear) / (2 * variances)
    least = np.where(inside >= 0, root, 0.0).max(axis=1)
    smoothing: Doubles = np.maximum(np.maximum(least, -occupancy), 0.0)
    return smoothing


def _whole_occupancies(num: GmmStats, den: GmmStats, likely: GmmStats | None) -> tuple[Doubles, Doubles]:
    """Return both sides' occupancies of the Gaussians with what was left out of both.

    The numerator had all frames of the references before; their difference lacks in the denominator too.
    """
    if likely is None:
        return num.occupancy, den.occupancy
    left_out = np.maximum(likely.occupancy - num.occupancy, 0.0)
    return num.occupancy + left_out, den.occupancy + left_out


def _new_weights(gmms: DiagGmms, num: Doubles, den: Doubles, config: EbwConfig) -> tuple[Doubles, float]:
    """Return the mixture weights and the rise of their auxiliary function."""
    old = gmms.weights.astype(np.float64)
    starts, sizes = gmms.offsets[:-1], np.diff(gmms.offsets)

    def spread(by_pdf: Doubles) -> Doubles:
        return np.repeat(by_pdf, sizes)

    total = spread(np.add.reduceat(num + den, starts))
    changes = total >= config.min_weight_count if config.weight_tau == 0 else total > 0
    drawn = num + config.weight_tau * old
    changes &= spread(np.add.reduceat(drawn, starts)) > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        pushed = np.where(old > 0, den / old, 0.0)
    held = spread(np.maximum.reduceat(pushed, starts)) - pushed
    weights = old
    for _ in range(WEIGHT_SWEEPS):
        weights = drawn + held * weights
        sums = spread(np.add.reduceat(weights, starts))
        weights = weights / np.where(sums > 0, sums, 1.0)
    weights = np.maximum(weights, config.min_gaussian_weight)
    weights = np.where(changes, weights / spread(np.add.reduceat(weights, starts)), old)
    risen = changes & (weights > 0) & (old > 0)
    logs = np.log(np.where(risen, weights, 1.0)) - np.log(np.where(risen, old, 1.0))
    return weights, float((drawn * logs - pushed * (weights - old))[risen].sum())
