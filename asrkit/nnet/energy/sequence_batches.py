"""Sequences of frames in minibatches: of similar length together, in chunks of equal length, padded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

POOL_BATCHES = 8
"""Minibatches whose sequences are sorted by length together."""

Sequences = Sequence[NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some steps of the sequences of a minibatch that have not ended before.

    Attributes
    ----------
    frames : (B, T, V) float32
        0 behind the end of a sequence.
    inside : (B, T) bool
        Whether a step is one of its sequence.
    """

    frames: torch.Tensor
    inside: torch.Tensor

    @property
    def rows(self) -> torch.Tensor:
        """The frames that are inside, (N, V): sequence by sequence."""
        return self.frames[self.inside]


def minibatches(
    lengths: Sequence[int], batch_size: int, stream: np.random.Generator | None = None
) -> list[NDArray[np.intp]]:
    """Return the numbers of the sequences of each minibatch, longest sequence first.

    Parameters
    ----------
    lengths : sequence of int
        Of the sequences, in steps.
    stream : Generator, optional
        Of the order: sequences are shuffled, sorted by length within pools of some minibatches, and the minibatches
        shuffled. Without it all are sorted.
    """
    order = np.arange(len(lengths)) if stream is None else stream.permutation(len(lengths))
    pool = len(order) if stream is None else batch_size * POOL_BATCHES
    batches = []
    for start in range(0, len(order), pool):
        part = order[start : start + pool]
        part = part[np.argsort([-lengths[number] for number in part], kind="stable")]
        batches += [part[first : first + batch_size] for first in range(0, len(part), batch_size)]
    return batches if stream is None else [batches[number] for number in stream.permutation(len(batches))]


def chunks(sequences: Sequences, chunk_steps: int, device: torch.device | None = None) -> Iterator[Chunk]:
    """Yield a minibatch chunk by chunk.

    Parameters
    ----------
    sequences : sequence of (T, V) array
        Longest first: those that have ended are the last rows, which later chunks do not have.
    chunk_steps : int
        Of a chunk, the last may be shorter.
    """
    for start in range(0, len(sequences[0]), chunk_steps):
        parts = [one[start : start + chunk_steps] for one in sequences if len(one) > start]
        frames = np.zeros((len(parts), len(parts[0]), parts[0].shape[1]), np.float32)
        inside = np.zeros(frames.shape[:2], np.bool_)
        for row, part in enumerate(parts):
            frames[row, : len(part)] = part
            inside[row, : len(part)] = True
        yield Chunk(torch.from_numpy(frames).to(device), torch.from_numpy(inside).to(device))
