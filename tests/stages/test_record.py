"""A finished stage is skipped, a changed one runs again and says why, too many failures stop it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from asrkit.core.errors import ConfigError, DataError, TooManyFailedError
from asrkit.stages.record import Failure, RunOptions, StageReport, StageResult, check_failures, run_stage


@dataclass(frozen=True)
class Config:
    beam: float = 1.0


class Counter:
    """A stage that copies a file and counts how often it ran."""

    def __init__(self, folder: Path) -> None:
        self.source, self.target, self.runs = folder / "in", folder / "out" / "result", 0
        self.source.write_text("1")
        self.is_killed = False

    def run(self, config: Config, options: RunOptions) -> StageReport:
        def body() -> StageResult:
            self.runs += 1
            if self.is_killed:
                raise KeyboardInterrupt
            self.target.parent.mkdir(exist_ok=True)
            self.target.write_text(self.source.read_text())
            return StageResult({"value": int(self.source.read_text())}, (Failure("u1", "bad"),))

        return run_stage("copy", self.target.parent, [self.source], config, [self.target], options, body)


@pytest.fixture
def counter(tmp_path: Path) -> Counter:
    return Counter(tmp_path)


def test_a_second_run_does_nothing_and_keeps_the_figures(counter: Counter) -> None:
    first = counter.run(Config(), RunOptions())
    second = counter.run(Config(), RunOptions(num_jobs=4))
    assert counter.runs == 1
    assert (first.skipped, second.skipped) == (False, True)
    assert second.figures == first.figures == {"value": 1}


def test_what_changed_is_said(counter: Counter, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="asrkit")
    logging.getLogger("asrkit").propagate = True
    counter.run(Config(), RunOptions())
    counter.run(Config(2.0), RunOptions())
    counter.source.write_text("22")
    counter.run(Config(2.0), RunOptions())
    counter.run(Config(2.0), RunOptions(seed=5))
    counter.target.unlink()
    counter.run(Config(2.0), RunOptions(seed=5))
    assert counter.runs == 5
    for part in ("beam was 1.0, is 2.0", "in changed", "seed was 0, is 5", "result is missing"):
        assert part in caplog.text


def test_force_runs_and_a_touched_file_does_not(counter: Counter) -> None:
    counter.run(Config(), RunOptions())
    counter.source.touch()
    counter.run(Config(), RunOptions())
    assert counter.runs == 1
    counter.run(Config(), replace(RunOptions(), force=True))
    assert counter.runs == 2


def test_a_damaged_record_means_run_again(counter: Counter) -> None:
    counter.run(Config(), RunOptions())
    (counter.target.parent / "stage.json").write_text("{ half")
    counter.run(Config(), RunOptions())
    assert counter.runs == 2


def test_an_output_that_something_else_changed_is_made_again(counter: Counter) -> None:
    counter.run(Config(), RunOptions())
    counter.target.write_text("cut off")
    counter.run(Config(), RunOptions())
    assert counter.runs == 2
    assert counter.target.read_text() == "1"


def test_the_working_directory_does_not_matter(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    counter.run(Config(), RunOptions())
    monkeypatch.chdir(counter.source.parent)
    counter.source, counter.target = Path("in"), Path("out/result")
    assert counter.run(Config(), RunOptions()).skipped


def test_a_skipped_stage_still_names_its_failures(counter: Counter) -> None:
    first = counter.run(Config(), RunOptions())
    assert counter.run(Config(), RunOptions()).failures == first.failures == (Failure("u1", "bad"),)


def test_a_stage_killed_over_an_older_result_does_not_pass_for_it(counter: Counter) -> None:
    counter.run(Config(), RunOptions())
    counter.is_killed = True
    with pytest.raises(KeyboardInterrupt):
        counter.run(Config(2.0), RunOptions())
    counter.is_killed = False
    counter.run(Config(), RunOptions())
    assert counter.runs == 3


def test_too_many_failures_stop_the_stage() -> None:
    failures = [Failure("u1", "no path"), Failure("u2", "no frames")]
    check_failures(failures, 20, RunOptions(max_failed=0.1), "data")
    with pytest.raises(TooManyFailedError, match="2 of 19 utterances failed.*u1: no path") as caught:
        check_failures(failures, 19, RunOptions(max_failed=0.1), "data")
    assert caught.value.exit_code == 3


def test_a_place_that_cannot_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "out" / "made").mkdir(parents=True)

    def never() -> StageResult:
        raise AssertionError("the body ran")

    for out, made in [("file", "made"), ("file/below/it", "made"), ("out", "made")]:
        path = tmp_path / out
        with pytest.raises(ConfigError, match="directory.*OUT") as caught:
            run_stage("stage", path, [], None, [path / made], RunOptions(), never)
        assert caught.value.where in (str(tmp_path / "file"), str(tmp_path / "out" / "made"))
    assert not (tmp_path / "out" / "stage.json").exists()


def test_a_failure_does_not_name_its_utterance_twice() -> None:
    assert Failure.of("u1", DataError("no frames", where="u1")) == Failure("u1", "no frames")
    assert Failure.of("u1", DataError("no frames", where="feats.scp")) == Failure("u1", "feats.scp: no frames")
