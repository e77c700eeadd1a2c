"""Networks as ONNX graphs, node by node: what another runtime needs to compute their outputs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from asrkit.core.errors import ConfigError, ModelError
from asrkit.nnet.layers.activation import Maxout
from asrkit.nnet.layers.cnn import Cnn
from asrkit.nnet.layers.mlp import Mlp
from asrkit.nnet.network import FrameNetwork, Network, NetworkShape, frame_network
from asrkit.nnet.normalisation import InputNormalisation

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

OPSET, IR_VERSION = 17, 8
"""Of 2022: what any runtime of today reads."""

INPUT = "features"

OutputName = Literal["loglikes", "log_posteriors", "posteriors"]

_ACTIVATIONS: dict[type[nn.Module], str] = {nn.Sigmoid: "Sigmoid", nn.Tanh: "Tanh", nn.ReLU: "Relu"}


def onnx_model(
    network: Network,
    shape: NetworkShape,
    normalisation: InputNormalisation,
    log_priors: NDArray[np.float32] | None,
    output: OutputName,
    metadata: Mapping[str, Any],
) -> ModelProto:
    """Return a network with what stands before and behind it as an ONNX model.

    Its input ``features`` is (num_frames, num_inputs) float32, spliced, not normalised, and its only output is
    (num_frames, num_outputs) float32, under the name of what it is. Dropout is left out, and batch normalisation has
    the statistics of the training, as where asrkit computes.

    Parameters
    ----------
    normalisation : InputNormalisation
        Of a single frame.
    log_priors : (num_outputs,) float32, optional
        For ``loglikes``: what is taken off the log posteriors.
    output : {'loglikes', 'log_posteriors', 'posteriors'}
    metadata : mapping
        Text, or what becomes JSON.

    Raises
    ------
    ConfigError
        The package onnx is not installed; or loglikes are asked for without priors.
    ModelError
        The network has a part that this does not know, or is recurrent.
    """
    try:
        import onnx
        from onnx import helper
    except ImportError:
        raise ConfigError("export needs the package onnx", remedy="pip install 'asrkit[onnx]'") from None

    graph = _Graph()
    spliced = normalisation.spliced(shape.width)
    graph.add("Sub", graph.constant(spliced.shift))
    graph.add("Mul", graph.constant(spliced.scale))
    _network(graph, frame_network(network, "export"))
    if output == "posteriors":
        graph.add("Softmax", axis=1)
    else:
        graph.add("LogSoftmax", axis=1)
    if output == "loglikes":
        if log_priors is None:
            raise ConfigError("the model has no priors, so it has no loglikes", remedy="--set output=log_posteriors")
        graph.add("Sub", graph.constant(log_priors))
    graph.nodes[-1].output[0] = output
    single = onnx.TensorProto.FLOAT
    made = helper.make_graph(
        graph.nodes,
        "asrkit",
        [helper.make_tensor_value_info(INPUT, single, ["num_frames", shape.num_inputs])],
        [helper.make_tensor_value_info(output, single, ["num_frames", shape.num_outputs])],
        graph.constants,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(made, opset_imports=opsets, ir_version=IR_VERSION, producer_name="asrkit")
    described = {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
    helper.set_model_props(model, described)
    onnx.checker.check_model(model, full_check=True)
    return model


class _Graph:
    """Nodes in a row, each with the output of the one before as its first input."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._last = INPUT

    def constant(self, value: NDArray[Any] | torch.Tensor) -> str:
        """Keep an array, and return its name."""
        from onnx import numpy_helper

        array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, kind: str, *inputs: str, **attributes: Any) -> None:
        """Put a node behind the last one."""
        from onnx import helper

        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, [self._last, *inputs], [name], name=name, **attributes))
        self._last = name

    def reshape(self, *shape: int) -> None:
        """Give the last output another shape; 0 keeps a dimension, -1 takes what is left."""
        self.add("Reshape", self.constant(np.array(shape, dtype=np.int64)))


def _network(graph: _Graph, network: FrameNetwork) -> None:
    if isinstance(network, Cnn):
        graph.reshape(-1, *network.shape)
        graph.add("Transpose", perm=[0, 2, 1, 3])  # channels first, then time and frequency
        for part in network.convolutions:
            _part(graph, part)
        graph.add("Flatten", axis=1)
        _perceptron(graph, network.mlp)
    else:
        _perceptron(graph, network)


def _perceptron(graph: _Graph, mlp: Mlp) -> None:
    for block in mlp.hidden:
        assert isinstance(block, nn.Sequential)
        for part in block:
            _part(graph, part)
    _part(graph, mlp.output)


def _part(graph: _Graph, part: nn.Module) -> None:
    """Add what a part computes after the training."""
    if isinstance(part, nn.Linear):
        graph.add("Gemm", graph.constant(part.weight), graph.constant(part.bias), transB=1)
    elif isinstance(part, nn.Conv2d):
        assert part.bias is not None
        graph.add("Conv", graph.constant(part.weight), graph.constant(part.bias), kernel_shape=list(part.kernel_size))
    elif isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
        assert part.running_mean is not None
        assert part.running_var is not None
        named = (part.weight, part.bias, part.running_mean, part.running_var)
        graph.add("BatchNormalization", *(graph.constant(value) for value in named), epsilon=part.eps)
    elif isinstance(part, nn.MaxPool2d):
        extent = list(part.kernel_size) if isinstance(part.kernel_size, tuple) else [part.kernel_size] * 2
        graph.add("MaxPool", kernel_shape=extent, strides=extent)
    elif isinstance(part, Maxout):
        graph.reshape(0, -1, part.pieces)
        graph.add("ReduceMax", axes=[2], keepdims=0)
    elif type(part) in _ACTIVATIONS:
        graph.add(_ACTIVATIONS[type(part)])
    elif not isinstance(part, nn.Dropout | nn.Identity):
        raise ModelError(f"a network with a part {type(part).__name__}, which export does not know")
