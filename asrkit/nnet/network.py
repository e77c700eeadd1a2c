"""Networks by their description: made from it, written with it, read back by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from asrkit.core.config import from_mapping, to_mapping
from asrkit.core.errors import ModelError
from asrkit.core.streams import random_stream
from asrkit.nnet.layers.cnn import Cnn
from asrkit.nnet.layers.config import (
    CnnConfig,
    ElmanConfig,
    FullyRecurrentConfig,
    GruConfig,
    LiGruConfig,
    LstmConfig,
    MlpConfig,
    RecurrentConfig,
)
from asrkit.nnet.layers.mlp import Mlp
from asrkit.nnet.layers.recurrent import FullyRecurrent, Recurrent, SequenceNetwork

FrameNetwork = Mlp | Cnn
"""What scores each window of frames by itself."""

Network = FrameNetwork | SequenceNetwork
NetworkConfig = MlpConfig | CnnConfig | RecurrentConfig | FullyRecurrentConfig

KINDS: dict[str, type[NetworkConfig]] = {
    "mlp": MlpConfig,
    "cnn": CnnConfig,
    "rnn": FullyRecurrentConfig,
    "elman": ElmanConfig,
    "lstm": LstmConfig,
    "gru": GruConfig,
    "ligru": LiGruConfig,
}


@dataclass(frozen=True)
class NetworkShape:
    """What a network is, without its weights.

    Attributes
    ----------
    config : NetworkConfig
    num_inputs : int
        Of the whole window.
    width : int
        Frames of the window.
    num_outputs : int
        Classes.
    """

    config: NetworkConfig
    num_inputs: int
    width: int
    num_outputs: int

    def build(self, seed: int = 0) -> Network:
        """Return a network with weights drawn by the seed."""
        generator = torch_generator(seed, "weights")
        if isinstance(self.config, CnnConfig):
            return Cnn(self.config, self.num_inputs, self.width, self.num_outputs, generator)
        if isinstance(self.config, RecurrentConfig):
            return Recurrent(self.config, self.num_inputs, self.num_outputs, generator)
        if isinstance(self.config, FullyRecurrentConfig):
            return FullyRecurrent(self.config, self.num_inputs, self.num_outputs, generator)
        return Mlp(self.config, self.num_inputs, self.num_outputs, generator)

    def described(self) -> dict[str, Any]:
        """Return a JSON-serialisable description."""
        kind = next(kind for kind, cls in KINDS.items() if isinstance(self.config, cls))
        sizes = {"num_inputs": self.num_inputs, "width": self.width, "num_outputs": self.num_outputs}
        return {"kind": kind, "config": to_mapping(self.config), **sizes}

    @classmethod
    def from_description(cls, described: Mapping[str, Any], where: str) -> NetworkShape:
        """Read what :meth:`described` gave; a fault is a :class:`ModelError`."""
        try:
            config: NetworkConfig = from_mapping(KINDS[described["kind"]], described["config"], where)
            sizes = [int(described[name]) for name in ("num_inputs", "width", "num_outputs")]
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"not the description of a network ({error!r})", where=where) from None
        return cls(config, *sizes)


def frame_network(network: Network, purpose: str) -> FrameNetwork:
    """Return the network if it scores each window by itself.

    Parameters
    ----------
    purpose : str
        What needs that, for the message.

    Raises
    ------
    ModelError
        Its scores depend on the frames before.
    """
    if isinstance(network, SequenceNetwork):
        raise ModelError(
            f"the network is recurrent, and {purpose} needs one that scores each window of frames by itself",
            remedy="give one that `asrkit train-dnn mlp` or `cnn` made",
        )
    return network


def scores_of(network: Network, inputs: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
    """Return scores (N, num_outputs), softmax not taken, of utterances that lie one below the other, (N, num_inputs).

    Parameters
    ----------
    lengths : sequence of int
        Frames of each, N together.
    """
    if isinstance(network, SequenceNetwork):
        return network.scores_of(inputs, list(lengths))
    scores: torch.Tensor = network(inputs)
    return scores


def torch_generator(seed: int, purpose: str, item: str = "") -> torch.Generator:
    """Return torch's generator for ``(seed, purpose, item)``; see :func:`asrkit.core.streams.random_stream`."""
    generator = torch.Generator()
    generator.manual_seed(int(random_stream(seed, purpose, item).integers(1 << 62)))
    return generator


def to_arrays(network: Network) -> dict[str, NDArray[Any]]:
    """Return name -> array of all parameters and running statistics."""
    return {name: value.detach().cpu().numpy() for name, value in network.state_dict().items()}


def load_layers(network: Mlp, layers: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]) -> None:
    """Put weights (inputs, units) and biases (units,) into the first hidden layers."""
    with torch.no_grad():
        for linear, (weights, bias) in zip(network.hidden_layers, layers):
            linear.weight.copy_(torch.from_numpy(np.ascontiguousarray(weights.T)))
            linear.bias.copy_(torch.from_numpy(np.array(bias)))


def load_arrays(network: Network, arrays: Mapping[str, NDArray[Any]], where: str) -> None:
    """Put back what :func:`to_arrays` gave; missing, strange or misshapen arrays are a :class:`ModelError`."""
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: array.shape for name, array in arrays.items()}
    if expected != found:
        wrong = sorted({name for name in {*expected, *found} if expected.get(name) != found.get(name)})
        is_, should = found.get(wrong[0]), expected.get(wrong[0])
        raise ModelError(f"the arrays do not fit the network: {wrong[0]} is {is_}, expected {should}", where=where)
    network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})


def check_finite(arrays: Mapping[str, NDArray[Any]], where: str) -> None:
    """Refuse a finished network that holds NaN or infinity, as a :class:`ModelError`; in training one may."""
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ModelError(f"{name} is not finite", where=where, remedy="train the network again")
