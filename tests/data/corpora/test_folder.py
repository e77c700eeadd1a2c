"""A user's own recordings."""

from __future__ import annotations

from pathlib import Path

import layouts
import pytest

from asrkit.core.errors import ConfigError, DataError
from asrkit.data.audio import read_audio
from asrkit.data.corpora import folder
from asrkit.data.corpora.corpus import Corpus
from asrkit.data.datadir import DataDir
from asrkit.stages.prepare import prepare
from asrkit.stages.record import RunOptions


def speakers(corpus: Corpus, part: str = "train") -> dict[str, str]:
    return {entry.utterance.utterance_id: entry.utterance.speaker for entry in corpus.parts[part]}


def words(corpus: Corpus, part: str = "train") -> dict[str, str]:
    return {entry.utterance.utterance_id: " ".join(entry.utterance.words or ()) for entry in corpus.parts[part]}


def test_text_files_beside_the_audio_with_spaces_and_umlauts(tmp_path: Path) -> None:
    src = tmp_path / "my own recordings"
    layouts.wav(src / "Take One (loud).WAV")
    layouts.text(src / "Take One (loud).txt", "\ufeffHello  world\r\n")
    layouts.wav(src / "grüße.flac")
    layouts.text(src / "grüße.TXT", "Grüße")
    report = prepare("folder", src, tmp_path / "data dir", folder.Config(), RunOptions())
    data = DataDir.load(tmp_path / "data dir" / "train")
    assert {k: u.words for k, u in data.utterances.items()} == {
        "Take_One__loud_": ("Hello", "world"),
        "grüße": ("Grüße",),
    }
    assert {u.speaker for u in data.utterances.values()} == {"Take_One__loud_", "grüße"}
    assert [len(read_audio(data.audio_path(u))[0]) for u in data.utterances.values()] == [1600, 1600]
    assert report.failures == ()


def test_speakers_from_folders_below_a_common_one(tmp_path: Path) -> None:
    for name in ("wav/ann/1", "wav/ann/2", "wav/bob lee/1", "wav/3"):
        layouts.wav(tmp_path / f"{name}.wav")
        layouts.text(tmp_path / f"{name}.txt", name)
    assert speakers(folder.read(tmp_path, folder.Config())) == {
        "3": "3",
        "ann-1": "ann",
        "ann-2": "ann",
        "bob_lee-1": "bob_lee",
    }


def test_table_with_paths_names_and_speakers(tmp_path: Path) -> None:
    layouts.wav(tmp_path / "clips" / "x 1.wav")
    layouts.wav(tmp_path / "clips" / "deep" / "y.flac")
    layouts.wav(tmp_path / "clips" / "z.wav")
    outside = layouts.wav(tmp_path.parent / f"{tmp_path.name}-outside.wav")
    layouts.text(
        tmp_path / "list.csv",
        f"path,text,speaker\nclips\\x 1.wav,One,Ann Lee\ny.flac,Two,Ann Lee\nz,Three,bob\n{outside},Four,bob\n",
    )
    corpus = folder.read(tmp_path, folder.Config(case="upper"))
    assert corpus.failures == {}
    assert sorted(words(corpus).values()) == ["FOUR", "ONE", "THREE", "TWO"]
    assert all(key.startswith(f"{speaker}-") for key, speaker in speakers(corpus).items())
    assert set(speakers(corpus).values()) == {"Ann_Lee", "bob"}
    assert "one" in words(folder.read(tmp_path, folder.Config(case="lower"))).values()
    assert "One" in words(folder.read(tmp_path, folder.Config())).values()


def test_relative_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layouts.wav(tmp_path / "a.wav")
    layouts.text(tmp_path / "list.tsv", "file\ttext\n./a.wav\tYES\n")
    monkeypatch.chdir(tmp_path)
    prepare("folder", Path("."), Path("data"), folder.Config(), RunOptions())
    assert layouts.table(Path("data/train/wav.scp")) == {"a": str(tmp_path / "a.wav")}


