"""A network that names utterances: what becomes of its frames, and how it lies on disk.

On disk a classifier is a directory::

    classifier.safetensors   normalisation, network, labels
    frontend.json            how the features are extracted
    pipeline.json            what is done to them before normalisation, and how they are spliced
    inputs.json              whose inputs the features are, where they are another model's (`asrkit write-inputs`)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from asrkit.core.container import check_finished, load_model, save_model
from asrkit.core.errors import ModelError
from asrkit.features.config import FrontEndConfig
from asrkit.features.description import description_files, read_inputs, save_description
from asrkit.features.frontend import load_front_end
from asrkit.features.pipeline import PipelineConfig, load_pipeline
from asrkit.nnet.inference import compute
from asrkit.nnet.layers.recurrent import SequenceNetwork
from asrkit.nnet.network import Network, NetworkShape, check_finite, load_arrays, to_arrays
from asrkit.nnet.normalisation import InputNormalisation

KIND = "nnet-classifier"
CLASSIFIER_FILE = "classifier.safetensors"
NETWORK = "network."


@dataclass(frozen=True, eq=False)
class LabelClassifier:
    """A network with one output for each label.

    Attributes
    ----------
    front_end : FrontEndConfig
        How the features were extracted.
    pipeline : PipelineConfig
        What is done to them, with the splicing.
    network : Network
    shape : NetworkShape
        Of the network.
    normalisation : InputNormalisation
        Of a single frame.
    labels : tuple of str
        Of the network's outputs.
    source : str
        What the labels are: ``speaker``, ``gender``, ``word``, or ``table``.
    inputs : mapping or None
        Content of ``inputs.json``.
    """

    front_end: FrontEndConfig
    pipeline: PipelineConfig
    network: Network
    shape: NetworkShape
    normalisation: InputNormalisation
    labels: tuple[str, ...]
    source: str
    inputs: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        width = self.pipeline.splice_left + 1 + self.pipeline.splice_right
        if self.shape.num_outputs != len(self.labels) or len(set(self.labels)) != len(self.labels):
            raise ModelError(f"{self.shape.num_outputs} outputs for {len(set(self.labels))} different labels")
        if self.shape.width != width or self.normalisation.dim * width != self.shape.num_inputs:
            raise ModelError(
                f"windows of {width} frames of {self.normalisation.dim} dimensions for a network of "
                f"{self.shape.num_inputs} inputs in windows of {self.shape.width}"
            )

    @cached_property
    def _spliced(self) -> InputNormalisation:
        return self.normalisation.spliced(self.shape.width)

    @property
    def needs_whole(self) -> bool:
        """Whether the frames of an utterance must be given at once."""
        return isinstance(self.network, SequenceNetwork)

    def log_posteriors(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the natural log of the probability of each label, (num_frames, num_labels) float32.

        Parameters
        ----------
        features : (num_frames, num_inputs) float32
            Spliced, not normalised.

        Raises
        ------
        DataError
            Another dimension.
        """
        return compute(lambda inputs: torch.log_softmax(self.network(inputs), dim=1), self._spliced, features)

    def save(self, folder: Path) -> None:
        """Write the directory, the network last."""
        # Killed half-way, the directory must not pass for the old classifier with a new front end.
        (folder / CLASSIFIER_FILE).unlink(missing_ok=True)
        save_description(folder, self.front_end, self.pipeline, self.inputs)
        arrays = {
            "input.shift": self.normalisation.shift,
            "input.scale": self.normalisation.scale,
            **{f"{NETWORK}{name}": array for name, array in to_arrays(self.network).items()},
        }
        meta = {"network": self.shape.described(), "labels": list(self.labels), "source": self.source}
        save_model(folder / CLASSIFIER_FILE, KIND, arrays, meta)

    @classmethod
    def load(cls, folder: Path) -> LabelClassifier:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ModelError, FormatError
            It is absent, incomplete or damaged.
        """
        remedy = "make one with `asrkit train-dnn mlp --targets labels`"
        check_finished("classifier", folder, classifier_files(folder), remedy)
        path = folder / CLASSIFIER_FILE
        arrays, meta = load_model(path, KIND)
        shape = NetworkShape.from_description(meta.get("network") or {}, str(path))
        network = shape.build()
        named = {name.removeprefix(NETWORK): array for name, array in arrays.items() if name.startswith(NETWORK)}
        load_arrays(network, named, str(path))
        check_finite(named, str(path))
        inputs = read_inputs(folder)
        try:
            normalisation = InputNormalisation(arrays["input.shift"], arrays["input.scale"])
            labels, source = tuple(map(str, meta["labels"])), str(meta["source"])
            front_end, pipeline = load_front_end(folder), load_pipeline(folder)
            return cls(front_end, pipeline, network.eval(), shape, normalisation, labels, source, inputs)
        except KeyError as error:
            raise ModelError(f"the model file has no {error}", where=path) from None
        except ModelError as error:
            error.where = error.where or str(path)
            raise


def classifier_files(folder: Path) -> list[Path]:
    """Return the files of a classifier's directory that decide what it computes."""
    return [folder / CLASSIFIER_FILE, *description_files(folder)]
