"""Convolutional deep belief networks: what a user may choose, apart from the models, so that help needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from asrkit.core.errors import ConfigError
from asrkit.nnet.energy.config import momentum_at


@dataclass(frozen=True)
class WhiteningConfig:
    """What stands before the first layer.

    Attributes
    ----------
    level : bool
        Subtract from each utterance the mean of all its values, and divide by what is then their root mean square: two
        numbers an utterance, which take its loudness away and leave the shape of its spectrum. As the authors of the
        paper did; whole utterances must be there.
    centered : bool
        Subtract the mean of each dimension over the training data, and take principal components about it. The authors
        took components of the second moments.
    components : int
        Principal components that are kept.
    floor : float
        What is added to a component's variance before its values are divided by the root, as a multiple of the mean
        variance of a dimension. 0 whitens fully, and lifts what is little more than noise as high as all else; the
        authors added 3.
    """

    level: bool = True
    centered: bool = False
    components: int = 80
    floor: float = 3.0

    def __post_init__(self) -> None:
        if self.components < 1:
            raise ConfigError(f"components is {self.components}, expected 1 or more")
        if not 0 <= self.floor < float("inf"):
            raise ConfigError(f"floor is {self.floor:g}, expected 0 or more")


@dataclass(frozen=True)
class ConvolutionalRbmConfig:
    """What a convolutional RBM is, and how it begins.

    Attributes
    ----------
    bases : int
        Groups of hidden units, each with one filter.
    filter_length : int
        Frames that a filter spans.
    pooling : int
        Hidden units of a block, of which one at most is on: by it the frames become fewer.
    visible_std : float
        Standard deviation of Gaussian visible units; the smaller, the more the hidden units trust their inputs.
    weight_std : float
        Standard deviation of the initial weights.
    hidden_bias : float
        Initial bias of the hidden units, in the measure of their inputs: of Gaussian visible units before the division
        by ``visible_std`` squared.
    """

    bases: int = 300
    filter_length: int = 6
    pooling: int = 3
    visible_std: float = 0.2
    weight_std: float = 0.01
    hidden_bias: float = -0.1

    def __post_init__(self) -> None:
        for name in ("bases", "filter_length", "pooling"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 1 or more")
        if not 0 < self.visible_std < float("inf"):
            raise ConfigError(f"visible_std is {self.visible_std:g}, expected a positive number")
        if not 0 <= self.weight_std < float("inf"):
            raise ConfigError(f"weight_std is {self.weight_std:g}, expected 0 or more")


@dataclass(frozen=True)
class ConvolutionalCdConfig:
    """How a convolutional RBM is trained.

    Attributes
    ----------
    steps : int
        k: Gibbs steps of a chain, which starts at the data.
    chain_visible : {'means', 'samples'}
        What hidden units are computed from at the chain's steps.
    learning_rate : float
        The parameters move by ``velocity = momentum * velocity - (1 - momentum) * learning_rate * gradient`` at each
        minibatch, the gradient being the mean over the hidden units of a base.
    learning_rate_decay : float
        Factor of the learning rate from epoch to epoch.
    momentum, final_momentum : float
        At the beginning, and after ``momentum_frames`` frames; in between it grows evenly.
    momentum_frames : int
    l2 : float
        Factor of the weights in their gradient.
    sparsity_target : float
        Mean activity that the hidden units of each base are drawn to.
    sparsity_cost : float
        Factor of activity less target in the gradient of the biases.
    window_blocks : int
        Blocks of hidden units in a window of frames; it spans ``window_blocks * pooling + filter_length - 1`` of them.
    batch_size : int
        Windows of a minibatch.
    """

    steps: int = 1
    chain_visible: Literal["means", "samples"] = "means"
    learning_rate: float = 0.1
    learning_rate_decay: float = 1.0
    momentum: float = 0.5
    final_momentum: float = 0.9
    momentum_frames: int = 500_000
    l2: float = 0.01
    sparsity_target: float = 0.05
    sparsity_cost: float = 5.0
    window_blocks: int = 32
    batch_size: int = 8

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("momentum_frames", 0), ("window_blocks", 1), ("batch_size", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected {least} or more")
        for name in ("learning_rate", "learning_rate_decay", "l2", "sparsity_cost"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} is {getattr(self, name):g}, expected 0 or more")
        for name in ("momentum", "final_momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name):g}, expected 0 or more, and less than 1")
        if not 0 < self.sparsity_target < 1:
            raise ConfigError(f"sparsity_target is {self.sparsity_target:g}, expected more than 0, and less than 1")

    def momentum_at(self, num_frames: int) -> float:
        """Return the momentum after so many frames."""
        return momentum_at(self.momentum, self.final_momentum, self.momentum_frames, num_frames)
