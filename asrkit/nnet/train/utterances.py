"""Whole utterances as minibatches: those of like length together, the minibatches in an order drawn for the epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from asrkit.core.errors import DataError
from asrkit.core.streams import random_stream
from asrkit.features.splice import splice
from asrkit.nnet.layers.packing import Packing
from asrkit.nnet.normalisation import InputNormalisation
from asrkit.nnet.train.config import UtterancesConfig
from asrkit.nnet.train.reading import checked_targets, normalised, read_ahead

JITTER = 0.2
"""Share of its length by which an utterance may seem longer when an epoch sorts them, so that neighbours change."""


@dataclass(frozen=True, eq=False)
class UtteranceBatch:
    """Whole utterances, or what is left of them.

    Attributes
    ----------
    inputs : (N, (left + 1 + right) * D) float32
        Normalised windows, packed.
    targets : (N,) or (B, L) int64
        Class of each frame, 0-based, packed; or the labels of each utterance, 0-based, and -1 behind the last of them.
    packing : Packing
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    packing: Packing

    def chunks(self, num_frames: int) -> list[UtteranceBatch]:
        """Return each ``num_frames`` frames of all utterances in turn; 0: all at once."""
        if not num_frames:
            return [self]
        return [
            UtteranceBatch(self.inputs[rows], self.targets[rows], packing)
            for rows, packing in self.packing.chunks(num_frames)
        ]


class Utterances:
    """A set of utterances with the class of each frame.

    Parameters
    ----------
    features : mapping of str to (T, D) float32
        Neither spliced nor normalised; read when needed, in a thread of its own.
    keys : sequence of str
        The utterances.
    normalisation : InputNormalisation
        Of D dimensions.
    left, right : int
        Neighbours that stand beside each frame.
    targets : mapping of str to (T,) integers
        Class of each frame, 0-based.
    config : UtterancesConfig
    device : torch.device
        Where minibatches are wanted.
    num_frames : mapping of str to int
        Lengths.

    Raises
    ------
    DataError
        There is no utterance, or one has no frames. When an epoch comes to it: features of another dimension, or as
        many targets as the utterance has not frames.
    """

    def __init__(
        self,
        features: Mapping[str, NDArray[np.float32]],
        keys: Sequence[str],
        normalisation: InputNormalisation,
        left: int,
        right: int,
        targets: Mapping[str, NDArray[np.int32]],
        config: UtterancesConfig,
        device: torch.device,
        num_frames: Mapping[str, int],
    ) -> None:
        if not keys:
            raise DataError("no utterances to train on")
        self.keys, self.config = tuple(keys), config
        self._features, self._targets, self._num_frames = features, targets, num_frames
        self._normalisation, self._left, self._right, self._device = normalisation, left, right, device
        self._lengths = np.array([num_frames[key] for key in keys], dtype=np.int64)
        if not self._lengths.all():
            raise DataError("no frames", where=keys[int(np.argmin(self._lengths))])

    def __len__(self) -> int:
        return int(self._lengths.sum())

    def batches(self, seed: int, epoch: int) -> list[list[str]]:
        """Return the utterances of each minibatch of an epoch, in its order, the longest first in each.

        Seed and epoch are all that it depends on.
        """
        stream = random_stream(seed, "utterance order", str(epoch))
        seeming = self._lengths * (1.0 + JITTER * stream.random(len(self.keys)))
        cut = self._cut(np.argsort(-seeming, kind="stable"))
        return [cut[place] for place in stream.permutation(len(cut)).tolist()]

    def epoch(self, seed: int, epoch: int, first: int = 0, part: int = 0, num_parts: int = 1) -> Iterator[Read]:
        """Yield the minibatches of an epoch with their numbers, from one of them on.

        Parameters
        ----------
        seed, epoch : int
            What the order depends on.
        first : int
            0-based; to go on where a killed run stopped.
        part, num_parts : int
            Of each minibatch, the share of one of several processes that train together; it may be empty.
        """
        pieces = list(enumerate(self.batches(seed, epoch)))[first:]
        yield from read_ahead(lambda piece: self._read(*piece, part, num_parts), pieces)

    def in_order(self) -> Iterator[UtteranceBatch]:
        """Yield all utterances, the longest first."""
        pieces = list(enumerate(self._cut(np.argsort(-self._lengths, kind="stable"))))
        for read in read_ahead(lambda piece: self._read(*piece, 0, 1), pieces):
            assert read.batch is not None
            yield read.batch

    def _cut(self, order: NDArray[np.int64]) -> list[list[str]]:
        """Cut an order of utterances where a step has frames enough."""
        batches: list[list[str]] = []
        chunk = self.config.chunk_frames
        room = 0
        for place in order.tolist():
            length = int(self._lengths[place])
            need = min(length, chunk) if chunk else length
            if not batches or need > room:
                batches.append([])
                room = self.config.batch_frames
            batches[-1].append(self.keys[place])
            room -= need
        return [sorted(batch, key=lambda key: -self._num_frames[key]) for batch in batches]

    def _read(self, number: int, keys: list[str], part: int, num_parts: int) -> Read:
        longest = self._num_frames[keys[0]]
        mine = keys[part::num_parts]
        if not mine:
            return Read(number, longest, None)
        inputs = []
        for key in mine:
            rows = normalised(self._features[key], self._normalisation, key, self._num_frames[key])
            inputs.append(splice(rows, self._left, self._right))
        packing = Packing(tuple(self._num_frames[key] for key in mine))
        packed = packing.pack(torch.from_numpy(np.concatenate(inputs)))
        targets = torch.from_numpy(self._targets_of(mine, packing).astype(np.int64))
        return Read(number, longest, UtteranceBatch(packed.to(self._device), targets.to(self._device), packing))

    def _targets_of(self, keys: Sequence[str], packing: Packing) -> NDArray[np.int32]:
        """Return the targets of a minibatch."""
        frames = [checked_targets(self._targets[key], key, self._num_frames[key]) for key in keys]
        packed: NDArray[np.int32] = packing.pack(torch.from_numpy(np.concatenate(frames))).numpy()
        return packed


class LabelledUtterances(Utterances):
    """A set of utterances of which each has labels in an order, but no times of these.

    ``targets`` are (L,) integers, 0-based, of each utterance: any number of them, one at least.
    """

    def _targets_of(self, keys: Sequence[str], packing: Packing) -> NDArray[np.int32]:
        """Return the labels of a minibatch, (B, L), -1 behind the last of each."""
        labels = [self._targets[key] for key in keys]
        padded = np.full((len(keys), max(map(len, labels))), -1, dtype=np.int32)
        for row, one in zip(padded, labels, strict=True):
            row[: len(one)] = one
        return padded


@dataclass(frozen=True, eq=False)
class Read:
    """A minibatch as one of the processes has it.

    Attributes
    ----------
    number : int
        0-based place in the epoch.
    longest : int
        Frames of its longest utterance, whoever has that.
    batch : UtteranceBatch or None
        None: this process has no part in it.
    """

    number: int
    longest: int
    batch: UtteranceBatch | None
