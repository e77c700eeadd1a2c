"""docs/alignment.md: its commands have the options it names, and its examples are what is written today."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from asrkit.data.labels.ctm import read_ctm
from tests.cli.documented import parse_command

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "alignment.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("asrkit ")]


def test_there_are_commands() -> None:
    assert len(COMMANDS) >= 8
    assert {shlex.split(line)[1] for line in COMMANDS} >= {"align", "score-alignment", "train-gmm", "make-lang"}


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_are_understood(line: str) -> None:
    parse_command(line)


def test_configuration_keys_that_the_page_names_exist() -> None:
    from asrkit.stages.aligner import AlignStageConfig

    defaults = AlignStageConfig()
    for key in ("goodness", "boundaries", "adapt", "g2p_nbest"):
        assert f"--set {key}=" in PAGE
        assert hasattr(defaults, key)
    for key in re.findall(r"ladder\.([a-z_]+)", PAGE):
        assert hasattr(defaults.ladder, key)
    ladder = defaults.ladder
    assert (ladder.min_context_secs, ladder.gaussians_of_an_hour, ladder.gaussians_per_leaf) == (600.0, 5000, 8)
    assert (ladder.max_leaves, ladder.max_mono_gaussians, ladder.mono_shortest) == (5000, 1000, 5000)
    assert defaults.search.beams == (10.0, 40.0, 160.0, float("inf"))


def test_examples_are_whole(tmp_path: Path) -> None:
    (example,) = (json.loads(block) for block in blocks("json"))
    assert [word["word"] for word in example["words"]] == [None, "EIGHT"]
    rows = next(block for block in blocks("text") if " SIL" in block)
    (tmp_path / "a.ctm").write_text(rows)
    spans = [(row.label.start_secs, row.label.end_secs, row.label.text) for row in read_ctm(tmp_path / "a.ctm")]
    phones = [phone for word in example["words"] for phone in word["phones"]]
    assert spans == [(phone["start"], phone["end"], phone["phone"]) for phone in phones]
