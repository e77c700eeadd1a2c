"""The options that commands share, through one decorator."""

from __future__ import annotations

import functools
import json
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from asrkit.core.config import load_config, to_toml
from asrkit.core.errors import ConfigError
from asrkit.stages.record import RunOptions, StageReport

T = TypeVar("T")
F = Callable[..., Any]


def stage_command(config_class: type[Any] | None = None, *, jobs: bool = True, seed: bool = True) -> Callable[[F], F]:
    """Give a command the shared options and print the :class:`StageReport` that it returns.

    The decorated function receives, beside its own arguments, ``options`` (a :class:`RunOptions`) and, when
    ``config_class`` is given, ``config`` (an instance made from ``--config`` and ``--set``). Put this decorator
    under ``@click.command`` and above the command's own ``@click.argument`` and ``@click.option`` lines.
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def run(**arguments: Any) -> None:
            as_json = arguments.pop("as_json")
            quiet, verbose, debug = (arguments.pop(name) for name in ("quiet", "verbose", "debug"))
            set_up_logging(quiet, verbose, debug)
            if config_class is not None:
                config = load_config(config_class, arguments.pop("config_file"), arguments.pop("overrides"))
                if arguments.pop("print_config"):
                    click.echo(to_toml(config), nl=False)
                    return
                arguments["config"] = config
            arguments["options"] = RunOptions(
                num_jobs=arguments.pop("num_jobs", 1),
                seed=arguments.pop("seed", 0),
                max_failed=arguments.pop("max_failed"),
                force=arguments.pop("force"),
                verify=arguments.pop("verify"),
                progress=no_progress if quiet else show_progress,
            )
            report = function(**arguments)
            if report is not None:
                print_report(report, as_json)

        decorated: F = run
        for option in reversed(list(_shared(config_class is not None, jobs, seed))):
            decorated = option(decorated)
        return decorated

    return decorate


other_systems = click.option(
    "--with",
    "others",
    type=(click.Path(path_type=Path), click.Path(path_type=Path)),
    multiple=True,
    metavar="MODEL DATA",
    help="Average MODEL with another of the same tree, which hears DATA; may be repeated.",
)


def as_overrides(name: str, settings: Callable[[str], tuple[str, ...]]) -> Callable[[F], F]:
    """Turn an option into ``--set``, so that the last word is said in one place; stands above :func:`stage_command`.

    Parameters
    ----------
    name : str
        Of the function's argument, which it then has no more.
    settings : callable
        From the option's value, where it is given, to ``KEY=VALUE`` texts.
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def run(**arguments: Any) -> Any:
            value = arguments.pop(name)
            if value is not None:
                arguments["overrides"] = (*arguments["overrides"], *settings(value))
            return function(**arguments)

        return run

    return decorate


def _shared(config: bool, jobs: bool, seed: bool) -> Iterator[Callable[[F], F]]:
    if config:
        yield click.option("--config", "config_file", metavar="FILE.toml", help="Read the configuration from a file.")
        yield click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Set one configuration key.")
        yield click.option(
            "--print-config",
            is_flag=True,
            is_eager=True,
            callback=_excuse_arguments,
            help="Print the configuration as TOML and stop.",
        )
    if jobs:
        yield click.option("-j", "--num-jobs", type=click.IntRange(1), default=1, show_default=True, help="Workers.")
    if seed:
        yield click.option("--seed", type=int, default=0, show_default=True, help="Seed of every random choice.")
    yield click.option(
        "--max-failed",
        type=click.FloatRange(0, 1),
        default=0.1,
        show_default=True,
        help="Fraction of utterances that may fail.",
    )
    yield click.option("--force", is_flag=True, help="Run even if the output is up to date.")
    yield click.option("--verify", is_flag=True, help="Hash all inputs again to see whether they changed.")
    yield click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
    yield click.option("-q", "--quiet", is_flag=True, help="Only warnings and errors.")
    yield click.option("-v", "--verbose", is_flag=True, help="Say more.")
    yield click.option("--debug", is_flag=True, help="Say everything, and show tracebacks.")


def _excuse_arguments(ctx: click.Context, _option: click.Parameter, wanted: bool) -> bool:
    """Printing the configuration needs none of the command's arguments."""
    required = [
        param for param in ctx.command.params if wanted and isinstance(param, click.Argument) and param.required
    ]
    for param in required:
        param.required = False
        ctx.call_on_close(functools.partial(setattr, param, "required", True))
    return wanted


def print_report(report: StageReport, as_json: bool) -> None:
    """Print a report on standard output: one JSON object, or lines for a reader."""
    if as_json:
        click.echo(json.dumps(report.to_json(), ensure_ascii=False))
        return
    for line in report.lines:
        click.echo(line)
    parts = [f"{key} {_short(value)}" for key, value in report.figures.items() if not isinstance(value, (dict, list))]
    state = "up to date" if report.skipped else f"done in {report.seconds:.1f} s"
    failed = f", {len(report.failures)} failed" if report.failures else ""
    click.echo(f"{report.stage}: {report.out}: {state}{failed}{': ' if parts else ''}{', '.join(parts)}")
    for failure in report.failures:
        click.echo(f"  failed: {failure}")


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def show_progress(items: Iterable[T], *, total: int | None, label: str) -> Iterator[T]:
    """Show a tqdm bar on standard error."""
    from tqdm import tqdm

    yield from tqdm(items, total=total, desc=label, file=sys.stderr, mininterval=0.5, leave=False, disable=None)


def no_progress(items: Iterable[T], *, total: int | None, label: str) -> Iterator[T]:
    """Show nothing."""
    yield from items


def set_up_logging(quiet: bool, verbose: bool, debug: bool) -> None:
    """Log to standard error, as much as was asked for."""
    if quiet and verbose:
        raise ConfigError("--quiet and --verbose exclude each other")
    log = logging.getLogger("asrkit")
    log.handlers[:] = [logging.StreamHandler(sys.stderr)]
    log.handlers[0].setFormatter(logging.Formatter("%(message)s"))
    log.propagate = False
    log.setLevel(logging.DEBUG if debug else logging.WARNING if quiet else logging.INFO)
