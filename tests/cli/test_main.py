"""The command line as a whole: usage errors, clean messages, exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from asrkit.cli.main import main
from tests.factories import make_data_dir


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["exract"], 2, "Did you mean 'extract'?"),
        (["train-gmm", "mono"], 2, "Missing argument"),
        (["train-gmm", "mono", "a", "b", "c", "--num-jobs", "0"], 2, "--num-jobs"),
        (["train-gmm", "mono", "a", "b", "c", "--set", "em.baem=3"], 1, "did you mean em.beam?"),
        (["train-gmm", "mono", "a", "b", "c", "--config", "/absent.toml"], 1, "/absent.toml: no such configuration"),
        (["train-gmm", "mono", "/absent", "b", "c"], 1, "no such data directory"),
    ],
)
def test_mistakes_give_one_clean_line(arguments: list[str], code: int, message: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_print_config_is_toml_on_stdout() -> None:
    result = CliRunner().invoke(main, ["train-gmm", "mono", "--print-config", "--set", "em.num_iters=7"])
    assert result.exit_code == 0
    assert "num_iters = 7" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["subset", "data", "data/wav.scp"], "data/wav.scp: not a directory"),
        (["subset", "data", "out", "--utterances", "folder"], "folder: is a directory (a file is expected here)"),
    ],
)
def test_what_the_system_refuses_is_said_as_our_own_errors_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    make_data_dir(tmp_path / "data")
    (tmp_path / "folder").mkdir()
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.startswith("asrkit: ")
    assert "Errno" not in result.stderr


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError("Unable to allocate 7 TiB"), "asrkit: not enough memory (Unable to allocate 7 TiB)\n"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory\nC++ frames"),
            "asrkit: not enough memory (DefaultCPUAllocator: can't allocate memory)\n",
        ),
        (RuntimeError("shapes differ"), "asrkit: internal error"),
    ],
)
def test_want_of_memory_is_no_internal_error(monkeypatch: pytest.MonkeyPatch, error: Exception, message: str) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("asrkit.stages.train_mono.train_mono", fail)
    result = CliRunner().invoke(main, ["train-gmm", "mono", "a", "b", "c"])
    assert result.exit_code == 1
    assert result.stderr.startswith(message)


def test_version() -> None:
    assert CliRunner().invoke(main, ["--version"]).stdout.startswith("asrkit, version ")


@pytest.mark.parametrize("with_workers", [False, True])
def test_an_error_beside_busy_workers_ends_the_process_at_once(with_workers: bool) -> None:
    """Python's own end may abort where threads are inside compiled code, so it is not waited for."""
    program = f"""
import atexit, sys, threading
from asrkit.cli.main import program
atexit.register(print, "the end")
if {with_workers}:
    threading.Thread(target=threading.Event().wait, daemon=True).start()
print("begun")
sys.argv[1:] = ["info", "absent"]
program()
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert ran.returncode == 1
    assert ran.stderr == "asrkit: absent: no such file or directory\n"
    assert ran.stdout == ("begun\n" if with_workers else "begun\nthe end\n")


def test_an_error_in_somebody_else_s_process_leaves_its_end_alone() -> None:
    program = """
import sys, threading
from click.testing import CliRunner
from asrkit.cli.main import main
threading.Thread(target=threading.Event().wait, daemon=True).start()
assert CliRunner().invoke(main, ["info", "absent"]).exit_code == 1
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=300, check=False).returncode == 0
