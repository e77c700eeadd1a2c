"""``asrkit combine``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from asrkit.cli.options import stage_command
from asrkit.lattice.rover import RoverConfig
from asrkit.stages.combine_hypotheses import combine_hypotheses
from asrkit.stages.combine_lattices import LatticeCombinationConfig, combine_lattices
from asrkit.stages.record import RunOptions, StageReport

_PATH = click.Path(path_type=Path)


@click.group()
def command() -> None:
    """Combine what several systems recognised.

    Models of one tree are combined while they decode, by `asrkit decode --with`.
    """


@command.command()
@stage_command(RoverConfig, jobs=False, seed=False)
@click.argument("data", metavar="DATA", type=_PATH)
@click.argument("systems", metavar="DECODED...", nargs=-1, required=True, type=_PATH)
@click.argument("out", metavar="OUT", type=_PATH)
def hypotheses(data: Path, systems: tuple[Path, ...], out: Path, config: Any, options: RunOptions) -> StageReport:
    """Let the words of several systems vote (ROVER).

    DECODED are decode directories of the utterances of DATA, the best first, or files of hypotheses. OUT receives
    hyp.txt, and where the systems have times and confidences hyp.ctm and hyp.jsonl.
    """
    return combine_hypotheses(data, systems, out, config, options)


@command.command()
@stage_command(LatticeCombinationConfig, seed=False)
@click.argument("graph", metavar="GRAPH", type=_PATH)
@click.argument("data", metavar="DATA", type=_PATH)
@click.argument("systems", metavar="DECODED...", nargs=-1, required=True, type=_PATH)
@click.argument("out", metavar="OUT", type=_PATH)
def lattices(
    graph: Path, data: Path, systems: tuple[Path, ...], out: Path, config: Any, options: RunOptions
) -> StageReport:
    """Take the words of least expected errors over all systems' lattices (minimum Bayes risk).

    DECODED are decode directories with lattices of the utterances of DATA, and GRAPH is a graph directory with their
    words. OUT receives hyp.txt, hyp.ctm and hyp.jsonl.
    """
    return combine_lattices(graph, data, systems, out, config, options)
