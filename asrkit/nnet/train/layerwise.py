"""Discriminative pretraining: hidden layers are put on one by one, each network trained a while (Seide et al. 2011)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError
from asrkit.core.progress import Progress, silent
from asrkit.nnet.layers.config import MlpConfig
from asrkit.nnet.layers.mlp import Mlp
from asrkit.nnet.network import NetworkShape
from asrkit.nnet.train.checkpoint import CheckpointStore
from asrkit.nnet.train.classifier import train_classifier
from asrkit.nnet.train.config import ClassifierConfig
from asrkit.nnet.train.frames import Frames
from asrkit.nnet.train.parallel import Group

log = logging.getLogger("asrkit")


def grow_layers(
    shape: NetworkShape,
    training: Frames,
    heldout: Frames,
    config: ClassifierConfig,
    epochs: int,
    seed: int = 0,
    store: Callable[[int], CheckpointStore] | None = None,
    progress: Progress = silent,
    class_weights: NDArray[np.float32] | None = None,
    group: Group | None = None,
) -> Mlp:
    """Return a perceptron whose hidden layers but the last were trained, each time all below it with it.

    A network of one hidden layer is trained; its softmax layer gives way to another hidden layer and another softmax
    layer, both drawn at random; and so on. The rate stays what it is at first, and no epoch is rejected.

    Parameters
    ----------
    shape : NetworkShape
        Of a perceptron, without a bottleneck.
    epochs : int
        Of each of the networks.
    store : callable, optional
        Gives the place for snapshots of the network with so many hidden layers. They are left there: the caller
        removes them when nothing depends on them any more.

    Raises
    ------
    ConfigError
        The shape is that of no perceptron, or has a bottleneck.
    """
    if not isinstance(shape.config, MlpConfig) or shape.config.bottleneck:
        raise ConfigError("layers are put on one by one in perceptrons without a bottleneck")
    short = replace(config, newbob=replace(config.newbob, max_epochs=epochs, keep_rate_epochs=epochs))
    below: Mlp | None = None
    for layers in range(1, shape.config.layers):
        network = _with_layers(shape, layers, seed, below)
        log.info("%d of %d hidden layers", layers, shape.config.layers)
        place = None if store is None else store(layers)
        train_classifier(network, training, heldout, short, seed, place, progress, class_weights, group)
        below = network
    return _with_layers(shape, shape.config.layers, seed, below)


def _with_layers(shape: NetworkShape, layers: int, seed: int, below: Mlp | None) -> Mlp:
    assert isinstance(shape.config, MlpConfig)
    network = replace(shape, config=replace(shape.config, layers=layers)).build(seed)
    assert isinstance(network, Mlp)
    if below is not None:
        for new, old in zip(network.hidden, below.hidden):
            new.load_state_dict(old.state_dict())
    return network
