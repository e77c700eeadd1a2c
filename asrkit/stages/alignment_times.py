"""From frames to seconds: where the boundaries of an alignment lie in the recording."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import AsrkitError
from asrkit.data.audio import audio_info
from asrkit.data.datadir import DataDir, Utterance
from asrkit.features.config import FrontEndConfig

log = logging.getLogger("asrkit")

Boundaries = Literal["centre", "kaldi"]


class Clock:
    """Turns boundaries in frames into seconds of the recording.

    Parameters
    ----------
    data : DataDir
        For the lengths of its recordings.
    front_end : FrontEndConfig
        Frame length and shift.
    boundaries : {'centre', 'kaldi'}
        See :class:`asrkit.stages.align.AlignStageConfig`.
    """

    def __init__(self, data: DataDir, front_end: FrontEndConfig, boundaries: Boundaries) -> None:
        self._data, self._front_end, self._boundaries = data, front_end, boundaries
        self._durations: dict[str, float | None] = {}

    def bounds_secs(self, utterance: Utterance, bounds: NDArray[np.int64], num_frames: int) -> NDArray[np.float64]:
        """Return the times of boundaries, (N + 1,) float64, seconds from the beginning of the recording.

        Parameters
        ----------
        bounds : (N + 1,) int64
            Frames, ascending from 0 to ``num_frames``.
        """
        start = utterance.start_secs or 0.0
        shift, length, rate = self._front_end.shift, self._front_end.length, self._front_end.sample_rate_hz
        if self._boundaries == "kaldi":
            return start + bounds * shift / rate
        # A frame speaks for one shift around the centre of its window.
        early = (length - shift) // 2 if self._front_end.snip_edges else 0
        secs = start + (bounds * shift + early) / rate
        shortest = ((num_frames - 1) * shift + length if self._front_end.snip_edges else num_frames * shift) / rate
        end = utterance.end_secs if utterance.end_secs is not None else self.recording_secs(utterance.recording_id)
        if end is None or not abs(end - start - shortest) <= shift / rate:
            # No length is known, or one that these frames do not have.
            end = start + shortest
        secs[0], secs[-1] = start, end
        return np.asarray(secs)

    def recording_secs(self, recording_id: str) -> float | None:
        """Return the length of a recording, None (and a warning) where its audio cannot be read."""
        if recording_id not in self._durations:
            path = self._data.audio_path(Utterance(recording_id, recording_id, ""))
            self._durations[recording_id] = _duration(path)
        return self._durations[recording_id]


def _duration(path: Path) -> float | None:
    try:
        return audio_info(path).duration_secs
    except (AsrkitError, OSError) as error:
        log.debug("%s; the end of its last label is that of its last frame", error)
        return None
