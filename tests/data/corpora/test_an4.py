"""AN4 in its published layout and audio forms."""

from __future__ import annotations

from pathlib import Path

import layouts
import pytest

from asrkit.core.errors import DataError
from asrkit.data.corpora import an4
from asrkit.data.datadir import DataDir
from asrkit.stages.prepare import prepare
from asrkit.stages.record import RunOptions

DICTIONARY = "A                    AH\nA(2)                 EY\nYES                  Y EH S\nSIX  S IH K S\n"


def make(root: Path, suffix: str, parts: tuple[str, ...] = ("train", "test")) -> Path:
    write = {".sph": lambda p: layouts.sphere(p, order="10"), ".raw": layouts.raw}.get(suffix, layouts.wav)
    utterances = {
        "train": [("an4_clstk/fash/an251-fash-b", "YES"), ("an4_clstk/mmap/cen1-mmap-b", "A SIX")],
        "test": [("an4test_clstk/fcaw/an406-fcaw-b", "SIX SIX")],
    }
    for part in parts:
        names = [name for name, _ in utterances[part]]
        layouts.text(root / "etc" / f"an4_{part}.fileids", "\n".join(names) + "\n")
        lines = [f"<s> {words} </s> ({name.split('/')[-1]})\n" for name, words in utterances[part]]
        layouts.text(root / "etc" / f"an4_{part}.transcription", "".join(lines))
        for name in names:
            write(root / "wav" / f"{name}{suffix}")
    layouts.text(root / "etc" / "an4.dic", DICTIONARY)
    layouts.text(root / "etc" / "an4.filler", "<s> SIL\n</s> SIL\n<sil> SIL\n++NOISE++ NSN\n")
    return root


@pytest.mark.parametrize("suffix", [".flac", ".sph", ".raw", ".wav"])
def test_official_parts_in_every_published_form(tmp_path: Path, suffix: str) -> None:
    src = make(tmp_path / "my corpora" / "an4", suffix)
    report = prepare("an4", src, tmp_path / "data", an4.Config(), RunOptions())
    assert report.failures == ()
    assert report.figures["absent"] == []
    train, test = (DataDir.load(tmp_path / "data" / part) for part in ("train", "test"))
    assert {k: (u.speaker, u.words) for k, u in train.utterances.items()} == {
        "fash-an251-b": ("fash", ("YES",)),
        "mmap-cen1-b": ("mmap", ("A", "SIX")),
    }
    assert list(test.utterances) == ["fcaw-an406-b"]
    assert (tmp_path / "data" / "train" / "spk2gender").read_text() == "fash f\nmmap m\n"
    audio = train.audio_path(train.utterances["fash-an251-b"])
    assert audio == src / "wav" / "an4_clstk" / "fash" / f"an251-fash-b{suffix}"
    assert report.figures["parts"]["train"] == {
        "utterances": 2,
        "speakers": 2,
        "hours": round(0.2 / 3600, 4),
        "sample_rates_hz": [16000],
    }


def test_lexicon_without_alternative_marks_and_fillers(tmp_path: Path) -> None:
    prepare("an4", make(tmp_path / "an4", ".flac"), tmp_path / "data", an4.Config(), RunOptions())
    lines = (tmp_path / "data" / "local" / "lexicon.txt").read_text().splitlines()
    assert lines == ["A AH", "A EY", "SIX S IH K S", "YES Y EH S"]


def test_absent_parts_are_named(tmp_path: Path) -> None:
    corpus = an4.read(make(tmp_path / "an4", ".flac", ("train",)), an4.Config())
    assert list(corpus.parts) == ["train"]
    assert corpus.absent == ("test (etc/an4_test.fileids and etc/an4_test.transcription)",)
    make(tmp_path / "an4", ".flac")
    for path in sorted((tmp_path / "an4" / "wav" / "an4test_clstk").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (tmp_path / "an4" / "wav" / "an4test_clstk").rmdir()
    (tmp_path / "an4" / "etc" / "an4.dic").unlink()
    corpus = an4.read(tmp_path, an4.Config())
    assert corpus.absent == ("test (wav/an4test_clstk)", "the dictionary (etc/an4.dic)")


def test_fillers_and_missing_marks_in_transcripts(tmp_path: Path) -> None:
    src = make(tmp_path, ".flac", ("train",))
    layouts.text(
        src / "etc" / "an4_train.transcription", "YES ++NOISE++ A (an251-fash-b)\r\n\n<s> SIX </s> (cen1-mmap-b)\n"
    )
    entries = an4.read(src, an4.Config()).parts["train"]
    assert [entry.utterance.words for entry in entries] == [("YES", "A"), ("SIX",)]


def test_missing_recording_or_transcript_is_a_failure(tmp_path: Path) -> None:
    src = make(tmp_path, ".flac", ("train",))
    (src / "wav" / "an4_clstk" / "mmap" / "cen1-mmap-b.flac").unlink()
    layouts.text(src / "etc" / "an4_train.transcription", "<s> SIX </s> (cen1-mmap-b)\n")
    corpus = an4.read(src, an4.Config())
    assert corpus.failures["an251-fash-b"] == "no transcript"
    assert corpus.failures["cen1-mmap-b"].startswith("no recording wav/an4_clstk/mmap/cen1-mmap-b with .flac")


def test_damaged_layouts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: no such folder \(the corpus is published at http"):
        an4.read(tmp_path / "nowhere", an4.Config())
    with pytest.raises(DataError, match="no folder etc"):
        an4.read(tmp_path, an4.Config())
    (tmp_path / "etc").mkdir()
    with pytest.raises(DataError, match="neither train nor test is there"):
        an4.read(tmp_path, an4.Config())
    src = make(tmp_path, ".flac", ("train",))
    layouts.text(src / "etc" / "an4_train.transcription", "<s> YES </s>\n")
    with pytest.raises(DataError, match=r"an4_train.transcription:1: expected '<s> WORDS </s> \(name\)'"):
        an4.read(src, an4.Config())


def test_little_endian_raw_is_recognised(tmp_path: Path) -> None:
    src = make(tmp_path, ".raw", ("train",))
    layouts.raw(src / "wav" / "an4_clstk" / "fash" / "an251-fash-b.raw", "<i2")
    with pytest.raises(DataError, match=r"an251-fash-b\.raw: little-endian samples.*sox -x"):
        an4.read(src, an4.Config())


@pytest.mark.slow
def test_the_real_corpus(corpora: Path, tmp_path: Path) -> None:
    dev = ("fejs,flmm2,fsrb,mcel,mdmc,mfaa,mjhp,mmdg,mrcb,mskh",)
    report = prepare("an4", corpora / "an4", tmp_path, an4.Config(dev_speakers=dev), RunOptions())
    assert (report.figures["utterances"], report.figures["speakers"]) == (948, 74)
    assert report.figures["hours"] == pytest.approx(0.71, abs=0.005)
    assert report.figures["parts"]["train"]["speakers"] == 64
    assert sum(len(u.words or ()) for u in DataDir.load(tmp_path / "dev").utterances.values()) == 762
    assert report.failures == ()
