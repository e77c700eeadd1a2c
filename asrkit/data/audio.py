"""Audio files as float32 samples on Kaldi's scale.

Read are WAV (also extensible, RF64, 8 to 32 bits, float, A-law, µ-law), FLAC, Ogg, MP3, AIFF and what else
libsndfile knows; NIST SPHERE (by its content, whatever its name); and files named ``.raw``, which have no header
and are taken as AN4 publishes them: one channel of big-endian 16-bit samples at 16 kHz.
"""

from __future__ import annotations

import math
import os
import stat
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import DataError
from asrkit.data import sphere

FULL_SCALE = 32768.0
"""What a libsndfile sample of 1.0 becomes: the scale of 16-bit integers, as in Kaldi."""

MAX_FLOAT = 8.0
"""Float samples are meant to lie in [-1, 1]; some beyond are an overdriven recording, this far out another scale."""

MAX_OVERSHOOT_SECS = 0.5
"""How far a segment may reach beyond its recording; it is then cut there (Kaldi's ``extract-segments``)."""

RAW_RATE_HZ = 16000
"""Sampling rate of headerless ``.raw`` files."""

_STREAMED = 0x7FFF0000
"""A WAV data size from here on was written by a program that could not know it: the data reach the end."""

_UNKNOWN_FRAMES = 1 << 62
"""A count of frames from here on is libsndfile's for "the header does not say"; it cannot seek in such a file."""

_COPY_AGAIN = "copy the file again from its source"
_READABLE = "expected WAV, FLAC, Ogg, MP3, AIFF or NIST SPHERE; convert it with sox or ffmpeg"


@dataclass(frozen=True)
class AudioInfo:
    """What an audio file holds, from its header.

    Attributes
    ----------
    path : Path
        The file.
    sample_rate_hz : int
        Samples a second.
    num_samples : int
        Samples of each channel, > 0.
    num_channels : int
        Channels, >= 1.
    format : str
        Container and coding, e.g. ``"WAV PCM_16"``, ``"SPHERE PCM_16"``, ``"raw PCM_16"``.
    """

    path: Path
    sample_rate_hz: int
    num_samples: int
    num_channels: int
    format: str

    @property
    def duration_secs(self) -> float:
        """Length in seconds."""
        return self.num_samples / self.sample_rate_hz


def secs_to_sample(secs: float, sample_rate_hz: int) -> int:
    """Return the 0-based sample at a time: the nearest one, halves up.

    This is the only place where seconds become samples. A segment is ``[start, end)`` in samples, so segments
    that share a boundary share no sample and lose none.
    """
    return math.floor(secs * sample_rate_hz + 0.5)


def segment_samples(info: AudioInfo, start_secs: float | None, end_secs: float | None) -> tuple[int, int]:
    """Return a stretch in seconds as 0-based samples ``[start, end)`` of the recording.

    None means from its beginning, to its end. An end at most ``MAX_OVERSHOOT_SECS`` beyond it is cut there.

    Raises
    ------
    DataError
        The stretch is empty or does not lie in the recording.
    """
    start = 0 if start_secs is None else secs_to_sample(start_secs, info.sample_rate_hz)
    end = info.num_samples if end_secs is None else secs_to_sample(end_secs, info.sample_rate_hz)
    overshoot = (end - info.num_samples) / info.sample_rate_hz
    if overshoot <= MAX_OVERSHOOT_SECS:
        end = min(end, info.num_samples)
    if not 0 <= start < end <= info.num_samples:
        raise DataError(
            f"segment {start_secs or 0:g} to {'its end' if end_secs is None else f'{end_secs:g}'} s does not lie in "
            f"the recording, which lasts {info.duration_secs:.3f} s",
            where=info.path,
            remedy="mend `segments`, or run `asrkit validate --fix`",
        )
    return start, end


def audio_info(path: Path | str) -> AudioInfo:
    """Read the header of an audio file.

    Raises
    ------
    DataError
        The file is absent, empty, truncated (WAV, SPHERE), holds no samples, or is not audio that can be read.
    """
    with _open(Path(path)) as recording:
        return recording.info


def read_audio(
    path: Path | str, start_secs: float | None = None, end_secs: float | None = None, channel: int | None = None
) -> tuple[NDArray[np.float32], int]:
    """Read one channel of an audio file, or a stretch of it.

    Parameters
    ----------
    path : path
        The file.
    start_secs, end_secs : float, optional
        The stretch ``[start, end)``; by default the whole. An end at most ``MAX_OVERSHOOT_SECS`` beyond the
        recording is cut there.
    channel : int, optional
        0-based; may be left out where there is only one.

    Returns
    -------
    samples : (num_samples,) float32
        On the scale of 16-bit integers, [-32768, 32767], as in Kaldi.
    sample_rate_hz : int

    Raises
    ------
    DataError
        As :func:`audio_info`; or several channels and no ``channel``; or a stretch outside the recording; or
        fewer samples than the header announces; or samples that are not finite or on another scale.
    """
    with _open(Path(path)) as recording:
        start, end = segment_samples(recording.info, start_secs, end_secs)
        recording.choose(channel)
        recording.seek(start)
        return recording.read(end - start), recording.info.sample_rate_hz


