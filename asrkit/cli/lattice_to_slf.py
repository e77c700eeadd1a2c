"""``asrkit lattice-to-slf``."""

from __future__ import annotations

from pathlib import Path

import click

from asrkit.cli.options import stage_command
from asrkit.stages.lattice_to_slf import SlfConfig, lattice_to_slf
from asrkit.stages.record import RunOptions, StageReport

_PATH = click.Path(path_type=Path)


@click.command(short_help="Write lattices in HTK's Standard Lattice Format.")
@stage_command(SlfConfig, jobs=False, seed=False)
@click.argument("lattices", metavar="LATTICES", type=_PATH)
@click.argument("words", metavar="WORDS", type=_PATH)
@click.argument("out", metavar="OUT", type=_PATH)
@click.option(
    "--from",
    "best",
    type=_PATH,
    metavar="BEST",
    help="Take LM weight and insertion penalty from a best.json that `asrkit score` wrote, or from its directory.",
)
def command(
    lattices: Path, words: Path, out: Path, best: Path | None, config: SlfConfig, options: RunOptions
) -> StageReport:
    """Write lattices in HTK's Standard Lattice Format.

    LATTICES is a decode directory, or an .scp or archive of lattices, Kaldi's too; WORDS the graph directory, or its
    words.txt. OUT receives a file UTTERANCE.slf for each, and slf.scp, which lists them.
    """
    return lattice_to_slf(lattices, words, out, config, options, best)
