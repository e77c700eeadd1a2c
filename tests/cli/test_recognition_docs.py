"""README.md and the pages on recognition: their commands parse, keys and figures are those of today, Python runs.

The pages are docs/transcribe.md, docs/lattices.md and docs/long-recordings.md.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from asrkit.cli.main import COMMANDS, main
from asrkit.data.labels.ctm import read_ctm
from asrkit.decode.reading import NUM_TIMING_PATHS
from asrkit.features.config import FrontEndConfig
from asrkit.lattice.archive import LatticeWriter
from asrkit.recognizer.config import RecognizerConfig
from asrkit.recognizer.formats import FORMATS
from asrkit.recognizer.result import Hypothesis, Partial, Result, Segment, Word
from asrkit.recognizer.subtitles import SubtitleConfig, make_cues, srt_text
from asrkit.stages.decode import DecodeConfig
from asrkit.stages.lattice_to_slf import SlfConfig
from asrkit.stages.long_recordings import SpeechConfig
from asrkit.stages.make_graph import MakeGraphConfig
from asrkit.stages.rescore import RescoreConfig
from asrkit.stages.segment import SegmentConfig
from asrkit.stages.transcribe import TranscribeOptions
from tests.cli.documented import parse_command
from tests.factories import write_wav
from tests.lattice.lattices import random_lattice
from tests.recognizer.conftest import packed_into
from tests.recognizer.worlds import RATE, World, as_int16, say
from tests.test_architecture import MAY_IMPORT

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("transcribe", "lattices", "long-recordings")
PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text("utf-8") for name in NAMES}
README = (ROOT / "README.md").read_text("utf-8")
CONFIGS = {
    "pack": RecognizerConfig,
    "transcribe": RecognizerConfig,
    "listen": RecognizerConfig,
    "decode": DecodeConfig,
    "rescore": RescoreConfig,
    "segment": SegmentConfig,
    "make-graph": MakeGraphConfig,
    "lattice-to-slf": SlfConfig,
}


def blocks_of(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> list[str]:
    return blocks_of(PAGES[page], language)


def commands(page: str) -> list[str]:
    lines = [line for block in blocks(page, "sh") for line in block.splitlines() if line]
    assert all("asrkit " in line for line in lines)
    return [line[line.index("asrkit ") :] for line in lines]


COMMAND_LINES = [line for page in PAGES for line in commands(page)]
README_LINES = [line for block in blocks_of(README, "sh") for line in block.splitlines() if line.startswith("asrkit ")]


def value_of(config: Any, key: str) -> Any:
    """Return the value of a dotted key; an AttributeError where there is none."""
    return functools.reduce(getattr, key.split("."), config)


@pytest.mark.parametrize("line", [*COMMAND_LINES, *README_LINES])
def test_the_commands_are_understood(line: str) -> None:
    parse_command(line)


def test_the_readme_has_every_command_and_every_room() -> None:
    assert len(README_LINES) > 10
    tables = "".join(line for line in README.splitlines() if line.startswith("| "))
    assert {*re.findall(r"`asrkit ([a-z0-9-]+)`", tables)} == set(COMMANDS)
    assert {*re.findall(r"`asrkit/([a-z]+)`", tables)} == set(MAY_IMPORT)
    (order,) = re.findall(r"^```\n(core ← .*?)^```", README, re.MULTILINE | re.DOTALL)
    assert {*re.findall(r"[a-z]+", order)} - {"all", "of", "them"} == set(MAY_IMPORT)


def test_every_command_of_recognition_is_shown() -> None:
    shown = {shlex.split(line)[1] for line in COMMAND_LINES}
    assert shown >= {*CONFIGS}
    assert shown <= set(COMMANDS)


@pytest.mark.parametrize("line", [line for line in COMMAND_LINES if "--set" in line])
def test_keys_that_commands_set_exist(line: str) -> None:
    name, *arguments = shlex.split(line)[1:]
    keys = [after.partition("=")[0] for option, after in itertools.pairwise(arguments) if option == "--set"]
    for key in keys:
        value_of(CONFIGS[name](), key)


@pytest.mark.parametrize(("page", "config"), [("lattices", DecodeConfig()), ("long-recordings", SegmentConfig())])
def test_tables_of_keys_have_the_defaults_of_today(page: str, config: Any) -> None:
    (table,) = re.findall(r"^\| key \(`--set`\) .*\n\|[-|]+\n((?:\|.*\n)+)", PAGES[page], re.MULTILINE)
    rows = [[cell.strip(" `") for cell in line.split("|")[1:3]] for line in table.splitlines()]
    assert len(rows) >= 5
    assert [(key, default) for key, default in rows] == [(key, json.dumps(value_of(config, key))) for key, _ in rows]


def test_numbers_in_the_text_are_those_of_today() -> None:
    transcribe, lattices, long = PAGES.values()
    recognizer = RecognizerConfig()
    end = recognizer.endpoint
    assert "after 0.5 s of silence where" in transcribe
    assert "20 s at a place without silence" in transcribe
    secs = [rule.silence_secs for rule in (end.likely, end.plausible, end.spoken, end.silence)]
    assert (secs, end.longest.utterance_secs) == ([0.5, 1.0, 2.0, 5.0], 20.0)
    assert "statistics of the last 20 s (`online_cmvn.cmn_window`)" in transcribe
    assert recognizer.online_cmvn.cmn_window == 2000
    assert hasattr(end, "enabled")
    subtitles = SubtitleConfig()
    assert f"{subtitles.line_chars} characters, {subtitles.max_secs:g} s a cue" in transcribe
    assert f"more than {TranscribeOptions().cut_secs:g} s" in transcribe
    assert "together (`--speakers many`: each by itself)" in transcribe
    assert TranscribeOptions().speakers == "one"
    megabytes_an_hour = 3600 * 100 * FrontEndConfig().num_ceps * 4 / 1e6
    assert f"{megabytes_an_hour:.0f} MB an hour of speech" in long
    assert all(f"`{form}`" in transcribe for form in FORMATS)
    assert "(`lookahead_threshold`)" in lattices
    assert f"best of {NUM_TIMING_PATHS} paths" in lattices
    assert f"`max_memory_gb` ({MakeGraphConfig().max_memory_gb:g})" in lattices
    speech = SpeechConfig()
    assert f"{speech.energy.num_bands} mel bands" in long
    assert speech.energy.floor_quantile == 0.1
    assert f"windows overlap by {speech.cutting.overlap_secs:g} s" in long
    smoothing = speech.smoothing
    assert f"({smoothing.min_speech_secs:g} s of speech, {smoothing.min_nonspeech_secs:g} s of anything else)" in long


def test_the_examples_of_formats_belong_together(tmp_path: Path) -> None:
    whole, partial = (json.loads(block) for block in blocks("transcribe", "json"))
    timing = {"seconds", "real_time_factor", "first_words"}
    assert {*whole} == {"recording", "channel", *Result((), 0.0, transform="full").to_json()} | timing
    (segment,) = whole["segments"]
    words = tuple(Word(one["word"], one["start"], one["end"], one["confidence"]) for one in segment["words"])
    best = Hypothesis(words, segment["nbest"][0]["cost"], segment["nbest"][0]["probability"])
    again = Segment(segment["start"], segment["end"], words, (best,), segment["complete"])
    assert again.to_json() == segment
    assert {*Partial(0.0, 1.0, ("yes",), 0).to_json()} == {*partial}
    texts = blocks("transcribe", "text")
    (tmp_path / "a.ctm").write_text(next(text for text in texts if text.startswith("enter 1 ")))
    rows = [(row.label, row.confidence) for row in read_ctm(tmp_path / "a.ctm")]
    assert [(label.text, label.start_secs, confidence) for label, confidence in rows] == [
        (word.word, word.start_secs, word.confidence) for word in words
    ]
    assert [label.end_secs for label, _ in rows] == pytest.approx([word.end_secs for word in words])
    assert next(text for text in texts if "-->" in text).strip() == srt_text(make_cues([again])).strip()


def test_recordings_are_prepared_and_cut_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from asrkit.data.datadir import DataDir

    write_wav(tmp_path / "my_recordings" / "lecture.flac", as_int16(say("_ _ yes no _ _ _ toy _ _")), RATE)
    monkeypatch.chdir(tmp_path)
    prepare, segment, *_ = (line for line in commands("long-recordings") if "prepare" in line or "segment" in line)
    for line in (prepare, segment):
        result = CliRunner().invoke(main, shlex.split(line)[1:])
        assert result.exit_code == 0, result.output
    assert [*DataDir.load("data/recordings").utterances] == ["lecture"]
    assert {utterance.recording_id for utterance in DataDir.load("segments").utterances.values()} == {"lecture"}


@pytest.mark.parametrize("example", ["transcribe 0", "transcribe 1", "readme"])
def test_python_of_recognition_runs(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = packed_into(tmp_path / "an4.asrkit", World(tmp_path / "world"), "--set", "lm_weight=5")
    packed.with_name("digits.asrkit").symlink_to(packed)
    samples = as_int16(say("_ yes no _"))
    write_wav(tmp_path / "enter.flac", samples, RATE)
    write_wav(tmp_path / "recording.wav", samples, RATE)
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    codes = dict(zip(["transcribe 0", "transcribe 1"], blocks("transcribe", "python"), strict=True))
    (codes["readme"],) = blocks_of(README, "python")
    # The planted model hears 8 kHz; the example speaks of 16.
    exec(codes[example].replace("16000", str(RATE)), {"blocks": np.array_split(samples, 7)})
    said = capsys.readouterr().out.splitlines()
    if example == "transcribe 0":
        assert [line.split()[0] for line in said[1:3]] == ["yes", "no"]
        assert (said[0], said[3].startswith("yes no ")) == ("yes no", True)
    elif example == "transcribe 1":
        assert (said[0].split()[0], said[-1]) == ("Partial", "yes no")
    else:
        assert [line.split()[0] for line in said] == ["yes", "no"]


def test_python_of_lattices_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    generator = np.random.default_rng(2)
    with LatticeWriter(tmp_path / "decode_dev", "lat") as writer:
        for key in ("ann-1", "bob-2"):
            writer.write(key, random_lattice(generator, num_frames=6))
    (tmp_path / "graph").mkdir()
    (tmp_path / "graph" / "words.txt").write_text("<eps> 0\none 1\ntwo 2\nthree 3\n")
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("lattices", "python")
    found: dict[str, Any] = {}
    exec(code, found)
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said if line[0] != " "] == ["ann-1", "bob-2"]
    assert [line for line in said if line == " 0"] == [" 0", " 0"]  # the oracle errors of a path of the lattice
    assert found["by_frame"].num_frames == 6
    assert found["narrower"].num_frames == 6


def test_pages_link_to_pages_that_exist_and_are_not_long() -> None:
    for text in PAGES.values():
        assert len(text.splitlines()) <= 200
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            assert (ROOT / "docs" / target).is_file()
