"""What is watched while an RBM learns: none of it is the likelihood, each shows something that can go wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from asrkit.core.errors import ModelError
from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.rbm import Rbm

GRID_POINTS = 129
"""Places at which the density of a Gaussian unit given all others is summed."""

GRID_REACH = 8.0
"""How far they reach beyond the unit's value and its mean given the hidden units, in standard deviations."""

_BLOCK_VALUES = 1 << 22


@torch.no_grad()
def reconstruction_error(rbm: Rbm, v: torch.Tensor) -> float:
    """Return the mean squared difference of a visible unit from E[v | h = E[h | v]], over frames v (N, V)."""
    return float(functional.mse_loss(rbm.visible_mean(rbm.hidden_mean(v)), v))


@torch.no_grad()
def free_energy_gap(rbm: Rbm, training: torch.Tensor, held_out: torch.Tensor) -> float:
    """Return mean F over held-out frames less mean F over training frames, in nats.

    The partition function cancels, so this is by how much training frames are likelier. It stays about the same while
    the model learns what both have in common, and grows when it overfits (Hinton 2012, section 6).
    """
    return float(rbm.free_energy(held_out).double().mean() - rbm.free_energy(training).double().mean())


@torch.no_grad()
def pseudo_likelihood(rbm: Rbm, v: torch.Tensor, draws: Draws) -> float:
    """Return an unbiased estimate of the mean over frames of Σ_i log p(v_i | all other units), in nats.

    One unit of each frame is drawn, and its term taken V times. Of a Gaussian unit p is a density, which is normalised
    by its sum on a grid.

    Parameters
    ----------
    v : (N, V)
        A Bernoulli unit that is a probability counts as so much of a one, and the rest of a zero.

    Raises
    ------
    ModelError
        Gaussian visible and rectified hidden units: the density need not have a sum.
    """
    if (rbm.visible, rbm.hidden) == ("gaussian", "relu"):
        raise ModelError("Gaussian units under rectified ones need not have a pseudo-likelihood")
    unit = draws.integers(rbm.num_visible, (len(v),))
    terms = _bernoulli_terms if rbm.visible == "bernoulli" else _gaussian_terms
    block = max(1, _BLOCK_VALUES // ((1 if rbm.visible == "bernoulli" else GRID_POINTS) * rbm.num_hidden))
    total = sum(float(terms(rbm, *parts).double().sum()) for parts in zip(v.split(block), unit.split(block)))
    return rbm.num_visible * total / len(v)


def _bernoulli_terms(rbm: Rbm, v: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
    """Return log p of one unit of each frame, (N,)."""
    x, weights = rbm.hidden_input(v), rbm.weights[unit]
    value = v.gather(1, unit[:, None])
    zero = rbm.hidden_gain(x - value * weights)
    one = rbm.hidden_gain(x + (1 - value) * weights) + rbm.visible_bias[unit]
    value = value[:, 0]
    return value * functional.logsigmoid(one - zero) + (1 - value) * functional.logsigmoid(zero - one)


def _gaussian_terms(rbm: Rbm, v: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
    """Return the log density of one unit of each frame, (N,).

    Given the hidden units it is Gaussian; over them its deviation is that of ``spread`` at most.
    """
    x, weights, bias = rbm.hidden_input(v), rbm.weights[unit], rbm.visible_bias[unit]
    value = v.gather(1, unit[:, None])[:, 0]
    log_variance = torch.zeros_like(bias) if rbm.log_variance is None else rbm.log_variance[unit]
    variance = torch.exp(log_variance)
    mean = bias + (weights * torch.sigmoid(x)).sum(dim=1)
    spread = torch.sqrt(variance + (weights**2).sum(dim=1) / 4)
    low = torch.minimum(value, mean) - GRID_REACH * spread
    high = torch.maximum(value, mean) + GRID_REACH * spread
    places = torch.linspace(0, 1, GRID_POINTS, dtype=v.dtype, device=v.device)
    grid = torch.cat([value[:, None], low[:, None] + (high - low)[:, None] * places], dim=1)
    moved = ((grid - value[:, None]) / variance[:, None])[:, :, None] * weights[:, None, :]
    gain = rbm.hidden_gain(x[:, None, :] + moved) - 0.5 * (grid - bias[:, None]) ** 2 / variance[:, None]
    normaliser = torch.logsumexp(gain[:, 1:], dim=1) + torch.log((high - low) / (GRID_POINTS - 1))
    return gain[:, 0] - normaliser


@dataclass(frozen=True)
class Histogram:
    """How often values lie where.

    Attributes
    ----------
    low, high : float
        The least and the greatest value.
    counts : tuple of int
        In bins of equal width between them.
    """

    low: float
    high: float
    counts: tuple[int, ...]

    @classmethod
    def of(cls, values: torch.Tensor, num_bins: int = 40) -> Histogram:
        """Count values of any shape.

        Raises
        ------
        ModelError
            They are not finite.
        """
        flat = values.detach().reshape(-1).float().cpu()
        low, high = float(flat.min()), float(flat.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ModelError("the RBM's weights or activities are no longer finite", remedy="lower the learning rate")
        # Of equal values torch makes bins around them.
        counts = torch.histc(flat, num_bins, low, high if high > low else low + 1.0)
        return cls(low, high, tuple(int(count) for count in counts))

    def to_json(self) -> dict[str, Any]:
        """Return the histogram for a JSON file."""
        return {"low": self.low, "high": self.high, "counts": list(self.counts)}


@torch.no_grad()
def histograms(rbm: Rbm, v: torch.Tensor, num_bins: int = 40) -> dict[str, Histogram]:
    """Return the histograms of the weights, of the hidden units' means, and of their means over frames v (N, V).

    Means that all lie near 0 and 1 tell of weights that are too large; units whose mean over the frames is 0 or 1 tell
    nothing about them (Hinton 2012, section 15).
    """
    mean = rbm.hidden_mean(v)
    return {
        "weights": Histogram.of(rbm.weights, num_bins),
        "hidden_means": Histogram.of(mean, num_bins),
        "unit_activities": Histogram.of(mean.mean(dim=0), num_bins),
    }
