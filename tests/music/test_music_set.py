"""Sets of pieces: files that scipy writes, folders of MIDI files, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from asrkit.core.errors import DataError, FormatError
from asrkit.music import music_set
from asrkit.music.midi import write_midi
from asrkit.music.music_set import music_files, read_music
from asrkit.music.piano_roll import PianoRoll


def cells(*pieces: np.ndarray) -> np.ndarray:
    made = np.empty((1, len(pieces)), object)
    for number, piece in enumerate(pieces):
        made[0, number] = piece
    return made


def piece(num_steps: int, key: int) -> np.ndarray:
    notes = np.zeros((num_steps, 88), np.uint8)
    notes[:, key] = 1
    return notes


@pytest.mark.parametrize("compressed", [True, False])
def test_splits_of_a_mat_file(tmp_path: Path, compressed: bool) -> None:
    data = {"traindata": cells(piece(3, 1), piece(2, 7)), "validdata": cells(piece(4, 2).astype(float))}
    savemat(tmp_path / "a.mat", data, do_compression=compressed)
    found = read_music(tmp_path / "a.mat")
    assert [len(one) for one in found.train] == [3, 2]
    assert found.valid[0].dtype == np.uint8
    assert (found.scored_split, len(found.scored[0])) == ("valid", 4)
    savemat(tmp_path / "b.mat", {**data, "testdata": cells(piece(5, 3))}, do_compression=compressed)
    found = read_music(tmp_path / "b.mat")
    assert (found.scored_split, len(found.scored[0]), len(found.valid[0])) == ("test", 5, 4)
    assert music_files(tmp_path / "b.mat") == [tmp_path / "b.mat"]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"traindata": cells(piece(3, 1))}, "no pieces in validdata"),
        ({"traindata": np.eye(3), "validdata": cells(piece(1, 1))}, "expected a cell array"),
        ({"traindata": cells(piece(3, 1), piece(2, 1)[:, :80]), "validdata": cells()}, "traindata: piece 2: the shape"),
        ({"traindata": cells(2 * piece(3, 1)), "validdata": cells(piece(1, 1))}, "piece 1: other values than 0 and 1"),
        ({"traindata": cells(piece(3, 1) * np.nan), "validdata": cells(piece(1, 1))}, "other values than 0 and 1"),
    ],
)
def test_what_is_no_set_of_piano_rolls_is_refused(tmp_path: Path, broken: dict, said: str) -> None:
    savemat(tmp_path / "a.mat", broken)
    with pytest.raises((DataError, FormatError), match=said):
        read_music(tmp_path / "a.mat")


def test_truncated_and_foreign_files_are_refused(tmp_path: Path) -> None:
    savemat(
        tmp_path / "a.mat", {"traindata": cells(piece(30, 1)), "validdata": cells(piece(9, 1))}, do_compression=True
    )
    whole = (tmp_path / "a.mat").read_bytes()
    for length in (0, 50, 130, 140, len(whole) // 2, len(whole) - 4):
        (tmp_path / "part.mat").write_bytes(whole[:length])
        with pytest.raises((DataError, FormatError), match=r"part\.mat"):
            read_music(tmp_path / "part.mat")
    with pytest.raises(FormatError, match="published at"):
        read_music(tmp_path / "absent.mat")


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rolls = {"traindata": cells(piece(30_000, 1)), "validdata": cells(piece(9, 1))}
    savemat(tmp_path / "a.mat", rolls, do_compression=True)
    assert len(read_music(tmp_path / "a.mat").train[0]) == 30_000
    monkeypatch.setattr(music_set, "MAX_UNPACKED_BYTES", 1 << 20)
    with pytest.raises(FormatError, match="when unpacked"):
        read_music(tmp_path / "a.mat")


def test_a_folder_of_midi_files(tmp_path: Path) -> None:
    pytest.importorskip("mido")
    for split, lengths in {"train": (3, 5), "valid": (4,)}.items():
        for length in lengths:
            write_midi(tmp_path / split / f"{length}.mid", PianoRoll(piece(length, 40), step_secs=0.2))
    found = read_music(tmp_path)
    assert [len(one) for one in found.train] == [3, 5]
    assert found.scored_split == "valid"
    assert found.step_secs == pytest.approx(0.2)
    assert len(music_files(tmp_path)) == 3
    (tmp_path / "valid" / "4.mid").unlink()
    with pytest.raises(DataError, match="no MIDI files .* in valid/"):
        read_music(tmp_path)


def test_the_published_sets(corpora: Path) -> None:
    sizes = {}
    for path in sorted((corpora / "music").glob("*.mat")):
        found = read_music(path)
        sizes[path.stem] = [sum(map(len, found.train)), sum(map(len, found.valid))]
    assert sizes["JSB_Chorales"] == [13807, 4602]
    assert sizes["Nottingham"] == [176561, 45513]
