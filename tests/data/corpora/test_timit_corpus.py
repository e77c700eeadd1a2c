"""TIMIT: the full layout in either case, with SPHERE audio, and the sample of NLTK."""

from __future__ import annotations

import shutil
from pathlib import Path

import layouts
import pytest

from asrkit.core.errors import ConfigError, DataError
from asrkit.data.corpora import timit
from asrkit.data.datadir import DataDir
from asrkit.stages.prepare import prepare
from asrkit.stages.record import RunOptions

SPEAKERS = {
    "train": [("dr1", "fcjf0"), ("dr2", "marc0"), ("dr2", "faem0")],
    "test": [("dr1", "mdab0"), ("dr1", "felc0"), ("dr1", "faks0"), ("dr3", "mxyz0")],
}


def sentence(folder: Path, name: str, upper: bool) -> None:
    def path(suffix: str) -> Path:
        return folder / (f"{name}.{suffix}".upper() if upper else f"{name}.{suffix}")

    layouts.sphere(path("wav"), 1600)
    layouts.text(path("phn"), "0 400 h#\n400 1000 sh\n1000 1600 h#\n")
    layouts.text(path("wrd"), "400 1000 She\n")
    layouts.text(path("txt"), "0 1600 She, didn't.\n")


def make(root: Path, upper: bool, parts: tuple[str, ...] = ("train", "test")) -> Path:
    for part in parts:
        for region, speaker in SPEAKERS[part]:
            inner = Path(part, region, speaker)
            folder = root / (str(inner).upper() if upper else inner)
            for name in ("sa1", "si1027", "sx37"):
                sentence(folder, name, upper)
    return root


@pytest.mark.parametrize("upper", [True, False])
@pytest.mark.parametrize("inside", ["", "TIMIT", "lisa/timit"])
def test_full_layout(tmp_path: Path, upper: bool, inside: str) -> None:
    make(tmp_path / "LDC93S1" / inside, upper)
    report = prepare("timit", tmp_path / "LDC93S1", tmp_path / "data", timit.Config(), RunOptions())
    assert report.failures == ()
    speakers = {part: set(DataDir.load(tmp_path / "data" / part).by_speaker()) for part in ("train", "dev", "test")}
    assert speakers == {"train": {"fcjf0", "marc0", "faem0"}, "dev": {"faks0"}, "test": {"mdab0", "felc0"}}
    assert report.figures["absent"] == ["459 of 462 train speakers", "49 of 50 dev speakers", "22 of 24 test speakers"]
    train = DataDir.load(tmp_path / "data" / "train")
    assert list(train.utterances)[:2] == ["faem0-si1027", "faem0-sx37"]
    assert train.utterances["fcjf0-sx37"].words == ("she",)
    assert layouts.table(tmp_path / "data" / "train" / "spk2gender") == {"faem0": "f", "fcjf0": "f", "marc0": "m"}
    assert layouts.table(tmp_path / "data" / "train" / "text_phones")["marc0-sx37"] == "h# sh h#"
    phones = (tmp_path / "data" / "train" / "phones.ali").read_text().splitlines()
    assert phones[:3] == [
        "faem0-si1027 0.0000000 0.0250000 h#",
        "faem0-si1027 0.0250000 0.0625000 sh",
        "faem0-si1027 0.0625000 0.1000000 h#",
    ]


def test_complete_test_set_sa_sentences_and_own_dev_speakers(tmp_path: Path) -> None:
    src = make(tmp_path, True)
    corpus = timit.read(src, timit.Config(test_set="complete", keep_sa=True))
    assert {entry.utterance.speaker for entry in corpus.parts["test"]} == {"mdab0", "felc0", "faks0", "mxyz0"}
    assert "dev" not in corpus.parts
    assert len(corpus.parts["train"]) == 9
    report = prepare("timit", src, tmp_path / "data", timit.Config(dev_speakers=("marc0",)), RunOptions())
    assert {part: counts["speakers"] for part, counts in report.figures["parts"].items()} == {
        "train": 2,
        "test": 2,
        "dev": 1,
    }


def test_absent_parts_are_named(tmp_path: Path) -> None:
    corpus = timit.read(make(tmp_path / "a", True, ("train",)), timit.Config())
    assert (list(corpus.parts), corpus.absent[-1]) == (["train"], "test and dev (folder TEST)")
    corpus = timit.read(make(tmp_path / "b", True, ("test",)), timit.Config())
    assert (set(corpus.parts), corpus.absent[0]) == ({"dev", "test"}, "train (folder TRAIN)")


