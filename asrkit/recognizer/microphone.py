"""Sound from a microphone, through the package sounddevice (PortAudio)."""

from __future__ import annotations

import logging
import math
import queue
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError, DataError

log = logging.getLogger("asrkit")

BLOCK_SECS = 0.1
PATIENCE_SECS = 5.0
"""A microphone that gives nothing for so long, not even silence, is gone."""

MAX_WAITING = 600
"""Blocks that may wait to be recognised, a minute; what comes later is lost, and it is said how much."""


def require_sounddevice() -> Any:
    """Return the module.

    Raises
    ------
    ConfigError
        It, or the PortAudio library that it needs, is not installed.
    """
    try:
        import sounddevice
    except ImportError:
        raise ConfigError(
            "a microphone needs the package sounddevice, and it is not installed",
            remedy="pip install 'asrkit[mic]'",
        ) from None
    except OSError as error:
        raise ConfigError(
            f"sounddevice does not find PortAudio ({error})", remedy="install it, e.g. apt install libportaudio2"
        ) from None
    return sounddevice


def microphone_blocks(
    rate_hz: int,
    device: str | None = None,
    secs: float | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[NDArray[np.int16]]:
    """Yield what a microphone hears, (n,) int16 in blocks of a tenth of a second, until told to stop or for ``secs``.

    Parameters
    ----------
    device : str, optional
        Name, part of a name, or number.
    stopped : callable
        Asked for every block, and when none comes.

    Raises
    ------
    ConfigError
        sounddevice is not installed, or ``secs`` is no length of time.
    DataError
        There is no such microphone, it cannot record at this rate, or no more sound comes from it.
    """
    if secs is not None and not 0 < secs < math.inf:
        raise ConfigError(f"listening for {secs} s, expected a number above 0")
    sounddevice = require_sounddevice()
    waiting: queue.Queue[NDArray[np.int16]] = queue.Queue(MAX_WAITING)
    lost = 0

    def take(block: NDArray[np.int16], _frames: int, _time: Any, status: Any) -> None:
        nonlocal lost
        if status:
            log.warning("microphone: %s", status)
        try:
            waiting.put_nowait(block[:, 0].copy())
        except queue.Full:
            lost += 1

    size = max(1, round(BLOCK_SECS * rate_hz))
    chosen = int(device) if device is not None and device.isdecimal() and device.isascii() else device
    left = None if secs is None else max(1, round(secs / BLOCK_SECS))
    try:
        recording = sounddevice.InputStream(
            samplerate=rate_hz, blocksize=size, device=chosen, channels=1, dtype="int16", callback=take
        )
    except (sounddevice.PortAudioError, ValueError) as error:
        raise DataError(
            f"the microphone cannot be opened at {rate_hz} Hz: {error}",
            remedy="choose another with --device (python -m sounddevice lists them), or another --rate",
        ) from None
    with recording:
        silent = 0
        try:
            while (left is None or left > 0) and not stopped():
                try:
                    block = waiting.get(timeout=BLOCK_SECS)
                except queue.Empty:
                    silent += 1
                    if silent * BLOCK_SECS >= PATIENCE_SECS:
                        raise _gone() from None
                    continue
                silent = 0
                yield block
                left = None if left is None else left - 1
        finally:
            if lost:
                log.warning(
                    "%.1f s of audio were lost: recognising was too slow; lower beam or max_active", lost * BLOCK_SECS
                )


def _gone() -> DataError:
    return DataError(
        f"no sound came for {PATIENCE_SECS:g} s", where="microphone", remedy="is it still plugged in? start again"
    )
