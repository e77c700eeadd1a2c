"""`asrkit train-gmm`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from asrkit.cli.options import stage_command
from asrkit.stages.record import RunOptions, StageReport
from asrkit.stages.train_deltas import DeltasConfig
from asrkit.stages.train_lda_mllt import LdaMlltConfig
from asrkit.stages.train_mmi import MmiConfig
from asrkit.stages.train_mono import MonoConfig
from asrkit.stages.train_sat import SatConfig


@click.group()
def command() -> None:
    """Train a GMM-HMM acoustic model."""


@command.command()
@stage_command(MonoConfig)
@click.argument("data", type=click.Path(path_type=Path))
@click.argument("lang", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def mono(data: Path, lang: Path, out: Path, config: Any, options: RunOptions) -> StageReport:
    """Monophones from a flat start: features of DATA and the lexicon of LANG make the model directory OUT."""
    from asrkit.stages.train_mono import train_mono

    return train_mono(data, lang, out, config, options)


@command.command()
@stage_command(DeltasConfig)
@click.argument("data", type=click.Path(path_type=Path))
@click.argument("lang", type=click.Path(path_type=Path))
@click.argument("previous", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def deltas(data: Path, lang: Path, previous: Path, out: Path, config: Any, options: RunOptions) -> StageReport:
    """Context-dependent phones, from alignments that the model PREVIOUS makes first."""
    from asrkit.stages.train_deltas import train_deltas

    return train_deltas(data, lang, previous, out, config, options)


@command.command("lda-mllt")
@stage_command(LdaMlltConfig)
@click.argument("data", type=click.Path(path_type=Path))
@click.argument("lang", type=click.Path(path_type=Path))
@click.argument("previous", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def lda_mllt(data: Path, lang: Path, previous: Path, out: Path, config: Any, options: RunOptions) -> StageReport:
    """Spliced inputs through LDA and MLLT, from alignments that the model PREVIOUS makes first."""
    from asrkit.stages.train_lda_mllt import train_lda_mllt

    return train_lda_mllt(data, lang, previous, out, config, options)


@command.command()
@stage_command(SatConfig)
@click.argument("data", type=click.Path(path_type=Path))
@click.argument("lang", type=click.Path(path_type=Path))
@click.argument("previous", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def sat(data: Path, lang: Path, previous: Path, out: Path, config: Any, options: RunOptions) -> StageReport:
    """Speaker-adaptive: fMLLR for each speaker, and the inputs, LDA and MLLT of the model PREVIOUS."""
    from asrkit.stages.train_sat import train_sat

    return train_sat(data, lang, previous, out, config, options)


@command.command()
@stage_command(MmiConfig)
@click.argument("data", type=click.Path(path_type=Path))
@click.argument("lang", type=click.Path(path_type=Path))
@click.argument("previous", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--lm", type=click.Path(path_type=Path), help="ARPA file of what might be said [the transcripts' words].")
@click.option("--denominators", type=click.Path(path_type=Path), help="Directory of the lattices [OUT/denominators].")
def mmi(
    data: Path,
    lang: Path,
    previous: Path,
    out: Path,
    lm: Path | None,
    denominators: Path | None,
    config: Any,
    options: RunOptions,
) -> StageReport:
    """Discriminative (MMI, boosted MMI): the model PREVIOUS is drawn to what was said, away from what it confuses."""
    from asrkit.stages.train_mmi import train_mmi

    return train_mmi(data, lang, previous, out, config, options, lm, denominators)