def stream_audio(path: Path | str, block_samples: int, channel: int | None = None) -> Iterator[NDArray[np.float32]]:
    """Yield one channel of an audio file in consecutive blocks of ``block_samples`` (the last may be shorter).

    The blocks joined are what :func:`read_audio` returns, and the errors are the same.
    """
    if block_samples < 1:
        raise ValueError(f"block_samples is {block_samples}, expected 1 or more")
    with _open(Path(path)) as recording:
        recording.choose(channel)
        recording.seek(0)
        for start in range(0, recording.info.num_samples, block_samples):
            yield recording.read(min(block_samples, recording.info.num_samples - start))


def resample(samples: NDArray[np.float32], from_hz: int, to_hz: int) -> NDArray[np.float32]:
    """Resample ``(num_samples,)`` float32 by librosa (soxr, high quality); the same rate returns the samples."""
    if from_hz == to_hz:
        return samples
    import librosa

    resampled = librosa.resample(samples, orig_sr=from_hz, target_sr=to_hz, res_type="soxr_hq")
    return np.ascontiguousarray(resampled, dtype=np.float32)


def resample_blocks(blocks: Iterable[NDArray[np.float32]], from_hz: int, to_hz: int) -> Iterator[NDArray[np.float32]]:
    """Resample a recording that comes in blocks, (n,) float32, without gaps between them; as :func:`resample`.

    The same rate gives the blocks themselves. Memory does not grow with the recording.
    """
    if from_hz == to_hz:
        yield from blocks
        return
    import soxr  # type: ignore[import-untyped]

    converter = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="HQ")
    for block in blocks:
        yield converter.resample_chunk(block)
    yield converter.resample_chunk(np.zeros(0, dtype=np.float32), last=True)


class _Recording:
    """An open audio file. ``offset`` is the frame of libsndfile's numbering at which the samples begin."""

    def __init__(self, handle: Any, info: AudioInfo, offset: int = 0) -> None:
        self.handle = handle
        self.info = info
        self._offset = offset
        self._at = 0
        self._channel = 0

    def choose(self, channel: int | None) -> None:
        count = self.info.num_channels
        if channel is None and count > 1:
            raise DataError(
                f"{count} channels found, expected one",
                where=self.info.path,
                remedy="say which channel (0-based), or mix them down with `sox IN OUT remix -`",
            )
        if channel is not None and not 0 <= channel < count:
            raise DataError(f"no channel {channel}: channels are 0 to {count - 1}", where=self.info.path)
        self._channel = channel or 0

    def seek(self, sample: int) -> None:
        if self._offset + sample > 0:
            with _as_data_error(self.info.path):
                self.handle.seek(self._offset + sample)
        self._at = sample

    def read(self, count: int) -> NDArray[np.float32]:
        with _as_data_error(self.info.path):
            frames = self.handle.read(count, dtype="float32")
        self._at += len(frames)
        if len(frames) < count:
            raise DataError(
                f"truncated: {self._at} samples found, its header announces {self.info.num_samples}",
                where=self.info.path,
                remedy=_COPY_AGAIN,
            )
        samples: NDArray[np.float32] = np.ascontiguousarray(frames[:, self._channel] if frames.ndim == 2 else frames)
        if self.handle.subtype in ("FLOAT", "DOUBLE") and not np.isfinite(samples).all():
            raise DataError("float samples that are not finite", where=self.info.path, remedy="make the file again")
        if self.handle.subtype in ("FLOAT", "DOUBLE") and (largest := np.abs(samples).max(initial=0.0)) > MAX_FLOAT:
            raise DataError(
                f"float samples of up to {largest:g}, expected -1 to 1",
                where=self.info.path,
                remedy="divide them by 32768 if they are 16-bit values",
            )
        samples *= np.float32(FULL_SCALE)
        return samples


