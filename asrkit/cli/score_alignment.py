"""``asrkit score-alignment``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from asrkit.cli.options import stage_command
from asrkit.stages.record import RunOptions, StageReport
from asrkit.stages.score_alignment import ScoreAlignmentConfig, score_alignment


@click.command(short_help="Compare the phone boundaries of an alignment with hand labels.")
@stage_command(ScoreAlignmentConfig, jobs=False, seed=False)
@click.argument("reference", metavar="REF", type=click.Path(path_type=Path))
@click.argument("hypothesis", metavar="HYP", type=click.Path(path_type=Path))
@click.option("--fold", type=click.Choice(["timit48", "timit39"]), help="Fold TIMIT's phones on both sides, without q.")
@click.option(
    "--map", "map_file", metavar="FILE", help="Rename phones on both sides: lines PHONE NAME; PHONE: leave out."
)
@click.option("--per-class", is_flag=True, help="Print a table by the kinds of the two phones.")
def command(
    reference: Path,
    hypothesis: Path,
    fold: Any,
    map_file: str | None,
    per_class: bool,
    config: ScoreAlignmentConfig,
    options: RunOptions,
) -> StageReport:
    """Compare the phone boundaries of an alignment with hand labels.

    REF and HYP are tables 'utterance start end phone' (a data directory: its phones.ali), CTM files (the output of
    `asrkit align`: its phones.ctm), or TextGrids, one or a folder of them.
    """
    config = replace(config, fold=fold or config.fold, map=map_file or config.map)
    return score_alignment(reference, hypothesis, config, options, per_class)
