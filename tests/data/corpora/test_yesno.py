"""Kaldi's yesno."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import layouts
import pytest

from asrkit.core.errors import ConfigError, DataError
from asrkit.data.corpora import yesno
from asrkit.data.datadir import DataDir
from asrkit.stages.prepare import prepare
from asrkit.stages.record import RunOptions


def test_kaldis_split_words_and_speaker(tmp_path: Path) -> None:
    names = ["_".join(digits) for digits in product("01", repeat=6)][:60]
    for name in names:
        layouts.wav(tmp_path / "src" / "waves_yesno" / f"{name}.wav", 80, 8000)
    report = prepare("yesno", tmp_path / "src", tmp_path / "data", yesno.Config(), RunOptions())
    train, test = (DataDir.load(tmp_path / "data" / part) for part in ("train", "test"))
    assert list(train.utterances) == names[:31]
    assert list(test.utterances) == names[31:]
    assert train.utterances["0_0_1_0_1_1"].words == ("NO", "NO", "YES", "NO", "YES", "YES")
    assert list(train.by_speaker()) == ["global"]
    assert report.figures["absent"] == []


def test_few_recordings_and_foreign_names(tmp_path: Path) -> None:
    layouts.wav(tmp_path / "0_1.wav")
    layouts.wav(tmp_path / "hello.wav")
    corpus = yesno.read(tmp_path, yesno.Config())
    assert list(corpus.parts) == ["train"]
    assert corpus.absent == ("59 of the 60 recordings",)
    assert list(corpus.failures) == ["hello.wav"]


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no recordings named like 0_1_.*openslr\.org/1"):
        yesno.read(tmp_path, yesno.Config())
    layouts.wav(tmp_path / "0_1.wav")
    with pytest.raises(ConfigError, match="--dev-speakers names every speaker of train: global"):
        prepare("yesno", tmp_path, tmp_path / "data", yesno.Config(dev_speakers=("global",)), RunOptions())
    layouts.wav(tmp_path / "copy" / "0_1.wav")
    with pytest.raises(DataError, match="0_1 is there twice"):
        yesno.read(tmp_path, yesno.Config())


@pytest.mark.slow
def test_the_real_corpus(corpora: Path, tmp_path: Path) -> None:
    report = prepare("yesno", corpora / "yesno", tmp_path, yesno.Config(), RunOptions())
    assert [report.figures["parts"][part]["utterances"] for part in ("train", "test")] == [31, 29]
    assert report.failures == ()
