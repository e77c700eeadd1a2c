"""Audio reading: every published form gives the same samples, and damaged files are refused by name."""

from __future__ import annotations

import itertools
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asrkit.core.errors import DataError
from asrkit.data.audio import audio_info, read_audio, resample, secs_to_sample, stream_audio

RATE = 16000


@pytest.fixture
def samples() -> NDArray[np.int16]:
    """Asymmetric and reaching both ends of the range."""
    values = np.random.default_rng(7).integers(-32768, 32768, 3001).astype(np.int16)
    values[:3] = [-32768, 32767, 1]
    return values


def write(path: Path, samples: NDArray[np.int16], format: str, subtype: str, rate: int = RATE) -> Path:
    import soundfile

    data = samples if subtype.startswith("PCM") else samples.astype(np.float64) / 32768
    soundfile.write(str(path), data, rate, format=format, subtype=subtype)
    return path


@pytest.mark.parametrize(
    ("format", "subtype"),
    [
        ("WAV", "PCM_16"),
        ("WAV", "PCM_24"),
        ("WAV", "PCM_32"),
        ("WAV", "FLOAT"),
        ("WAV", "DOUBLE"),
        ("WAVEX", "PCM_16"),
        ("WAVEX", "PCM_24"),
        ("WAVEX", "FLOAT"),
        ("RF64", "PCM_16"),
        ("FLAC", "PCM_16"),
        ("FLAC", "PCM_24"),
        ("AIFF", "PCM_16"),
    ],
)
def test_lossless_forms_give_the_16_bit_samples(
    tmp_path: Path, samples: NDArray[np.int16], format: str, subtype: str
) -> None:
    path = write(tmp_path / "a b.audio", samples, format, subtype)
    got, rate = read_audio(path)
    assert rate == RATE
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, samples.astype(np.float32))
    info = audio_info(path)
    assert (info.num_samples, info.num_channels, info.format) == (3001, 1, f"{format} {subtype}")


def test_headerless_raw_is_big_endian_16_bit_16_khz(tmp_path: Path, samples: NDArray[np.int16]) -> None:
    path = tmp_path / "an251-fash-b.raw"
    path.write_bytes(samples.astype(">i2").tobytes())
    got, rate = read_audio(path)
    assert rate == RATE
    np.testing.assert_array_equal(got, samples.astype(np.float32))
    little = tmp_path / "little.raw"
    little.write_bytes(samples.astype("<i2").tobytes())
    assert not np.array_equal(read_audio(little)[0], got)


def test_8_bit_samples_are_centred(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", np.array([0, 256, -32768], np.int16), "WAV", "PCM_U8")
    np.testing.assert_array_equal(read_audio(path)[0], [0, 256, -32768])


def test_stretch_is_the_slice_of_the_whole(tmp_path: Path, samples: NDArray[np.int16]) -> None:
    for form, subtype in (("WAV", "PCM_16"), ("FLAC", "PCM_16")):
        path = write(tmp_path / f"a.{form.lower()}", samples, form, subtype)
        got, _ = read_audio(path, start_secs=0.01, end_secs=0.0701)
        np.testing.assert_array_equal(got, samples[160:1122].astype(np.float32))


def test_end_slightly_beyond_the_recording_is_cut_and_further_is_an_error(
    tmp_path: Path, samples: NDArray[np.int16]
) -> None:
    path = write(tmp_path / "a.wav", samples, "WAV", "PCM_16")
    assert len(read_audio(path, 0.1, 0.6)[0]) == 3001 - 1600
    for start, end in ((0.1, 0.8), (0.1, 0.1), (0.15, 0.1), (-0.1, 0.1), (0.3, None), (0.3, 0.4)):
        with pytest.raises(DataError, match=r"a\.wav: segment .* does not lie in the recording, which lasts 0\.188 s"):
            read_audio(path, start, end)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**7), st.sampled_from([8000, 11025, 16000, 44100, 48000]))
