"""Sound from a microphone, through the package sounddevice (PortAudio)."""

from __future__ import annotations

import logging
import queue
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError, DataError

log = logging.getLogger("asrkit")

BLOCK_SECS = 0.1
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
    rate_hz: int, device: str | None = None, secs: float | None = None
) -> Iterator[NDArray[np.int16]]:
    """Yield what a microphone hears, (n,) int16 in blocks of a tenth of a second, until Ctrl-C or for ``secs``.

    Parameters
    ----------
    device : str, optional
        Name, part of a name, or number.

    Raises
    ------
    ConfigError
        sounddevice is not installed.
    DataError
        There is no such microphone, or it cannot record at this rate.
    """
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
    chosen = int(device) if device is not None and device.isdigit() else device
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
        try:
            while left is None or left > 0:
                yield waiting.get()
                left = None if left is None else left - 1
        except KeyboardInterrupt:
            return
        finally:
            if lost:
                log.warning(
                    "%.1f s of audio were lost: recognising was too slow; lower beam or max_active", lost * BLOCK_SECS
                )
