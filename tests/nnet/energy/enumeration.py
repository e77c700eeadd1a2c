"""Small energy-based models in full: every configuration, by the energy alone."""

from __future__ import annotations

import itertools

import torch

from asrkit.nnet.draws import Draws
from asrkit.nnet.energy.rbm import Rbm


def configurations(num_units: int) -> torch.Tensor:
    """Return all (2^n, n) settings of n binary units."""
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=num_units)), dtype=torch.float64)


def random_rbm(
    visible: str = "bernoulli",
    hidden: str = "bernoulli",
    num_visible: int = 5,
    num_hidden: int = 3,
    seed: int = 0,
    scale: float = 1.0,
    variance: bool = False,
) -> Rbm:
    draws = Draws(seed, "test RBM")
    normal = [draws.normal(torch.empty(shape, dtype=torch.float64)) for shape in _shapes(num_visible, num_hidden)]
    log_variance = 0.5 * normal[3] if variance else None
    return Rbm(visible, hidden, scale * normal[0], normal[1], normal[2], log_variance)  # type: ignore[arg-type]


def _shapes(num_visible: int, num_hidden: int) -> tuple[tuple[int, ...], ...]:
    return (num_visible, num_hidden), (num_visible,), (num_hidden,), (num_visible,)


def joint(rbm: Rbm) -> torch.Tensor:
    """Return p(v, h) of an RBM of Bernoulli units over all configurations, (2^V, 2^H)."""
    v, h = configurations(rbm.num_visible), configurations(rbm.num_hidden)
    energies = torch.stack([rbm.energy(v, one.expand(len(v), -1)) for one in h], dim=1)
    return torch.softmax(-energies.reshape(-1), dim=0).view(len(v), len(h))