def test_words_from_txt_and_failures_by_utterance(tmp_path: Path) -> None:
    src = make(tmp_path, False, ("train",))
    folder = src / "train" / "dr1" / "fcjf0"
    (folder / "sx37.wrd").unlink()
    (folder / "si1027.phn").write_text("0 400\n")
    other = src / "train" / "dr2" / "marc0"
    (other / "sx37.phn").unlink()
    (other / "si1027.wrd").unlink()
    (other / "si1027.txt").unlink()
    corpus = timit.read(src, timit.Config())
    words = {entry.utterance.utterance_id: entry.utterance.words for entry in corpus.parts["train"]}
    assert words["fcjf0-sx37"] == ("she", "didn't")
    assert set(corpus.failures) == {"fcjf0-si1027", "marc0-sx37", "marc0-si1027"}
    assert "si1027.phn:1: expected 'start end label', found '0 400'" in corpus.failures["fcjf0-si1027"]
    assert corpus.failures["marc0-sx37"].startswith("no .phn beside")
    assert corpus.failures["marc0-si1027"].startswith("no .wrd or .txt beside")


def test_riff_copies_beside_the_published_files_are_left_aside(tmp_path: Path) -> None:
    src = make(tmp_path, True, ("train",))
    layouts.wav(src / "TRAIN" / "DR1" / "FCJF0" / "SX37.WAV.wav")
    corpus = timit.read(src, timit.Config())
    assert len(corpus.parts["train"]) == 6


def test_shorten_compressed_audio_is_refused_with_the_remedy(tmp_path: Path) -> None:
    src = make(tmp_path, True, ("train",))
    path = src / "TRAIN" / "DR1" / "FCJF0" / "SX37.WAV"
    layouts.sphere(path, coding="pcm,embedded-shorten-v2.00", body=b"ajkg\x02")
    report = prepare("timit", src, tmp_path / "data", timit.Config(), RunOptions(max_failed=0.2))
    assert [failure.utterance_id for failure in report.failures] == ["fcjf0-sx37"]
    assert "sph2pipe" in report.failures[0].reason
    assert len(DataDir.load(tmp_path / "data" / "train").utterances) == 5


def test_official_lists() -> None:
    assert len(timit.CORE_TEST_SPEAKERS) == 24
    assert len(timit.DEV_SPEAKERS) == 50
    assert not timit.CORE_TEST_SPEAKERS & timit.DEV_SPEAKERS
    assert sum(speaker[0] == "f" for speaker in timit.CORE_TEST_SPEAKERS) == 8


SAMPLE = ["dr1-fvmh0", "dr1-mcpm0", "dr2-faem0", "dr2-marc0", "dr3-falk0", "dr3-madc0"]
SAMPLE += ["dr4-falr0", "dr4-maeb0", "dr5-ftlg0", "dr5-mbgt0", "dr6-fapb0", "dr6-mbma1"]


def test_folds_of_the_sample(tmp_path: Path) -> None:
    for name in SAMPLE:
        sentence(tmp_path / name, "sx1", False)
    want = [
        {"fvmh0", "falr0", "marc0", "mbgt0"},
        {"faem0", "ftlg0", "madc0", "mbma1"},
        {"falk0", "fapb0", "mcpm0", "maeb0"},
    ]
    for fold in range(3):
        corpus = timit.read(tmp_path, timit.Config(fold=fold))
        got = {part: {entry.utterance.speaker for entry in entries} for part, entries in corpus.parts.items()}
        assert got["test"] == want[fold]
        assert got["train"] == set.union(*want) - want[fold]
    whole = timit.read(tmp_path, timit.Config())
    assert len(whole.parts["train"]) == 12
    assert "--fold" in whole.absent[0]
    with pytest.raises(ConfigError, match="--fold is 3, expected 0, 1 or 2"):
        timit.read(tmp_path, timit.Config(fold=3))
    shutil.rmtree(tmp_path / "dr6-mbma1")
    with pytest.raises(DataError, match="6 female and 5 male speakers, --fold expects 6 and 6"):
        timit.read(tmp_path, timit.Config(fold=0))


def test_wrong_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="neither TRAIN or TEST nor folders like dr1-fvmh0"):
        timit.read(tmp_path, timit.Config())
    with pytest.raises(ConfigError, match="--fold is for NLTK's sample"):
        timit.read(make(tmp_path, True), timit.Config(fold=1))


@pytest.mark.slow
def test_the_real_sample(corpora: Path, tmp_path: Path) -> None:
    report = prepare("timit", corpora / "timit_sample", tmp_path, timit.Config(fold=1), RunOptions())
    counts = {part: (c["utterances"], c["speakers"]) for part, c in report.figures["parts"].items()}
    assert counts == {"train": (64, 8), "test": (32, 4)}
    phones = {word for line in layouts.table(tmp_path / "train" / "text_phones").values() for word in line.split()}
    assert {"h#", "epi", "q", "axr"} <= phones
    assert len(phones) <= 61
