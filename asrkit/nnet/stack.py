"""Stacks: what pretraining makes, and what a network is initialised with.

On disk a stack is a directory::

    stack.safetensors   normalisation, and all parameters of every layer
    frontend.json       how the features are extracted
    pipeline.json       what is done to them before normalisation, and how they are spliced after it
    inputs.json         whose inputs the features are, where they are another model's (`asrkit write-inputs`)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from asrkit.core.container import check_finished, load_model, save_model
from asrkit.core.errors import ModelError
from asrkit.features.config import FrontEndConfig
from asrkit.features.description import description_files, read_inputs, save_description
from asrkit.features.frontend import load_front_end
from asrkit.features.pipeline import PipelineConfig, load_pipeline
from asrkit.nnet.normalisation import InputNormalisation

STACK_FILE = "stack.safetensors"

Activation = Literal["sigmoid", "relu", "tanh", "linear"]
LayerKind = Literal["rbm", "directed", "autoencoder"]

_HIDDEN_ACTIVATION: dict[str, Activation] = {"bernoulli": "sigmoid", "relu": "relu"}
_NAMES: dict[str, tuple[set[str], set[str]]] = {
    # kind: parameters that it has, and that it may have
    "rbm": ({"weights", "visible_bias", "hidden_bias"}, {"log_variance"}),
    "directed": (
        {"weights", "visible_bias", "hidden_bias", "generative_weights"},
        {"log_variance"},
    ),
    "autoencoder": ({"weights", "visible_bias", "hidden_bias"}, {"decoder_weights"}),
}


@dataclass(frozen=True, eq=False)
class StackLayer:
    """One pretrained layer, V inputs and H outputs.

    Attributes
    ----------
    kind : {'rbm', 'directed', 'autoencoder'}
        ``directed`` is a layer of a deep belief network below its top, with weights of its own for either direction.
    visible : str
        What its inputs are: ``gaussian`` or ``bernoulli``.
    hidden : str
        What its outputs are: ``bernoulli`` or ``relu`` for an RBM or a directed layer, the encoder's activation for an
        autoencoder.
    parameters : dict of str to float32 array
        ``weights`` (V, H), ``visible_bias`` (V,), ``hidden_bias`` (H,); where it has them ``log_variance`` (V,) of
        Gaussian inputs, ``generative_weights`` (V, H) of a directed layer, ``decoder_weights`` (V, H) of an
        autoencoder whose weights are not tied.
    """

    kind: LayerKind
    visible: str
    hidden: str
    parameters: Mapping[str, NDArray[np.float32]]

    def __post_init__(self) -> None:
        if self.kind not in get_args(LayerKind):
            raise ModelError(f"a layer of unknown kind {self.kind!r}", remedy="update asrkit")
        needed, possible = _NAMES[self.kind]
        found = set(self.parameters)
        if not needed <= found <= needed | possible:
            raise ModelError(f"a layer of the kind {self.kind!r} with the parameters {', '.join(sorted(found))}")
        shape = self.parameters["weights"].shape
        for name, value in self.parameters.items():
            expected = shape if name.endswith("weights") else shape[1:] if name == "hidden_bias" else shape[:1]
            if len(shape) != 2 or value.shape != expected or value.dtype != np.float32:
                raise ModelError(f"{name} is {value.shape} {value.dtype}, expected {expected} float32")
            if not np.isfinite(value).all():
                raise ModelError(f"{name} is not finite")
        if self.activation not in get_args(Activation):
            raise ModelError(f"a layer with unknown outputs {self.hidden!r}", remedy="update asrkit")

    @property
    def num_inputs(self) -> int:
        """V."""
        return int(self.parameters["weights"].shape[0])

    @property
    def num_outputs(self) -> int:
        """H."""
        return int(self.parameters["weights"].shape[1])

    @property
    def weights(self) -> NDArray[np.float32]:
        """Weights of the forward network, (V, H) float32: outputs are ``activation(inputs @ weights + bias)``.

        The variance of Gaussian inputs, where it was learned, is folded in.
        """
        weights = self.parameters["weights"]
        if "log_variance" in self.parameters:
            return weights * np.exp(-self.parameters["log_variance"])[:, None]
        return weights

    @property
    def bias(self) -> NDArray[np.float32]:
        """Bias of the forward network, (H,) float32."""
        return self.parameters["hidden_bias"]

    @property
    def activation(self) -> Activation:
        """Activation of the forward network."""
        if self.kind == "autoencoder":
            return self.hidden  # type: ignore[return-value]
        return _HIDDEN_ACTIVATION.get(self.hidden, self.hidden)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Stack:
    """Layers that were trained one upon the other, with all that stands before them.

    Attributes
    ----------
    front_end : FrontEndConfig
        How the features were extracted.
    pipeline : PipelineConfig
        What is done to them; its splicing comes after the normalisation.
    normalisation : InputNormalisation
        Of the features that are not yet spliced, D dimensions.
    layers : tuple of StackLayer
        The first has (splice_left + 1 + splice_right) * D inputs, each of the others the outputs of the one below.
    inputs : mapping or None
        Content of ``inputs.json``: whose inputs the features are.
    training : mapping
        What made it: ``{"kind": "rbm", ...}``; for a reader.
    """

    front_end: FrontEndConfig
    pipeline: PipelineConfig
    normalisation: InputNormalisation
    layers: tuple[StackLayer, ...]
    inputs: Mapping[str, Any] | None = None
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        width = self.pipeline.splice_left + 1 + self.pipeline.splice_right
        dim = self.normalisation.dim * width
        if not self.layers:
            raise ModelError("a stack without layers")
        for number, layer in enumerate(self.layers, 1):
            if layer.num_inputs != dim:
                raise ModelError(f"layer {number} has {layer.num_inputs} inputs, expected {dim}")
            dim = layer.num_outputs

    @property
    def unspliced(self) -> PipelineConfig:
        """The pipeline up to the normalisation: without its splicing."""
        return replace(self.pipeline, splice_left=0, splice_right=0)

    def save(self, folder: Path | str) -> None:
        """Write the directory, the layers last."""
        folder = Path(folder)
        # Killed half-way, the directory must not pass for the old stack with a new front end.
        (folder / STACK_FILE).unlink(missing_ok=True)
        save_description(folder, self.front_end, self.pipeline, self.inputs)
        arrays: dict[str, NDArray[Any]] = {
            "normalisation.shift": self.normalisation.shift,
            "normalisation.scale": self.normalisation.scale,
        }
        described = []
        for number, layer in enumerate(self.layers):
            arrays |= {f"layers.{number}.{name}": value for name, value in layer.parameters.items()}
            described.append({"kind": layer.kind, "visible": layer.visible, "hidden": layer.hidden})
        save_model(folder / STACK_FILE, "stack", arrays, {"layers": described, "training": dict(self.training)})


def load_stack(folder: Path | str) -> Stack:
    """Open the directory that :meth:`Stack.save` wrote.

    Raises
    ------
    ModelError, FormatError
        It is absent, incomplete or damaged.
    """
    folder = Path(folder)
    remedy = "make one with `asrkit pretrain`; run again, it goes on where it stopped"
    check_finished("stack", folder, stack_files(folder), remedy)
    arrays, meta = load_model(folder / STACK_FILE, "stack")
    inputs = read_inputs(folder)
    try:
        layers = tuple(
            StackLayer(one["kind"], one["visible"], one["hidden"], _layer_arrays(arrays, number))
            for number, one in enumerate(meta["layers"])
        )
        normalisation = InputNormalisation(arrays["normalisation.shift"], arrays["normalisation.scale"])
        return Stack(load_front_end(folder), load_pipeline(folder), normalisation, layers, inputs, meta["training"])
    except ModelError as error:
        error.where = error.where or str(folder / STACK_FILE)
        raise
    except (KeyError, TypeError) as error:
        raise ModelError(f"the stack lacks {error}", where=folder / STACK_FILE, remedy="pretrain it again") from None


def stack_files(folder: Path) -> list[Path]:
    """Return the files of a stack's directory that decide what it computes."""
    return [folder / STACK_FILE, *description_files(folder)]


def _layer_arrays(arrays: Mapping[str, NDArray[Any]], number: int) -> dict[str, NDArray[Any]]:
    start = f"layers.{number}."
    return {name.removeprefix(start): value for name, value in arrays.items() if name.startswith(start)}