def test_stretches_of_recordings(tmp_path: Path) -> None:
    layouts.wav(tmp_path / "src" / "talk.wav", 16000)
    layouts.wav(tmp_path / "src" / "word.wav", 8000)
    layouts.text(
        tmp_path / "src" / "list.csv",
        "file,text,start,end\ntalk.wav,a,0.1,0.35\ntalk.wav,b,0.35,\nword.wav,c,,\n",
    )
    report = prepare("folder", tmp_path / "src", tmp_path / "data", folder.Config(), RunOptions())
    segments = layouts.table(tmp_path / "data" / "train" / "segments")
    assert segments == {
        "talk-00000100-00000350": "talk 0.100 0.350",
        "talk-00000350-end": "talk 0.350 1.000",
        "word": "word 0.000 0.500",
    }
    data = DataDir.load(tmp_path / "data" / "train")
    got = [len(read_audio(data.audio_path(u), u.start_secs, u.end_secs)[0]) for u in data.utterances.values()]
    assert got == [4000, 10400, 8000]
    assert report.figures["hours"] == round(1.4 / 3600, 4)
    layouts.text(tmp_path / "src" / "list.csv", "file,text\ntalk.wav,a\nword.wav,c\n")
    prepare("folder", tmp_path / "src", tmp_path / "data", folder.Config(), RunOptions())
    assert not (tmp_path / "data" / "train" / "segments").exists()
    assert list(DataDir.load(tmp_path / "data" / "train").utterances) == ["talk", "word"]


def test_train_and_test_folders(tmp_path: Path) -> None:
    for name in ("Train/ann/1", "Train/bob/1", "test/cat/1", "other/9"):
        layouts.wav(tmp_path / f"{name}.wav")
        layouts.text(tmp_path / f"{name}.txt", name)
    corpus = folder.read(tmp_path, folder.Config())
    assert speakers(corpus) == {"ann-1": "ann", "bob-1": "bob"}
    assert speakers(corpus, "test") == {"1": "1"}
    with pytest.raises(ConfigError, match="--test-speakers: the corpus has a part test of its own"):
        folder.read(tmp_path, folder.Config(test_speakers=("ann",)))


def test_a_table_in_each_part_and_one_table_over_both(tmp_path: Path) -> None:
    for part in ("train", "test"):
        layouts.wav(tmp_path / "a" / part / "1.wav")
        layouts.text(tmp_path / "a" / part / "list.csv", f"file,text\n1.wav,{part} words\n")
        layouts.wav(tmp_path / "b" / part / "1.wav")
    layouts.text(tmp_path / "b" / "all.csv", "file,text\ntrain/1.wav,train words\ntest/1.wav,test words\n")
    for name in ("a", "b"):
        corpus = folder.read(tmp_path / name, folder.Config())
        assert words(corpus, "train") == {"1": "train words"}
        assert words(corpus, "test") == {"1": "test words"}


def test_tables_named_as_parts_share_their_clips(tmp_path: Path) -> None:
    for name in "abc":
        layouts.wav(tmp_path / "clips" / f"{name}.wav")
    layouts.text(tmp_path / "train.tsv", "client_id\tpath\tsentence\ns1\ta.wav\tAll\ns2\tb.wav\tBut\n")
    layouts.text(tmp_path / "test.tsv", "client_id\tpath\tsentence\ns3\tc.wav\tCan\n")
    corpus = folder.read(tmp_path, folder.Config())
    assert speakers(corpus) == {"s1-a": "s1", "s2-b": "s2"}
    assert words(corpus, "test") == {"s3-c": "Can"}
    assert corpus.failures == {}


