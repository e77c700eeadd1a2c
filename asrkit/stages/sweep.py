"""`asrkit sweep`: the same commands for every combination of some values, and a table of what came of it.

A plan is a TOML file::

    [constants]                      # names for {name}; --define name=value gives or changes one
    work = "exp"
    net = "{work}/dnn-{layers}"      # may have {names} itself

    [variables]                      # every combination is run, the last variable changing fastest
    layers = [1, 3]
    init = ["none", "rbm"]
    seed = [0, 1, 2]

    [[steps]]
    when = {init = ["rbm"]}          # only then; without it, always
    run = ["pretrain", "dbn", "{work}/data", "{work}/dbn-{layers}-{seed}", "--set", "layers={layers}"]

    [[steps]]
    run = ["train-dnn", "mlp", ...]  # asrkit's commands and their arguments, nothing else

    [results.wer]                    # a number of a JSON file that the steps leave
    file = "{work}/decode-{layers}-{init}-{seed}/best.json"
    key = "wer"                      # "a/b" goes into a table

    over = ["seed"]                  # (at the top) variables that the table averages over

Several jobs run several combinations at a time; a command that more than one of them names is run once.
"""

from __future__ import annotations

import functools
import itertools
import json
import logging
import re
import statistics
import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asrkit.core.errors import ConfigError, FormatError
from asrkit.core.files import read_json, write_json, write_lines
from asrkit.stages.record import Failure, RunOptions, StageReport, check_failures, check_place

log = logging.getLogger("asrkit")

Value = str | int | float | bool
Values = dict[str, Value]
RunCommand = Callable[[list[str]], int]
"""Runs an asrkit command, given by its arguments, and returns its exit code; in several threads at a time."""

_PLACE = re.compile(r"\{([A-Za-z_]\w*)\}")
_KEYS = {"constants", "variables", "steps", "results", "over"}


@dataclass(frozen=True)
class Step:
    """A command: its arguments with {names}, and the values of variables with which alone it is run."""

    run: tuple[str, ...]
    when: Mapping[str, tuple[Value, ...]]

    def wanted(self, values: Values) -> bool:
        """Whether it is run for these values."""
        return all(values[name] in allowed for name, allowed in self.when.items())


@dataclass(frozen=True)
class Plan:
    """What a sweep does; see the module.

    Attributes
    ----------
    constants : mapping of str to value
    variables : mapping of str to tuple of values
    steps : tuple of Step
    results : mapping of str to (str, str)
        Name -> file, with {names}, and key.
    over : tuple of str
    """

    constants: Mapping[str, Value]
    variables: Mapping[str, tuple[Value, ...]]
    steps: tuple[Step, ...]
    results: Mapping[str, tuple[str, str]]
    over: tuple[str, ...]

    def combinations(self) -> Iterator[Values]:
        """Yield the values of the variables of each combination."""
        for chosen in itertools.product(*self.variables.values()):
            yield dict(zip(self.variables, chosen))


