"""MAP adaptation: a trained model is the prior, and the parameters move as far as the data outweigh it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asrkit.core.errors import ConfigError, ModelError
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.stats import GmmStats


@dataclass(frozen=True)
class MapConfig:
    """Weights of the prior, in frames, and what is adapted (Kaldi's MapDiagGmmOptions, gmm-adapt-map).

    Attributes
    ----------
    mean_tau, variance_tau : float
        Frames of a Gaussian that the prior counts as.
    weight_tau : float
        Frames of a pdf that the prior counts as.
    means, variances, weights : bool
        What is adapted; Kaldi's default is ``mw``.
    min_variance : float
        Floor of adapted variances.
    """

    mean_tau: float = 10.0
    variance_tau: float = 50.0
    weight_tau: float = 10.0
    means: bool = True
    variances: bool = False
    weights: bool = True
    min_variance: float = 0.001

    def __post_init__(self) -> None:
        for name in ("mean_tau", "variance_tau", "weight_tau", "min_variance"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected more than 0")


def map_update(gmms: DiagGmms, stats: GmmStats, config: MapConfig | None = None) -> DiagGmms:
    """Return the mixtures of the greatest posterior (Gauvain and Lee 1994; Kaldi's MapDiagGmmUpdate).

    The prior of a mean is a Gaussian around the old mean with the variance of the Gaussian divided by ``mean_tau``,
    that of a variance an inverse gamma with its mode at the old one, that of the weights a Dirichlet with its mode at
    the old ones. A Gaussian without data keeps mean and variance.

    Parameters
    ----------
    stats : GmmStats
        Made with ``gmms``.

    Raises
    ------
    ModelError
        The statistics are of another model.

    Notes
    -----
    Where means and variances are both adapted, Kaldi leaves out the spread ``mean_tau (mean − old mean)²`` that the
    joint maximum has; here it is kept, as in the paper.
    """
    config = config or MapConfig()
    if stats.first.shape != gmms.means.shape:
        raise ModelError(f"statistics of shape {stats.first.shape} for means of shape {gmms.means.shape}")
    occupancy = stats.occupancy[:, None]
    old_means, old_variances = gmms.means.astype(np.float64), gmms.variances.astype(np.float64)
    means, variances, weights = old_means, old_variances, gmms.weights.astype(np.float64)
    if config.means:
        means = (stats.first + config.mean_tau * old_means) / (occupancy + config.mean_tau)
    if config.variances:
        spread = stats.second - 2 * means * stats.first + occupancy * means**2
        spread += config.mean_tau * (means - old_means) ** 2
        adapted = (spread + config.variance_tau * old_variances) / (occupancy + config.variance_tau)
        variances = np.where(occupancy > 0, np.maximum(adapted, config.min_variance), old_variances)
    if config.weights:
        by_pdf = np.repeat(np.add.reduceat(stats.occupancy, gmms.offsets[:-1]), np.diff(gmms.offsets))
        weights = (stats.occupancy + config.weight_tau * weights) / (by_pdf + config.weight_tau)
    return DiagGmms(weights.astype(np.float32), means.astype(np.float32), variances.astype(np.float32), gmms.offsets)
