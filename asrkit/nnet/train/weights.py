"""The arrays of a training: weights, and what the optimiser remembers."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from asrkit.nnet.network import Network, load_arrays, to_arrays
from asrkit.nnet.train.checkpoint import Arrays, with_prefix, without_prefix
from asrkit.nnet.train.optimiser import Optimiser

NETWORK, OPTIMISER = "network.", "optimiser."


def training_arrays(network: Network, optimiser: Optimiser) -> dict[str, NDArray[Any]]:
    """Return the weights and what the optimiser remembers, copied."""
    named = with_prefix(NETWORK, to_arrays(network)) | with_prefix(OPTIMISER, optimiser.to_arrays())
    return {name: array.copy() for name, array in named.items()}


def load_training(arrays: Arrays, network: Network, optimiser: Optimiser) -> None:
    """Put back what :func:`training_arrays` gave."""
    load_arrays(network, without_prefix(NETWORK, arrays), "checkpoint")
    optimiser.load_arrays(without_prefix(OPTIMISER, arrays))
