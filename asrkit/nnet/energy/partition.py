"""The partition function of an RBM, Z = Σ_v exp(-F(v)): by enumeration, and by annealed importance sampling (AIS).

AIS (Neal 2001; Salakhutdinov and Murray 2008, "On the quantitative analysis of deep belief networks") goes from a model
without connections, whose Z_0 is known, to the RBM through models with the free energies ::

    F_β(v) = (1 - β) F_0(v) + β E(v) - Σ_j log(1 + exp(β x_j(v)))

E(v) being the part of the energy that has no hidden units, x_j(v) the input of hidden unit j, and F_0 of the same form
with visible biases (and variances) of its own. Each run draws v from the first, and takes a Gibbs step at each of the
inverse temperatures 0 = β_0 < ... < β_K = 1; the mean of its weights ::

    w = Π_k exp(F_β_{k-1}(v_k) - F_β_k(v_k)),      v_k drawn by the model of β_{k-1}

has Z / Z_0 as its expectation.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.nn import functional

from asrkit.core.errors import ConfigError, ModelError
from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.config import AisConfig
from asrkit.nnet.energy.rbm import LOG_TWO_PI, Rbm

MAX_ENUMERATED = 24
"""Units of a layer whose configurations are enumerated at most: sixteen million."""

_BLOCK = 1 << 14


def exact_log_partition(rbm: Rbm) -> float:
    """Return log Z by enumerating the configurations of one layer and summing (or integrating) the other out.

    Raises
    ------
    ConfigError
        Neither layer that can be enumerated has at most ``MAX_ENUMERATED`` units.
    ModelError
        Rectified hidden units and Gaussian visible ones, neither of which can be enumerated.
    """
    layers = {}
    if rbm.hidden == "bernoulli":
        layers["hidden"] = rbm.num_hidden
    if rbm.visible == "bernoulli":
        layers["visible"] = rbm.num_visible
    if not layers:
        raise ModelError("neither Gaussian nor rectified units can be enumerated")
    name = min(layers, key=lambda layer: layers[layer])
    if layers[name] > MAX_ENUMERATED:
        raise ConfigError(
            f"{layers[name]} {name} units have too many configurations to enumerate, expected {MAX_ENUMERATED} at most",
            remedy="estimate log Z by annealed importance sampling",
        )
    free_energy = rbm.free_energy if name == "visible" else rbm.hidden_free_energy
    total = rbm.weights.new_full((), -math.inf, dtype=torch.float64)
    for states in binary_states(layers[name], rbm.weights):
        total = torch.logaddexp(total, torch.logsumexp(-free_energy(states).double(), dim=0))
    return float(total)


def binary_states(num_units: int, like: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield all 2^n configurations of n binary units in blocks (B, n), counting upwards, of the dtype of ``like``."""
    places = 2 ** torch.arange(num_units - 1, -1, -1, device=like.device)
    for first in range(0, 1 << num_units, _BLOCK):
        numbers = torch.arange(first, min(first + _BLOCK, 1 << num_units), device=like.device)
        yield (numbers[:, None] & places != 0).to(like.dtype)


@dataclass(frozen=True, eq=False)
class PartitionEstimate:
    """An estimate of log Z from M runs.

    Attributes
    ----------
    log_partition : float
        Natural logarithm of the mean weight times Z_0.
    low, high : float
        The same for the mean weight less and plus three times its standard error, as Salakhutdinov and Murray state it;
        ``low`` is -inf where that is not positive. Few runs that miss a mode do not show it here: the estimate of Z is
        unbiased, so that log Z is too low more often than too high.
    log_weights : (M,) float64
        Of the runs.
    """

    log_partition: float
    low: float
    high: float
    log_weights: torch.Tensor

    @property
    def effective_runs(self) -> float:
        """(Σ w)² / Σ w²: as many runs of equal weights would be as good."""
        return float(torch.exp(2 * torch.logsumexp(self.log_weights, 0) - torch.logsumexp(2 * self.log_weights, 0)))


