"""Random streams that depend on a seed and on what they are for, never on the order of the work."""

from __future__ import annotations

import hashlib

import numpy as np


def random_stream(seed: int, purpose: str, item: str = "") -> np.random.Generator:
    """Return the generator for ``(seed, purpose, item)``.

    Two calls with the same three arguments give the same numbers in any process and any order of calls;
    different arguments give independent streams.

    Parameters
    ----------
    seed : int
        The user's ``--seed``.
    purpose : str
        What the numbers are for, e.g. ``"dither"``.
    item : str
        Usually an utterance id.
    """
    digest = hashlib.sha256(f"{seed}\x00{purpose}\x00{item}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest[:16], dtype=np.uint64)))
