"""Energy-based models: what a user may choose, apart from the models themselves, so that help needs no torch."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Literal

from asrkit.core.errors import ConfigError

Visible = Literal["bernoulli", "gaussian"]
Hidden = Literal["bernoulli", "relu"]


@dataclass(frozen=True)
class RbmConfig:
    """What an RBM is, and how it begins.

    Attributes
    ----------
    hidden : {'bernoulli', 'relu'}
        Hidden units.
    learn_variance : bool
        Learn the variance of Gaussian visible units; otherwise it stays that of the data.
    weight_std : float
        Standard deviation of the initial weights (Hinton 2012, section 8).
    hidden_bias : float
        Initial bias of the hidden units.
    """

    hidden: Hidden = "bernoulli"
    learn_variance: bool = False
    weight_std: float = 0.01
    hidden_bias: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.weight_std < float("inf"):
            raise ConfigError(f"weight_std is {self.weight_std:g}, expected 0 or more")


@dataclass(frozen=True)
class CdConfig:
    """How an RBM is trained.

    Attributes
    ----------
    centered : bool
        Move the parameters as those of the same model whose units have their means subtracted (Montavon and Müller
        2012; Melchior, Fischer and Wiskott 2016). Without it what visible units have in common drives hidden ones
        together: at these learning rates four of five of a second layer's were always off, on speech, and initial
        weights had to be ten times as large for any to be on.
    steps : int
        k: Gibbs steps of a chain between two updates.
    persistent : bool
        Chains go on from update to update, and do not start at the data.
    num_chains : int
        Persistent chains; 0 is one for each frame of the first minibatch.
    chain_hidden : {'samples', 'means'}
        What visible units are computed from: draws, or expectations (mean field). The statistics of either end of the
        chain have the expectations.
    chain_visible : {'means', 'samples'}
        What hidden units are computed from; only chains of samples alone have the model as their equilibrium.
    learning_rate : float
        The parameters move by ``velocity = momentum * velocity - (1 - momentum) * learning_rate * gradient`` at each
        minibatch: as in Kaldi's nnet1, momentum does not make the steps longer.
    learning_rate_decay : float
        Factor of the learning rate from epoch to epoch.
    momentum, final_momentum : float
        At the beginning, and after ``momentum_frames`` frames; in between it grows evenly.
    momentum_frames : int
    l2 : float
        Factor of the weights in their gradient.
    sparsity_target : float
        Mean activity that hidden units are drawn to, in (0, 1); of Bernoulli units.
    sparsity_cost : float
        Factor of the cross-entropy between target and activity; 0: no such cost.
    sparsity_decay : float
        What the running mean of activities keeps from minibatch to minibatch.
    max_norm : float
        Longest that the weights of a hidden unit may be; 0: no limit.
    variance_rate : float
        Learning rate of the logarithms of the variances as a share of ``learning_rate``, where they are learned.
    least_variance : float
        Smallest variance that is learned.
    guard_ratio : float
        The guard of Kaldi's nnet1 against weights that explode through Gaussian units: where the chain ends of a
        minibatch have a standard deviation above so many times that of the data, weights and biases are scaled down by
        that ratio, the momentum is forgotten and the learning rate falls by a tenth, until ``guard_frames`` frames more
        have been seen. 0: no guard.
    guard_frames : int
    """

    centered: bool = True
    steps: int = 1
    persistent: bool = False
    num_chains: int = 0
    chain_hidden: Literal["samples", "means"] = "samples"
    chain_visible: Literal["means", "samples"] = "means"
    learning_rate: float = 0.4
    learning_rate_decay: float = 1.0
    momentum: float = 0.5
    final_momentum: float = 0.9
    momentum_frames: int = 20_000_000
    l2: float = 0.0002
    sparsity_target: float = 0.1
    sparsity_cost: float = 0.0
    sparsity_decay: float = 0.95
    max_norm: float = 0.0
    variance_rate: float = 0.1
    least_variance: float = 0.01
    guard_ratio: float = 2.0
    guard_frames: int = 500_000

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("num_chains", 0), ("momentum_frames", 0), ("guard_frames", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected {least} or more")
        for name in ("learning_rate", "learning_rate_decay", "l2", "sparsity_cost", "max_norm", "variance_rate"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} is {getattr(self, name):g}, expected 0 or more")
        for name in ("momentum", "final_momentum", "sparsity_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name):g}, expected 0 or more, and less than 1")
        if not 0 < self.sparsity_target < 1:
            raise ConfigError(f"sparsity_target is {self.sparsity_target:g}, expected more than 0, and less than 1")
        if self.least_variance <= 0:
            raise ConfigError(f"least_variance is {self.least_variance:g}, expected a positive number")
        if self.guard_ratio and self.guard_ratio <= 1:
            raise ConfigError(f"guard_ratio is {self.guard_ratio:g}, expected more than 1, or 0 for no guard")
        if self.persistent and (self.chain_hidden, self.chain_visible) == ("means", "means"):
            raise ConfigError(
                "chains of means alone do not move", remedy="--set chain_hidden=samples, or persistent=false"
            )

    def momentum_at(self, num_frames: int) -> float:
        """Return the momentum after so many frames."""
        return momentum_at(self.momentum, self.final_momentum, self.momentum_frames, num_frames)


def momentum_at(first: float, last: float, grows_for: int, num_frames: int) -> float:
    """Return a momentum that grows evenly from ``first`` to ``last`` over so many frames, after ``num_frames``."""
    done = min(1.0, num_frames / grows_for) if grows_for else 1.0
    return first + done * (last - first)


@dataclass(frozen=True)
class UpDownConfig:
    """How a whole deep belief network is trained after its layers were.

    Attributes
    ----------
    learning_rate : float
        Of directed layers between Bernoulli units.
    gaussian_learning_rate : float
        Of the lowest layer, where its visible units are Gaussian.
    learning_rate_decay : float
        Factor from epoch to epoch, of the directed layers.
    top : CdConfig
        Training of the top RBM.
    """

    learning_rate: float = 0.05
    gaussian_learning_rate: float = 0.002
    learning_rate_decay: float = 1.0
    top: CdConfig = field(default_factory=lambda: CdConfig(steps=3, learning_rate=0.05, momentum_frames=0, l2=0.0002))

    def __post_init__(self) -> None:
        for name in ("learning_rate", "gaussian_learning_rate", "learning_rate_decay"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} is {getattr(self, name):g}, expected 0 or more")


@dataclass(frozen=True)
class AisConfig:
    """How many runs, and through how many models.

    Attributes
    ----------
    num_runs : int
    num_steps : tuple of int
        Inverse temperatures between those of ``boundaries``.
    boundaries : tuple of float
        Rising from 0 to 1, one more than ``num_steps``. The defaults are those of Salakhutdinov and Murray 2008.
    """

    num_runs: int = 100
    num_steps: tuple[int, ...] = (500, 4000, 10000)
    boundaries: tuple[float, ...] = (0.0, 0.5, 0.9, 1.0)

    def __post_init__(self) -> None:
        if self.num_runs < 2:
            raise ConfigError(f"num_runs is {self.num_runs}, expected 2 or more")
        rising = all(one < other for one, other in itertools.pairwise(self.boundaries))
        if len(self.boundaries) != len(self.num_steps) + 1 or not rising:
            raise ConfigError("boundaries must rise, and be one more than num_steps")
        if (self.boundaries[0], self.boundaries[-1]) != (0.0, 1.0) or min(self.num_steps) < 1:
            raise ConfigError("boundaries must go from 0 to 1, with one step or more between them")

    def inverse_temperatures(self) -> list[float]:
        """Return β_0 = 0, ..., β_K = 1."""
        values = [0.0]
        for (low, high), count in zip(itertools.pairwise(self.boundaries), self.num_steps):
            values += [low + (high - low) * (step + 1) / count for step in range(count)]
        values[-1] = 1.0
        return values


@dataclass(frozen=True)
class SampleConfig:
    """How frames are drawn from a model.

    Attributes
    ----------
    num_samples : int
        Frames, each from a chain of its own; of a convolutional network bases of each layer in a picture, at most.
    num_steps : int
        Gibbs steps of a chain before its frame is taken.
    means : bool
        A frame is the mean of the visible units given the hidden ones, not a draw.
    pictures : bool
        Draw them too; needs matplotlib.
    """

    num_samples: int = 16
    num_steps: int = 1000
    means: bool = True
    pictures: bool = True

    def __post_init__(self) -> None:
        for name in ("num_samples", "num_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 1 or more")
