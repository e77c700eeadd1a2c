"""`asrkit sweep`."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import click

from asrkit.cli.options import stage_command
from asrkit.core.errors import ConfigError
from asrkit.stages.record import RunOptions, StageReport


@click.command(short_help="Run commands for every combination of some values, and tabulate the results.")
@stage_command(jobs=False, seed=False)
@click.argument("plan", metavar="PLAN.toml", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--define", multiple=True, metavar="NAME=VALUE", help="Give or change a constant of the plan.")
def command(plan: Path, out: Path, define: tuple[str, ...], options: RunOptions) -> StageReport:
    """Run commands for every combination of some values, and tabulate the results.

    PLAN.toml names the values, asrkit's commands with {names} in them, and the numbers to gather; a table of their
    means and standard deviations goes to OUT. A killed sweep goes on where it stopped.
    """
    from asrkit.stages.sweep import sweep

    defined = {}
    for one in define:
        name, equals, value = one.partition("=")
        if not equals:
            raise ConfigError(f"expected NAME=VALUE, found {one!r}", where="--define")
        defined[name] = value
    return sweep(plan, out, defined, options, _run)


def _run(arguments: list[str]) -> int:
    """Run a command in this process; what it prints goes to standard error."""
    from asrkit.cli.main import main

    with contextlib.redirect_stdout(sys.stderr):
        try:
            code = main.main(arguments, standalone_mode=False)
        except click.ClickException as error:
            error.show()
            return error.exit_code
    return code if isinstance(code, int) else 0
