"""Sound as callers have it, arrays or files of any rate, turned into what a model is fed with."""

from __future__ import annotations

import functools
import logging
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import DataError
from asrkit.data.audio import FULL_SCALE, MAX_FLOAT, audio_info, read_audio, resample

log = logging.getLogger("asrkit")

Samples = NDArray[np.float32]
Audio = NDArray[Any] | str | os.PathLike[str]
"""An array of samples, or the path of an audio file."""

MAX_CHANNELS = 64

_UNREADABLE = "not readable audio"
"""What :mod:`asrkit.data.audio` says of a file that libsndfile does not know."""

MIN_RATE_HZ, MAX_RATE_HZ = 100, 10_000_000


def read_samples(audio: Audio, rate: int | None, channel: int | None) -> tuple[Samples, int]:
    """Return one channel as float32 samples in the int16 range, and their rate.

    Parameters
    ----------
    audio : ndarray or path
        (num_samples,) or (num_samples, num_channels), of int16, int32, or floats in [-1, 1]; or a file.
    rate : int or None
        Samples a second of an array; a file knows its own.
    channel : int or None
        0-based; may be left out where there is one channel only.

    Raises
    ------
    DataError
        No samples, several channels and none chosen, values that are not finite or on another scale, another type,
        a rate that is none; or a file that cannot be read.
    """
    if isinstance(audio, (str, os.PathLike)):
        return _read_file(Path(audio), channel)
    if rate is None:
        raise DataError("an array of samples does not tell its rate", remedy="give rate=, in samples a second")
    return pick_channel(scaled(audio), channel), checked_rate(rate)


def num_channels(audio: Audio) -> int:
    """Return the number of channels of an array or file."""
    if not isinstance(audio, (str, os.PathLike)):
        return 1 if np.ndim(audio) == 1 else np.shape(audio)[-1]
    try:
        return audio_info(Path(audio)).num_channels
    except DataError as error:
        if _UNREADABLE not in error.message or (found := _decode_elsewhere(Path(audio))) is None:
            raise
        return found[0].shape[1]


def checked_rate(rate: float) -> int:
    """Return a rate as an integer; a :class:`DataError` where it is none that sound is sampled at."""
    if not (MIN_RATE_HZ <= rate <= MAX_RATE_HZ and rate == int(rate)):
        raise DataError(f"a rate of {rate} samples a second, expected {MIN_RATE_HZ} to {MAX_RATE_HZ}")
    return int(rate)


def scaled(audio: NDArray[Any]) -> Samples:
    """Return samples of any accepted type as float32 in the int16 range, same shape.

    Raises
    ------
    DataError
        Another type, values that are not finite or are floats on another scale.
    """
    if not isinstance(audio, np.ndarray):
        raise DataError(
            f"samples in a {type(audio).__name__}, expected a numpy array", remedy="np.frombuffer or np.array makes one"
        )
    if audio.dtype == np.int16:
        return audio.astype(np.float32)
    if audio.dtype == np.int32:
        return (audio.astype(np.float64) / 65536.0).astype(np.float32)
    if audio.dtype.kind != "f":
        raise DataError(
            f"samples of the type {audio.dtype}, expected int16, int32, or floats in [-1, 1]",
            remedy="convert them with .astype()",
        )
    if audio.size and not np.isfinite(audio).all():
        raise DataError("samples that are not finite (NaN or infinity)")
    largest = float(np.abs(audio).max(initial=0.0))
    if largest > MAX_FLOAT:
        raise DataError(
            f"float samples of up to {largest:g}, expected -1 to 1",
            remedy="divide them by 32768 if they are 16-bit values, or give them as int16",
        )
    return (audio * FULL_SCALE).astype(np.float32)


def pick_channel(samples: Samples, channel: int | None) -> Samples:
    """Return one channel of (num_samples,) or (num_samples, num_channels); see :func:`read_samples`."""
    if samples.ndim == 1:
        samples = samples[:, None]
    if samples.ndim != 2 or not 1 <= samples.shape[1] <= MAX_CHANNELS:
        raise DataError(
            f"audio of shape {samples.shape}, expected (num_samples,) or (num_samples, num_channels)",
            remedy="transpose it if channels come first",
        )
    count = samples.shape[1]
    if channel is None and count > 1:
        raise DataError(f"{count} channels, expected one", remedy="say which with channel= (0-based)")
    if channel is not None and not 0 <= channel < count:
        raise DataError(f"no channel {channel}: channels are 0 to {count - 1}")
    if not len(samples):
        raise DataError("no samples")
    return np.ascontiguousarray(samples[:, channel or 0])


