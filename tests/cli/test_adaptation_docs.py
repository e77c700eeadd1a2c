"""docs/adaptation.md: its commands have the options it names, and its defaults are those of the configuration."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from asrkit.cli.main import main
from asrkit.stages.adapt import AdaptConfig

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "adaptation.md").read_text(encoding="utf-8")
COMMANDS = [line for line in PAGE.splitlines() if line.startswith("asrkit ")]


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_are_understood(line: str) -> None:
    name, *arguments = shlex.split(line)[1:]
    command = main.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    with command.make_context(name, arguments):  # parses everything, and calls nothing
        pass


def test_keys_and_defaults_are_so() -> None:
    defaults = AdaptConfig()
    told = dict(re.findall(r"`(\w+)` \((\d+)\)", PAGE))
    assert told == {key: f"{getattr(defaults, key):g}" for key in ("tau", "weight_tau", "variance_tau", "min_frames")}
    assert set(re.findall(r"--set (\w+)=", PAGE)) <= set(vars(defaults))
