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
from asrkit.nnet.layers.config import CnnConfig, MlpConfig
from asrkit.nnet.layers.mlp import Mlp

Network = Mlp | Cnn
NetworkConfig = MlpConfig | CnnConfig

KINDS: dict[str, type[MlpConfig] | type[CnnConfig]] = {"mlp": MlpConfig, "cnn": CnnConfig}


@dataclass(frozen=True)
class NetworkShape:
    """What a network is, without its weights.

    Attributes
    ----------
    config : MlpConfig or CnnConfig
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
            config = from_mapping(KINDS[described["kind"]], described["config"], where)
            sizes = [int(described[name]) for name in ("num_inputs", "width", "num_outputs")]
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"not the description of a network ({error!r})", where=where) from None
        return cls(config, *sizes)


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
