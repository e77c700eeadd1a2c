"""``asrkit train-lexicon``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from asrkit.cli.options import stage_command
from asrkit.lang.lexicon_training import LexiconTrainingConfig
from asrkit.stages.record import RunOptions, StageReport

_PATH = click.Path(path_type=Path)


@click.command(short_help="Estimate pronunciation and silence probabilities from an alignment.")
@stage_command(LexiconTrainingConfig, jobs=False, seed=False)
@click.argument("alignment", metavar="ALIGNMENT", type=_PATH)
@click.argument("lang", metavar="LANG", type=_PATH)
@click.argument("out", metavar="OUT", type=_PATH)
@click.option("--silence", is_flag=True, default=None, help="Also of silence before and behind each pronunciation.")
def command(
    alignment: Path,
    lang: Path,
    out: Path,
    silence: bool | None,
    config: LexiconTrainingConfig,
    options: RunOptions,
) -> StageReport:
    """Estimate pronunciation and silence probabilities from an alignment.

    ALIGNMENT was made by `asrkit align` with the pronunciations of the lang directory LANG; OUT is a lang directory
    with the same words, phones and pronunciations, and the new probabilities.
    """
    from asrkit.stages.train_lexicon import train_lexicon

    return train_lexicon(alignment, lang, out, replace(config, silence=config.silence or bool(silence)), options)