class RateConverter:
    """Brings whole recordings to the rate of a model, and says so once for every rate.

    Parameters
    ----------
    rate_hz : int
        Of the model.
    upsample : bool
        Also take recordings of a lower rate. What lies above half that rate is missing in them, and the model, which
        was trained with it, hears badly; so by default they are refused.
    """

    def __init__(self, rate_hz: int, upsample: bool = False) -> None:
        self.rate_hz, self.upsample = rate_hz, upsample
        self._said: set[int] = set()

    def __call__(self, samples: Samples, rate_hz: int) -> Samples:
        """Return the samples at the rate of the model.

        Raises
        ------
        DataError
            The rate is lower, and that was not allowed.
        """
        self.check(rate_hz)
        return resample(samples, rate_hz, self.rate_hz)

    def check(self, rate_hz: int) -> None:
        """Say, or refuse, that sound of this rate is converted; see :meth:`__call__`."""
        if rate_hz < self.rate_hz and not self.upsample:
            raise DataError(
                f"sampled at {rate_hz} Hz, the model hears {self.rate_hz} Hz: all above {rate_hz // 2} Hz is missing",
                remedy=f"use a model for {rate_hz} Hz, or allow it (upsample=True, --upsample) and expect more errors",
            )
        if rate_hz != self.rate_hz and rate_hz not in self._said:
            self._said.add(rate_hz)
            missing = f"; all above {rate_hz // 2} Hz is missing in it" if rate_hz < self.rate_hz else ""
            log.info("audio at %d Hz is resampled to the model's %d Hz%s", rate_hz, self.rate_hz, missing)


class RateStream:
    """Brings live audio to the rate of a model, block by block.

    Parameters
    ----------
    from_hz, to_hz : int
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        import soxr  # type: ignore[import-untyped]

        same = from_hz == to_hz
        self._stream = None if same else soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="HQ")

    def push(self, samples: Samples) -> Samples:
        """Take (n,) float32 samples; return those that are ready."""
        return samples if self._stream is None else self._stream.resample_chunk(samples)

    def finish(self) -> Samples:
        """Return the samples that were waiting for the end."""
        nothing = np.zeros(0, dtype=np.float32)
        return nothing if self._stream is None else self._stream.resample_chunk(nothing, last=True)


def _read_file(path: Path, channel: int | None) -> tuple[Samples, int]:
    try:
        samples, rate = read_audio(path, channel=channel)
    except DataError as error:
        if _UNREADABLE not in error.message or (found := _decode_elsewhere(path)) is None:
            raise
        samples, rate = pick_channel(scaled(found[0]), channel), found[1]
    return samples, checked_rate(rate)


def _decode_elsewhere(path: Path) -> tuple[NDArray[np.int16], int] | None:
    """Read what libsndfile does not know (MP4, WMA, …) by the decoders of librosa's audioread, e.g. FFmpeg.

    Returns
    -------
    ((num_samples, num_channels) int16, rate) or None
        None where there is no such decoder, or it cannot read the file either.
    """
    backends = _other_decoders()
    if not backends:
        return None
    import audioread  # type: ignore[import-untyped]

    try:
        with audioread.audio_open(str(path), list(backends)) as handle:
            samples = np.frombuffer(b"".join(handle), dtype="<i2").astype(np.int16)
            return samples.reshape(-1, handle.channels), int(handle.samplerate)
    except (audioread.DecodeError, OSError, EOFError, ValueError):
        return None


@functools.cache
def _other_decoders() -> tuple[Any, ...]:
    """Return the decoders of audioread, if it is installed; looking for them takes a while."""
    try:
        with warnings.catch_warnings():
            # It imports what Python is about to drop, whether it needs it or not.
            warnings.simplefilter("ignore", DeprecationWarning)
            import audioread

            backends = audioread.available_backends()
    except ImportError:
        return ()
    # Its reader of WAV and AIFF knows less than libsndfile.
    return tuple(backend for backend in backends if backend.__name__ != "RawAudioFile")
