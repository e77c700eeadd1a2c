"""`asrkit sweep`: every combination once, tables of means, and what is wrong with a plan."""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from asrkit.cli.main import main
from asrkit.core.errors import ConfigError, TooManyFailedError
from asrkit.stages.record import RunOptions
from asrkit.stages.sweep import read_plan, sweep

PLAN = """
over = ["seed"]
[constants]
work = "somewhere"
[variables]
init = ["none", "rbm"]
layers = [1, 3]
seed = [0, 1, 2]
[[steps]]
when = {init = ["rbm"], layers = [3]}
run = ["pretrain", "{work}/{layers}-{seed}"]
[[steps]]
run = ["train", "--set", "layers={layers}", "{work}/{init}-{layers}-{seed}"]
[results.wer]
file = "{work}/{init}-{layers}-{seed}.json"
key = "score/wer"
"""


def write(path: Path, text: str = PLAN) -> Path:
    path.write_text(text)
    return path


def test_every_combination_is_run_in_order_and_averaged(tmp_path: Path) -> None:
    ran: list[list[str]] = []

    def run(arguments: list[str]) -> int:
        ran.append(arguments)
        if arguments[0] == "train":
            init, layers, seed = Path(arguments[-1]).name.split("-")
            wer = 10.0 - int(layers) + (init == "rbm") + int(seed) ** 2
            Path(f"{arguments[-1]}.json").write_text(json.dumps({"score": {"wer": wer}}))
        return 0

    report = sweep(write(tmp_path / "plan.toml"), tmp_path / "out", {"work": str(tmp_path)}, RunOptions(), run)
    assert report.figures == {"combinations": 12}
    assert [arguments[0] for arguments in ran].count("pretrain") == 3
    assert ran[-2:] == [
        ["pretrain", f"{tmp_path}/3-2"],
        ["train", "--set", "layers=3", f"{tmp_path}/rbm-3-2"],
    ]
    rows = json.loads((tmp_path / "out/results.json").read_text())
    assert rows[-1] == {"init": "rbm", "layers": 3, "seed": 2, "wer": 12.0}
    spread = statistics.stdev([0, 1, 4])
    lines = (tmp_path / "out/results.txt").read_text().splitlines()
    assert [line.split() for line in lines] == [
        ["init", "layers", "wer", "runs"],
        ["none", "1", "10.67", "±", f"{spread:.2f}", "3"],
        ["none", "3", "8.67", "±", f"{spread:.2f}", "3"],
        ["rbm", "1", "11.67", "±", f"{spread:.2f}", "3"],
        ["rbm", "3", "9.67", "±", f"{spread:.2f}", "3"],
    ]
    assert list(report.lines) == lines


def test_a_failure_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    def run(arguments: list[str]) -> int:
        wer = None if "none-3-0" in arguments[-1] else 1
        Path(f"{arguments[-1]}.json").write_text(json.dumps({"score": {"wer": wer}}))
        return 1 if arguments[-1].endswith("none-1-1") else 0

    plan, options = write(tmp_path / "plan.toml"), RunOptions(max_failed=0.2)
    report = sweep(plan, tmp_path / "out", {"work": str(tmp_path)}, options, run)
    assert [failure.utterance_id for failure in report.failures] == [
        "init none, layers 1, seed 1",
        "init none, layers 3, seed 0",
    ]
    assert "ended with 1" in report.failures[0].reason
    assert "no number 'score/wer'" in report.failures[1].reason
    assert report.figures == {"combinations": 10}
    with pytest.raises(TooManyFailedError, match="2 of 12 combinations failed"):
        sweep(plan, tmp_path / "out", {"work": str(tmp_path)}, RunOptions(max_failed=0.1), run)


def command(plan: Path, out: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["sweep", str(plan), str(out), *arguments])


