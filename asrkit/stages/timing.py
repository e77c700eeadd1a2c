"""`asrkit timing`: how many nets of one memory cell learn a task of precise timing, and how soon."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asrkit.core.errors import FormatError
from asrkit.core.files import read_json, write_json
from asrkit.core.jobs import map_in_order
from asrkit.core.streams import random_stream
from asrkit.nnet.timing.config import AnyTimingConfig, Learner
from asrkit.nnet.timing.picture import Watched, draw_traces
from asrkit.nnet.timing.streams import draw_offsets
from asrkit.nnet.timing.training import TimingRun, train_run, watch
from asrkit.stages.checkpoint import training_key
from asrkit.stages.pictures import check_pictures
from asrkit.stages.record import RunOptions, StageReport, StageResult, run_stage

log = logging.getLogger("asrkit")

TABLE, PICTURE = "timing.json", "timing.png"

UNFINISHED = "unfinished.json"
"""The runs so far, with which a stage that was killed goes on."""

DRAWN_STEPS = 150
"""That a picture shows, at most."""


def timing(task: str, out: Path, config: AnyTimingConfig, options: RunOptions, pictures: bool = True) -> StageReport:
    """Train each learner from several initial weights, and count those that solve the task.

    Parameters
    ----------
    task : {'delays', 'spikes', 'functions'}
        Name of the subcommand.
    out : Path
        Directory to be made: ``timing.json``, a row a learner with all its runs, and ``timing.png``, what the best net
        of each does.
    pictures : bool
        Make ``timing.png``; needs matplotlib.

    Raises
    ------
    ConfigError
        A picture is wanted, and matplotlib is not installed.
    """
    check_pictures(pictures, "--no-picture")

    def body() -> StageResult:
        runs = _train(out / UNFINISHED, config, options)
        rows = [_row(learner, [run for run in runs if run.learner == learner]) for learner in config.learners]
        write_json(out / TABLE, rows)
        if pictures:
            draw_traces([_watched(learner, runs, config, options.seed) for learner in config.learners], out / PICTURE)
        (out / UNFINISHED).unlink(missing_ok=True)
        figures = {f"solved_{row['learner']}": f"{row['solved']} of {config.runs}" for row in rows}
        return StageResult(figures, lines=tuple(map(_line, rows)))

    outputs = [out / TABLE] + [out / PICTURE] * pictures
    return run_stage(f"timing {task}", out, [], config, outputs, options, body)


def _train(path: Path, config: AnyTimingConfig, options: RunOptions) -> list[TimingRun]:
    """Return all runs; those that a killed stage had finished are read from the file that it left."""
    key = training_key(config, options.seed, [])
    runs = _finished(path, key)
    done = {(run.learner, run.number) for run in runs}
    jobs = [(learner, number) for learner in config.learners for number in range(config.runs)]
    left = [job for job in jobs if job not in done]
    work = functools.partial(train_run, config=config, seed=options.seed)
    results = map_in_order(work, left, options.num_jobs, "threads")
    for run in options.progress(results, total=len(left), label="runs"):
        runs.append(run)
        write_json(path, {"key": key, "runs": [one.to_json() for one in runs]})
    return runs


def _finished(path: Path, key: str) -> list[TimingRun]:
    if not path.exists():
        return []
    try:
        left = read_json(path)
        return [TimingRun.from_json(values) for values in left["runs"]] if left["key"] == key else []
    except (FormatError, KeyError, TypeError, ValueError) as error:
        log.warning("%s is damaged (%s); all runs start again", path, error)
        return []


def _row(learner: Learner, runs: Sequence[TimingRun]) -> dict[str, Any]:
    """Return the row of a learner; streams and steps are of its runs that solved the task."""
    solved = [run for run in runs if run.solved]
    streams = np.array([run.streams for run in solved], dtype=np.float64)
    spread = round(float(streams.std(ddof=1)), 1) if len(solved) > 1 else None
    return {
        "learner": learner,
        "runs": len(runs),
        "solved": len(solved),
        "diverged": sum(run.diverged for run in runs),
        "streams": round(float(streams.mean()), 1) if solved else None,
        "streams_deviation": spread,
        "root_mean_square": round(float(np.mean([run.root_mean_square for run in solved])), 4) if solved else None,
        "each": [run.to_json() for run in runs],
    }


def _line(row: dict[str, Any]) -> str:
    if not row["solved"]:
        best = max(one["best"] for one in row["each"])
        return f"{row['learner']}: none of {row['runs']} solved it; the best test went right for {best} intervals"
    spread = f" ± {row['streams_deviation'] / 1000:.1f}" if row["streams_deviation"] is not None else ""
    return (
        f"{row['learner']}: {row['solved']} of {row['runs']} solved it, after {row['streams'] / 1000:.1f}{spread} "
        f"thousand streams; error {row['root_mean_square']:.3f}"
    )


def _watched(learner: Learner, runs: Sequence[TimingRun], config: AnyTimingConfig, seed: int) -> Watched:
    """Return what the picture shows of a learner: its run that solved the task first, else that with the best test."""
    mine = [run for run in runs if run.learner == learner]
    best = min(mine, key=lambda run: (run.diverged, not run.solved, run.streams if run.solved else -run.best))
    offsets = draw_offsets(config, random_stream(seed, "timing picture"), -(-DRAWN_STEPS // config.period))
    inputs, targets, rows = watch(best, config, offsets)
    state = "solved" if best.solved else f"not solved, {best.best} intervals right"
    title = f"{learner}, run {best.number}: {state}, {best.streams} streams"
    return title, inputs[:DRAWN_STEPS], targets[:DRAWN_STEPS], rows[:DRAWN_STEPS]
