"""docs/vtln.md: its commands have the options it names, and its configuration keys and defaults are those of today."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from asrkit.stages.warp_search import VtlnConfig
from tests.cli.documented import parse_command

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "vtln.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if line.startswith("asrkit ")
]


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_are_understood(line: str) -> None:
    parse_command(line)


def test_keys_and_defaults_are_those_of_the_page() -> None:
    assert {shlex.split(line)[1] for line in COMMANDS} >= {"vtln", "extract", "subset", "decode", "train-gmm"}
    keys = {*re.findall(r"--set (\w+)=", PAGE), "min_frames", "num_passes", "silence_weight"}
    assert keys <= set(VtlnConfig.__dataclass_fields__)
    assert all(key in PAGE for key in keys)
    config = VtlnConfig()
    assert "`min_frames` (200)" in PAGE
    assert config.min_frames == 200
    assert f"each of {len(config.warps)} factors (0.80 to 1.20" in PAGE
