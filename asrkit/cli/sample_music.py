"""``asrkit sample-music``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from asrkit.cli.options import stage_command
from asrkit.stages.music_config import SampleMusicConfig
from asrkit.stages.record import RunOptions, StageReport

_PATH = click.Path(path_type=Path)


@click.command(short_help="Draw pieces from a model of music, as MIDI files and a picture.")
@stage_command(SampleMusicConfig, jobs=False)
@click.argument("model", metavar="MODEL", type=_PATH)
@click.argument("out", metavar="OUT", type=_PATH)
def command(model: Path, out: Path, config: Any, options: RunOptions) -> StageReport:
    """Draw pieces from a model of music, as MIDI files and a picture.

    MODEL is what `asrkit train-music` made. OUT gets sample-0001.mid, ... and samples.png; from a model of features,
    samples.ark and the picture.
    """
    from asrkit.stages.sample_music import sample_music

    return sample_music(model, out, config, options)
