"""Reading what a training is given: in a thread of its own, one piece ahead, each utterance checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import DataError
from asrkit.nnet.normalisation import InputNormalisation

P = TypeVar("P")
T = TypeVar("T")


def read_ahead(read: Callable[[P], T], pieces: Sequence[P]) -> Iterator[T]:
    """Yield what is read of each piece; while one is used the next is read, so two are in memory."""
    with ThreadPoolExecutor(1, thread_name_prefix="reading") as reader:
        waiting = [reader.submit(read, piece) for piece in pieces[:1]]
        for piece in pieces[1:]:
            found = waiting.pop().result()
            waiting.append(reader.submit(read, piece))
            yield found
        yield from (last.result() for last in waiting)


def normalised(
    features: NDArray[np.float32], normalisation: InputNormalisation, key: str, length: int
) -> NDArray[np.float32]:
    """Return normalised features of an utterance; of another shape than expected they are a :class:`DataError`."""
    expected = (length, normalisation.dim)
    if features.shape != expected:
        raise DataError(
            f"features of shape {features.shape}, expected {expected}", where=key, remedy="extract them again"
        )
    return normalisation.apply(features)


def checked_targets(targets: NDArray[np.int32], key: str, length: int) -> NDArray[np.int32]:
    """Return the targets of an utterance; as many as it has not frames are a :class:`DataError`."""
    if targets.shape != (length,):
        raise DataError(f"{targets.shape} targets for {length} frames", where=key, remedy="align these very features")
    return targets
