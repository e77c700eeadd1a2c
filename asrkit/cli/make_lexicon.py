"""``asrkit make-lexicon``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from asrkit.cli.options import stage_command
from asrkit.stages.make_lexicon import MakeLexiconConfig, make_lexicon
from asrkit.stages.record import RunOptions, StageReport

_PATH = click.Path(path_type=Path)


@click.command(short_help="Look up or guess the pronunciations of a list of words.")
@stage_command(MakeLexiconConfig, jobs=False, seed=False)
@click.argument("words", metavar="WORDS", type=_PATH)
@click.argument("dictionary", metavar="DICTIONARY", type=_PATH)
@click.argument("out", metavar="OUT", type=_PATH)
@click.option("--g2p", type=_PATH, metavar="MODEL", help="Pronounces the words that the dictionary lacks.")
@click.option("--strip-stress", is_flag=True, default=None, help="Take the numbers off phones: AH0 becomes AH.")
@click.option("--nbest", type=click.IntRange(1), help="Pronunciations of a word by G2P.  [default: 1]")
def command(
    words: Path,
    dictionary: Path,
    out: Path,
    g2p: Path | None,
    config: MakeLexiconConfig,
    options: RunOptions,
    **given: Any,
) -> StageReport:
    """Look up or guess the pronunciations of a list of words.

    WORDS is a list (the first field of each line), DICTIONARY any lexicon, such as cmudict as published, and OUT the
    lexicon to be made. Words are looked up in small letters and keep their form.
    """
    config = replace(config, **{key: value for key, value in given.items() if value is not None})
    return make_lexicon(words, dictionary, out, config, options, g2p)
