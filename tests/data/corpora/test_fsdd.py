"""Free Spoken Digit Dataset."""

from __future__ import annotations

from pathlib import Path

import layouts
import pytest

from asrkit.core.errors import ConfigError, DataError
from asrkit.data.corpora import fsdd
from asrkit.data.corpora.corpus import Corpus
from asrkit.stages.prepare import prepare
from asrkit.stages.record import RunOptions


@pytest.fixture
def src(tmp_path: Path) -> Path:
    for digit, speaker, index in (
        (0, "theo", 4),
        (0, "theo", 5),
        (9, "george", 0),
        (9, "george", 49),
        (3, "jackson", 12),
    ):
        layouts.wav(tmp_path / "fsdd" / "recordings" / f"{digit}_{speaker}_{index}.wav", 80, 8000)
    return tmp_path / "fsdd"


def ids(corpus: Corpus) -> dict[str, list[str]]:
    return {part: sorted(e.utterance.utterance_id for e in entries) for part, entries in corpus.parts.items()}


def test_official_split(src: Path) -> None:
    corpus = fsdd.read(src, fsdd.Config())
    assert ids(corpus) == {
        "train": ["george-9-49", "jackson-3-12", "theo-0-05"],
        "test": ["george-9-00", "theo-0-04"],
    }
    words = {entry.utterance.utterance_id: entry.utterance.words for entry in corpus.parts["train"]}
    assert words == {"george-9-49": ("NINE",), "jackson-3-12": ("THREE",), "theo-0-05": ("ZERO",)}


def test_one_speaker_left_out(src: Path) -> None:
    corpus = fsdd.read(src / "recordings", fsdd.Config(test_speaker="theo"))
    assert ids(corpus) == {
        "train": ["george-9-00", "george-9-49", "jackson-3-12"],
        "test": ["theo-0-04", "theo-0-05"],
    }
    with pytest.raises(ConfigError, match=r"--test-speaker: no training speaker 'geroge' \(did you mean george\?\)"):
        fsdd.read(src, fsdd.Config(test_speaker="geroge"))


def test_foreign_names_are_failures_and_nothing_is_refused(src: Path, tmp_path: Path) -> None:
    layouts.wav(src / "recordings" / "hello.wav")
    assert fsdd.read(src, fsdd.Config()).failures == {"hello.wav": "its name is not DIGIT_SPEAKER_INDEX"}
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no recordings named like 7_jackson_32"):
        fsdd.read(tmp_path / "empty", fsdd.Config())


@pytest.mark.slow
def test_the_real_corpus(corpora: Path, tmp_path: Path) -> None:
    report = prepare("fsdd", corpora / "fsdd", tmp_path, fsdd.Config(test_speaker="theo"), RunOptions())
    counts = {part: (c["utterances"], c["speakers"]) for part, c in report.figures["parts"].items()}
    assert counts == {"train": (1500, 3), "test": (500, 1)}
    assert report.figures["parts"]["train"]["sample_rates_hz"] == [8000]
