"""`asrkit train-dnn`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from asrkit.cli.options import stage_command
from asrkit.stages.dnn_config import CnnStageConfig, MlpStageConfig
from asrkit.stages.record import RunOptions, StageReport

_PATH = click.Path(path_type=Path)

_realign = click.option(
    "--realign",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="N times, align the data with the network and train again.",
)


@click.group()
def command() -> None:
    """Train a neural network as acoustic model."""


@command.command()
@stage_command(MlpStageConfig, jobs=False)
@click.argument("data", type=_PATH)
@click.argument("alignment", type=_PATH)
@click.argument("out", type=_PATH)
@click.option("--init", metavar="STACK", type=_PATH, help="Begin with what `asrkit pretrain` made.")
@_realign
def mlp(
    data: Path, alignment: Path, out: Path, init: Path | None, realign: int, config: Any, options: RunOptions
) -> StageReport | None:
    """A perceptron over a window of frames: the features of DATA and the pdfs of ALIGNMENT make the model OUT."""
    return _train("mlp", data, alignment, out, config, options, realign, init)


@command.command()
@stage_command(CnnStageConfig, jobs=False)
@click.argument("data", type=_PATH)
@click.argument("alignment", type=_PATH)
@click.argument("out", type=_PATH)
@_realign
def cnn(data: Path, alignment: Path, out: Path, realign: int, config: Any, options: RunOptions) -> StageReport | None:
    """Convolutions over time and frequency, for filterbank features: DATA and ALIGNMENT make the model OUT."""
    return _train("cnn", data, alignment, out, config, options, realign)


def _train(
    kind: str,
    data: Path,
    alignment: Path,
    out: Path,
    config: Any,
    options: RunOptions,
    rounds: int,
    init: Path | None = None,
) -> StageReport | None:
    from asrkit.stages.realign import train_realigned
    from asrkit.stages.train_dnn import train_dnn

    def train(aligned: Path, made: Path) -> StageReport | None:
        return train_dnn(kind, data, aligned, made, config, options, init)

    return train_realigned(train, data, alignment, out, rounds, options)
