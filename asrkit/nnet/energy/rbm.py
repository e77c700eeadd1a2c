"""Restricted Boltzmann machines: energy, free energy, conditionals.

A configuration of V visible units v and H hidden units h has an energy E(v, h), and the probability
p(v, h) = exp(-E(v, h)) / Z. With weights W (V, H), visible bias b and hidden bias c,

Bernoulli visible units, v_i in {0, 1} (Hinton 2012, "A practical guide to training restricted Boltzmann machines",
eq. 1, 7, 8)::

    E(v, h)    = - b·v - c·h - vᵀ W h
    p(h_j | v) = sigmoid(c_j + Σ_i v_i W_ij)
    p(v_i | h) = sigmoid(b_i + Σ_j W_ij h_j)
    F(v)       = - b·v - Σ_j log(1 + exp(c_j + Σ_i v_i W_ij))

Gaussian visible units of variance σ² = exp(z), in the form of Cho, Ilin and Raiko 2011 ("Improved learning of
Gaussian-Bernoulli restricted Boltzmann machines", eq. 4 to 6, without their factor of the visible bias), which is that
of Hinton 2012 (eq. 17) where σ = 1::

    E(v, h)    = Σ_i (v_i - b_i)² / 2σ_i² - c·h - Σ_ij (v_i / σ_i²) W_ij h_j
    p(h_j | v) = sigmoid(c_j + Σ_i (v_i / σ_i²) W_ij)
    p(v_i | h) = N(b_i + Σ_j W_ij h_j, σ_i²)
    F(v)       = Σ_i (v_i - b_i)² / 2σ_i² - Σ_j log(1 + exp(c_j + Σ_i (v_i / σ_i²) W_ij))

Rectified hidden units (Nair and Hinton 2010, "Rectified linear units improve restricted Boltzmann machines", section
2) are each infinitely many Bernoulli units with the same weights and the inputs x - 1/2, x - 3/2, ... Their number of
ones has the mean Σ_n sigmoid(x - n + 1/2), which is taken as log(1 + exp(x)): exact for copies that lie densely, and
within 0.011 for these. So F(v) has -Σ_j R(x_j) in place of the logarithms, R(x) = ∫ log(1 + exp(t)) dt from -∞ to x =
-Li₂(-exp(x)), and dR/dx is the mean. The number is drawn, as in the paper, as max(0, x + N(0, sigmoid(x))), whose mean
falls short by up to 0.4 where x is about 0 or below, and by less than 0.06 from x = 3 on. With Gaussian visible units
such a model has a partition function only where no direction of v gains more by R, which grows as x²/2, than its own
square costs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from asrkit.core.errors import ModelError
from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.config import Hidden, RbmConfig, Visible
from asrkit.nnet.stack import StackLayer

LEAST_ACTIVITY = 1e-4
"""Mean activity of a visible unit, and of its opposite, that the initial bias stands for at least (Kaldi's nnet1)."""

LOG_TWO_PI = float(np.log(2 * np.pi))


@dataclass(eq=False)
class Rbm:
    """A restricted Boltzmann machine of V visible and H hidden units; see the module for its equations.

    Attributes
    ----------
    visible : {'bernoulli', 'gaussian'}
    hidden : {'bernoulli', 'relu'}
    weights : (V, H)
    visible_bias : (V,)
    hidden_bias : (H,)
    log_variance : (V,) or None
        Natural logarithm of σ² of Gaussian units; None is unit variance.

    Notes
    -----
    All tensors are float32, or all float64, on one device. A batch of N configurations is (N, V) or (N, H).
    """

    visible: Visible
    hidden: Hidden
    weights: torch.Tensor
    visible_bias: torch.Tensor
    hidden_bias: torch.Tensor
    log_variance: torch.Tensor | None = None

    def __post_init__(self) -> None:
        if self.log_variance is not None and self.visible != "gaussian":
            raise ModelError(f"{self.visible} visible units have no variance of their own")

    @property
    def num_visible(self) -> int:
        """V."""
        return int(self.weights.shape[0])

    @property
    def num_hidden(self) -> int:
        """H."""
        return int(self.weights.shape[1])

    # Conditionals

    def scaled(self, v: torch.Tensor) -> torch.Tensor:
        """Return what the weights see of visible units: v / σ², (N, V)."""
        return v if self.log_variance is None else v * torch.exp(-self.log_variance)

    def hidden_input(self, v: torch.Tensor) -> torch.Tensor:
        """Return x = c + (v / σ²) W, (N, H)."""
        return torch.addmm(self.hidden_bias, self.scaled(v), self.weights)

    def hidden_mean(self, v: torch.Tensor) -> torch.Tensor:
        """Return E[h | v], (N, H)."""
        return self.mean_of_input(self.hidden_input(v))

    def mean_of_input(self, x: torch.Tensor) -> torch.Tensor:
        """Return the mean of hidden units with the inputs x, (N, H)."""
        return torch.sigmoid(x) if self.hidden == "bernoulli" else functional.softplus(x)

    def sample_hidden(self, v: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Draw hidden units given visible ones, (N, H)."""
        x = self.hidden_input(v)
        return draws.bernoulli(torch.sigmoid(x)) if self.hidden == "bernoulli" else noisy_rectified(x, draws)

    def visible_mean(self, h: torch.Tensor) -> torch.Tensor:
        """Return E[v | h], (N, V)."""
        mean = functional.linear(h, self.weights, self.visible_bias)
        return torch.sigmoid(mean) if self.visible == "bernoulli" else mean

    def sample_visible(self, h: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Draw visible units given hidden ones, (N, V)."""
        mean = self.visible_mean(h)
        return draws.bernoulli(mean) if self.visible == "bernoulli" else mean + self.noise(mean, draws)

    def noise(self, like: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Draw N(0, σ²) for Gaussian visible units, (N, V)."""
        normal = draws.normal(like)
        return normal if self.log_variance is None else normal * torch.exp(0.5 * self.log_variance)

    def gibbs(self, v: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Draw hidden units given v, and visible ones given these, (N, V)."""
        return self.sample_visible(self.sample_hidden(v, draws), draws)

    # Energies

    def energy(self, v: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        """Return E(v, h), (N,).

        Raises
        ------
        ModelError
            Hidden units are rectified: their value does not say which copies are on.
        """
        self._needs_bernoulli("an energy")
        return self._visible_energy(v) - h @ self.hidden_bias - ((self.scaled(v) @ self.weights) * h).sum(dim=1)

    def free_energy(self, v: torch.Tensor) -> torch.Tensor:
        """Return F(v) = -log of the sum over h of exp(-E(v, h)), (N,)."""
        return self._visible_energy(v) - self.hidden_gain(self.hidden_input(v))

    def hidden_gain(self, x: torch.Tensor) -> torch.Tensor:
        """Return by how much hidden units with the inputs x (..., H) lower the free energy, (...)."""
        return (functional.softplus(x) if self.hidden == "bernoulli" else softplus_integral(x)).sum(dim=-1)

    def hidden_free_energy(self, h: torch.Tensor) -> torch.Tensor:
        """Return -log of the sum (or integral) over v of exp(-E(v, h)), (N,).

        Raises
        ------
        ModelError
            Hidden units are rectified.
        """
        self._needs_bernoulli("a free energy of hidden units")
        mean = functional.linear(h, self.weights, self.visible_bias)
        if self.visible == "bernoulli":
            return -h @ self.hidden_bias - functional.softplus(mean).sum(dim=1)
        log_variance = torch.zeros_like(self.visible_bias) if self.log_variance is None else self.log_variance
        gain = 0.5 * ((mean**2 - self.visible_bias**2) * torch.exp(-log_variance) + log_variance + LOG_TWO_PI)
        return -h @ self.hidden_bias - gain.sum(dim=1)

    def _visible_energy(self, v: torch.Tensor) -> torch.Tensor:
        if self.visible == "bernoulli":
            return -v @ self.visible_bias
        return 0.5 * ((v - self.visible_bias) * self.scaled(v - self.visible_bias)).sum(dim=1)

    def _needs_bernoulli(self, what: str) -> None:
        if self.hidden != "bernoulli":
            raise ModelError(f"an RBM with {self.hidden} hidden units has not {what}")

    # Parameters

    def parameters(self) -> dict[str, torch.Tensor]:
        """Return the tensors by name."""
        named = {"weights": self.weights, "visible_bias": self.visible_bias, "hidden_bias": self.hidden_bias}
        return named if self.log_variance is None else {**named, "log_variance": self.log_variance}

    def layer(self) -> StackLayer:
        """Return the RBM as a layer of a stack, a copy in float32."""
        arrays = {name: value.cpu().numpy().astype(np.float32) for name, value in self.parameters().items()}
        return StackLayer("rbm", self.visible, self.hidden, arrays)

    @classmethod
    def of_layer(cls, layer: StackLayer, device: torch.device | None = None) -> Rbm:
        """Return the RBM that :meth:`layer` wrote.

        Raises
        ------
        ModelError
            The layer is none.
        """
        if layer.kind != "rbm":
            raise ModelError(f"a layer of the kind {layer.kind!r}, expected an RBM")
        tensors = {name: torch.from_numpy(value.copy()).to(device) for name, value in layer.parameters.items()}
        return cls(layer.visible, layer.hidden, **tensors)  # type: ignore[arg-type]


def new_rbm(
    visible: Visible,
    num_hidden: int,
    mean: torch.Tensor,
    variance: torch.Tensor,
    config: RbmConfig,
    draws: Draws,
) -> Rbm:
    """Return an RBM to be trained.

    Parameters
    ----------
    mean, variance : (V,)
        Of each visible unit in the data. The visible bias begins where the model without weights has this mean; the
        variance of Gaussian units begins at this one, or is 1 where all are 1.
    """
    weights = config.weight_std * draws.normal(mean.new_empty((len(mean), num_hidden)))
    log_variance = None
    if visible == "bernoulli":
        visible_bias = torch.logit(mean, eps=LEAST_ACTIVITY)
    else:
        visible_bias = mean.clone()
        log_variance = torch.log(variance)
        if not config.learn_variance and not log_variance.any():
            log_variance = None
        else:
            # The same noise in the hidden units' inputs, whatever the scale of the data.
            weights *= torch.exp(0.5 * log_variance)[:, None]
    hidden_bias = mean.new_full((num_hidden,), config.hidden_bias)
    return Rbm(visible, config.hidden, weights, visible_bias, hidden_bias, log_variance)


def noisy_rectified(x: torch.Tensor, draws: Draws) -> torch.Tensor:
    """Draw max(0, x + N(0, sigmoid(x))), (N, H): noisy rectified linear units with the inputs x."""
    return torch.sigmoid(x).sqrt_().mul_(draws.normal(x)).add_(x).clamp_(min=0.0)


def softplus_integral(x: torch.Tensor) -> torch.Tensor:
    """Return R(x) = ∫ log(1 + exp(t)) dt from -∞ to x, which is -Li₂(-exp(x)).

    With u = log(1 + exp(-|x|)), at most log 2, R(-|x|) is the series u + u²/4 + u³/36 - u⁵/3600 + ... of Debye's kind,
    whose terms are -B_n (-u)^(n + 1) / (n + 1)! of Bernoulli's numbers B_n; and R(x) + R(-x) = π²/6 + x²/2.
    """
    u = functional.softplus(-x.abs())
    square = u * u
    series = torch.zeros_like(u)
    for coefficient in reversed(_ODD_COEFFICIENTS):
        series = series * square + coefficient
    small = u + square / 4 + u * square * series
    return torch.where(x > 0, np.pi**2 / 6 + x * x / 2 - small, small)


_ODD_COEFFICIENTS = (
    # B_n / (n + 1)! for n = 2, 4, ..., 16
    1 / 36,
    -1 / 3600,
    1 / 211680,
    -1 / 10886400,
    1 / 526901760,
    -691 / 16999766784000,
    1 / 1120863744000,
    -3617 / 181400588328960000,
)
"""Coefficients of u³, u⁵, ... of :func:`softplus_integral`; u ≤ log 2, so that what is left out is below 1e-18."""
