"""``asrkit sample``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from asrkit.cli.options import stage_command
from asrkit.nnet.energy.config import SampleConfig
from asrkit.stages.record import RunOptions, StageReport

_PATH = click.Path(path_type=Path)


@click.command(short_help="Draw frames from a stack of RBMs, as arrays and pictures.")
@stage_command(SampleConfig, jobs=False)
@click.argument("stack", metavar="STACK", type=_PATH)
@click.argument("out", metavar="OUT", type=_PATH)
@click.option("--data", metavar="DATA", type=_PATH, help="Start the chains at frames of this data directory.")
def command(stack: Path, out: Path, data: Path | None, config: Any, options: RunOptions) -> StageReport:
    """Draw frames from a stack of RBMs, as arrays and pictures.

    STACK is what `asrkit pretrain rbm` or `dbn` made. OUT gets samples.ark, windows of features, and samples.png.
    """
    from asrkit.stages.sample import sample_stack

    return sample_stack(stack, out, config, options, data)
