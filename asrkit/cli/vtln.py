"""``asrkit vtln``."""

from __future__ import annotations

from pathlib import Path

import click

from asrkit.cli.options import stage_command
from asrkit.stages.record import RunOptions, StageReport
from asrkit.stages.vtln import vtln
from asrkit.stages.warp_search import VtlnConfig

_PATH = click.Path(path_type=Path)


@click.command(short_help="Find each speaker's warp factor (vocal tract length normalisation).")
@stage_command(VtlnConfig)
@click.argument("data", metavar="DATA", type=_PATH)
@click.argument("model", metavar="MODEL", type=_PATH)
@click.option("--text", metavar="FILE", type=_PATH, help="What was said, e.g. hyp.txt of `asrkit decode`.")
def command(data: Path, model: Path, text: Path | None, config: VtlnConfig, options: RunOptions) -> StageReport:
    """Find each speaker's warp factor (vocal tract length normalisation).

    For every factor of a grid the speakers' features are computed from the audio of DATA and scored against the
    transcripts (or --text FILE) under MODEL. The best factor of each speaker goes to DATA/spk2warp, all scores to
    DATA/vtln.json. `asrkit extract` then makes warped features. A model trained on these needs warped test data too.
    """
    return vtln(data, model, config, options, text)
