"""RBMs of the same weights whose biases differ from row to row: Gibbs steps, and partition functions by AIS.

Row n has the energy of :mod:`asrkit.nnet.energy.rbm` with biases b_n and c_n: of Bernoulli visible units where no
``log_variance`` is given, else of Gaussian ones whose variances are exp(log_variance) in every row. For annealed
importance sampling see :mod:`asrkit.nnet.energy.partition`. Each row is annealed from a model without connections of
its own. Bernoulli units: half way between the means of a short Gibbs chain, which may have stayed in one mode, and
those of units in the data, which are wide. Of an RNN-RBM on folk tunes, whose steps had -3.80 nats by 1,000
temperatures, 100 from this start found -3.77, from the chain's means alone -3.11, from the data's -3.67. Gaussian
units: the chain's means, and variances as wide as the chain and the data are.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.sequence_config import PredictionConfig

LOG_TWO_PI = math.log(2 * math.pi)

LEAST_PROBABILITY = 1e-4
"""Of a unit of the base model, and of its opposite."""


def free_energy(
    v: torch.Tensor, weights: torch.Tensor, b: torch.Tensor, c: torch.Tensor, log_variance: torch.Tensor | None = None
) -> torch.Tensor:
    """Return F(v) of each row, (N,)."""
    visible = -(v * b).sum(dim=1) if log_variance is None else square_energy(v, b, log_variance)
    return visible - functional.softplus(torch.addmm(c, scaled(v, log_variance), weights)).sum(dim=1)


def square_energy(v: torch.Tensor, mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """Return Σ (v - mean)² / 2σ² of each row, (N,)."""
    return 0.5 * ((v - mean).square() * torch.exp(-log_variance)).sum(dim=1)


def scaled(v: torch.Tensor, log_variance: torch.Tensor | None) -> torch.Tensor:
    """Return what weights see of visible units: v / σ², or v of Bernoulli units, (..., V)."""
    return v if log_variance is None else v * torch.exp(-log_variance)


@torch.no_grad()
def gibbs_chain(
    v: torch.Tensor,
    weights: torch.Tensor,
    b: torch.Tensor,
    c: torch.Tensor,
    num_steps: int,
    draws: Draws,
    log_variance: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Take Gibbs steps from v (N, V): return the visible units drawn last, and their means before that draw."""
    hidden, visible, h = torch.empty_like(c), torch.empty_like(b), torch.empty_like(c)
    for _ in range(num_steps):
        torch.addmm(c, scaled(v, log_variance), weights, out=hidden)
        draws.bernoulli(hidden.sigmoid_(), out=h)
        torch.addmm(b, h, weights.T, out=visible)
        if log_variance is None:
            v = draws.bernoulli(visible.sigmoid_())
        else:
            v = torch.addcmul(visible, draws.normal(visible), torch.exp(0.5 * log_variance))
    return v, visible


@dataclass(frozen=True, eq=False)
class RowPartitions:
    """Estimates for N rows.

    Attributes
    ----------
    log_partition : (N,) float64
        log of the mean of the runs' weights times Z_0.
    variance : (N,) float64
        Of the mean weight, relative to its square: to first order that of ``log_partition``.
    means : (N, V)
        E[v], of the runs' ends by their weights.
    """

    log_partition: torch.Tensor
    variance: torch.Tensor
    means: torch.Tensor


@torch.no_grad()
def estimate_partitions(
    weights: torch.Tensor,
    b: torch.Tensor,
    c: torch.Tensor,
    unit_means: torch.Tensor,
    config: PredictionConfig,
    draws: Draws,
    log_variance: torch.Tensor | None = None,
    unit_variances: torch.Tensor | None = None,
) -> RowPartitions:
    """Estimate the partition functions of rows with the biases b (N, V) and c (N, H).

    Parameters
    ----------
    unit_means : (V,)
        Of the visible units in the data.
    log_variance : (V,), optional
        Of Gaussian units.
    unit_variances : (V,), optional
        Of Gaussian units in the data.
    """
    if log_variance is None:
        path: _BernoulliPath | _GaussianPath = _BernoulliPath(weights, b, c, unit_means, config, draws)
    else:
        assert unit_variances is not None
        path = _GaussianPath(weights, b, c, unit_variances, log_variance, config, draws)
    num_rows, runs = len(b), config.ais_runs
    c = c.repeat_interleave(runs, dim=0)
    log_base = path.log_base + c.shape[1] * math.log(2)
    log_weights = torch.zeros(len(c), dtype=torch.float64, device=c.device)
    v = path.begin(draws)
    x, h, mean = torch.empty_like(c), torch.empty_like(c), torch.empty_like(v)
    betas = [number / config.ais_temperatures for number in range(config.ais_temperatures + 1)]
    for before, beta in itertools.pairwise(betas):
        torch.addmm(c, scaled(v, log_variance), weights, out=x)
        gain = (functional.softplus(beta * x) - functional.softplus(before * x)).sum(dim=1)
        log_weights += (gain + (beta - before) * path.slope(v)).double()
        # At β = 1 the step leaves the model as it is: its means are those of weighted draws.
        draws.bernoulli(x.mul_(beta).sigmoid_(), out=h)
        v = path.draw(h, beta, mean, draws)
    by_row = log_weights.view(num_rows, runs)
    log_mean = torch.logsumexp(by_row, dim=1) - math.log(runs)
    relative = torch.exp(by_row - log_mean[:, None])
    shares = (relative / runs).to(mean.dtype)
    means = torch.einsum("nr,nrv->nv", shares, mean.view(num_rows, runs, -1))
    return RowPartitions(log_base + log_mean, relative.var(dim=1) / runs, means)


