"""`asrkit sweep`."""

from __future__ import annotations

import contextlib
import itertools
import shlex
import subprocess
import sys
from pathlib import Path

import click

from asrkit.cli.options import stage_command
from asrkit.core.errors import ConfigError
from asrkit.stages.record import RunOptions, StageReport


@click.command(short_help="Run commands for every combination of some values, and tabulate the results.")
@stage_command(seed=False)
@click.argument("plan", metavar="PLAN.toml", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--define", multiple=True, metavar="NAME=VALUE", help="Give or change a constant of the plan.")
def command(plan: Path, out: Path, define: tuple[str, ...], options: RunOptions) -> StageReport:
    """Run commands for every combination of some values, and tabulate the results.

    PLAN.toml names the values, asrkit's commands with {names} in them, and the numbers to gather; a table of their
    means and standard deviations goes to OUT. A killed sweep goes on where it stopped. With several workers so many
    combinations are run at a time, each in a process of its own that writes to a file of OUT/log.

    \b
    over = ["seed"]                # the table averages over it
    [constants]
    work = "exp"
    [variables]                    # lists: every combination is run
    layers = [1, 3]
    seed = [0, 1, 2]
    [[steps]]
    when = {layers = [3]}          # only then; without it, always
    run = ["train-dnn", "mlp", "DATA", "ALIGNMENT", "{work}/{layers}-{seed}",
           "--set", "network.layers={layers}", "--seed", "{seed}"]
    [results.wer]                  # a number of a JSON file of the steps
    file = "{work}/decode-{layers}-{seed}/best.json"
    key = "wer"                    # "a/b" goes into a table
    """
    from asrkit.stages.sweep import sweep

    defined = {}
    for one in define:
        name, equals, value = one.partition("=")
        if not equals:
            raise ConfigError(f"expected NAME=VALUE, found {one!r}", where="--define")
        defined[name] = value
    return sweep(plan, out, defined, options, _run if options.num_jobs == 1 else _Processes(out / "log"))


class _Processes:
    """Runs commands in processes, each with a log of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)

    def __call__(self, arguments: list[str]) -> int:
        path = self._folder / f"{next(self._numbers):04d}-{arguments[0]}.txt"
        self._folder.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as log:
            log.write(f"asrkit {shlex.join(arguments)}\n")
            log.flush()
            command = [sys.executable, "-c", "from asrkit.cli.main import program; program()", *arguments]
            code = subprocess.run(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, check=False).returncode
        if code not in (0, 130):
            click.echo(f"asrkit {arguments[0]} ended with {code}: see {path}", err=True)
        return code


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