def read_plan(path: Path, defined: Mapping[str, str]) -> Plan:
    """Read a plan.

    Parameters
    ----------
    defined : mapping of str to str
        Constants besides those of the file, or in their place.

    Raises
    ------
    ConfigError
        The file is absent or no such plan, or it uses a name that it does not define.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise ConfigError("no such plan", where=path) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not valid TOML: {error}", where=path) from None
    try:
        plan = _plan(found, defined)
    except KeyError as error:
        raise ConfigError(
            f"not a plan of a sweep: {error.args[0]} is missing", where=path, remedy="see `asrkit sweep --help`"
        ) from None
    except (TypeError, AttributeError, ValueError) as error:
        raise ConfigError(f"not a plan of a sweep: {error}", where=path, remedy="see `asrkit sweep --help`") from None
    _check(plan, path)
    return plan


def _plan(found: dict[str, Any], defined: Mapping[str, str]) -> Plan:
    unknown = sorted(set(found) - _KEYS)
    if unknown:
        raise ValueError(f"unknown key {unknown[0]}, expected {', '.join(sorted(_KEYS))}")
    steps = []
    for step in found["steps"]:
        run = step["run"]
        if set(step) - {"run", "when"} or not isinstance(run, list) or not all(isinstance(one, str) for one in run):
            raise ValueError("a step has `run`, a list of strings, and perhaps `when`")
        steps.append(Step(tuple(run), {name: _listed(name, allowed) for name, allowed in step.get("when", {}).items()}))
    return Plan(
        {**found.get("constants", {}), **defined},
        {name: _listed(name, values) for name, values in found["variables"].items()},
        tuple(steps),
        {name: (str(one["file"]), str(one["key"])) for name, one in found["results"].items()},
        _listed("over", found.get("over", [])),
    )


def _listed(name: str, values: Any) -> tuple[Any, ...]:
    if not isinstance(values, list):
        raise ValueError(f"{name} is {values!r}, expected a list")
    return tuple(values)


def _check(plan: Plan, path: Path) -> None:
    """Refuse a plan that would fail in the midst of its work."""
    both = sorted(set(plan.constants) & set(plan.variables))
    if both:
        raise ConfigError(f"{both[0]} is both a constant and a variable", where=path)
    if not plan.variables or not all(plan.variables.values()) or not plan.steps or not plan.results:
        raise ConfigError("a plan has variables, each with values, steps and results", where=path)
    known = {*plan.constants, *plan.variables}
    texts = [*(part for step in plan.steps for part in step.run), *(file for file, _ in plan.results.values())]
    texts += [value for value in plan.constants.values() if isinstance(value, str)]
    used = {name for text in texts for name in _PLACE.findall(text)}
    if used - known:
        name = sorted(used - known)[0]
        raise ConfigError(f"{{{name}}} is not defined", where=path, remedy=f"--define {name}=VALUE, or name it there")
    values = {**plan.constants, **dict.fromkeys(plan.variables, "")}
    for name in plan.constants:
        try:
            _filled(f"{{{name}}}", values)
        except RecursionError:
            raise ConfigError(f"{{{name}}} is defined by itself", where=path) from None
    for name in [*plan.over, *(name for step in plan.steps for name in step.when)]:
        if name not in plan.variables:
            raise ConfigError(f"{name} is no variable", where=path, remedy=f"variables are {', '.join(plan.variables)}")
    if any(not step.run or step.run[0] == "sweep" for step in plan.steps):
        raise ConfigError("a step runs nothing, or another sweep", where=path)


def sweep(plan_path: Path, out: Path, defined: Mapping[str, str], options: RunOptions, run: RunCommand) -> StageReport:
    """Run all combinations; what is up to date is skipped by the commands themselves.

    Parameters
    ----------
    out : Path
        Directory to be made: ``results.json``, a row for each combination, and ``results.txt``, the table.

    Raises
    ------
    ConfigError
        See :func:`read_plan`.
    TooManyFailedError
        In more combinations than the options allow a command failed, or left no result.
    """
    plan = read_plan(plan_path, defined)
    check_place(out)
    combinations = list(plan.combinations())
    rows: list[dict[str, Any]] = []
    failures: list[Failure] = []
    with _started(plan, combinations, _Once(run), options.num_jobs) as outcomes:
        for values, outcome in options.progress(
            zip(combinations, outcomes), total=len(combinations), label="combinations"
        ):
            try:
                rows.append({**values, **outcome()})
            except (ConfigError, FormatError) as error:
                failures.append(Failure.of(_name(values), error))
            write_json(out / "results.json", rows)
            write_lines(out / "results.txt", _table(plan, rows))
    remedy = f"look at what the commands said{'' if options.num_jobs == 1 else f' in {out}/log'}, or raise --max-failed"
    check_failures(failures, len(combinations), options, plan_path, "combinations", remedy)
    return StageReport("sweep", out, {"combinations": len(rows)}, tuple(failures), lines=tuple(_table(plan, rows)))


class _Once:
    """Runs each command once, however many combinations name it, and keeps its exit code."""

    def __init__(self, run: RunCommand) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._codes: dict[tuple[str, ...], Future[int]] = {}

    def __call__(self, arguments: list[str]) -> int:
        with self._lock:
            code = self._codes.get(tuple(arguments))
            mine = code is None
            if code is None:
                code = self._codes[tuple(arguments)] = Future()
        if mine:
            try:
                code.set_result(self._run(arguments))
            except BaseException as error:
                code.set_exception(error)
        return code.result()


@contextmanager
def _started(
    plan: Plan, combinations: Sequence[Values], run: RunCommand, num_jobs: int
) -> Iterator[list[Callable[[], dict[str, float]]]]:
    """Give what returns the results of each combination: of one worker, runs it; of several, waits for it."""
    if num_jobs == 1:
        yield [functools.partial(_run, plan, values, run) for values in combinations]
        return
    workers = ThreadPoolExecutor(num_jobs, "sweep")
    try:
        yield [workers.submit(_run, plan, values, run).result for values in combinations]
    finally:
        workers.shutdown(cancel_futures=True)


def _name(values: Values) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())


def _run(plan: Plan, values: Values, run: RunCommand) -> dict[str, float]:
    """Run the steps of one combination; return its results by name."""
    log.info("sweep: %s", _name(values))
    names = {**plan.constants, **values}
    for step in plan.steps:
        if not step.wanted(values):
            continue
        arguments = [_filled(part, names) for part in step.run]
        code = run(arguments)
        if code == 130:
            raise KeyboardInterrupt
        if code:
            raise ConfigError(f"`asrkit {' '.join(arguments)}` ended with {code}")
    return {name: _number(Path(_filled(file, names)), key) for name, (file, key) in plan.results.items()}


def _filled(text: str, names: Mapping[str, Value]) -> str:
    return _PLACE.sub(lambda match: _filled(str(names[match[1]]), names), text)


def _number(path: Path, key: str) -> float:
    value = read_json(path) if path.exists() else None
    for part in key.split("/"):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise FormatError(f"no number {key!r}", where=path)
    return value


def _table(plan: Plan, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each combination of what is not averaged over: mean, standard deviation and number."""
    shown = [name for name in plan.variables if name not in plan.over]
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(json.dumps([row[name] for name in shown]), []).append(row)
    heads = [*shown, *plan.results, "runs"]
    lines = [[str(head) for head in heads]]
    for group in groups.values():
        cells = [str(group[0][name]) for name in shown]
        for name in plan.results:
            numbers = [float(row[name]) for row in group]
            spread = f" ± {statistics.stdev(numbers):.2f}" if len(numbers) > 1 else ""
            cells.append(f"{statistics.fmean(numbers):.2f}{spread}")
        lines.append([*cells, str(len(group))])
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(line, widths)) for line in lines]
