"""LibriSpeech in its own layout."""

from __future__ import annotations

from pathlib import Path

import layouts
import pytest

from asrkit.core.errors import DataError
from asrkit.data.corpora import librispeech
from asrkit.data.datadir import DataDir
from asrkit.stages.prepare import prepare
from asrkit.stages.record import RunOptions


@pytest.fixture
def src(tmp_path: Path) -> Path:
    root = tmp_path / "LibriSpeech"
    for subset, reader, chapter in (
        ("train-clean-100", "61", "7"),
        ("train-clean-100", "61", "8"),
        ("train-clean-100", "6123", "1"),
        ("dev-clean", "84", "12"),
    ):
        stem = f"{reader}-{chapter}"
        folder = root / subset / reader / chapter
        layouts.text(folder / f"{stem}.trans.txt", f"{stem}-0000 HE SAID\n{stem}-0001 IT'S\n")
        for number in range(2):
            layouts.wav(folder / f"{stem}-{number:04d}.flac")
    layouts.text(
        root / "SPEAKERS.TXT",
        ";ID  |SEX| SUBSET | MINUTES | NAME\n61   | M | x | 8 | A | B\n6123 | F | x | 1 | C\n84 | F | y | 8 | D\n",
    )
    return tmp_path


def test_subsets_readers_and_genders(src: Path, tmp_path: Path) -> None:
    report = prepare("librispeech", src, tmp_path / "data", librispeech.Config(), RunOptions())
    train = DataDir.load(tmp_path / "data" / "train-clean-100")
    assert {speaker: len(keys) for speaker, keys in train.by_speaker().items()} == {"61": 4, "6123": 2}
    assert train.utterances["61-8-0001"].words == ("IT'S",)
    assert layouts.table(tmp_path / "data" / "train-clean-100" / "spk2gender") == {"61": "m", "6123": "f"}
    assert layouts.table(tmp_path / "data" / "dev-clean" / "spk2gender") == {"84": "f"}
    (absent,) = report.figures["absent"]
    assert absent.startswith("official subsets train-clean-360, ")
    assert "dev-clean" not in absent


def test_speaker_by_chapter_as_in_kaldi(src: Path, tmp_path: Path) -> None:
    config = librispeech.Config(speaker_by="chapter", dev_speakers=("61-8",))
    prepare("librispeech", src, tmp_path / "data", config, RunOptions())
    assert set(DataDir.load(tmp_path / "data" / "train-clean-100").by_speaker()) == {"61-7", "6123-1"}
    assert set(DataDir.load(tmp_path / "data" / "dev").utterances) == {"61-8-0000", "61-8-0001"}


def test_one_subset_folder_by_itself(src: Path) -> None:
    corpus = librispeech.read(src / "LibriSpeech" / "dev-clean", librispeech.Config())
    assert list(corpus.parts) == ["dev-clean"]
    assert len(corpus.labels) == 2


def test_missing_halves_are_failures(src: Path) -> None:
    folder = src / "LibriSpeech" / "train-clean-100" / "61" / "7"
    layouts.text(folder / "61-7.trans.txt", "61-7-0000 HE\n61-7-0009 GONE\n")
    failures = librispeech.read(src, librispeech.Config()).failures
    assert set(failures) == {"61-7-0001", "61-7-0009"}
    assert failures["61-7-0001"].startswith("no transcript")
    assert failures["61-7-0009"].startswith("no recording")


def test_refusals(src: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no folders train-\*"):
        librispeech.read(tmp_path / "empty", librispeech.Config())
    folder = src / "LibriSpeech" / "train-clean-100" / "61" / "7"
    layouts.text(folder / "61-7.trans.txt", "61-7-0000 HE\n61-7-0000 SHE\n")
    with pytest.raises(DataError, match=r"61-7\.trans\.txt:2: expected 'READER-CHAPTER-NNNN WORDS' once"):
        librispeech.read(src, librispeech.Config())


@pytest.mark.slow
def test_the_real_corpus(corpora: Path, tmp_path: Path) -> None:
    report = prepare("librispeech", corpora / "librispeech", tmp_path, librispeech.Config(), RunOptions())
    counts = {part: (c["utterances"], c["speakers"]) for part, c in report.figures["parts"].items()}
    assert counts == {"train-mini": (1047, 15), "dev-mini": (198, 3)}
    assert report.figures["hours"] == pytest.approx(2.4, abs=0.05)
    words = sum(len(u.words or ()) for u in DataDir.load(tmp_path / "dev-mini").utterances.values())
    assert words == 4017
