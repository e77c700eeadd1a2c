"""``asrkit adapt``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from asrkit.cli.options import stage_command
from asrkit.stages.adapt import AdaptConfig, adapt
from asrkit.stages.record import RunOptions, StageReport

_PATH = click.Path(path_type=Path)


@click.command(short_help="Adapt a trained GMM-HMM to a new speaker or domain (MAP).")
@stage_command(AdaptConfig, seed=False)
@click.argument("data", metavar="DATA", type=_PATH)
@click.argument("lang", metavar="LANG", type=_PATH)
@click.argument("model", metavar="MODEL", type=_PATH)
@click.argument("out", metavar="OUT", type=_PATH)
@click.option("--text", "transcripts", metavar="FILE", type=_PATH, help="Use these transcripts, such as a hyp.txt.")
@click.option("--oov", type=click.Choice(["unk", "error"]), help="Words outside the lexicon.  [default: unk]")
def command(
    data: Path,
    lang: Path,
    model: Path,
    out: Path,
    transcripts: Path | None,
    oov: Any,
    config: AdaptConfig,
    options: RunOptions,
) -> StageReport:
    """Adapt a trained GMM-HMM to a new speaker or domain (MAP).

    DATA is a data directory with features and transcripts, which MODEL aligns; LANG has their words, in the phones of
    MODEL. The Gaussians move towards the data as far as these outweigh the prior (--set tau=FRAMES). OUT becomes a
    model directory like any other.
    """
    return adapt(data, lang, model, out, replace(config, oov=oov or config.oov), options, transcripts)
