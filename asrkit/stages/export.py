"""`asrkit export`: a network in a file that other programs run (ONNX)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import asrkit
from asrkit.core.config import to_mapping
from asrkit.core.errors import ModelError
from asrkit.core.files import read_json, whole_file
from asrkit.features.pipeline import INPUTS_FILE
from asrkit.gmm.model import GmmHmm
from asrkit.nnet.export_config import ExportConfig
from asrkit.stages.acoustic import AcousticModel, load_acoustic_model, model_files
from asrkit.stages.record import RunOptions, StageReport, StageResult, run_stage


def export(model_path: Path, out: Path, config: ExportConfig, options: RunOptions) -> StageReport:
    """Write the network of a model directory as an ONNX model.

    Parameters
    ----------
    model_path : Path
        Model directory.
    out : Path
        The file, ``NAME.onnx``: see :func:`asrkit.nnet.onnx_graph.onnx_model`. Its metadata says with ``pipeline`` and
        ``front_end`` (JSON) how its inputs are made, and with ``inputs`` whose they are, if another model's.

    Raises
    ------
    ModelError, FormatError
        The model is absent or damaged, or made of Gaussian mixtures.
    ConfigError
        The package onnx is not installed.
    """

    def body() -> StageResult:
        loaded = load_acoustic_model(model_path)
        if isinstance(loaded.model, GmmHmm):
            raise ModelError(
                "the model is made of Gaussian mixtures, and networks are exported",
                where=model_path,
                remedy="give a model that `asrkit train-dnn` made",
            )
        from asrkit.nnet.onnx_graph import onnx_model

        network = loaded.model
        made = onnx_model(
            network.network, network.shape, network.normalisation, network.log_priors, config.output, _metadata(loaded)
        )
        with whole_file(out) as part:
            part.write_bytes(made.SerializeToString())
        sizes = {"inputs": network.input_dim, "nodes": len(made.graph.node), "megabytes": out.stat().st_size / 1e6}
        return StageResult({**network.sizes(), **sizes})

    name = f"export {out.name}"
    report = run_stage(name, out.parent, model_files(model_path), config, [out], options, body, uses_seed=False)
    # The record lies beside the file, under its name; what was made is the file.
    return replace(report, stage="export", out=out)


def _metadata(model: AcousticModel) -> dict[str, Any]:
    named: dict[str, Any] = {
        "asrkit": asrkit.__version__,
        "num_pdfs": model.tree.num_pdfs,
        "pipeline": to_mapping(model.pipeline),
        "front_end": to_mapping(model.front_end),
    }
    inputs = model.path / INPUTS_FILE
    return {**named, "inputs": read_json(inputs)} if inputs.exists() else named
