"""How many frames a recording has, where each begins, and the buffer that cuts a stream of samples into them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Framing:
    """Where the frames of a recording lie (Kaldi's feature-window.cc).

    Attributes
    ----------
    shift, length : int
        Samples.
    snip_edges : bool
        True: frame t begins at sample ``t * shift`` and every frame lies within the recording. False: frame t is
        centred on ``(t + 1/2) * shift`` and the recording is mirrored at its ends.
    """

    shift: int
    length: int
    snip_edges: bool = True

    def num_frames(self, num_samples: int) -> int:
        """Return the number of frames of a whole recording."""
        if not self.snip_edges:
            return (num_samples + self.shift // 2) // self.shift
        return 0 if num_samples < self.length else 1 + (num_samples - self.length) // self.shift

    def first_sample(self, frame: int) -> int:
        """Return the index of a frame's first sample; negative where it reaches before the recording."""
        start = frame * self.shift
        return start if self.snip_edges else start + self.shift // 2 - self.length // 2

    def complete_frames(self, num_samples: int) -> int:
        """Return how many frames end within the first ``num_samples`` samples."""
        room = num_samples - self.length - self.first_sample(0)
        return 0 if room < 0 else 1 + room // self.shift


class FrameBuffer:
    """Takes samples in blocks of any size and gives frames out in order; holds only what is still needed.

    Call :meth:`push` for every block and :meth:`finish` at the end; between them :attr:`ready` says how many frames
    can be had from :meth:`take`.
    """

    def __init__(self, framing: Framing) -> None:
        self.framing = framing
        self._samples = np.empty(0, dtype=np.float32)
        self._base = 0  # index in the recording of self._samples[0]
        self._pushed = 0
        self._next = 0
        self._finished = False

    @property
    def ready(self) -> int:
        """Frames that can be taken now."""
        if self._finished:
            return self.framing.num_frames(self._pushed) - self._next
        if not self.framing.snip_edges and self._pushed < self.framing.length:
            return 0  # the mirrored beginning may still reach beyond what has come
        return max(0, self.framing.complete_frames(self._pushed) - self._next)

    def push(self, samples: NDArray[np.float32]) -> None:
        """Append a block of samples, (n,) float32, n >= 0."""
        # The last `length` samples stay: the recording may end here and be mirrored.
        history = 0 if self.framing.snip_edges else self.framing.length
        drop = self.framing.first_sample(self._next) - history - self._base
        if self._next > 0 and drop > 0:
            drop = min(drop, len(self._samples))
            self._samples = self._samples[drop:]
            self._base += drop
        block = np.require(samples, dtype=np.float32, requirements=["C", "W"])
        self._samples = np.concatenate([self._samples, block]) if len(self._samples) else block
        before, self._pushed = self._pushed, self._pushed + len(block)
        if before < self.framing.length <= self._pushed:
            self._mirror(left=True, right=False)

    def finish(self) -> None:
        """Say that no samples follow."""
        self._finished = True
        self._mirror(left=self._pushed < self.framing.length, right=True)

    def take(self, count: int) -> tuple[NDArray[np.float32], int]:
        """Return ``(samples, start)`` such that frame i of the next ``count`` begins at ``start + i * shift``."""
        start = self.framing.first_sample(self._next) - self._base
        self._next += count
        return self._samples, start

    def _mirror(self, left: bool, right: bool) -> None:
        """Reflect the recording at its ends as far as its frames reach: -1 -> 0, -2 -> 1, n -> n - 1."""
        if self.framing.snip_edges or not len(self._samples):
            return
        last = self.framing.first_sample(self.framing.num_frames(self._pushed) - 1) + self.framing.length
        before = max(0, -self.framing.first_sample(0)) if left else 0
        after = max(0, last - self._pushed) if right else 0
        if before or after:
            self._samples = np.pad(self._samples, (before, after), mode="symmetric")
            self._base -= before