@contextmanager
def _open(path: Path) -> Iterator[_Recording]:
    import soundfile

    head = _read_head(path)
    arguments: dict[str, Any] = {}
    header = None
    if head.startswith(sphere.MAGIC):
        header = sphere.read_sphere_header(path)
        # Read as headerless audio: libsndfile clips a truncated SPHERE file in silence and knows fewer codings.
        arguments = {"format": "RAW", "subtype": header.coding, "endian": header.endian}
        arguments |= {"samplerate": header.sample_rate_hz, "channels": header.num_channels}
        if header.coding != "PCM_16":
            del arguments["endian"]
        if header.header_bytes % header.frame_bytes:
            raise DataError(
                f"SPHERE header of {header.header_bytes} bytes is no multiple of {header.frame_bytes}", where=path
            )
    elif path.suffix.lower() == ".raw":
        _check_raw(path)
        arguments = {"format": "RAW", "subtype": "PCM_16", "endian": "BIG"}
        arguments |= {"samplerate": RAW_RATE_HZ, "channels": 1}
    elif head[8:12] == b"WAVE":
        _check_wav(path)
    with _as_data_error(path, head):
        handle = soundfile.SoundFile(str(path), **arguments)
    with handle:
        if header is not None:
            info = AudioInfo(
                path, header.sample_rate_hz, header.num_samples, header.num_channels, f"SPHERE {header.coding}"
            )
            offset = header.header_bytes // header.frame_bytes
        else:
            kind = "raw" if handle.format == "RAW" else handle.format
            if handle.frames >= _UNKNOWN_FRAMES:
                raise DataError(
                    f"{handle.format} that does not say how many samples it holds",
                    where=path,
                    remedy="encode it again from a file, not through a pipe: `sox IN OUT`",
                )
            info = AudioInfo(path, handle.samplerate, handle.frames, handle.channels, f"{kind} {handle.subtype}")
            offset = 0
        if info.num_samples == 0:
            raise DataError(f"no samples ({info.format})", where=path, remedy="record it again or leave it out")
        yield _Recording(handle, info, offset)


@contextmanager
def _as_data_error(path: Path, head: bytes | None = None) -> Iterator[None]:
    """Turn libsndfile's errors into ours; ``head`` (the file's first bytes) is shown when it is not audio."""
    import soundfile

    try:
        yield
    except (soundfile.LibsndfileError, TypeError, ValueError) as error:
        reason = getattr(error, "error_string", str(error)).strip().rstrip(".")
        if head is not None:
            raise DataError(f"not readable audio: {reason}; it begins {head!r}", where=path, remedy=_READABLE) from None
        raise DataError(f"damaged audio: {reason}", where=path, remedy=_COPY_AGAIN) from None


def _read_head(path: Path) -> bytes:
    if not _is_utf8(path):
        raise DataError("the name of the file is not UTF-8", where=ascii(str(path)), remedy="rename it")
    try:
        if not stat.S_ISREG(mode := path.stat().st_mode) and not stat.S_ISDIR(mode):
            raise DataError(
                "a pipe or device, expected a file", where=path, remedy="save what it gives to a file first"
            )
        with path.open("rb") as handle:
            head = handle.read(12)
    except FileNotFoundError:
        raise DataError("no such audio file", where=path, remedy="mend the path in wav.scp") from None
    except OSError as error:
        raise DataError(f"cannot be opened: {error.strerror}", where=path) from None
    if not head:
        raise DataError("empty file, expected audio", where=path, remedy=_COPY_AGAIN)
    return head


def _is_utf8(path: Path) -> bool:
    try:
        os.fsencode(path).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _check_raw(path: Path) -> None:
    size = path.stat().st_size
    if size % 2:
        raise DataError(f"{size} bytes, expected 16-bit samples (an even number)", where=path, remedy=_COPY_AGAIN)


def _check_wav(path: Path) -> None:
    """Refuse a WAV whose data chunk announces more than the file holds; libsndfile would clip it in silence."""
    with path.open("rb") as handle:
        announced, start = _find_wav_data(handle, path)
        found = max(0, os.fstat(handle.fileno()).st_size - start)
    of_unknown_length = _STREAMED <= announced < 1 << 32
    if announced > found and not of_unknown_length:
        raise DataError(
            f"truncated WAV: {found} bytes of samples found, its header announces {announced}",
            where=path,
            remedy=_COPY_AGAIN,
        )


def _find_wav_data(handle: BinaryIO, path: Path) -> tuple[int, int]:
    """Return (size the data chunk announces, offset of its first byte); walks RIFF, big-endian RIFX and RF64."""
    form = handle.read(12)[:4]
    head = struct.Struct(">4sI" if form == b"RIFX" else "<4sI")
    long_size = None
    while len(chunk := handle.read(8)) == 8:
        name, size = head.unpack(chunk)
        if name == b"data":
            return (long_size if long_size is not None and size == 0xFFFFFFFF else size), handle.tell()
        if name == b"ds64" and size >= 16:
            body = handle.read(size + size % 2)
            if len(body) >= 16:
                long_size = int.from_bytes(body[8:16], "little")
            continue
        handle.seek(size + size % 2, os.SEEK_CUR)
    raise DataError("truncated WAV: no samples found (no data chunk)", where=path, remedy=_COPY_AGAIN)
