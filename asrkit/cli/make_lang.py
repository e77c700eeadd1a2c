"""``asrkit make-lang``."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from asrkit.cli.options import stage_command
from asrkit.lang.langdir import LangConfig
from asrkit.stages.record import RunOptions, StageReport


@click.command(short_help="Make a lang directory from a pronunciation lexicon.")
@stage_command(LangConfig, jobs=False, seed=False)
@click.argument("lexicon", metavar="LEXICON", type=click.Path(path_type=Path))
@click.argument("lang", metavar="LANG", type=click.Path(path_type=Path))
@click.option(
    "--position-dependent", is_flag=True, default=None, help="Phones by their place in the word (_B _I _E _S)."
)
@click.option("--silence-probability", type=float, help="Of silence between words; 0: none.  [default: 0.5]")
@click.option("--topology", metavar="FILE.toml", help="HMM topologies of your own.")
@click.option("--phones", metavar="FILE", help="The phones that the lexicon may use.")
def command(
    lexicon: Path, lang: Path, config: LangConfig, options: RunOptions, **given: bool | float | str | None
) -> StageReport:
    """Make a lang directory from a pronunciation lexicon.

    LEXICON has lines 'WORD PHONE PHONE ...' or 'WORD PROBABILITY PHONE PHONE ...'; LANG is the directory to be made.
    """
    from asrkit.stages.make_lang import make_lang_dir

    config = dataclasses.replace(config, **{key: value for key, value in given.items() if value is not None})  # type: ignore[arg-type]
    return make_lang_dir(lexicon, lang, config, options)
