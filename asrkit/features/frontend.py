"""The front end: from samples to features, whole recordings or block by block, with the same bits."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asrkit.core.config import from_mapping, to_mapping
from asrkit.core.errors import ConfigError, DataError, FormatError, ModelError
from asrkit.core.files import read_json, write_json
from asrkit.features.config import FrontEndConfig
from asrkit.features.energy import log_energy
from asrkit.features.fbank import Fbank
from asrkit.features.framing import FrameBuffer, Framing
from asrkit.features.mfcc import Mfcc
from asrkit.features.plp import Plp
from asrkit.features.spectrogram import Spectrogram
from asrkit.features.windows import window

__all__ = [
    "CHUNK_FRAMES",
    "FeatureStream",
    "FrontEnd",
    "FrontEndConfig",
    "check_front_end",
    "load_front_end",
    "save_front_end",
]

CHUNK_FRAMES = 128
"""Frames computed at once. Chunks begin at multiples of it, however the samples arrive: that is what makes the bits
of a stream those of the whole; and they fit the second-level cache, which is what makes it fast."""

Samples = NDArray[np.float32]
Features = NDArray[np.float32]
_Tail = Callable[[NDArray[np.float32], NDArray[np.float32]], Features]


class FrontEnd:
    """Computes the features that a :class:`FrontEndConfig` describes.

    Holds no state between calls, may be used from several threads, and pickles as its configuration.

    Examples
    --------
    >>> front_end = FrontEnd(FrontEndConfig(kind="fbank", num_mel_bins=40))
    >>> front_end.compute(np.zeros(16000, dtype=np.float32)).shape
    (98, 40)
    """

    def __init__(self, config: FrontEndConfig) -> None:
        self.config = config
        self.framing = Framing(config.shift, config.length, config.snip_edges)
        _tail(config, config.vtln_warp)  # a configuration that cannot work says so now

    def __reduce__(self) -> tuple[type[FrontEnd], tuple[FrontEndConfig]]:
        return FrontEnd, (self.config,)

    @property
    def dim(self) -> int:
        """Features a frame."""
        return self.config.dim

    def num_frames(self, num_samples: int) -> int:
        """Return the number of frames of a recording of ``num_samples``."""
        return self.framing.num_frames(num_samples)

    def compute(
        self, samples: Samples, dither_stream: np.random.Generator | None = None, vtln_warp: float | None = None
    ) -> Features:
        """Return the features of a whole recording.

        Parameters
        ----------
        samples : (n,) float32
            In the int16 range; a recording shorter than a frame gives no frames.
        dither_stream : Generator, optional
            Needed when ``config.dither`` > 0.
        vtln_warp : float, optional
            This speaker's warp factor instead of ``config.vtln_warp``.

        Returns
        -------
        (T, dim) float32

        Raises
        ------
        ConfigError
            Dither without a stream, or a warp factor that does not fit.
        """
        features = np.empty((self.num_frames(len(samples)), self.dim), dtype=np.float32)
        at = 0
        for block in self.compute_blocks([samples], dither_stream, vtln_warp):
            features[at : at + len(block)] = block
            at += len(block)
        return features

    def compute_blocks(
        self,
        blocks: Iterable[Samples],
        dither_stream: np.random.Generator | None = None,
        vtln_warp: float | None = None,
    ) -> Iterator[Features]:
        """Yield the features of a recording that arrives in blocks of any size, >= 1 row at a time.

        The rows, put together, are bit for bit those of :meth:`compute`; memory does not grow with the recording.
        """
        if self.config.dither > 0 and dither_stream is None:
            raise ConfigError("dither is above 0 and no random stream was given", remedy="set dither=0")
        return self._stream(blocks, dither_stream, self.config.vtln_warp if vtln_warp is None else vtln_warp)

    def stream(self, dither_stream: np.random.Generator | None = None, vtln_warp: float | None = None) -> FeatureStream:
        """Return what takes samples as they come and gives every frame as soon as its last sample has come."""
        if self.config.dither > 0 and dither_stream is None:
            raise ConfigError("dither is above 0 and no random stream was given", remedy="set dither=0")
        return FeatureStream(self, dither_stream, self.config.vtln_warp if vtln_warp is None else vtln_warp)

    def _stream(
        self, blocks: Iterable[Samples], dither_stream: np.random.Generator | None, vtln_warp: float
    ) -> Iterator[Features]:
        chunk = _Chunk(self.config, vtln_warp)
        buffer = FrameBuffer(self.framing)
        for block in blocks:
            if self.config.dither > 0 and dither_stream is not None:
                noise = dither_stream.standard_normal(len(block), dtype=np.float32)
                block = block + np.float32(self.config.dither) * noise
            buffer.push(block)
            while buffer.ready >= CHUNK_FRAMES:
                yield chunk(*buffer.take(CHUNK_FRAMES), CHUNK_FRAMES)
        buffer.finish()
        while (count := min(buffer.ready, CHUNK_FRAMES)) > 0:
            yield chunk(*buffer.take(count), count)


class FeatureStream:
    """The features of live audio: :meth:`push` samples, get frames; :meth:`finish` gives those of the end.

    Rows are those of :meth:`FrontEnd.compute` bit for bit, but for up to ``CHUNK_FRAMES`` at the end, which the whole
    recording's way computes in a product of another shape, and which may so differ in the last bit. Blocks of any
    size give the same bits.
    """

    def __init__(self, front_end: FrontEnd, dither_stream: np.random.Generator | None, vtln_warp: float) -> None:
        self._dither = np.float32(front_end.config.dither)
        self._noise = dither_stream if front_end.config.dither > 0 else None
        self._chunk = _Chunk(front_end.config, vtln_warp)
        self._buffer = FrameBuffer(front_end.framing)
        self._dim = front_end.dim
        self._num_frames = 0

    def push(self, samples: Samples) -> Features:
        """Take (n,) float32 samples in the int16 range; return the frames that are complete, (T, dim) float32."""
        if self._noise is not None:
            samples = samples + self._dither * self._noise.standard_normal(len(samples), dtype=np.float32)
        self._buffer.push(samples)
        return self._take()

    def finish(self) -> Features:
        """Return the frames that were waiting for the end."""
        self._buffer.finish()
        return self._take()

    def _take(self) -> Features:
        features = [np.empty((0, self._dim), dtype=np.float32)]
        while (ready := self._buffer.ready) > 0:
            place = self._num_frames % CHUNK_FRAMES
            count = min(ready, CHUNK_FRAMES - place)
            features.append(self._chunk.rows(*self._buffer.take(count), place, count))
            self._num_frames += count
        return np.concatenate(features)


class _Chunk:
    """The way of up to ``CHUNK_FRAMES`` frames from samples to features, with its buffers."""

    def __init__(self, config: FrontEndConfig, vtln_warp: float) -> None:
        self._config = config
        self._tail = _tail(config, vtln_warp)
        self._window = _window(config)
        self._frames = np.zeros((CHUNK_FRAMES, config.fft_size), dtype=np.float32)
        self._power = np.empty((CHUNK_FRAMES, config.power_bins), dtype=np.float32)
        self._energies = np.zeros(CHUNK_FRAMES, dtype=np.float32)

    def __call__(self, samples: Samples, start: int, count: int) -> Features:
        self._cut(samples, start, slice(0, count))
        return self._features(count)

    def rows(self, samples: Samples, start: int, place: int, count: int) -> Features:
        """Return ``count`` frames computed where they stand in their chunk, from row ``place``.

        The whole chunk is computed, whatever its other rows hold: a product's bits depend on its shape.
        """
        self._cut(samples, start, slice(place, place + count))
        return self._features(CHUNK_FRAMES)[place : place + count]

    def _cut(self, samples: Samples, start: int, rows: slice) -> None:
        from asrkit.features.kernels import window_frames

        config = self._config
        window_frames(
            samples,
            start,
            config.shift,
            self._window,
            np.float32(config.preemphasis_coefficient),
            config.remove_dc_offset,
            config.raw_energy,
            self._frames[rows],
            self._energies[rows],
        )

    def _features(self, count: int) -> Features:
        from scipy.fft import rfft

        from asrkit.features.kernels import power_spectrum

        power = self._power[:count]
        power_spectrum(rfft(self._frames[:count], axis=1).view(np.float32), power)
        return self._tail(power, log_energy(self._energies[:count], self._config))


@functools.lru_cache(maxsize=256)
def _tail(config: FrontEndConfig, vtln_warp: float) -> _Tail:
    kinds: dict[str, Callable[[FrontEndConfig, float], _Tail]] = {
        "mfcc": Mfcc,
        "fbank": Fbank,
        "plp": Plp,
        "spectrogram": Spectrogram,
    }
    return kinds[config.kind](config, vtln_warp)


@functools.lru_cache(maxsize=16)
def _window(config: FrontEndConfig) -> NDArray[np.float32]:
    return window(config.window_type, config.length, config.blackman_coeff)


def save_front_end(folder: Path | str, config: FrontEndConfig) -> None:
    """Write ``frontend.json`` in a data or model directory."""
    write_json(Path(folder) / "frontend.json", to_mapping(config))


def load_front_end(folder: Path | str) -> FrontEndConfig:
    """Read ``frontend.json`` of a data or model directory.

    Raises
    ------
    DataError
        There is none: features were not extracted by `asrkit extract`.
    FormatError, ConfigError
        It is damaged, or written by another version.
    """
    path = Path(folder) / "frontend.json"
    if not path.is_file():
        raise DataError("no frontend.json", where=folder, remedy=f"run `asrkit extract {folder}`")
    values = read_json(path)
    if not isinstance(values, dict):
        raise FormatError(f"expected a JSON object, found {type(values).__name__}", where=path)
    return from_mapping(FrontEndConfig, values, str(path))


def check_front_end(expected: FrontEndConfig, found: FrontEndConfig, where: Path | str) -> None:
    """Raise :class:`ModelError` naming every option in which the features ``found`` differ from the model's."""
    ours, theirs = to_mapping(expected), to_mapping(found)
    differences = [f"{key} is {theirs[key]!r}, the model has {ours[key]!r}" for key in ours if ours[key] != theirs[key]]
    if differences:
        raise ModelError(
            f"features of another front end: {'; '.join(differences)}",
            where=where,
            remedy="extract the data with the model's own frontend.json",
        )
