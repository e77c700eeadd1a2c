"""Windows of utterances as minibatches of a convolutional RBM: shuffled within a bounded buffer.

An epoch visits the utterances in an order drawn for it, cut into chunks of about equal size that keep within the
buffer. Each utterance is cut into windows of equal length whose hidden units follow upon each other without a gap, from
a place that is drawn; what does not fill a window at either end has its turn in other epochs. An utterance that is
shorter than a window has its last frame repeated. While one chunk is used the next is read, so memory holds two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from asrkit.core.errors import DataError
from asrkit.core.streams import random_stream
from asrkit.nnet.train.reading import read_ahead

Frames = NDArray[np.float32]


@dataclass(frozen=True)
class WindowShape:
    """How utterances are cut.

    Attributes
    ----------
    places : int
        Of hidden units in a window, by which windows follow upon each other.
    filter_length : int
    """

    places: int
    filter_length: int

    @property
    def length(self) -> int:
        """Frames of a window."""
        return self.places + self.filter_length - 1

    def cut(self, frames: Frames, stream: np.random.Generator | None = None) -> Frames:
        """Return the windows (W, length, C) of an utterance (T, C), from the first frame on where nothing is drawn."""
        left = len(frames) - self.length
        if left < 0:
            frames, left = np.concatenate([frames, np.repeat(frames[-1:], -left, axis=0)]), 0
        start = 0 if stream is None else int(stream.integers(left % self.places + 1))
        starts = np.arange(start, left + 1, self.places)
        return frames[starts[:, None] + np.arange(self.length)]


class Windows:
    """The windows of a set of utterances.

    Parameters
    ----------
    inputs : mapping of str to (T, C) float32
        Visible units of the RBM; read when needed, in a thread of its own.
    num_frames : mapping of str to int
        Lengths of what ``inputs`` is computed from, by which chunks are cut: it is that which memory holds.
    keys : sequence of str
    shape : WindowShape
    buffer_frames : int
        Of a chunk.

    Raises
    ------
    DataError
        There is no utterance.
    """

    def __init__(
        self,
        inputs: Callable[[str], Frames],
        num_frames: Mapping[str, int],
        keys: Sequence[str],
        shape: WindowShape,
        buffer_frames: int,
    ) -> None:
        if not keys:
            raise DataError("no utterances to train on")
        self.keys, self.shape = tuple(keys), shape
        self._inputs = inputs
        self._lengths = np.array([num_frames[key] for key in keys], dtype=np.int64)
        self.num_chunks = min(-(-int(self._lengths.sum()) // buffer_frames), len(keys))

    def epoch(self, seed: int, epoch: str, first_chunk: int = 0) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield number and windows (W, length, C) of each chunk of an epoch, from one of them on."""
        order = random_stream(seed, "utterance order", epoch).permutation(len(self.keys))
        ends = np.cumsum(self._lengths[order])
        middle = ends - 0.5 * self._lengths[order]
        chunk = np.minimum((middle * self.num_chunks / ends[-1]).astype(np.int64), self.num_chunks - 1)
        pieces = [one for one in np.split(order, np.flatnonzero(np.diff(chunk)) + 1) if len(one)]
        yield from read_ahead(
            lambda piece: (piece[0], self._read(piece[0], piece[1], seed, epoch)),
            list(enumerate(pieces))[first_chunk:],
        )

    def _read(self, number: int, members: NDArray[np.int64], seed: int, epoch: str) -> torch.Tensor:
        stream = random_stream(seed, "window order", f"{epoch} {number}")
        windows = np.concatenate(
            [self.shape.cut(self._inputs(self.keys[member]), stream) for member in members.tolist()]
        )
        return torch.from_numpy(windows[stream.permutation(len(windows))])

    def some(self, count: int, seed: int) -> torch.Tensor:
        """Return at most ``count`` windows (W, length, C), of utterances that are drawn."""
        found: list[Frames] = []
        left = count
        for member in random_stream(seed, "watched windows").permutation(len(self.keys)).tolist():
            found.append(self.shape.cut(self._inputs(self.keys[member]))[:left])
            left -= len(found[-1])
            if left <= 0:
                break
        return torch.from_numpy(np.concatenate(found))
