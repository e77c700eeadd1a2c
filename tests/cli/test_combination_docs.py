"""docs/combination.md and docs/classifiers.md: commands are understood, keys and defaults are those of today."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from asrkit.lattice.rover import RoverConfig
from asrkit.stages.classify import ACCURACY, LABELS, PROBABILITIES, ClassifyConfig
from asrkit.stages.combine_lattices import LatticeCombinationConfig
from asrkit.stages.decode import DecodeConfig
from asrkit.stages.dnn_config import MlpStageConfig
from asrkit.stages.label_targets import SOURCES
from tests.cli.documented import parse_command

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = {name: (DOCS / f"{name}.md").read_text(encoding="utf-8") for name in ("combination", "classifiers")}
COMMANDS = [
    line
    for page in PAGES.values()
    for block in re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if line.startswith("asrkit ")
]
CONFIGS: dict[tuple[str, ...], Any] = {
    ("decode",): DecodeConfig(),
    ("combine", "lattices"): LatticeCombinationConfig(),
    ("combine", "hypotheses"): RoverConfig(),
    ("train-dnn", "mlp"): MlpStageConfig(),
    ("classify",): ClassifyConfig(),
}


def value_of(config: Any, key: str) -> Any:
    for name in key.split("."):
        config = getattr(config, name)
    return list(config) if isinstance(config, tuple) else config


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_are_understood(line: str) -> None:
    parse_command(line)


def test_keys_that_commands_set_exist() -> None:
    shown = set()
    for line in COMMANDS:
        words = shlex.split(line)[1:]
        name = next((name for name in CONFIGS if tuple(words[: len(name)]) == name), None)
        if name is not None:
            shown.add(name)
            for option, override in itertools.pairwise(words):
                if option == "--set":
                    value_of(CONFIGS[name], override.partition("=")[0])
    assert shown == set(CONFIGS)


def test_tables_of_keys_have_the_defaults_of_today() -> None:
    tables = re.findall(r"^\| key \(`--set`\) .*\n\|[-|]+\n((?:\|.*\n)+)", PAGES["combination"], re.MULTILINE)
    assert len(tables) == 2
    for table, config in zip(tables, (LatticeCombinationConfig(), RoverConfig())):
        named = {}
        for line in table.splitlines():
            keys, default = line.split("|")[1:3]
            named |= {key: json.loads(default) for key in re.findall(r"`(\w+)`", keys)}
        assert named == {key: value_of(config, key) for key in type(config).__dataclass_fields__}


def test_the_rest_of_the_text_is_true() -> None:
    combination, classifiers = PAGES.values()
    config = DecodeConfig().combination
    assert f"`combination.domain={config.domain}` (the default)" in combination
    assert set(re.findall(r"`combination\.(\w+)", combination)) == set(type(config).__dataclass_fields__)
    for name in (*SOURCES, LABELS, PROBABILITIES, ACCURACY):
        assert f"| `{name}` |" in classifiers
    assert ClassifyConfig().average == "log"
    assert MlpStageConfig().heldout_by == "speaker"
