"""Matrices written block by block: the same bytes as at once, and nothing left of one that breaks off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from asrkit.core.archives import ArchiveReader, ArchiveWriter


def test_blocks_give_the_bytes_of_the_whole(tmp_path: Path) -> None:
    x = np.arange(21, dtype=np.float32).reshape(7, 3)
    with ArchiveWriter(tmp_path / "whole", "m") as out:
        out.write("a", x)
        out.write("b", x[:2])
    with ArchiveWriter(tmp_path / "rows", "m") as out:
        assert out.write_rows("a", 3, iter([x[:4], x[4:4], x[4:]])) == 7
        out.write("b", x[:2])
    assert (tmp_path / "rows" / "m.ark").read_bytes() == (tmp_path / "whole" / "m.ark").read_bytes()
    assert np.array_equal(ArchiveReader(tmp_path / "rows" / "m.scp")["b"], x[:2])


def test_a_broken_entry_leaves_nothing(tmp_path: Path) -> None:
    x = np.ones((5, 2), dtype=np.float32)

    def broken() -> Iterator[np.ndarray]:
        yield x
        raise OSError("gone")

    with ArchiveWriter(tmp_path, "m") as out:
        out.write("a", x)
        with pytest.raises(OSError, match="gone"):
            out.write_rows("lost", 2, broken())
        with pytest.raises(TypeError, match="expected 3 columns"):
            out.write_rows("misfit", 3, [x])
        out.write("c", 2 * x)
    reader = ArchiveReader(tmp_path / "m.scp")
    assert list(reader) == ["a", "c"]
    assert np.array_equal(reader["c"], 2 * x)