def test_samples_survive_the_way_through_seconds(sample: int, rate: int) -> None:
    assert secs_to_sample(sample / rate, rate) == sample
    assert secs_to_sample((sample + 0.49) / rate, rate) == sample
    assert secs_to_sample((sample + 0.51) / rate, rate) == sample + 1


def test_adjacent_segments_share_and_lose_no_sample(tmp_path: Path, samples: NDArray[np.int16]) -> None:
    path = write(tmp_path / "a.wav", samples, "WAV", "PCM_16", 11025)
    cuts = [0.0, 0.0333, 0.1001, 0.15007, None]
    parts = [read_audio(path, start, end)[0] for start, end in itertools.pairwise(cuts)]
    np.testing.assert_array_equal(np.concatenate(parts), samples.astype(np.float32))


@pytest.mark.parametrize("block", [1000, 3001, 5000, 7])
def test_streamed_blocks_join_to_the_whole(tmp_path: Path, samples: NDArray[np.int16], block: int) -> None:
    path = write(tmp_path / "a.flac", samples, "FLAC", "PCM_16")
    blocks = list(stream_audio(path, block))
    assert {len(b) for b in blocks[:-1]} <= {block}
    np.testing.assert_array_equal(np.concatenate(blocks), read_audio(path)[0])


def test_two_channels_need_a_choice(tmp_path: Path, samples: NDArray[np.int16]) -> None:
    import soundfile

    path = tmp_path / "stereo.wav"
    soundfile.write(str(path), np.stack([samples, samples[::-1]], axis=1), RATE)
    with pytest.raises(DataError, match=r"stereo\.wav: 2 channels found, expected one .*remix"):
        read_audio(path)
    with pytest.raises(DataError, match="2 channels"):
        next(stream_audio(path, 100))
    with pytest.raises(DataError, match="no channel 2"):
        read_audio(path, channel=2)
    np.testing.assert_array_equal(read_audio(path, channel=1)[0], samples[::-1].astype(np.float32))
    np.testing.assert_array_equal(
        np.concatenate(list(stream_audio(path, 999, channel=0))), read_audio(path, channel=0)[0]
    )


def with_data_size(path: Path, size: int) -> Path:
    content = path.read_bytes()
    at = content.index(b"data") + 4
    path.write_bytes(content[:at] + struct.pack("<I", size) + content[at + 4 :])
    return path


def test_truncated_wav_is_refused(tmp_path: Path, samples: NDArray[np.int16]) -> None:
    path = write(tmp_path / "cut.wav", samples, "WAV", "PCM_16")
    path.write_bytes(path.read_bytes()[:-1000])
    for read in (audio_info, read_audio):
        with pytest.raises(DataError, match=r"cut\.wav: truncated WAV: 5002 bytes .* announces 6002 \(copy"):
            read(path)
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(DataError, match="no data chunk"):
        read_audio(path)


def test_truncated_rf64_is_refused(tmp_path: Path, samples: NDArray[np.int16]) -> None:
    path = write(tmp_path / "cut.wav", samples, "RF64", "PCM_16")
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(DataError, match=r"truncated WAV: 5002 bytes .* announces 6002"):
        audio_info(path)


@pytest.mark.parametrize("size", [0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFF000])
def test_wav_written_to_a_pipe_reaches_the_end_of_the_file(
    tmp_path: Path, samples: NDArray[np.int16], size: int
) -> None:
    path = with_data_size(write(tmp_path / "a.wav", samples, "WAV", "PCM_16"), size)
    np.testing.assert_array_equal(read_audio(path)[0], samples.astype(np.float32))


