"""``asrkit sample``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from asrkit.cli.options import stage_command
from asrkit.nnet.energy.config import SampleConfig
from asrkit.stages.record import RunOptions, StageReport

_PATH = click.Path(path_type=Path)


@click.command(short_help="Draw frames from a stack of RBMs, or the bases of a convolutional one, with pictures.")
@stage_command(SampleConfig, jobs=False)
@click.argument("stack", metavar="STACK", type=_PATH)
@click.argument("out", metavar="OUT", type=_PATH)
@click.option("--data", metavar="DATA", type=_PATH, help="Start the chains at frames of this data directory.")
def command(stack: Path, out: Path, data: Path | None, config: Any, options: RunOptions) -> StageReport:
    """Draw frames from a stack of RBMs, or the bases of a convolutional one, with pictures.

    STACK is what `asrkit pretrain rbm` or `dbn` made. OUT gets samples.ark, windows of features, and samples.png. Of
    what `asrkit pretrain cdbn` made it gets what each layer's bases stand for: bases.ark, and bases1.png and so on.
    """
    if (stack / "cdbn.safetensors").exists():
        from asrkit.stages.sample_bases import sample_bases

        return sample_bases(stack, out, config, options, data)
    from asrkit.stages.sample import sample_stack

    return sample_stack(stack, out, config, options, data)
