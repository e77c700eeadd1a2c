"""`asrkit train-dnn --seeds`: the same training from several seeds, and how far its figures lie apart."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from asrkit.core.files import write_json
from asrkit.stages.record import RunOptions, StageReport, check_place

Train = Callable[[Path, RunOptions], StageReport | None]


def train_seeds(train: Train, stage: str, out: Path, count: int, options: RunOptions) -> StageReport | None:
    """Train ``count`` times, from the seed of the options and those after it.

    Each training is a stage of its own, in ``out/seed-0``, ``out/seed-1`` …, and is skipped where it is up to date.
    ``out/seeds.json`` has the figures of each.

    Parameters
    ----------
    train : callable
        Trains with options, and makes a model directory.
    stage : str
        Name of the command.

    Returns
    -------
    StageReport or None
        Mean and standard deviation of each figure that is not the same in all; None in processes that train together
        with another one.
    """
    check_place(out)
    started = time.monotonic()
    reports: dict[str, StageReport] = {}
    for seed in range(options.seed, options.seed + count):
        name = f"seed-{seed}"
        report = train(out / name, replace(options, seed=seed))
        if report is None:
            continue
        reports[name] = report
    if not reports:
        return None
    write_json(out / "seeds.json", {name: report.figures for name, report in reports.items()})
    figures = {"seeds": count, **_spread([report.figures for report in reports.values()])}
    failures = tuple(dict.fromkeys(failure for report in reports.values() for failure in report.failures))
    return StageReport(
        stage,
        out,
        figures,
        failures,
        all(report.skipped for report in reports.values()),
        time.monotonic() - started,
    )


def _spread(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what all rows agree on as it is, and of other numbers the mean and the standard deviation."""
    found: dict[str, Any] = {}
    for name, value in rows[0].items():
        values = [row.get(name) for row in rows]
        if all(one == value for one in values):
            found[name] = value
        elif all(isinstance(one, (int, float)) for one in values):
            numbers = [float(one) for one in values if one is not None]
            found[name] = float(f"{statistics.fmean(numbers):.6g}")
            found[f"{name}_deviation"] = float(f"{statistics.stdev(numbers):.3g}")
    return found
