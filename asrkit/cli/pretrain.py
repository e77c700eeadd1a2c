"""``asrkit pretrain``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from asrkit.cli.options import stage_command
from asrkit.stages.pretrain_config import PretrainCdbnConfig, PretrainDbnConfig, PretrainRbmConfig, PretrainSdaConfig
from asrkit.stages.record import RunOptions, StageReport

_PATH = click.Path(path_type=Path)


@click.group()
def command() -> None:
    """Learn a stack of layers from features alone, without labels.

    `asrkit train-dnn mlp --init` begins a network with them, and `asrkit sample` draws from a stack of RBMs. Of a
    convolutional network `asrkit extract --with` makes features, and `asrkit sample` pictures of what it has learned.
    """


@command.command()
@stage_command(PretrainRbmConfig, jobs=False)
@click.argument("data", type=_PATH)
@click.argument("out", type=_PATH)
def rbm(data: Path, out: Path, config: Any, options: RunOptions) -> StageReport:
    """A restricted Boltzmann machine by contrastive divergence: the features of DATA make the stack OUT."""
    from asrkit.stages.pretrain import pretrain_stack

    return pretrain_stack("rbm", data, out, config, options)


@command.command()
@stage_command(PretrainDbnConfig, jobs=False)
@click.argument("data", type=_PATH)
@click.argument("out", type=_PATH)
def dbn(data: Path, out: Path, config: Any, options: RunOptions) -> StageReport:
    """A deep belief network, RBM by RBM, and up-down if wanted: the features of DATA make the stack OUT."""
    from asrkit.stages.pretrain import pretrain_stack

    return pretrain_stack("dbn", data, out, config, options)


@command.command()
@stage_command(PretrainSdaConfig, jobs=False)
@click.argument("data", type=_PATH)
@click.argument("out", type=_PATH)
def sda(data: Path, out: Path, config: Any, options: RunOptions) -> StageReport:
    """Stacked autoencoders, denoising or contractive: the features of DATA make the stack OUT."""
    from asrkit.stages.pretrain import pretrain_stack

    return pretrain_stack("sda", data, out, config, options)


@command.command()
@stage_command(PretrainCdbnConfig, jobs=False)
@click.argument("data", type=_PATH)
@click.argument("out", type=_PATH)
def cdbn(data: Path, out: Path, config: Any, options: RunOptions) -> StageReport:
    """A convolutional deep belief network, for `asrkit extract --with`: spectrograms of DATA make the network OUT."""
    from asrkit.stages.pretrain_cdbn import pretrain_cdbn

    return pretrain_cdbn(data, out, config, options)