def test_flac_that_does_not_say_how_long_it_is_is_refused(tmp_path: Path, samples: NDArray[np.int16]) -> None:
    path = write(tmp_path / "a.flac", samples, "FLAC", "PCM_16")
    content = bytearray(path.read_bytes())
    # STREAMINFO: the 36 bits from the low half of byte 21 on are the number of samples, 0 when unknown.
    assert int.from_bytes(content[21:26], "big") & 0xFFFFFFFFF == 3001
    content[21:26] = (int.from_bytes(content[21:26], "big") >> 36 << 36).to_bytes(5, "big")
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.flac: FLAC that does not say how many samples it holds .*sox"):
        audio_info(path)


def test_truncated_flac_is_refused_on_reading(tmp_path: Path, samples: NDArray[np.int16]) -> None:
    path = write(tmp_path / "cut.flac", np.tile(samples, 20), "FLAC", "PCM_16")
    path.write_bytes(path.read_bytes()[:-20000])
    with pytest.raises(DataError, match=r"cut\.flac: (damaged audio|truncated)"):
        read_audio(path)
    with pytest.raises(DataError, match=r"cut\.flac: (damaged audio|truncated)"):
        list(stream_audio(path, 1000))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.wav", b"", r"empty\.wav: empty file, expected audio"),
        ("text.wav", b"<html>not found</html>", r"text\.wav: not readable audio: .*<html>not.*convert it with sox"),
        ("short.wav", b"RI", r"short\.wav: not readable audio"),
        ("odd.raw", b"abc", r"odd\.raw: 3 bytes, expected 16-bit samples"),
    ],
)
def test_what_is_no_audio_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        audio_info(path)


def test_absent_file_directory_and_no_samples(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no\.wav: no such audio file"):
        read_audio(tmp_path / "no.wav")
    with pytest.raises(DataError, match="cannot be opened"):
        read_audio(tmp_path)
    with pytest.raises(DataError, match=r"zero\.wav: no samples"):
        audio_info(write(tmp_path / "zero.wav", np.zeros(0, np.int16), "WAV", "PCM_16"))


def test_float_samples_must_be_finite(tmp_path: Path) -> None:
    import soundfile

    soundfile.write(str(tmp_path / "a.wav"), np.array([0.1, np.nan, 0.2], np.float32), RATE, subtype="FLOAT")
    with pytest.raises(DataError, match="not finite"):
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_float_samples_must_be_on_the_scale_of_one(tmp_path: Path, subtype: str) -> None:
    import soundfile

    soundfile.write(str(tmp_path / "a.wav"), np.array([0.1, -1.5, 0.2]), RATE, subtype=subtype)
    assert read_audio(tmp_path / "a.wav")[0].min() == -1.5 * 32768
    soundfile.write(str(tmp_path / "b.wav"), np.array([0.1, -1500.0, 0.2]), RATE, subtype=subtype)
    with pytest.raises(DataError, match="float samples of up to 1500, expected -1 to 1"):
        read_audio(tmp_path / "b.wav")


@pytest.mark.skipif(os.name != "posix", reason="pipes with names, and names of any bytes")
def test_a_pipe_is_not_waited_for_and_a_name_of_any_bytes_is_said(tmp_path: Path, samples: NDArray[np.int16]) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(DataError, match="a pipe or device"):
        audio_info(tmp_path / "pipe.wav")
    good = write(tmp_path / "good.wav", samples, "WAV", "PCM_16")
    named = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.wav"))
    try:
        named.write_bytes(good.read_bytes())
    except OSError:
        pytest.skip("the file system refuses such names")
    with pytest.raises(DataError, match="not UTF-8") as caught:
        read_audio(named)
    assert str(caught.value).isascii()


def test_resampling_keeps_a_tone_and_its_level() -> None:
    time_8k = np.arange(8000) / 8000
    tone = (10000 * np.sin(2 * np.pi * 440 * time_8k)).astype(np.float32)
    got = resample(tone, 8000, 16000)
    assert got.dtype == np.float32
    assert len(got) == 16000
    want = 10000 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    assert np.abs(got - want)[500:-500].max() < 10
    assert resample(tone, 8000, 8000) is tone
