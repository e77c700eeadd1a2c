"""docs/adaptation.md: its commands have the options it names, and its defaults are those of the configuration."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from asrkit.stages.adapt import AdaptConfig
from tests.cli.documented import parse_command

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "adaptation.md").read_text(encoding="utf-8")
COMMANDS = [line for line in PAGE.splitlines() if line.startswith("asrkit ")]


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_are_understood(line: str) -> None:
    parse_command(line)


def test_keys_and_defaults_are_so() -> None:
    defaults = AdaptConfig()
    told = dict(re.findall(r"`(\w+)` \((\d+)\)", PAGE))
    assert told == {key: f"{getattr(defaults, key):g}" for key in ("tau", "weight_tau", "variance_tau", "min_frames")}
    assert set(re.findall(r"--set (\w+)=", PAGE)) <= set(vars(defaults))
