"""``asrkit timing``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from asrkit.cli.options import stage_command
from asrkit.nnet.timing.config import DelaysConfig, FunctionsConfig, SpikesConfig
from asrkit.stages.record import RunOptions, StageReport


@click.group(short_help="Train nets of one memory cell on tasks of precise timing.")
def command() -> None:
    """Train nets of one memory cell on tasks of precise timing.

    The tasks of Gers, Schraudolph and Schmidhuber (2002): from several initial weights each learner is trained on
    streams, step by step, until it goes right for 1,000 intervals or periods in a row, or gives up. OUT gets
    timing.json, a row a learner with all its runs, and timing.png.
    """


def _task(name: str, config_class: type[Any], text: str) -> None:
    def run(out: Path, picture: bool, config: Any, options: RunOptions) -> StageReport:
        from asrkit.stages.timing import timing

        return timing(name, out, config, options, picture)

    run.__doc__ = text
    decorated: Callable[..., Any] = click.option("--picture/--no-picture", default=True, help="Draw timing.png.")(run)
    decorated = click.argument("out", type=click.Path(path_type=Path))(decorated)
    command.command(name)(stage_command(config_class)(decorated))


_task("delays", DelaysConfig, "Measure spike delays: at each spike, say how late it is.")
_task("spikes", SpikesConfig, "Generate timed spikes, as far apart as the input says.")
_task("functions", FunctionsConfig, "Generate a periodic function without any input.")
