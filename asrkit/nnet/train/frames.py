"""Frames of many utterances as minibatches: shuffled through a bounded buffer, spliced when they are drawn.

An epoch visits every frame once. Its utterances, in an order drawn for the epoch, are cut into *chunks* of about equal
size, as many as keep each within the buffer (an utterance is never cut, so one that is longer than the buffer makes a
longer chunk); the frames of a chunk are drawn in random order. While one chunk is used the next is read, so memory
holds two of them, whatever the size of the corpus.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from asrkit.core.errors import DataError
from asrkit.core.streams import random_stream
from asrkit.nnet.normalisation import InputNormalisation
from asrkit.nnet.train.config import FramesConfig
from asrkit.nnet.train.reading import checked_targets, normalised, read_ahead

Keys = Sequence[str]


@dataclass(frozen=True, eq=False)
class Minibatch:
    """B frames with their neighbours.

    Attributes
    ----------
    inputs : (B, (left + 1 + right) * D) float32
        Normalised, earliest frame first; the first and last frame of an utterance stand for those beyond its ends.
    targets : (B,) int64 or None
        Class of each frame, 0-based.
    """

    inputs: torch.Tensor
    targets: torch.Tensor | None


@dataclass(frozen=True, eq=False)
class Chunk:
    """Frames in memory.

    Attributes
    ----------
    number : int
        0-based place in the epoch.
    rows : (P, D) float32
        Frames of all utterances, normalised, each utterance with its first and last frame repeated at its ends.
    starts : (N,) int64
        Row at which the neighbourhood of each frame begins, in the order of the draw.
    targets : (N,) int64 or None
        In the same order.
    width : int
        left + 1 + right.
    """

    number: int
    rows: torch.Tensor
    starts: torch.Tensor
    targets: torch.Tensor | None
    width: int

    def __len__(self) -> int:
        return len(self.starts)

    def minibatches(self, batch_size: int, part: int = 0, num_parts: int = 1) -> Iterator[Minibatch]:
        """Yield all frames in minibatches of at most ``batch_size``, of each the share ``part`` of ``num_parts``.

        The share is for one of several processes that train together; it may be empty.
        """
        neighbours = torch.arange(self.width, device=self.rows.device)
        count = -(-len(self) // batch_size)
        bounds = [len(self) * index // count for index in range(count + 1)]
        for first, last in itertools.pairwise(bounds):
            drawn = slice(first + part, last, num_parts)
            rows = self.starts[drawn, None] + neighbours
            inputs = self.rows.index_select(0, rows.reshape(-1)).view(len(rows), -1)
            yield Minibatch(inputs, None if self.targets is None else self.targets[drawn])


class Frames:
    """The frames of a set of utterances.

    Parameters
    ----------
    features : mapping of str to (T, D) float32
        Read when needed, in a thread of its own.
    keys : sequence of str
        The utterances to draw from.
    normalisation : InputNormalisation
        Of D dimensions.
    left, right : int
        Neighbours that stand beside each frame.
    targets : mapping of str to (T,) integers, optional
        Class of each frame, 0-based.
    config : FramesConfig
    device : torch.device
        Where minibatches are wanted.
    num_frames : mapping of str to int, optional
        Lengths, where they are known without reading the features.

    Raises
    ------
    DataError
        There is no utterance, or one has no frames. When an epoch comes to it: features of another dimension, or as
        many targets as the utterance has not frames.
    """

    def __init__(
        self,
        features: Mapping[str, NDArray[np.float32]],
        keys: Keys,
        normalisation: InputNormalisation,
        left: int = 0,
        right: int = 0,
        targets: Mapping[str, NDArray[np.int32]] | None = None,
        config: FramesConfig | None = None,
        device: torch.device | None = None,
        num_frames: Mapping[str, int] | None = None,
    ) -> None:
        if not keys:
            raise DataError("no utterances to train on")
        self.keys = tuple(keys)
        self.config = config or FramesConfig()
        self._features, self._targets = features, targets
        self._normalisation, self._left, self._right = normalisation, left, right
        self._device = device or torch.device("cpu")
        lengths = num_frames if num_frames is not None else {key: len(features[key]) for key in keys}
        self._lengths = np.array([lengths[key] for key in keys], dtype=np.int64)
        if not self._lengths.all():
            raise DataError("no frames", where=keys[int(np.argmin(self._lengths))])

    @property
    def dim(self) -> int:
        """Dimension of a minibatch's inputs."""
        return self._normalisation.dim * self.width

    @property
    def width(self) -> int:
        """left + 1 + right."""
        return self._left + 1 + self._right

    def __len__(self) -> int:
        return int(self._lengths.sum())

    @property
    def num_chunks(self) -> int:
        """Chunks of an epoch, at most: of very unequal utterances there may be fewer."""
        return min(-(-len(self) // self.config.buffer_frames), len(self.keys))

    def epoch(self, seed: int, epoch: int, first_chunk: int = 0) -> Iterator[Chunk]:
        """Yield the chunks of an epoch, from one of them on.

        Parameters
        ----------
        seed, epoch : int
            What the order depends on, and all that it depends on.
        first_chunk : int
            0-based; to go on where a killed run stopped.
        """
        order = random_stream(seed, "utterance order", str(epoch)).permutation(len(self.keys))
        pieces = list(enumerate(self._cut(order)))[first_chunk:]
        yield from self._read_ahead(pieces, seed, epoch)

    def in_order(self) -> Iterator[Chunk]:
        """Yield chunks of all frames, utterance by utterance."""
        yield from self._read_ahead(list(enumerate(self._cut(np.arange(len(self.keys))))), None, 0)

    def _cut(self, order: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Cut an order of utterances where the chunks end."""
        ends = np.cumsum(self._lengths[order])
        # The chunk that the middle of an utterance falls into.
        middle = ends - 0.5 * self._lengths[order]
        chunk = np.minimum((middle * self.num_chunks / ends[-1]).astype(np.int64), self.num_chunks - 1)
        return [piece for piece in np.split(order, np.flatnonzero(np.diff(chunk)) + 1) if len(piece)]

    def _read_ahead(
        self, pieces: Sequence[tuple[int, NDArray[np.int64]]], seed: int | None, epoch: int
    ) -> Iterator[Chunk]:
        yield from read_ahead(lambda piece: self._read(*piece, seed, epoch), pieces)

    def _read(self, number: int, members: NDArray[np.int64], seed: int | None, epoch: int) -> Chunk:
        lengths = self._lengths[members]
        context = self._left + self._right
        rows = np.empty((int(lengths.sum()) + context * len(members), self._normalisation.dim), dtype=np.float32)
        starts = np.empty(int(lengths.sum()), dtype=np.int64)
        targets = None if self._targets is None else np.empty(len(starts), dtype=np.int64)
        at = frame = 0
        for member, length in zip(members.tolist(), lengths.tolist()):
            key = self.keys[member]
            own = rows[at : at + length + context]
            own[self._left : self._left + length] = normalised(self._features[key], self._normalisation, key, length)
            own[: self._left], own[self._left + length :] = own[self._left], own[self._left + length - 1]
            starts[frame : frame + length] = np.arange(at, at + length)
            if targets is not None:
                assert self._targets is not None
                targets[frame : frame + length] = checked_targets(self._targets[key], key, length)
            at, frame = at + len(own), frame + length
        if seed is not None:
            order = random_stream(seed, "frame order", f"{epoch} {number}").permutation(len(starts))
            starts, targets = starts[order], None if targets is None else targets[order]
        return Chunk(
            number,
            torch.from_numpy(rows).to(self._device),
            torch.from_numpy(starts).to(self._device),
            None if targets is None else torch.from_numpy(targets).to(self._device),
            self.width,
        )
