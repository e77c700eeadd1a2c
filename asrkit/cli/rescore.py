"""``asrkit rescore``."""

from __future__ import annotations

from pathlib import Path

import click

from asrkit.cli.options import stage_command
from asrkit.stages.record import RunOptions, StageReport
from asrkit.stages.rescore import RescoreConfig, rescore

_PATH = click.Path(path_type=Path)


@click.command(short_help="Put another language model into lattices.")
@stage_command(RescoreConfig, seed=False)
@click.argument("graph", metavar="GRAPH", type=_PATH)
@click.argument("model", metavar="MODEL", type=_PATH)
@click.argument("data", metavar="DATA", type=_PATH)
@click.argument("decoded", metavar="DECODED", type=_PATH)
@click.argument("language_model", metavar="LM", type=_PATH)
@click.argument("out", metavar="OUT", type=_PATH)
@click.option(
    "--old-lm", type=_PATH, metavar="FILE", help="ARPA file that GRAPH was made from, if it is not where it was."
)
@click.option(
    "--from",
    "best",
    type=_PATH,
    metavar="BEST",
    help="Take LM weight and insertion penalty from a best.json that `asrkit score` wrote, or from its directory.",
)
def command(
    graph: Path,
    model: Path,
    data: Path,
    decoded: Path,
    language_model: Path,
    out: Path,
    old_lm: Path | None,
    best: Path | None,
    config: RescoreConfig,
    options: RunOptions,
) -> StageReport:
    """Put another language model into lattices.

    DECODED is a directory that `asrkit decode GRAPH MODEL DATA DECODED` made, LM an n-gram model of any order as an
    ARPA file. OUT receives lattices and hypotheses as DECODED has them, with LM in place of the graph's model.
    """
    return rescore(graph, model, data, decoded, language_model, out, config, options, old_lm, best)
