"""docs/networks.md: its commands are understood, its plan is one, its keys are those of the configuration."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from asrkit.stages.dnn_config import MlpStageConfig
from asrkit.stages.sweep import read_plan
from tests.cli.documented import parse_command

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "networks.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("asrkit ")]


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_are_understood(line: str) -> None:
    parse_command(line)


def test_the_plan_can_be_carried_out(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(blocks("toml")[0])
    plan = read_plan(tmp_path / "plan.toml", {"work": "."})
    assert len(list(plan.combinations())) == 9
    values = {"work": ".", "layers": "1", "seed": "0"}
    for step in plan.steps:
        words = [re.sub(r"\{(\w+)\}", lambda match: values[match[1]], part) for part in step.run]
        parse_command("asrkit " + " ".join(f"'{word}'" for word in words))


def test_the_keys_and_defaults_are_those_of_today() -> None:
    keys = [
        key for cell in re.findall(r"^\| (`[^|]*) \|", PAGE, re.MULTILINE) for key in re.findall(r"`([\w.]+)`", cell)
    ]
    assert len(keys) > 8
    config = MlpStageConfig()
    for key in keys:
        value: object = config if "." in key or hasattr(config, key) else config.network
        for name in key.split("."):
            value = getattr(value, name)
    assert (config.pipeline.splice_left, config.pipeline.splice_right) == (5, 5)
    assert config.training.optimiser.rate == 0.008