def test_speakers_cut_into_dev_and_test(tmp_path: Path) -> None:
    for name in ("ann", "bob", "cat", "dan"):
        layouts.wav(tmp_path / "src" / name / "1.wav")
        layouts.text(tmp_path / "src" / name / "1.txt", name)
    layouts.text(tmp_path / "names", "bob\n")
    config = folder.Config(dev_speakers=(f"@{tmp_path / 'names'}",), test_speakers=("cat, dan",))
    report = prepare("folder", tmp_path / "src", tmp_path / "data", config, RunOptions())
    assert {part: counts["speakers"] for part, counts in report.figures["parts"].items()} == {
        "train": 1,
        "test": 2,
        "dev": 1,
    }
    assert layouts.table(tmp_path / "data" / "dev" / "text") == {"bob-1": "bob"}


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    layouts.wav(tmp_path / "a.wav")
    layouts.wav(tmp_path / "b.wav")
    layouts.text(tmp_path / "a.txt", "a")
    layouts.text(tmp_path / "notes.txt", "n")
    corpus = folder.read(tmp_path, folder.Config())
    assert corpus.failures == {"b.wav": "no transcript: neither a table nor b.txt beside it"}
    assert corpus.absent == ("recordings beside 1 .txt files: notes.txt",)
    (tmp_path / "b.txt").write_bytes(b"gr\xfc\xdfe")
    assert "not UTF-8" in folder.read(tmp_path, folder.Config()).failures["b.wav"]
    layouts.text(tmp_path / "list.csv", "file,text\na.wav,A\nc.wav,C\n")
    corpus = folder.read(tmp_path, folder.Config())
    assert corpus.failures == {
        f"{tmp_path}/list.csv:3": "no recording 'c.wav'",
        "b.wav": "no transcript: in no table",
    }
    for name in ("one/x.wav", "two/x.wav"):
        layouts.wav(tmp_path / name)
    layouts.text(tmp_path / "list.csv", "file,text\nx.wav,A\n")
    assert "may be" in folder.read(tmp_path, folder.Config()).failures[f"{tmp_path}/list.csv:2"]


def test_collisions_are_refused(tmp_path: Path) -> None:
    for name in ("a b", "a_b"):
        layouts.wav(tmp_path / f"{name}.wav")
        layouts.text(tmp_path / f"{name}.txt", name)
    with pytest.raises(DataError, match=r"a b\.txt and .*a_b\.txt would both be utterance a_b \(rename one"):
        folder.read(tmp_path, folder.Config())
    layouts.text(tmp_path / "list.csv", "file,text,id,end\na b.wav,x,u1,0.1\na_b.wav,y,u2,0.1\n")
    with pytest.raises(DataError, match=r"a b\.wav and .*a_b\.wav would both be recording a_b"):
        folder.read(tmp_path, folder.Config())
    layouts.text(tmp_path / "list.csv", "file,text\na b.wav,x\na b.wav,y\n")
    with pytest.raises(DataError, match=r"list\.csv:2 and .*list\.csv:3 would both be utterance a_b"):
        folder.read(tmp_path, folder.Config())


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no audio files"):
        folder.read(tmp_path, folder.Config())
    with pytest.raises(DataError, match="no such folder"):
        folder.read(tmp_path / "nowhere", folder.Config())
    layouts.wav(tmp_path / "a.wav")
    layouts.text(tmp_path / "one.csv", "file,text\na.wav,A\n")
    layouts.text(tmp_path / "two.csv", "file,text\na.wav,B\n")
    with pytest.raises(DataError, match=r"2 tables found: one\.csv, two\.csv \(choose one with --table\)"):
        folder.read(tmp_path, folder.Config())
    assert words(folder.read(tmp_path, folder.Config(table="two.csv"))) == {"a": "B"}


def test_hidden_files_and_link_loops_are_passed_over(tmp_path: Path) -> None:
    layouts.wav(tmp_path / "src" / "a.wav")
    layouts.text(tmp_path / "src" / "a.txt", "A")
    layouts.text(tmp_path / "src" / "._a.wav", "resource fork")
    (tmp_path / "src" / "loop").symlink_to(tmp_path / "src")
    corpus = folder.read(tmp_path / "src", folder.Config())
    assert words(corpus) == {"a": "A"}
    assert corpus.failures == {}
