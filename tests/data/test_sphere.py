"""NIST SPHERE headers, as in TIMIT and AN4."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asrkit.core.errors import DataError
from asrkit.data.audio import audio_info, read_audio, stream_audio
from asrkit.data.sphere import read_sphere_header

SAMPLES = np.array([-32768, 32767, 1, 258, -2, 0, 513], np.int16)


def write(path: Path, body: bytes, **changes: str | None) -> Path:
    """Write a header like TIMIT's with some fields changed or, where None, left out."""
    fields: dict[str, str | None] = {
        "database_id": "-s5 TIMIT",
        "channel_count": "-i 1",
        "sample_count": "-i 7",
        "sample_rate": "-i 16000",
        "sample_n_bytes": "-i 2",
        "sample_byte_format": "-s2 01",
        "sample_coding": "-s3 pcm",
    }
    fields.update(changes)
    lines = [f"{name} {value}" for name, value in fields.items() if value is not None]
    path.write_bytes("\n".join(["NIST_1A", "   1024", *lines, "end_head", ""]).encode().ljust(1024) + body)
    return path


@pytest.mark.parametrize(("order", "kind"), [("01", "<i2"), ("10", ">i2")])
@pytest.mark.parametrize("name", ["SX206.WAV", "an1.sph", "x.raw"])
def test_both_byte_orders_under_any_name(tmp_path: Path, order: str, kind: str, name: str) -> None:
    path = write(tmp_path / name, SAMPLES.astype(kind).tobytes(), sample_byte_format=f"-s2 {order}")
    got, rate = read_audio(path)
    assert rate == 16000
    np.testing.assert_array_equal(got, SAMPLES.astype(np.float32))
    assert audio_info(path).format == "SPHERE PCM_16"
    np.testing.assert_array_equal(np.concatenate(list(stream_audio(path, 3))), got)
    np.testing.assert_array_equal(read_audio(path, 2 / 16000, 5 / 16000)[0], got[2:5])


def test_header_agrees_with_what_libsndfile_writes(tmp_path: Path) -> None:
    import soundfile

    wave = (np.sin(np.arange(500) / 9) * 20000).astype(np.int16)
    for subtype, endian in (("PCM_16", "LITTLE"), ("PCM_16", "BIG"), ("ULAW", None), ("ALAW", None)):
        path = tmp_path / f"{subtype}{endian}.sph"
        soundfile.write(str(path), wave, 8000, format="NIST", subtype=subtype, endian=endian)
        want = soundfile.read(str(path), dtype="float32")[0] * 32768
        np.testing.assert_array_equal(read_audio(path)[0], want)
        assert read_sphere_header(path).coding == subtype


def test_two_channels_interleave(tmp_path: Path) -> None:
    path = write(tmp_path / "a.sph", np.arange(14, dtype="<i2").tobytes(), channel_count="-i 2")
    np.testing.assert_array_equal(read_audio(path, channel=1)[0], np.arange(1, 14, 2))
    with pytest.raises(DataError, match="2 channels"):
        read_audio(path)


def test_absent_count_and_coding_are_taken_from_the_size_and_as_pcm(tmp_path: Path) -> None:
    path = write(tmp_path / "a.sph", SAMPLES.tobytes(), sample_count=None, sample_coding=None)
    np.testing.assert_array_equal(read_audio(path)[0], SAMPLES.astype(np.float32))
    longer = write(tmp_path / "b.sph", SAMPLES.tobytes() + b"trailing")
    assert audio_info(longer).num_samples == 7


@pytest.mark.parametrize(
    ("body", "changes", "message"),
    [
        (b"ajkg\x02", {"sample_coding": "-s26 pcm,embedded-shorten-v2.00"}, r"compressed .*shorten.*sph2pipe.*sox"),
        (b"ajkg\x02", {}, "compressed .*sph2pipe"),
        (b"\0" * 13, {}, r"truncated SPHERE file: 6 samples found, its header announces 7 \(copy"),
        (b"\0" * 14, {"sample_n_bytes": "-i 4"}, "SPHERE samples are pcm, 4 bytes each.*expected 16-bit pcm"),
        (b"\0" * 14, {"sample_coding": "-s5 adpcm"}, "SPHERE samples are adpcm"),
        (b"\0" * 14, {"sample_rate": None}, "sample_rate is None, expected a positive integer"),
        (b"\0" * 14, {"sample_rate": "-i x"}, "damaged SPHERE header: 'sample_rate -i x'"),
        (b"\0" * 14, {"sample_count": "-i -1"}, "sample_count is -1"),
        (b"\0" * 28, {"channel_count": "-i 2", "channels_interleaved": "-s5 FALSE"}, "not interleaved"),
        (b"", {"sample_count": "-i 0"}, "no samples"),
    ],
)
def test_what_cannot_be_read_is_refused(
    tmp_path: Path, body: bytes, changes: dict[str, str | None], message: str
) -> None:
    path = write(tmp_path / "x.sph", body, **changes)
    with pytest.raises(DataError, match=rf"x\.sph: .*{message}|x\.sph: {message}"):
        audio_info(path)


@pytest.mark.parametrize("content", [b"NIST_1A\n   1024\nsample_count -i 3\n", b"NIST_1A\n   12x4\n", b"NIST_1A"])
def test_cut_headers_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.sph"
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged SPHERE header"):
        audio_info(path)
