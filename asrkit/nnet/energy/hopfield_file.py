"""Hopfield networks on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from asrkit.core.container import load_model, save_model
from asrkit.core.errors import ConfigError, ModelError
from asrkit.nnet.energy.hopfield import HopfieldNetwork
from asrkit.nnet.energy.hopfield_config import MAX_UNITS, Rule

KIND = "hopfield"


@dataclass(frozen=True, eq=False)
class StoredPatterns:
    """What a network was told, and the network.

    Attributes
    ----------
    rule : {'outer', 'pseudo-inverse', 'modern'}
    patterns : (M, frames * dim) int8
        ±1, frame by frame.
    labels : tuple of str
    frames, dim : int
    network : HopfieldNetwork or None
        None for the modern rule, whose network is the patterns.
    """

    rule: Rule
    patterns: NDArray[np.int8]
    labels: tuple[str, ...]
    frames: int
    dim: int
    network: HopfieldNetwork | None


def store(rule: Rule, patterns: NDArray[np.int8], labels: tuple[str, ...], frames: int, dim: int) -> StoredPatterns:
    """Store patterns.

    Raises
    ------
    ConfigError
        The weights of so many units would fill the memory.
    """
    if rule != "modern" and patterns.shape[1] > MAX_UNITS:
        raise ConfigError(
            f"patterns of {patterns.shape[1]} units, and weights between all of them; at most {MAX_UNITS} can be had",
            remedy="--set frames=… smaller, or --set rule=modern",
        )
    made = {"outer": HopfieldNetwork.outer_product, "pseudo-inverse": HopfieldNetwork.pseudo_inverse}
    return StoredPatterns(rule, patterns, labels, frames, dim, made[rule](patterns) if rule in made else None)


def save_patterns(path: Path, stored: StoredPatterns, meta: dict[str, Any]) -> None:
    """Write a model file."""
    arrays: dict[str, NDArray[Any]] = {"patterns": stored.patterns}
    if stored.network is not None:
        arrays["weights"] = stored.network.weights
    described = {"rule": stored.rule, "labels": list(stored.labels), "frames": stored.frames, "dim": stored.dim}
    save_model(path, KIND, arrays, {**meta, **described})


def load_patterns(path: Path) -> StoredPatterns:
    """Read what :func:`save_patterns` wrote.

    Raises
    ------
    ModelError
        The file is absent, damaged, or holds something else.
    """
    arrays, meta = load_model(path, KIND)
    try:
        patterns, rule, labels = arrays["patterns"], meta["rule"], tuple(map(str, meta["labels"]))
        frames, dim = int(meta["frames"]), int(meta["dim"])
        network = None if rule == "modern" else HopfieldNetwork(arrays["weights"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"a Hopfield network of which something is missing: {error}", where=path) from None
    fits = patterns.ndim == 2 and patterns.shape == (len(labels), frames * dim) and rule in get_args(Rule)
    fits = fits and patterns.size > 0 and bool((np.abs(patterns) == 1).all())
    if network is not None:
        fits = fits and network.weights.shape == (frames * dim,) * 2 and bool(np.isfinite(network.weights).all())
    if not fits:
        raise ModelError("a Hopfield network whose parts are damaged, or do not fit together", where=path)
    return StoredPatterns(rule, patterns, labels, frames, dim, network)
