"""Convolutional deep belief networks: features from whole utterances, and how a network lies on disk.

On disk it is a directory::

    cdbn.safetensors   whitening, and all parameters of every layer
    frontend.json      how the features are extracted
    pipeline.json      what is done to them before they are whitened
    inputs.json        whose inputs the features are, where they are another model's (`asrkit write-inputs`)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from asrkit.core.container import check_finished, load_model, save_model
from asrkit.core.errors import AsrkitError, ModelError
from asrkit.features.config import FrontEndConfig
from asrkit.features.description import description_files, read_inputs, save_description
from asrkit.features.frontend import load_front_end
from asrkit.features.pipeline import PipelineConfig, load_pipeline
from asrkit.nnet.energy.convolutional_rbm import ConvolutionalRbm
from asrkit.nnet.energy.whitening import Whitening

CDBN_FILE = "cdbn.safetensors"
KIND = "cdbn"

Layers = tuple[ConvolutionalRbm, ...]


@dataclass(frozen=True, eq=False)
class ConvolutionalDbn:
    """Convolutional RBMs, each on the pooling units of the one below, with all that stands before them.

    Attributes
    ----------
    front_end : FrontEndConfig
        How the features were extracted.
    pipeline : PipelineConfig
        What is done to them.
    whitening : Whitening
        Of what comes out of it, D dimensions.
    layers : tuple of ConvolutionalRbm
        The first has as many channels as the whitening has components, each other one as many as the one below has
        bases.
    inputs : mapping or None
        Content of ``inputs.json``.
    training : mapping
        What made it, for a reader.
    """

    front_end: FrontEndConfig
    pipeline: PipelineConfig
    whitening: Whitening
    layers: Layers
    inputs: Mapping[str, Any] | None = None
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.layers:
            raise ModelError("a convolutional network without layers")
        channels = self.whitening.components
        for number, layer in enumerate(self.layers, 1):
            if layer.num_channels != channels:
                raise ModelError(f"layer {number} has {layer.num_channels} channels, expected {channels}")
            channels = layer.num_bases

    def checked_layer(self, number: int | None) -> int:
        """Return the number of a layer, 1-based, 0 for the whitened features below; the highest one for None.

        Raises
        ------
        ModelError
            There is no such layer.
        """
        if number is not None and not 0 <= number <= len(self.layers):
            raise ModelError(f"no layer {number}", remedy=f"--layer 0 to {len(self.layers)}")
        return len(self.layers) if number is None else number

    def dim(self, layer: int) -> int:
        """Return how many features a layer has, 1-based, or as 0 the whitening."""
        return self.layers[layer - 1].num_bases if layer else self.whitening.components

    def frames_a_row(self, layer: int, pooled: bool = True) -> int:
        """Return how many frames a row of a layer's features stands for."""
        below = self.layers[: layer if pooled else max(0, layer - 1)]
        return int(np.prod([one.pooling for one in below], initial=1))

    def features(self, frames: NDArray[np.float32], layer: int, pooled: bool = True) -> NDArray[np.float32]:
        """Return the features of an utterance.

        Parameters
        ----------
        frames : (T, D) float32
            What the pipeline makes of it.
        layer : int
            1-based; 0: the whitened features that the first layer sees.
        pooled : bool
            The pooling units' means, or the hidden units' under them.

        Returns
        -------
        (ceil(T / :meth:`frames_a_row`), :meth:`dim`) float32
            Rows stand for that many frames each, without a gap from the first one on.

        Raises
        ------
        DataError
            Another dimension than the whitening's.
        """
        if not len(frames):
            return np.zeros((0, self.dim(layer)), dtype=np.float32)
        value = torch.from_numpy(self.whitening.apply(frames))
        for number, one in enumerate(self.layers[:layer], 1):
            value = one.features(value, pooled or number < layer)
        return value.numpy()

    def bases(self, layer: int) -> NDArray[np.float32]:
        """Return what each base of a layer, 1-based, adds to the features, (H, T, D) float32.

        Of the first layer that is its filter, the whitening undone; of a higher one the sum of those below, weighted by
        its own. T is what the filter spans: K frames, or K blocks of what is below and the frames that reach beyond it.
        """
        filters = self.layers[layer - 1].weights.permute(2, 0, 1)
        for below in reversed(self.layers[: layer - 1]):
            filters = torch.stack([below.projected(one) for one in filters])
        return np.matmul(filters.numpy(), self.whitening.inverse)

    def save(self, folder: Path) -> None:
        """Write the directory, the layers last."""
        # Killed half-way, the directory must not pass for the old network with a new front end.
        (folder / CDBN_FILE).unlink(missing_ok=True)
        save_description(folder, self.front_end, self.pipeline, self.inputs)
        whitening = {name: getattr(self.whitening, name) for name in ("shift", "transform", "inverse")}
        arrays: dict[str, NDArray[Any]] = {f"whitening.{name}": value for name, value in whitening.items()}
        arrays |= layer_arrays(self.layers)
        meta = {
            "level": self.whitening.level,
            "layers": [layer.described() for layer in self.layers],
            "training": dict(self.training),
        }
        save_model(folder / CDBN_FILE, KIND, arrays, meta)


def load_cdbn(folder: Path) -> ConvolutionalDbn:
    """Open the directory that :meth:`ConvolutionalDbn.save` wrote.

    Raises
    ------
    ModelError, FormatError
        It is absent, incomplete or damaged.
    """
    remedy = "make one with `asrkit pretrain cdbn`; run again, it goes on where it stopped"
    check_finished("convolutional network", folder, cdbn_files(folder), remedy)
    arrays, meta = load_model(folder / CDBN_FILE, KIND)
    inputs = read_inputs(folder)
    try:
        whitening = Whitening(
            bool(meta["level"]), *(arrays[f"whitening.{name}"] for name in ("shift", "transform", "inverse"))
        )
        layers = layers_of(arrays, meta["layers"])
        return ConvolutionalDbn(
            load_front_end(folder), load_pipeline(folder), whitening, layers, inputs, meta["training"]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"the network lacks {error}", where=folder / CDBN_FILE, remedy="train it again") from None
    except AsrkitError as error:
        error.where = error.where or str(folder / CDBN_FILE)
        raise


def cdbn_files(folder: Path) -> list[Path]:
    """Return the files of a network's directory that decide what it computes."""
    return [folder / CDBN_FILE, *description_files(folder)]


def layer_arrays(layers: Layers) -> dict[str, NDArray[Any]]:
    """Return the parameters of layers, named ``layers.0.weights`` and so on."""
    return {
        f"layers.{number}.{name}": value
        for number, layer in enumerate(layers)
        for name, value in layer.to_arrays().items()
    }


def layers_of(
    arrays: Mapping[str, NDArray[Any]], described: list[Mapping[str, Any]], device: torch.device | None = None
) -> Layers:
    """Return the layers of :func:`layer_arrays`, given what each says of itself."""
    layers = []
    for number, one in enumerate(described):
        start = f"layers.{number}."
        own = {name.removeprefix(start): value for name, value in arrays.items() if name.startswith(start)}
        layers.append(ConvolutionalRbm.from_arrays(own, one, device))
    return tuple(layers)
