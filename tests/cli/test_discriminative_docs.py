"""docs/discriminative.md: its commands are understood, its keys and defaults are those of today."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from asrkit.stages.sequence_config import LfmmiStageConfig, SequenceStageConfig
from asrkit.stages.train_mmi import MmiConfig
from tests.cli.documented import parse_command

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "discriminative.md").read_text(encoding="utf-8")
COMMANDS = [line for line in PAGE.splitlines() if line.startswith("asrkit ")]


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_are_understood(line: str) -> None:
    parse_command(line)


def test_keys_and_defaults_are_those_of_the_page() -> None:
    assert len(COMMANDS) == 4
    rows = re.findall(r"^\| `([\w.]+)` \| ([\d.]+) \|", PAGE, re.MULTILINE)
    assert len(rows) == 5
    for key, default in rows:
        value: object = MmiConfig()
        for name in key.split("."):
            value = getattr(value, name)
        assert value == float(default)
    assert SequenceStageConfig().criterion.kind == "smbr"
    assert SequenceStageConfig().training.ce_weight >= 0
    assert LfmmiStageConfig().criterion.tolerance > 0
