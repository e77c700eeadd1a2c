"""``asrkit hopfield``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from asrkit.cli.options import stage_command
from asrkit.nnet.energy.hopfield_config import CapacityConfig
from asrkit.stages.hopfield_config import RecallStageConfig, StoreConfig
from asrkit.stages.record import RunOptions, StageReport

_PATH = click.Path(path_type=Path)
_picture = click.option("--picture/--no-picture", default=True, help="Draw a picture too.")


@click.group(short_help="Store patterns of speech in a Hopfield network, and recall them from damaged ones.")
def command() -> None:
    """Store patterns of speech in a Hopfield network, and recall them from damaged ones."""


@command.command()
@stage_command(StoreConfig, jobs=False)
@click.argument("data", type=_PATH)
@click.argument("model", type=_PATH)
@click.option(
    "--labels",
    default="phones",
    show_default=True,
    metavar="SOURCE",
    help="What is stored: phones, by DATA/phones.ali; or whole utterances by speaker, gender, word, or a table.",
)
def store(data: Path, model: Path, labels: str, config: Any, options: RunOptions) -> StageReport:
    """Binarise the mean spectrograms of labels, or single ones, and store them."""
    from asrkit.stages.hopfield import store_patterns

    return store_patterns(data, model, labels, config, options)


@command.command()
@stage_command(RecallStageConfig, jobs=False)
@_picture
@click.argument("model", type=_PATH)
@click.argument("out", type=_PATH)
def recall(model: Path, out: Path, picture: bool, config: Any, options: RunOptions) -> StageReport:
    """Damage the stored patterns, and count what the network restores."""
    from asrkit.stages.hopfield import recall_patterns

    return recall_patterns(model, out, config, options, picture)


@command.command()
@stage_command(CapacityConfig)
@_picture
@click.argument("out", type=_PATH)
def capacity(out: Path, picture: bool, config: Any, options: RunOptions) -> StageReport:
    """Measure how many random patterns networks of some sizes hold."""
    from asrkit.stages.hopfield import capacity as measure

    return measure(out, config, options, picture)