@torch.no_grad()
def estimate_log_partition(
    rbm: Rbm,
    draws: Draws,
    config: AisConfig | None = None,
    mean: torch.Tensor | None = None,
    variance: torch.Tensor | None = None,
) -> PartitionEstimate:
    """Estimate log Z by annealed importance sampling, in float64.

    Parameters
    ----------
    rbm : Rbm
        Of Bernoulli hidden units.
    mean : (V,), optional
        Of the visible units in the data: the model that the runs start from has it, else uniform (Gaussian units: the
        RBM's own bias). The closer that model is to the RBM, the smaller the error.
    variance : (V,), optional
        Of Gaussian visible units in the data, else the RBM's own.

    Raises
    ------
    ModelError
        Hidden units are rectified: their Gibbs step is an approximation, whose error would not be stated.
    """
    if rbm.hidden != "bernoulli":
        raise ModelError(f"no partition function of an RBM with {rbm.hidden} hidden units can be estimated")
    config = config or AisConfig()
    path = _Path(rbm, mean, variance)
    v = path.start(config.num_runs, draws)
    log_weights = torch.zeros(config.num_runs, dtype=torch.float64, device=v.device)
    betas = config.inverse_temperatures()
    for before, beta in itertools.pairwise(betas):
        x = path.hidden_input(v)
        log_weights += path.free_energy(v, x, before) - path.free_energy(v, x, beta)
        if beta < 1:
            v = path.step(x, beta, draws)
    relative = torch.exp(log_weights - log_weights.max())
    average, spread = relative.mean(), 3 * relative.std() / math.sqrt(config.num_runs)
    base = path.log_partition + float(log_weights.max())
    low = base + float(torch.log(average - spread)) if average > spread else -math.inf
    return PartitionEstimate(
        base + float(torch.log(average)), low, base + float(torch.log(average + spread)), log_weights
    )


class _Path:
    """The models between one without connections and an RBM, in float64."""

    def __init__(self, rbm: Rbm, mean: torch.Tensor | None, variance: torch.Tensor | None) -> None:
        double = {name: value.double() for name, value in rbm.parameters().items()}
        self._rbm = Rbm(rbm.visible, rbm.hidden, **double)
        bias = double["visible_bias"]
        if rbm.visible == "bernoulli":
            self._bias = torch.zeros_like(bias) if mean is None else torch.logit(mean.double(), eps=1e-4)
            visible = float(functional.softplus(self._bias).sum())
        else:
            own = torch.exp(double["log_variance"]) if "log_variance" in double else torch.ones_like(bias)
            self._own_precision = 1 / own
            self._precision = 1 / (own if variance is None else variance.double())
            self._bias = bias if mean is None else mean.double()
            visible = 0.5 * float((LOG_TWO_PI - torch.log(self._precision)).sum())
        self.log_partition = visible + rbm.num_hidden * math.log(2)

    def start(self, num_runs: int, draws: Draws) -> torch.Tensor:
        """Draw from the model without connections, (M, V)."""
        wide = self._bias.expand(num_runs, -1)
        if self._rbm.visible == "bernoulli":
            return draws.bernoulli(torch.sigmoid(wide))
        return wide + draws.normal(wide) / self._precision.sqrt()

    def hidden_input(self, v: torch.Tensor) -> torch.Tensor:
        """Return x of the RBM itself, (M, H)."""
        return self._rbm.hidden_input(v)

    def free_energy(self, v: torch.Tensor, x: torch.Tensor, beta: float) -> torch.Tensor:
        """Return F_β(v), (M,), given the inputs x of the RBM's hidden units."""
        if self._rbm.visible == "bernoulli":
            visible = -v @ torch.lerp(self._bias, self._rbm.visible_bias, beta)
        else:
            visible = 0.5 * (
                (1 - beta) * (v - self._bias) ** 2 @ self._precision
                + beta * (v - self._rbm.visible_bias) ** 2 @ self._own_precision
            )
        return visible - functional.softplus(beta * x).sum(dim=1)

    def step(self, x: torch.Tensor, beta: float, draws: Draws) -> torch.Tensor:
        """Take a Gibbs step of the model of β from visible units whose inputs to hidden ones are x."""
        h = draws.bernoulli(torch.sigmoid(beta * x))
        inputs = functional.linear(h, self._rbm.weights, self._rbm.visible_bias)
        if self._rbm.visible == "bernoulli":
            return draws.bernoulli(torch.sigmoid(torch.lerp(self._bias.expand_as(inputs), inputs, beta)))
        precision = (1 - beta) * self._precision + beta * self._own_precision
        mean = ((1 - beta) * self._precision * self._bias + beta * self._own_precision * inputs) / precision
        return mean + draws.normal(mean) / precision.sqrt()
