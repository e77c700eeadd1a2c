"""``asrkit train-g2p``."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from asrkit.cli.options import stage_command
from asrkit.stages.record import RunOptions, StageReport
from asrkit.stages.train_g2p import G2pConfig, train_g2p_model

_PATH = click.Path(path_type=Path)


@click.command(short_help="Learn from a lexicon how words are pronounced.")
@stage_command(G2pConfig, jobs=False)
@click.argument("lexicon", type=_PATH)
@click.argument("out", type=_PATH)
@click.option(
    "--held-out",
    type=float,
    default=0.05,
    show_default=True,
    metavar="FRACTION",
    help="Of the words, kept from training to measure errors on; 0: all words train.",
)
@click.option("--test", type=_PATH, metavar="LEXICON", help="Measure errors on its words, none of which trains.")
@click.option("--strip-stress", is_flag=True, help="Take the numbers off phones: AH0 becomes AH.")
def command(
    lexicon: Path,
    out: Path,
    held_out: float,
    test: Path | None,
    strip_stress: bool,
    config: G2pConfig,
    options: RunOptions,
) -> StageReport:
    """Learn from LEXICON how words are pronounced, and write the model OUT (a .safetensors file)."""
    if strip_stress:
        config = dataclasses.replace(config, strip_stress=True)
    return train_g2p_model(lexicon, out, config, options, held_out, test)
