"""A data directory as tables: read, written back the same, cut, and what is wrong with it named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import AsrkitError, DataError
from asrkit.data.datadir import DataDir, Utterance, read_segments, read_text, save_text
from tests.factories import make_data_dir

TABLES = {
    "wav.scp": "rec1 one.wav\nrec2 sub dir/two.wav\n",
    "utt2spk": "utt2 ann\nutt1 bob\nutt3 ann\n",
    "text": "utt3 yes\nutt1 no yes\nutt2\n",
    "segments": "utt1 rec1 0 1.5\nutt2 rec1 1.5 -1\nutt3 rec2 0.25 2\n",
}


def write_tables(folder: Path, **changed: str | None) -> Path:
    """Write a valid directory with some tables changed (None: left out); a dot in a name is an underscore here."""
    folder.mkdir(exist_ok=True)
    for name, content in {**TABLES, **{key.replace("_", "."): value for key, value in changed.items()}}.items():
        if content is not None:
            (folder / name).write_text(content, encoding="utf-8")
    return folder


def test_tables_are_joined_and_sorted(tmp_path: Path) -> None:
    data = DataDir.load(write_tables(tmp_path / "d"))
    assert list(data.utterances.values()) == [
        Utterance("utt1", "rec1", "bob", ("no", "yes"), 0.0, 1.5),
        Utterance("utt2", "rec1", "ann", (), 1.5, None),
        Utterance("utt3", "rec2", "ann", ("yes",), 0.25, 2.0),
    ]
    assert data.recordings == {"rec1": "one.wav", "rec2": "sub dir/two.wav"}
    assert data.by_speaker() == {"ann": ["utt2", "utt3"], "bob": ["utt1"]}


def test_ids_sort_as_bytes_do(tmp_path: Path) -> None:
    ids = ["b", "B", "a-1", "a1", "é", "z"]
    tables = {"wav_scp": "".join(f"{i} {i}.wav\n" for i in ids), "utt2spk": "".join(f"{i} s\n" for i in ids)}
    data = DataDir.load(write_tables(tmp_path / "d", text=None, segments=None, **tables))
    assert list(data.utterances) == sorted(ids, key=str.encode)
    assert all(utterance.words is None for utterance in data.utterances.values())


def test_without_segments_an_utterance_is_its_recording(tmp_path: Path) -> None:
    tables = {"wav_scp": "a a.wav\n", "utt2spk": "a s\n", "text": "a x\n"}
    data = DataDir.load(write_tables(tmp_path / "d", segments=None, **tables))
    assert data.utterances == {"a": Utterance("a", "a", "s", ("x",), None, None)}


BROKEN: dict[str, tuple[dict[str, str | None], str]] = {
    "utterance without transcript": ({"text": "utt1 no\nutt2 yes\n"}, "'utt3' is in utt2spk and not in text"),
    "utterance without segment": (
        {"segments": "utt1 rec1 0 1\nutt2 rec1 1 2\n"},
        "'utt3' is in utt2spk and not in seg",
    ),
    "recording without audio": ({"wav_scp": "rec1 one.wav\n"}, "'rec2' is in segments and not in wav.scp"),
    "utterance without audio": ({"segments": None}, "'utt1' is in utt2spk and not in wav.scp"),
    "no list of audio": ({"wav_scp": None}, "wav.scp: no such file"),
    "no list of speakers": ({"utt2spk": None}, "utt2spk: no such file"),
    "a pipe": ({"wav_scp": "rec1 sph2pipe x.sph |\nrec2 two.wav\n"}, "wav.scp:1: rec1: .* is a pipe"),
    "the same transcript twice": ({"text": "utt1 a\nutt1 b\n"}, "text:2: duplicate utterance 'utt1'"),
    "the same speaker twice": ({"utt2spk": "utt1 a\nutt1 b\n"}, "utt2spk:2: duplicate key 'utt1'"),
    "an empty line": ({"text": "utt1 a\n\n"}, "text:2: empty line"),
    "a segment of three fields": ({"segments": "utt1 rec1 0 1\nutt2 rec1 1\n"}, "segments:2: expected"),
    "a segment without numbers": ({"segments": "utt1 rec1 zero 1\n"}, "segments:1: expected"),
    "no utterances": ({"utt2spk": ""}, "utt2spk: no utterances"),
    "a transcript of nobody": ({"text": "utt1 a\nutt2 b\nutt3 c\nutt4 d\n"}, "'utt4' is in text and not in utt2spk"),
    "a segment of nobody": (
        {"segments": "utt1 rec1 0 1\nutt2 rec1 1 2\nutt3 rec1 2 3\nutt4 rec2 0 1\n"},
        "'utt4' is in segments and not in utt2spk",
    ),
    "an utterance without speaker": ({"utt2spk": "utt1\n"}, "utt2spk:1: expected 'key value'"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_fault_is_named_with_its_place(tmp_path: Path, fault: str) -> None:
    tables, message = BROKEN[fault]
    folder = write_tables(tmp_path / "d", **tables)
    with pytest.raises(AsrkitError) as caught:
        DataDir.load(folder)
    assert caught.match(message)
    assert str(caught.value).startswith(str(folder))


def test_no_directory_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such data directory") as caught:
        DataDir.load(tmp_path / "absent")
    assert "asrkit prepare" in str(caught.value)


def test_text_that_is_not_utf8_is_named_with_its_line(tmp_path: Path) -> None:
    folder = write_tables(tmp_path / "d")
    (folder / "text").write_bytes(b"utt1 no\nutt2 caf\xe9\n")
    with pytest.raises(AsrkitError, match="not UTF-8 text") as caught:
        DataDir.load(folder)
    assert str(caught.value).startswith(f"{folder}/text:2")


@pytest.mark.parametrize("segments", [False, True])
def test_what_is_saved_is_loaded(tmp_path: Path, segments: bool) -> None:
    data = make_data_dir(tmp_path / "d", segments=segments)
    copy = DataDir(tmp_path / "copy", data.utterances, data.recordings)
    copy.save()
    again = DataDir.load(tmp_path / "copy")
    assert (again.utterances, again.recordings) == (data.utterances, data.recordings)
    assert (tmp_path / "copy" / "segments").exists() == segments
    lines = (tmp_path / "copy" / "spk2utt").read_text().splitlines()
    assert lines[0] == "spk1 spk1-utt1 spk1-utt2 spk1-utt3"


def test_saving_over_another_directory_leaves_none_of_its_tables(tmp_path: Path) -> None:
    write_tables(tmp_path / "d")
    plain = DataDir(tmp_path / "d", {"a": Utterance("a", "a", "s")}, {"a": "a.wav"})
    plain.save()
    assert DataDir.load(tmp_path / "d") == plain
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == ["spk2utt", "utt2spk", "wav.scp"]


def test_a_subset_keeps_the_recordings_it_needs(tmp_path: Path) -> None:
    data = DataDir.load(write_tables(tmp_path / "d"))
    part = data.subset(["utt3"], tmp_path / "part")
    part.save()
    again = DataDir.load(tmp_path / "part")
    assert again.utterances == {"utt3": data.utterances["utt3"]}
    assert again.recordings == {"rec2": "sub dir/two.wav"}


def test_audio_is_looked_up_beside_the_directory(tmp_path: Path) -> None:
    data = DataDir.load(write_tables(tmp_path / "d"))
    (tmp_path / "d" / "sub dir").mkdir()
    (tmp_path / "d" / "sub dir" / "two.wav").touch()
    assert data.audio_path(data.utterances["utt3"]) == tmp_path / "d" / "sub dir" / "two.wav"


def test_features_that_are_not_there_say_how_to_make_them(tmp_path: Path) -> None:
    data = make_data_dir(tmp_path / "d", features=True)
    assert data.features()["spk1-utt1"].shape == (48, 5)
    (tmp_path / "d" / "feats.scp").unlink()
    with pytest.raises(DataError, match=r"no feats\.scp") as caught:
        data.features()
    assert f"asrkit extract {tmp_path / 'd'}" in str(caught.value)


def test_a_segment_to_the_end_of_its_recording_has_no_end(tmp_path: Path) -> None:
    (tmp_path / "segments").write_text("a r 1.25 -1\nb r 0 3\n")
    assert read_segments(tmp_path / "segments") == {"a": ("r", 1.25, None), "b": ("r", 0.0, 3.0)}


WORD = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=5)


@settings(max_examples=12, deadline=None)
@given(table=st.dictionaries(WORD, st.lists(WORD, max_size=4).map(tuple), max_size=5))
def test_any_transcripts_come_back(tmp_path_factory: pytest.TempPathFactory, table: dict[str, tuple[str, ...]]) -> None:
    path = tmp_path_factory.mktemp("text") / "text"
    save_text(path, table)
    assert read_text(path) == table
    assert [line.split()[0] for line in path.read_text().split("\n")[:-1]] == sorted(table)
