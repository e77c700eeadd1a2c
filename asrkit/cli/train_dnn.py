"""`asrkit train-dnn`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from asrkit.cli.options import stage_command
from asrkit.stages.dnn_config import CnnStageConfig, MlpStageConfig
from asrkit.stages.record import RunOptions, StageReport


@click.group()
def command() -> None:
    """Train a neural network as acoustic model."""


@command.command()
@stage_command(MlpStageConfig, jobs=False)
@click.argument("data", type=click.Path(path_type=Path))
@click.argument("alignment", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--init", metavar="STACK", type=click.Path(path_type=Path), help="Begin with what `pretrain` made.")
def mlp(data: Path, alignment: Path, out: Path, init: Path | None, config: Any, options: RunOptions) -> StageReport:
    """A perceptron over a window of frames: the features of DATA and the pdfs of ALIGNMENT make the model OUT."""
    from asrkit.stages.train_dnn import train_dnn

    return train_dnn("mlp", data, alignment, out, config, options, init)


@command.command()
@stage_command(CnnStageConfig, jobs=False)
@click.argument("data", type=click.Path(path_type=Path))
@click.argument("alignment", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def cnn(data: Path, alignment: Path, out: Path, config: Any, options: RunOptions) -> StageReport:
    """Convolutions over time and frequency, for filterbank features: DATA and ALIGNMENT make the model OUT."""
    from asrkit.stages.train_dnn import train_dnn

    return train_dnn("cnn", data, alignment, out, config, options)
