"""``asrkit decode``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from asrkit.cli.options import other_systems, stage_command
from asrkit.stages.decode import DecodeConfig, decode
from asrkit.stages.record import RunOptions, StageReport


@click.command(short_help="Recognise the utterances of a data directory.")
@stage_command(DecodeConfig, seed=False)
@click.argument("graph", metavar="GRAPH", type=click.Path(path_type=Path))
@click.argument("model", metavar="MODEL", type=click.Path(path_type=Path))
@click.argument("data", metavar="DATA", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--from",
    "best",
    type=click.Path(path_type=Path),
    metavar="BEST",
    help="Take LM weight and insertion penalty from a best.json that `asrkit score` wrote, or from its directory.",
)
@other_systems
def command(
    graph: Path,
    model: Path,
    data: Path,
    out: Path,
    best: Path | None,
    others: tuple[tuple[Path, Path], ...],
    config: Any,
    options: RunOptions,
) -> StageReport:
    """Recognise the utterances of a data directory.

    GRAPH is a graph directory, MODEL a model directory, DATA a data directory with features. OUT receives the
    hypotheses (hyp.txt, and one file a setting) and the times of the words (hyp.ctm).
    """
    return decode(graph, model, data, out, config, options, best, others)
