"""`asrkit export`: a network in a file that other programs run (ONNX)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import asrkit
from asrkit.core.config import to_mapping
from asrkit.core.errors import ModelError
from asrkit.core.files import whole_file
from asrkit.features.config import FrontEndConfig
from asrkit.features.description import read_inputs
from asrkit.features.pipeline import PipelineConfig
from asrkit.gmm.model import GmmHmm
from asrkit.nnet.export_config import ExportConfig
from asrkit.stages.acoustic import load_acoustic_model, model_files
from asrkit.stages.record import RunOptions, StageReport, StageResult, run_stage

if TYPE_CHECKING:
    from asrkit.nnet.network import Network, NetworkShape
    from asrkit.nnet.normalisation import InputNormalisation

CLASSIFIER = "classifier.safetensors"


def export(model_path: Path, out: Path, config: ExportConfig, options: RunOptions) -> StageReport:
    """Write the network of a model directory, or of a classifier's, as an ONNX model.

    Parameters
    ----------
    model_path : Path
        Model directory, or classifier directory.
    out : Path
        The file, ``NAME.onnx``: see :func:`asrkit.nnet.onnx_graph.onnx_model`. Its metadata says with ``pipeline`` and
        ``front_end`` (JSON) how its inputs are made, with ``inputs`` whose they are, if another model's, and with
        ``labels`` what the outputs of a classifier are, which has posteriors alone.

    Raises
    ------
    ModelError, FormatError
        The model is absent or damaged, or made of Gaussian mixtures.
    ConfigError
        The package onnx is not installed, or loglikes are asked for of a classifier.
    """

    def body() -> StageResult:
        from asrkit.nnet.onnx_graph import onnx_model

        network = _load(model_path)
        made = onnx_model(
            network.network, network.shape, network.normalisation, network.log_priors, config.output, network.metadata
        )
        with whole_file(out) as part:
            part.write_bytes(made.SerializeToString())
        weights = sum(value.numel() for value in network.network.parameters())
        figures = {"inputs": network.shape.num_inputs, "outputs": network.shape.num_outputs, "weights": weights}
        return StageResult({**figures, "nodes": len(made.graph.node), "megabytes": out.stat().st_size / 1e6})

    name = f"export {out.name}"
    inputs = [*model_files(model_path), model_path / CLASSIFIER]
    report = run_stage(name, out.parent, inputs, config, [out], options, body, uses_seed=False)
    # The record lies beside the file, under its name; what was made is the file.
    return replace(report, stage="export", out=out)


@dataclass(frozen=True, eq=False)
class _Exported:
    """A network with what stands before and behind it, and what its file says of it."""

    network: Network
    shape: NetworkShape
    normalisation: InputNormalisation
    log_priors: NDArray[np.float32] | None
    metadata: dict[str, Any]


def _load(path: Path) -> _Exported:
    if (path / CLASSIFIER).is_file():
        from asrkit.nnet.label_classifier import LabelClassifier

        one = LabelClassifier.load(path)
        named = _metadata(one.pipeline, one.front_end, one.inputs)
        return _Exported(one.network, one.shape, one.normalisation, None, {**named, "labels": list(one.labels)})
    loaded = load_acoustic_model(path)
    model = loaded.model
    if isinstance(model, GmmHmm):
        raise ModelError(
            "the model is made of Gaussian mixtures, and networks are exported",
            where=path,
            remedy="give a model that `asrkit train-dnn` made",
        )
    inputs = read_inputs(path)
    named = {**_metadata(loaded.pipeline, loaded.front_end, inputs), "num_pdfs": model.tree.num_pdfs}
    return _Exported(model.network, model.shape, model.normalisation, model.log_priors, named)


def _metadata(pipeline: PipelineConfig, front_end: FrontEndConfig, inputs: Any) -> dict[str, Any]:
    named: dict[str, Any] = {
        "asrkit": asrkit.__version__,
        "pipeline": to_mapping(pipeline),
        "front_end": to_mapping(front_end),
    }
    return named if inputs is None else {**named, "inputs": inputs}
