"""Maximum-likelihood updates of Gaussian mixtures, and mixing up by splitting the heaviest Gaussians."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.stats import GmmStats


@dataclass(frozen=True)
class GmmUpdateConfig:
    """Floors of the update (Kaldi's MleDiagGmmOptions) and how to mix up (gmm-est)."""

    min_gaussian_occupancy: float = 10.0
    min_gaussian_weight: float = 1e-5
    min_variance: float = 0.001
    remove_starved: bool = True
    mix_up_power: float = 0.25
    mix_up_min_count: float = 20.0
    perturb: float = 0.01

    def __post_init__(self) -> None:
        if not (
            self.min_variance > 0
            and 0 <= self.min_gaussian_weight < 1
            and self.min_gaussian_occupancy >= 0
            and 0 <= self.mix_up_power < math.inf
            and self.mix_up_min_count >= 0
            and 0 <= self.perturb < math.inf
        ):
            raise ConfigError(
                f"{self}: expected min_variance above 0, min_gaussian_weight in [0, 1), and the others finite and not "
                "negative"
            )


@dataclass(frozen=True)
class UpdateCounts:
    """What an update did: Gaussians removed, and variance elements raised to the floor."""

    removed: int
    floored: int


def update(gmms: DiagGmms, stats: GmmStats, config: GmmUpdateConfig) -> tuple[DiagGmms, UpdateCounts]:
    """Return the maximum-likelihood mixtures (Kaldi's MleDiagGmmUpdate).

    A Gaussian with too small an occupancy or weight is removed, unless it is its pdf's last (then, or with
    ``remove_starved`` off, it keeps its mean and variance, and has ``min_gaussian_weight`` at least). A pdf that was
    never seen keeps all it had.
    """
    occupancy = stats.occupancy
    by_pdf = np.add.reduceat(occupancy, gmms.offsets[:-1])
    sizes = np.diff(gmms.offsets)
    total = np.repeat(by_pdf, sizes)
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = np.where(total > 0, occupancy / total, gmms.weights)
        means = stats.first / occupancy[:, None]
        variances = stats.second / occupancy[:, None] - means**2
    fed = (occupancy > config.min_gaussian_occupancy) & (weights > config.min_gaussian_weight)
    weights = np.where(fed | (total == 0), weights, np.maximum(weights, config.min_gaussian_weight))
    keep = fed | (not config.remove_starved) | (total == 0)
    for pdf in np.flatnonzero(~np.logical_or.reduceat(keep, gmms.offsets[:-1])):
        rows = slice(gmms.offsets[pdf], gmms.offsets[pdf + 1])
        keep[gmms.offsets[pdf] + np.argmax(occupancy[rows])] = True
    floored = fed[:, None] & (variances < config.min_variance)
    means = np.where(fed[:, None], means, gmms.means)[keep]
    variances = np.where(fed[:, None], np.maximum(variances, config.min_variance), gmms.variances)[keep]
    kept = np.add.reduceat(keep, gmms.offsets[:-1], dtype=np.int32)
    offsets = np.concatenate([[0], np.cumsum(kept)]).astype(np.int32)
    weights = weights[keep] / np.repeat(np.add.reduceat(weights[keep], offsets[:-1]), kept)
    updated = DiagGmms(weights.astype(np.float32), means.astype(np.float32), variances.astype(np.float32), offsets)
    return updated, UpdateCounts(int((~keep).sum()), int(floored[keep].sum()))


def mix_up_targets(occupancy: NDArray[np.float64], target: int, config: GmmUpdateConfig) -> NDArray[np.int32]:
    """Share ``target`` Gaussians among pdfs in proportion to their occupancy to a power (Kaldi's GetSplitTargets).

    Parameters
    ----------
    occupancy : float64, shape (num_pdfs,)
        Frames of each pdf.
    target : int
        Total number of Gaussians; fewer are given out where every further one would have fewer frames than
        ``mix_up_min_count``.
    """
    counts = np.ones(len(occupancy), dtype=np.int32)
    queue = [(-(occ**config.mix_up_power), pdf) for pdf, occ in enumerate(occupancy)]
    heapq.heapify(queue)
    left = target - len(occupancy)
    while left > 0 and queue:
        _, pdf = heapq.heappop(queue)
        if (counts[pdf] + 1) * config.mix_up_min_count >= occupancy[pdf]:
            continue
        counts[pdf] += 1
        left -= 1
        heapq.heappush(queue, (-(occupancy[pdf] ** config.mix_up_power) / counts[pdf], pdf))
    return counts


def mix_up(
    gmms: DiagGmms,
    occupancy: NDArray[np.float64],
    target: int,
    config: GmmUpdateConfig,
    stream: np.random.Generator,
) -> DiagGmms:
    """Return mixtures with up to ``target`` Gaussians: the heaviest of a pdf is split in two until it has its share.

    The two halves move apart by ``perturb`` standard deviations in a random direction (Kaldi's DiagGmm::Split).
    """
    targets = mix_up_targets(occupancy, target, config)
    weights, means, variances, sizes = [], [], [], []
    for pdf, wanted in enumerate(targets):
        rows = slice(gmms.offsets[pdf], gmms.offsets[pdf + 1])
        w, m, v = list(gmms.weights[rows]), list(gmms.means[rows]), list(gmms.variances[rows])
        while len(w) < wanted:
            heaviest = int(np.argmax(w))
            w[heaviest] = w[heaviest] / 2
            step = (config.perturb * np.sqrt(v[heaviest]) * stream.standard_normal(gmms.dim)).astype(np.float32)
            w.append(w[heaviest])
            m.append(m[heaviest] + step)
            v.append(v[heaviest])
            m[heaviest] = m[heaviest] - step
        weights += w
        means += m
        variances += v
        sizes.append(len(w))
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    return DiagGmms(
        np.array(weights, np.float32), np.array(means, np.float32), np.array(variances, np.float32), offsets
    )
