"""Archives against kaldiio, the format's reference in Python, both ways."""

from __future__ import annotations

from pathlib import Path

import kaldiio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.archives import ArchiveReader, ArchiveWriter, read_scp
from asrkit.core.errors import FormatError

ARRAYS = {
    "utt-a": np.arange(12, dtype=np.float32).reshape(4, 3),
    "utt-b": np.arange(6, dtype=np.float64).reshape(2, 3) / 7,
    "utt-c": np.array([5, -1, 2**30], dtype=np.int32),
    "utt-d": np.array([0.5, -2.0], dtype=np.float32),
    "utt-e": np.zeros((0, 3), dtype=np.float32),
}


def write(folder: Path, arrays: dict[str, np.ndarray]) -> Path:
    with ArchiveWriter(folder, "feats") as writer:
        for key, value in arrays.items():
            writer.write(key, value)
    return folder / "feats.scp"


def test_kaldiio_reads_what_we_write(tmp_path: Path) -> None:
    theirs = kaldiio.load_scp(str(write(tmp_path, ARRAYS)))
    for key, value in ARRAYS.items():
        if value.size:
            np.testing.assert_array_equal(theirs[key], value)
            assert theirs[key].dtype == value.dtype


@pytest.mark.parametrize("method", [None, 2, 3])
def test_we_read_what_kaldiio_writes_compressed_or_not(tmp_path: Path, method: int | None) -> None:
    matrix = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    options = {} if method is None else {"compression_method": method}
    kaldiio.save_ark(str(tmp_path / "x.ark"), {"a": matrix, "b": matrix[:7]}, scp=str(tmp_path / "x.scp"), **options)
    ours = ArchiveReader(tmp_path / "x.scp")
    expected = kaldiio.load_scp(str(tmp_path / "x.scp"))
    for key in ("a", "b"):
        np.testing.assert_array_equal(ours[key], expected[key])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=9))
def test_integer_vectors_survive(tmp_path_factory: pytest.TempPathFactory, values: list[int]) -> None:
    folder = tmp_path_factory.mktemp("ark")
    scp = write(folder, {"k": np.array(values, dtype=np.int32)})
    assert ArchiveReader(scp)["k"].tolist() == values


def test_a_moved_archive_is_found_beside_its_scp(tmp_path: Path) -> None:
    write(tmp_path / "old", ARRAYS)
    (tmp_path / "old").rename(tmp_path / "new")
    np.testing.assert_array_equal(ArchiveReader(tmp_path / "new" / "feats.scp")["utt-a"], ARRAYS["utt-a"])


def test_arrays_cannot_be_written_to(tmp_path: Path) -> None:
    array = ArchiveReader(write(tmp_path, ARRAYS))["utt-a"]
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 1.0


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> None:
        with ArchiveWriter(tmp_path, "feats") as writer:
            writer.write("a", ARRAYS["utt-a"])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_a_cut_off_archive_is_named(tmp_path: Path) -> None:
    scp = write(tmp_path, {"long": ARRAYS["utt-a"]})
    ark = tmp_path / "feats.ark"
    ark.write_bytes(ark.read_bytes()[:-5])
    with pytest.raises(FormatError, match="long: entry at .* is damaged or cut off"):
        ArchiveReader(scp)["long"]


@pytest.mark.parametrize("junk", [bytes(300), bytes(range(256)), b"hello world\nthis is\n"])
def test_what_is_no_archive_is_named_and_not_quoted(tmp_path: Path, junk: bytes) -> None:
    scp = write(tmp_path, {"long": ARRAYS["utt-a"]})
    (tmp_path / "feats.ark").write_bytes(junk)
    with pytest.raises(FormatError, match="long: entry at .* is damaged or cut off") as caught:
        ArchiveReader(scp)["long"]
    assert len(str(caught.value)) < 500 + 3 * len(str(tmp_path))
    assert str(caught.value).isprintable()


def test_an_absent_archive_is_named_once(tmp_path: Path) -> None:
    scp = write(tmp_path, {"long": ARRAYS["utt-a"]})
    (tmp_path / "feats.ark").unlink()
    with pytest.raises(FormatError, match="cannot read archive .*feats.ark: No such file or directory") as caught:
        ArchiveReader(scp)["long"]
    assert "Errno" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a touch /tmp/x |", "never runs commands"),
        ("a | cat", "never runs commands"),
        ("a", "expected 'key value'"),
        ("b x\nb y", "duplicate key 'b'"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "t.scp").write_text(line + "\n")
    with pytest.raises(FormatError, match=message) as caught:
        read_scp(tmp_path / "t.scp")
    assert f"t.scp:{1 + line.count(chr(10))}" in str(caught.value)


def test_paths_with_spaces_are_values(tmp_path: Path) -> None:
    (tmp_path / "wav.scp").write_text("a /my recordings/one two.wav\n")
    assert read_scp(tmp_path / "wav.scp") == {"a": "/my recordings/one two.wav"}
