"""`asrkit train-gmm`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from asrkit.cli.options import stage_command
from asrkit.stages.record import RunOptions, StageReport
from asrkit.stages.train_mono import MonoConfig


@click.group()
def command() -> None:
    """Train a GMM-HMM acoustic model."""


@command.command()
@stage_command(MonoConfig)
@click.argument("data", type=click.Path(path_type=Path))
@click.argument("lang", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def mono(data: Path, lang: Path, out: Path, config: Any, options: RunOptions) -> StageReport:
    """Monophones from a flat start: features of DATA and the lexicon of LANG make the model directory OUT."""
    from asrkit.stages.train_mono import train_mono

    return train_mono(data, lang, out, config, options)
