"""docs/music.md: its commands are understood, and the keys and figures that it names are those of today."""

from __future__ import annotations

import functools
import itertools
import re
import shlex
from pathlib import Path

import pytest

from asrkit.stages.music_config import TrainRnnRbmConfig
from tests.cli.documented import parse_command

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "music.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^asrkit .*", PAGE, re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_are_understood(line: str) -> None:
    parse_command(line)
    words = shlex.split(line)
    keys = [after.partition("=")[0] for before, after in itertools.pairwise(words) if before == "--set"]
    if words[1] == "train-music":
        for key in keys:
            functools.reduce(getattr, key.split("."), TrainRnnRbmConfig())
    for path in [after for before, after in itertools.pairwise(words) if before == "--config"]:
        assert (ROOT / path).is_file()


def test_the_keys_are_those_of_today() -> None:
    keys = re.findall(r"`((?:midi|model|prediction|training|pretraining)\.[\w.]+)`", PAGE)
    assert len(keys) > 4
    for key in keys:
        functools.reduce(getattr, key.split("."), TrainRnnRbmConfig())


def test_the_figures_are_those_of_a_report() -> None:
    stages = ROOT / "asrkit" / "stages"
    names = ("sequence_models.py", "train_music.py", "train_feature_sequences.py")
    source = "".join((stages / name).read_text(encoding="utf-8") for name in names)
    named = re.findall(r"^- `(\w+)`: (?:nats|of the least|Σ)", PAGE, re.MULTILINE)
    named += re.findall(r"`(\w+_likelihood|standard_error|expected_excess|accuracy\w*)`", PAGE)
    assert len(set(named)) >= 6
    for name in named:
        assert f'"{name}"' in source
