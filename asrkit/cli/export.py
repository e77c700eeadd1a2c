"""``asrkit export``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from asrkit.cli.options import stage_command
from asrkit.nnet.export_config import ExportConfig
from asrkit.stages.export import export
from asrkit.stages.record import RunOptions, StageReport

_PATH = click.Path(path_type=Path)


@click.command(short_help="Write a network for other programs, as an ONNX model.")
@stage_command(ExportConfig, jobs=False, seed=False)
@click.argument("model", metavar="MODEL", type=_PATH)
@click.argument("out", metavar="OUT.onnx", type=_PATH)
def command(model: Path, out: Path, config: Any, options: RunOptions) -> StageReport:
    """Write a network for other programs, as an ONNX model.

    MODEL is what `asrkit train-dnn` made. OUT.onnx takes spliced features (frames, inputs) and gives log-likelihoods
    (frames, pdfs), as `asrkit decode` computes them; its metadata says how the features are made.
    """
    return export(model, out, config, options)
