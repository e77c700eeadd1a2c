"""docs/energy-models.md: its commands parse, its keys and defaults are today's, its example prints what it says."""

from __future__ import annotations

import functools
import itertools
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from asrkit.features.config import FrontEndConfig
from asrkit.nnet.energy.config import CdConfig, SampleConfig
from asrkit.stages.dnn_config import MlpStageConfig
from asrkit.stages.pretrain_config import PretrainDbnConfig, PretrainRbmConfig, PretrainSdaConfig
from tests.cli.documented import parse_command

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "energy-models.md").read_text("utf-8")
CONFIGS = {
    ("pretrain", "rbm"): PretrainRbmConfig,
    ("pretrain", "dbn"): PretrainDbnConfig,
    ("pretrain", "sda"): PretrainSdaConfig,
    ("train-dnn", "mlp"): MlpStageConfig,
    ("sample",): SampleConfig,
    ("extract",): FrontEndConfig,
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines()]


def value_of(config: Any, key: str) -> Any:
    return functools.reduce(getattr, key.split("."), config)


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_are_understood_and_their_keys_exist(line: str) -> None:
    parse_command(line)
    words = shlex.split(line)[1:]
    keys = [after.partition("=")[0] for option, after in itertools.pairwise(words) if option == "--set"]
    for key in keys:
        value_of(CONFIGS[tuple(words[: 1 if (words[0],) in CONFIGS else 2])](), key)


def test_every_kind_of_stack_is_shown() -> None:
    shown = {tuple(shlex.split(line)[1:3]) for line in COMMANDS}
    assert {("pretrain", "rbm"), ("pretrain", "dbn"), ("pretrain", "sda")} <= shown
    assert any(line.startswith("asrkit sample ") for line in COMMANDS)


def test_the_table_of_keys_has_the_defaults_of_today() -> None:
    (table,) = re.findall(r"^\| key \(`--set`, `dbn`\) .*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    rows = [[cell.strip(" `") for cell in line.split("|")[1:3]] for line in table.splitlines()]
    config = PretrainDbnConfig()
    assert len(rows) > 10
    assert rows == [[key, json.dumps(value_of(config, key))] for key, _ in rows]
    assert hasattr(CdConfig(), "momentum_frames")
    for key in ("pipeline.cmvn", "pipeline.delta_order", "pipeline.splice_left", "threads"):
        value_of(config, key)


def test_the_example_prints_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    (code,), (said,) = blocks("python"), blocks("text")
    exec(code, {})
    assert capsys.readouterr().out == said


def test_modules_that_are_named_exist() -> None:
    assert len(PAGE.splitlines()) <= 200
    for name in re.findall(r"`(asrkit/[a-z_/]+\.py)`", PAGE):
        assert (ROOT / name).is_file()
    for name in ("cd", "partition", "dbn", "up_down"):
        assert f"`{name}.py`" in PAGE
        assert (ROOT / "asrkit" / "nnet" / "energy" / f"{name}.py").is_file()
