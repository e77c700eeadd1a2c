"""A long recording's features in consecutive chunks, each with what stands around it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ContextWindow:
    """A chunk of frames among its neighbours.

    Attributes
    ----------
    features : (W, D) float32
        The chunk and the frames before and behind it, as far as the recording reaches.
    first, last : int
        The chunk is ``features[first:last]``, never empty.
    """

    features: NDArray[np.float32]
    first: int
    last: int


def context_windows(
    blocks: Iterable[NDArray[np.float32]], chunk_frames: int, context_frames: int
) -> Iterator[ContextWindow]:
    """Yield the chunks of a recording, in order, each frame in one of them.

    Parameters
    ----------
    blocks : iterable of (n, D) float32
        The features in blocks of any size, which has no influence on the result.
    chunk_frames : int
        Frames of a chunk; the last one may have fewer.
    context_frames : int
        Frames on either side; as much stays in memory, and a chunk is held back until so much has come behind it.
    """
    held: list[NDArray[np.float32]] = []
    num_held = first = 0
    for block in blocks:
        held.append(block)
        num_held += len(block)
        while num_held >= first + chunk_frames + context_frames:
            features = np.concatenate(held)
            yield ContextWindow(features[: first + chunk_frames + context_frames], first, first + chunk_frames)
            drop = max(0, first + chunk_frames - context_frames)
            held = [features[drop:].copy()]
            first, num_held = first + chunk_frames - drop, num_held - drop
    features = np.concatenate(held) if held else np.empty((0, 0), dtype=np.float32)
    while first < num_held:
        last = min(first + chunk_frames, num_held)
        begin = max(0, first - context_frames)
        end = min(num_held, last + context_frames)
        yield ContextWindow(features[begin:end], first - begin, last - begin)
        first = last
