"""Whole files, random streams, ordered jobs, model containers."""

from __future__ import annotations

import errno
import math
import os
from pathlib import Path

import numpy as np
import pytest

from asrkit.core.container import load_model, save_model
from asrkit.core.errors import ConfigError, FormatError, ModelError
from asrkit.core.files import iterate_lines, read_json, read_lines, whole_file, write_json, write_lines, write_text
from asrkit.core.jobs import chunks, map_in_order
from asrkit.core.streams import random_stream


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    write_lines(tmp_path / "x", ["old"])

    def fail() -> None:
        with whole_file(tmp_path / "x") as part:
            part.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert read_lines(tmp_path / "x") == ["old"]
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_full_disk_is_said_of_the_file_that_was_to_be(tmp_path: Path) -> None:
    def fill() -> None:
        with whole_file(tmp_path / "x") as part:
            part.write_text("half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left") as caught:
        fill()
    assert caught.value.filename == str(tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_text_that_is_not_utf8_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(b"one\ntw\xff\n")
    with pytest.raises(FormatError, match=r"t:2: not UTF-8 text \(byte 0xff\)"):
        read_lines(tmp_path / "t")


def test_lines_end_at_newlines_alone_and_are_read_when_asked_for(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes("a\r\n\nb\u2028c\x0cd\n\ne".encode() + b"\n\xff")
    lines = iterate_lines(tmp_path / "t")
    assert [next(lines) for _ in range(5)] == ["a\r", "", "b\u2028c\x0cd", "", "e"]
    with pytest.raises(FormatError, match="t:6: not UTF-8"):
        next(lines)
    for content in ("", "\n", "a", "a\n", "a\n\n"):
        write_text(tmp_path / "t", content)
        assert "".join(f"{line}\n" for line in read_lines(tmp_path / "t")) == content + "\n" * (content == "a")
    with pytest.raises(FormatError, match="no such file"):
        next(iterate_lines(tmp_path))


def test_json_round_trip_and_damage(tmp_path: Path) -> None:
    write_json(tmp_path / "j", {"b": [1, "ü"], "a": None})
    assert read_json(tmp_path / "j") == {"b": [1, "ü"], "a": None}
    (tmp_path / "j").write_text('{"a": 1,\n oops')
    with pytest.raises(FormatError, match="j:2: not valid JSON"):
        read_json(tmp_path / "j")


def test_streams_depend_on_all_three_and_on_nothing_else() -> None:
    first = random_stream(1, "dither", "utt").random(3)
    random_stream(1, "other", "utt").random(100)
    assert (random_stream(1, "dither", "utt").random(3) == first).all()
    for other in (random_stream(2, "dither", "utt"), random_stream(1, "mix", "utt"), random_stream(1, "dither", "u")):
        assert (other.random(3) != first).all()


def test_no_more_workers_than_items(monkeypatch: pytest.MonkeyPatch) -> None:
    import joblib

    asked = []
    monkeypatch.setattr(
        joblib, "Parallel", lambda **options: asked.append(options["n_jobs"]) or (lambda tasks: iter([]))
    )
    monkeypatch.setattr("asrkit.core.jobs._as_they_come", lambda results: results)
    list(map_in_order(math.sqrt, [1.0, 2.0, 3.0], 100_000, kind="threads"))
    assert asked == [3]


@pytest.mark.parametrize("kind", ["threads", "processes"])
@pytest.mark.parametrize("num_jobs", [1, 3])
def test_results_come_in_the_order_of_the_items(kind: str, num_jobs: int) -> None:
    items = [float(n) for n in range(20)]
    assert list(map_in_order(math.sqrt, items, num_jobs, kind=kind)) == [math.sqrt(item) for item in items]


def test_no_jobs_is_an_error() -> None:
    with pytest.raises(ConfigError, match="num_jobs is 0"):
        list(map_in_order(math.sqrt, [1.0], 0))


def test_chunks_cover_everything_once() -> None:
    assert chunks(range(7), 3) == [range(3), range(3, 6), range(6, 7)]


def test_a_model_file_round_trips_and_knows_its_kind(tmp_path: Path) -> None:
    arrays = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array([1, 2], dtype=np.int32)}
    save_model(tmp_path / "m", "gmm", arrays, {"dim": 3})
    loaded, meta = load_model(tmp_path / "m", "gmm")
    assert meta == {"dim": 3}
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array)
    with pytest.raises(ModelError, match="this is a 'gmm' file, expected 'rbm'"):
        load_model(tmp_path / "m", "rbm")


@pytest.mark.parametrize("damage", [b"", b"\x80\x04pickle", b"\xff" * 40])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "m").write_bytes(damage)
    with pytest.raises(ModelError, match="not a readable safetensors file"):
        load_model(tmp_path / "m", "gmm")
