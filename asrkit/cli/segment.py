"""The command ``asrkit segment``."""

from __future__ import annotations

from pathlib import Path

import click

from asrkit.cli.options import stage_command
from asrkit.stages.record import RunOptions, StageReport
from asrkit.stages.segment import SegmentConfig

_PATH = click.Path(path_type=Path)


@click.command(short_help="Find the speech in long recordings and cut them into segments.")
@stage_command(SegmentConfig, seed=False)
@click.argument("data", metavar="DATA", type=_PATH)
@click.argument("out", metavar="OUT", type=_PATH)
@click.option("--model", type=_PATH, metavar="DIR", help="Compare the speech and the silence of this acoustic model.")
def command(data: Path, out: Path, model: Path | None, config: SegmentConfig, options: RunOptions) -> StageReport:
    """Find the speech in long recordings and cut them into segments.

    DATA is a data directory of whole recordings, OUT the one to be made, with segments. Speech is what stands out of
    the noise of the recording by its energy or, with --model, what the phones of an acoustic model explain better
    than its silence. Recordings may be hours long.
    """
    from asrkit.stages.segment import segment

    return segment(data, out, config, options, model)