def test_commands_of_asrkit_are_run(tmp_path: Path) -> None:
    text = """
[variables]
words = ["one two", "one two three"]
[[steps]]
run = ["train-lm", "uniform", "{out}/{words}.txt", "{out}/{words}.arpa"]
[results.size]
file = "{out}/stage.json"
key = "train-lm uniform {words}/figures/ngrams_1"
"""
    for words in ("one two", "one two three"):
        (tmp_path / f"{words}.txt").write_text("\n".join(words.split()) + "\n")
    ran = command(
        write(tmp_path / "plan.toml", text), tmp_path / "out", "--define", f"out={tmp_path}", "--max-failed", "1"
    )
    assert (tmp_path / "one two.arpa").exists()
    assert (tmp_path / "one two three.arpa").exists()
    assert ran.exit_code == 0, ran.output
    assert "train-lm uniform" in ran.stderr
    assert "train-lm uniform" not in ran.stdout.splitlines()[0]
    failing = text.replace('"train-lm", "uniform"', '"train-lm", "nothing"')
    failed = command(write(tmp_path / "bad.toml", failing), tmp_path / "out2", "--define", f"out={tmp_path}")
    assert failed.exit_code == 3
    assert "No such command" in failed.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("{work}/{layers}-{seed}", "{place}/{layers}"), r"\{place\} is not defined.*--define place=VALUE"),
        (('over = ["seed"]', 'over = ["sead"]'), "sead is no variable"),
        (("when = {init", "when = {begin"), "begin is no variable"),
        (('work = "somewhere"', "layers = 3"), "layers is both a constant and a variable"),
        (("seed = [0, 1, 2]", "seed = []"), "each with values"),
        (("[results.wer]", "[result.wer]"), "unknown key result"),
        (('run = ["pretrain", "{work}/{layers}-{seed}"]', 'run = "pretrain"'), "not a plan of a sweep|a step has"),
        (('"pretrain"', '"sweep"'), "another sweep"),
        (("seed = [0, 1, 2]", 'seed = "012"'), "seed is '012', expected a list"),
        (("seed = [0, 1, 2]", "seed = 3"), "seed is 3, expected a list"),
        (('over = ["seed"]', 'over = "seed"'), "over is 'seed', expected a list"),
        (("[variables]", "[constants2]"), "unknown key constants2"),
        (('key = "', 'kay = "'), "not a plan of a sweep: key is missing"),
        (("[variables]", "[variables"), "not valid TOML"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    text = PLAN.replace(*change)
    assert text != PLAN
    with pytest.raises(ConfigError, match=message):
        read_plan(write(tmp_path / "plan.toml", text), {})


def test_mistakes_of_the_command_line(tmp_path: Path) -> None:
    absent = command(tmp_path / "absent.toml", tmp_path / "out")
    assert absent.exit_code == 1
    assert "no such plan" in absent.stderr
    undefined = command(write(tmp_path / "plan.toml"), tmp_path / "out", "--define", "work")
    assert undefined.exit_code == 1
    assert "expected NAME=VALUE" in undefined.stderr


def test_constants_may_be_made_of_others(tmp_path: Path) -> None:
    ran: list[list[str]] = []

    def run(arguments: list[str]) -> int:
        ran.append(arguments)
        Path(tmp_path / "x.json").write_text('{"x": 1}')
        return 0

    text = (
        '[constants]\nwork = "w"\nnet = "{work}/{a}"\n[variables]\na = [1, 2]\n[[steps]]\nrun = ["info", "{net}-{a}"]\n'
        f'[results.x]\nfile = "{tmp_path}/x.json"\nkey = "x"\n'
    )
    sweep(write(tmp_path / "plan.toml", text), tmp_path / "out", {"work": "here"}, RunOptions(), run)
    assert ran == [["info", "here/1-1"], ["info", "here/2-2"]]
    with pytest.raises(ConfigError, match=r"\{net\} is defined by itself"):
        read_plan(write(tmp_path / "plan.toml", text.replace("{work}/{a}", "{net}")), {})
    with pytest.raises(ConfigError, match=r"\{other\} is not defined"):
        read_plan(write(tmp_path / "plan.toml", text.replace("{work}/{a}", "{other}")), {})


def test_several_workers_run_each_command_once_and_keep_the_order(tmp_path: Path) -> None:
    text = PLAN.replace("{work}/{layers}-{seed}", "{work}/stack-{seed}").replace(", layers = [3]", "")
    ran: list[str] = []

    def run(arguments: list[str]) -> int:
        ran.append(arguments[-1])
        time.sleep(0.002 * (len(ran) % 3))
        if arguments[0] == "train":
            Path(f"{arguments[-1]}.json").write_text(json.dumps({"score": {"wer": len(arguments[-1])}}))
        else:
            assert not list(tmp_path.glob(f"rbm-*-{arguments[-1][-1]}.json"))
        return 0

    plan, options = write(tmp_path / "plan.toml", text), RunOptions(num_jobs=5)
    report = sweep(plan, tmp_path / "out", {"work": str(tmp_path)}, options, run)
    assert report.figures == {"combinations": 12}
    assert len(ran) == len(set(ran)) == 12 + 3
    rows = json.loads((tmp_path / "out/results.json").read_text())
    assert [(row["init"], row["layers"], row["seed"]) for row in rows] == [
        (init, layers, seed) for init in ("none", "rbm") for layers in (1, 3) for seed in (0, 1, 2)
    ]


def test_a_failure_of_a_shared_command_is_that_of_all(tmp_path: Path) -> None:
    def run(arguments: list[str]) -> int:
        Path(f"{arguments[-1]}.json").write_text(json.dumps({"score": {"wer": 1}}))
        return int(arguments[0] == "pretrain")

    text = PLAN.replace("{work}/{layers}-{seed}", "{work}/stack").replace(", layers = [3]", "")
    options = RunOptions(num_jobs=3, max_failed=1.0)
    report = sweep(write(tmp_path / "plan.toml", text), tmp_path / "out", {"work": str(tmp_path)}, options, run)
    assert [failure.utterance_id for failure in report.failures] == [
        f"init rbm, layers {layers}, seed {seed}" for layers in (1, 3) for seed in (0, 1, 2)
    ]


def test_workers_are_processes_with_logs(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(
        '[variables]\nunits = [3, 4, 0]\n[[steps]]\nrun = ["sample", "{out}", "{out}/{units}", "--set", "a={units}"]\n'
        '[results.x]\nfile = "x"\nkey = "x"\n[constants]\nout = "x"\n'
    )
    found = CliRunner().invoke(
        main, ["sweep", str(plan), str(tmp_path / "out"), "-j", "2", "--define", f"out={tmp_path}"]
    )
    assert found.exit_code == 3
    logs = sorted((tmp_path / "out/log").iterdir())
    assert [log.name for log in logs] == ["0001-sample.txt", "0002-sample.txt", "0003-sample.txt"]
    for log in logs:
        assert log.read_text().startswith("asrkit sample")
        assert "unknown key a " in log.read_text()
