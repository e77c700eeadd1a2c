"""``asrkit probe``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from asrkit.cli.options import stage_command
from asrkit.stages.probe_config import ProbeConfig
from asrkit.stages.record import RunOptions, StageReport


@click.command(short_help="Compare features by what a simple classifier learns from few utterances.")
@stage_command(ProbeConfig, jobs=False)
@click.argument("labels", metavar="LABELS")
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.argument("sets", metavar="NAME=DATA...", nargs=-1, required=True)
def command(labels: str, out: Path, sets: tuple[str, ...], config: Any, options: RunOptions) -> StageReport:
    """Compare features by what a simple classifier learns from few utterances.

    LABELS are speaker, gender, word, phones (hand labels of `asrkit prepare timit`), or a file of lines
    'utterance_id label'. Each NAME=DATA is a data directory with other features of the same utterances; NAME=A+B
    judges sets named before together. OUT receives probe.json, the accuracy of each draw.
    """
    from asrkit.stages.probe import probe

    return probe(labels, out, sets, config, options)
