"""``asrkit align``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from asrkit.cli.options import other_systems, stage_command
from asrkit.stages.align import align
from asrkit.stages.aligner import AlignStageConfig
from asrkit.stages.record import RunOptions, StageReport


@click.command(short_help="Find the times of words and phones with a trained model.")
@stage_command(AlignStageConfig)
@click.argument("data", metavar="DATA", type=click.Path(path_type=Path))
@click.argument("model", metavar="MODEL", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(["ctm", "json", "textgrid", "textgrid-short"]),
    help="What to write; may be repeated.  [default: ctm and json]",
)
@click.option("--oov", type=click.Choice(["unk", "error", "g2p"]), help="Words outside the lexicon.  [default: unk]")
@click.option("--g2p", metavar="MODEL", type=click.Path(path_type=Path), help="Pronounces them; with --oov g2p.")
@click.option("--train", is_flag=True, help="Train on DATA itself: the arguments are DATA LANG OUT.")
@click.option("--lang", metavar="LANG", type=click.Path(path_type=Path), help="Words and pronunciations to use.")
@other_systems
@click.option("--lexicon", metavar="FILE", type=click.Path(path_type=Path), help="Pronunciations of more words.")
def command(
    data: Path,
    model: Path,
    out: Path,
    formats: Any,
    oov: Any,
    train: bool,
    g2p: Path | None,
    lang: Path | None,
    lexicon: Path | None,
    others: tuple[tuple[Path, Path], ...],
    config: AlignStageConfig,
    options: RunOptions,
) -> StageReport:
    """Find the times of words and phones with a trained model.

    DATA is a data directory with features and transcripts, MODEL a model directory, whose words, pronunciations and
    phones are used unless --lang or --lexicon says otherwise; a speaker-adaptive model aligns in two passes. OUT
    receives transition ids (ali.scp), the formats asked for, and lists of the utterances that failed (failed.txt), of
    unknown words (oov.txt) and of those that a G2P model pronounced (g2p.txt).

    With --train a lang directory stands in place of MODEL, and models are trained on DATA first, in OUT/train.
    """
    config = replace(config, formats=tuple(formats) or config.formats, oov=oov or config.oov)
    if not train:
        return align(data, model, out, config, options, lang, lexicon, g2p, others)
    if others:
        raise click.UsageError("--with is for models that are trained already, and --train trains one")
    if lang is not None:
        raise click.UsageError("with --train the lang directory is the second argument: DATA LANG OUT")
    from asrkit.stages.align_train import train_and_align

    return train_and_align(data, model, out, config, options, lexicon, g2p)
