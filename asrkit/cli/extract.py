"""The command ``asrkit extract``."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from asrkit.cli.options import stage_command
from asrkit.core.errors import ConfigError
from asrkit.stages.extract import ExtractConfig
from asrkit.stages.record import RunOptions, StageReport

_PATH = click.Path(path_type=Path)


@click.command("extract", short_help="Extract features and CMVN statistics of a data directory.")
@stage_command(ExtractConfig)
@click.argument("data", type=_PATH)
@click.option("--like", "model", type=_PATH, metavar="DIR", help="Take the front end of DIR.")
@click.option("--with", "network", type=_PATH, metavar="DIR", help="Features of a network of `asrkit pretrain cdbn`.")
@click.option("--layer", type=click.IntRange(0), help="Of the network: which layer's; 0: whitened features.")
@click.option("--unpooled", is_flag=True, help="Of the network: the units under the layer's pooling units.")
@click.option("--resample", is_flag=True, help="Convert recordings of another sampling rate.")
def command(
    data: Path,
    model: Path | None,
    network: Path | None,
    layer: int | None,
    unpooled: bool,
    resample: bool,
    config: ExtractConfig,
    options: RunOptions,
) -> StageReport:
    """Extract features and CMVN statistics of a data directory.

    Writes feats.scp, cmvn.scp, utt2num_frames and frontend.json into DATA. The features are those of
    `--set kind=mfcc|fbank|plp|spectrogram` with Kaldi's options (see --print-config), with --like those of another
    data or model directory, or with --with those of a layer of a convolutional deep belief network, the highest one
    unless --layer names another.
    """
    from asrkit.stages.extract import extract, like

    if resample:
        config = dataclasses.replace(config, resample=True)
    if network is not None:
        if model is not None:
            raise ConfigError("--like and --with exclude each other: a network has a front end of its own")
        from asrkit.stages.extract_with import extract_with

        return extract_with(data, network, layer, not unpooled, config, options)
    if layer is not None or unpooled:
        raise ConfigError("--layer and --unpooled are for the network of --with")
    return extract(data, like(config, model) if model is not None else config, options)
