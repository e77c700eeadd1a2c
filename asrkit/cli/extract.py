"""The command ``asrkit extract``."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from asrkit.cli.options import stage_command
from asrkit.stages.extract import ExtractConfig
from asrkit.stages.record import RunOptions, StageReport


@click.command("extract", short_help="Extract features and CMVN statistics of a data directory.")
@stage_command(ExtractConfig)
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--like", "model", type=click.Path(path_type=Path), metavar="DIR", help="Take the front end of DIR.")
@click.option("--resample", is_flag=True, help="Convert recordings of another sampling rate.")
def command(data: Path, model: Path | None, resample: bool, config: ExtractConfig, options: RunOptions) -> StageReport:
    """Extract features and CMVN statistics of a data directory.

    Writes feats.scp, cmvn.scp, utt2num_frames and frontend.json into DATA. The features are those of
    `--set kind=mfcc|fbank|plp|spectrogram` with Kaldi's options (see --print-config), or with --like those of another
    data or model directory.
    """
    from asrkit.stages.extract import extract, like

    if model is not None:
        config = like(config, model)
    if resample:
        config = dataclasses.replace(config, resample=True)
    return extract(data, config, options)
