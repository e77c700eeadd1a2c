"""`asrkit timing`: its table, its picture, the same bits by any number of jobs, and what it refuses."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.nnet.timing.training import train_run
from asrkit.stages import timing as stage

pytest.importorskip("matplotlib")

QUICK = ("runs=3", "period=5", "max_steps=4000000", "test_periods=50")


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def timing(task: str, out: Path, *more: object, sets: tuple[str, ...] = QUICK) -> dict[str, Any]:
    settings = [part for one in sets for part in ("--set", one)]
    result = run("timing", task, out, *settings, *more, "--json", "-q")
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def test_the_table_counts_the_runs_that_solved_the_task(tmp_path: Path) -> None:
    report = timing("spikes", tmp_path)
    rows = json.loads((tmp_path / "timing.json").read_text())
    assert [row["learner"] for row in rows] == ["peephole", "plain", "full"]
    for row in rows:
        solved = [one for one in row["each"] if one["solved"]]
        assert len(row["each"]) == 3
        assert row["solved"] == len(solved)
        assert report["figures"][f"solved_{row['learner']}"] == f"{len(solved)} of 3"
        assert all(one["best"] == 50 for one in solved)
        if solved:
            assert row["streams"] == pytest.approx(sum(one["streams"] for one in solved) / len(solved), abs=0.1)
    assert rows[0]["solved"] == 3
    assert all(one["weights"][3] == 0 for one in rows[1]["each"])
    assert (tmp_path / "timing.png").read_bytes().startswith(b"\x89PNG")


def test_any_number_of_jobs_gives_the_same_bits(tmp_path: Path) -> None:
    for jobs in (1, 3):
        timing("delays", tmp_path / str(jobs), "-j", jobs)
    for name in ("timing.json", "timing.png"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()


def test_a_killed_stage_goes_on_with_the_runs_that_it_had_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ("runs=2", "period=5", "max_streams=2000", 'learners=["plain","full"]')
    timing("spikes", tmp_path / "whole", sets=settings)
    trained: list[tuple[str, int]] = []

    def train(job: tuple[Any, int], config: Any, seed: int) -> Any:
        if len(trained) == 3:
            raise KeyboardInterrupt
        trained.append(job)
        return train_run(job, config, seed)

    monkeypatch.setattr(stage, "train_run", train)
    arguments = [part for one in settings for part in ("--set", one)]
    assert run("timing", "spikes", tmp_path / "killed", *arguments, "-q").exit_code == 130
    assert trained == [("plain", 0), ("plain", 1), ("full", 0)]
    trained.clear()
    timing("spikes", tmp_path / "killed", sets=settings)
    assert trained == [("full", 1)]
    for name in ("timing.json", "timing.png"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()
    assert not (tmp_path / "killed" / stage.UNFINISHED).exists()


@pytest.mark.parametrize("left", ["{", '{"key": "other", "runs": [3]}', '{"runs": []}', "[]"])
def test_what_was_left_by_others_or_is_damaged_is_not_gone_on_with(tmp_path: Path, left: str) -> None:
    (tmp_path / stage.UNFINISHED).write_text(left)
    report = timing("spikes", tmp_path, sets=("runs=1", "max_streams=20", "learners=plain"))
    assert report["figures"] == {"solved_plain": "0 of 1"}


def test_functions_say_how_far_they_came(tmp_path: Path) -> None:
    settings = ("function=rectangle", "max_streams=20", "runs=1", "learners=plain-full")
    report = timing("functions", tmp_path, "--no-picture", sets=settings)
    assert report["figures"] == {"solved_plain-full": "0 of 1"}
    assert not (tmp_path / "timing.png").exists()
    shown = run("timing", "functions", tmp_path, "--no-picture", *(p for one in settings for p in ("--set", one)))
    assert "up to date" in shown.stdout


def test_without_matplotlib_the_table_alone_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "matplotlib" else found(name, *a))
    result = run("timing", "spikes", tmp_path)
    assert result.exit_code == 1
    assert "--no-picture" in result.output


def test_unknown_learners_are_named(tmp_path: Path) -> None:
    result = run("timing", "spikes", tmp_path, "--set", "learners=elman")
    assert result.exit_code == 1
    assert "peephole" in result.output
