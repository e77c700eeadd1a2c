"""``asrkit subset``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from asrkit.cli.options import stage_command
from asrkit.core.errors import ConfigError
from asrkit.data.subset import SubsetConfig
from asrkit.stages.record import RunOptions, StageReport

_PATH = click.Path(path_type=Path)


@click.command(short_help="Take some utterances of a data directory.")
@stage_command(SubsetConfig, jobs=False)
@click.argument("data", metavar="DATA", type=_PATH)
@click.argument("out", metavar="OUT", type=_PATH)
@click.option("--speakers", multiple=True, metavar="A,B,…", help="Of these speakers alone (@FILE: listed).")
@click.option("--utterances", type=_PATH, metavar="FILE", help="Of these utterances alone: the first field of a line.")
@click.option("--without", type=_PATH, metavar="DATA", help="None that this data directory has.")
@click.option("--order", type=click.Choice(["first", "shortest", "longest", "random"]), help="Which come first.")
@click.option("--num", type=int, help="So many utterances.")
@click.option("--secs", type=float, help="Utterances until they last so long.")
@click.option("--per-speaker", is_flag=True, default=None, help="So many, or so long, of each speaker.")
def command(
    data: Path,
    out: Path,
    utterances: Path | None,
    without: Path | None,
    speakers: tuple[str, ...],
    config: SubsetConfig,
    options: RunOptions,
    **given: Any,
) -> StageReport:
    """Take some utterances of a data directory, their features included.

    DATA is a data directory, OUT the one to be made. `--order shortest --num 400` takes the 400 shortest utterances,
    `--secs 60 --per-speaker` the first minute of every speaker, and a second call with `--without` the rest.
    """
    from asrkit.data.corpora.corpus import speaker_list
    from asrkit.stages.subset import subset

    chosen = {key: value for key, value in given.items() if value is not None}
    if speakers:
        chosen["speakers"] = speaker_list(speakers)
        if not chosen["speakers"]:
            raise ConfigError("--speakers names no speaker", remedy="name some, or leave it out to take all")
    return subset(data, out, replace(config, **chosen), options, utterances, without)