class _BernoulliPath:
    """The visible units on the way from the base model to the RBM; rows stand once for each run.

    Attributes
    ----------
    log_base : (N,) float64
        log Z_0 of each row's visible units.
    """

    def __init__(
        self,
        weights: torch.Tensor,
        b: torch.Tensor,
        c: torch.Tensor,
        unit_means: torch.Tensor,
        config: PredictionConfig,
        draws: Draws,
    ) -> None:
        chain = _chain(draws.bernoulli(torch.sigmoid(b)), weights, b, c, config, draws, None)
        start = torch.lerp(torch.stack(chain).mean(dim=0), unit_means.expand_as(b), 0.5)
        base = torch.logit(start, eps=LEAST_PROBABILITY)
        self.log_base = functional.softplus(base).double().sum(dim=1)
        self._base, b = (one.repeat_interleave(config.ais_runs, dim=0) for one in (base, b))
        self._slope, self._weights = b - self._base, weights

    def begin(self, draws: Draws) -> torch.Tensor:
        """Draw from the base model, (N * runs, V)."""
        return draws.bernoulli(torch.sigmoid(self._base))

    def slope(self, v: torch.Tensor) -> torch.Tensor:
        """Return by how much the log weight of v grows with β, hidden units apart, (N * runs,)."""
        return (v * self._slope).sum(dim=1)

    def draw(self, h: torch.Tensor, beta: float, mean: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Draw visible units by the model of β given hidden ones; ``mean`` gets their means."""
        torch.addmm(self._base, h, self._weights.T, beta=1.0, alpha=beta, out=mean)
        return draws.bernoulli(mean.add_(self._slope, alpha=beta).sigmoid_())


class _GaussianPath:
    """As :class:`_BernoulliPath`: a normal distribution that narrows."""

    def __init__(
        self,
        weights: torch.Tensor,
        b: torch.Tensor,
        c: torch.Tensor,
        unit_variances: torch.Tensor,
        log_variance: torch.Tensor,
        config: PredictionConfig,
        draws: Draws,
    ) -> None:
        first = torch.addcmul(b, draws.normal(b), torch.exp(0.5 * log_variance))
        chain = torch.stack(_chain(first, weights, b, c, config, draws, log_variance))
        mean = chain.mean(dim=0)
        variance = torch.maximum(log_variance.exp() + chain.var(dim=0, correction=0), unit_variances)
        self.log_base = 0.5 * (LOG_TWO_PI + variance.log()).double().sum(dim=1)
        self._base, self._base_variance, self._b = (
            one.repeat_interleave(config.ais_runs, dim=0) for one in (mean, variance, b)
        )
        self._weights, self._log_variance = weights, log_variance

    def begin(self, draws: Draws) -> torch.Tensor:
        return torch.addcmul(self._base, draws.normal(self._base), self._base_variance.sqrt())

    def slope(self, v: torch.Tensor) -> torch.Tensor:
        base = square_energy(v, self._base, self._base_variance.log())
        return base - square_energy(v, self._b, self._log_variance)

    def draw(self, h: torch.Tensor, beta: float, mean: torch.Tensor, draws: Draws) -> torch.Tensor:
        torch.addmm(self._b, h, self._weights.T, out=mean)
        wide, narrow = (1 - beta) / self._base_variance, beta * torch.exp(-self._log_variance)
        precision = wide + narrow
        mean.mul_(narrow).addcmul_(wide, self._base).div_(precision)
        return torch.addcdiv(mean, draws.normal(mean), precision.sqrt())


def _chain(
    v: torch.Tensor,
    weights: torch.Tensor,
    b: torch.Tensor,
    c: torch.Tensor,
    config: PredictionConfig,
    draws: Draws,
    log_variance: torch.Tensor | None,
) -> list[torch.Tensor]:
    """Return the means of visible units in the steps of a Gibbs chain of each row that count, (N, V) each."""
    skipped = config.base_steps // 2
    v, _ = gibbs_chain(v, weights, b, c, skipped, draws, log_variance)
    found = []
    for _ in range(config.base_steps - skipped):
        v, mean = gibbs_chain(v, weights, b, c, 1, draws, log_variance)
        found.append(mean)
    return found
