"""The rooms and the direction of imports that docs/design and the README describe."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import asrkit
from asrkit.cli.main import COMMANDS, main

PACKAGE = Path(asrkit.__file__).parent

MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "data": {"core"},
    "features": {"core", "data"},
    "lm": {"core"},
    "lang": {"core", "lm"},
    "hmm": {"core", "lm", "lang"},
    "gmm": {"core", "lm", "lang", "hmm"},
    "score": {"core"},
    "music": {"core"},
    "graph": {"core", "lm", "lang", "hmm"},
    "lattice": {"core", "lm", "lang", "hmm", "graph"},
    "decode": {"core", "lm", "lang", "hmm", "graph", "lattice"},
    "nnet": {"core", "data", "features", "lm", "lang", "hmm", "graph", "lattice"},
    # From sound to words in memory, for programs: it puts the rooms of the way together as the stages do with files,
    # and knows no stage.
    "recognizer": {"core", "data", "features", "lm", "lang", "hmm", "gmm", "graph", "lattice", "decode", "nnet"},
}
MAY_IMPORT["stages"] = {*MAY_IMPORT} - {"stages", "cli"}
MAY_IMPORT["cli"] = {*MAY_IMPORT}

ONLY_IN_CLI = {"click", "tqdm"}
HEAVY = ("torch", "numba", "librosa", "scipy", "soundfile", "kaldifst", "matplotlib", "joblib", "mido")


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE)


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_only(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0]
    rooms = {name.split(".")[1] for name in imported(path) if name.startswith("asrkit.")}
    assert rooms - {room} <= MAY_IMPORT[room]
    if room != "cli":
        assert not {name.split(".")[0] for name in imported(path)} & ONLY_IN_CLI
    if room != "nnet":
        assert "torch" not in {name.split(".")[0] for name in imported(path)}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_prints_or_exits_outside_the_command_line(path: Path) -> None:
    calls = {
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    }
    assert path.is_relative_to(PACKAGE / "cli") or not calls & {"print", "exit", "sys.exit", "os._exit"}
    assert not calls & {"eval", "exec", "os.system", "os.popen"}
    assert not {name for name in calls if name.startswith("pickle.")}


def test_every_room_is_known() -> None:
    rooms = {path.relative_to(PACKAGE).parts[0] for path in modules()}
    assert rooms <= set(MAY_IMPORT)


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from asrkit.cli.main import main\n"
        "main(['--help'], standalone_mode=False)\n"
        f"print('LOADED', *[name for name in {HEAVY!r} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "LOADED"
    assert "Speech recognition" in run.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_of_commands_says_what_the_command_says(name: str) -> None:
    command = main.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    assert command.get_short_help_str(limit=200).rstrip(".") == COMMANDS[name][1].rstrip(".")
