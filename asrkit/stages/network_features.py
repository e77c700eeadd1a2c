"""Features as the trainings of networks read them: not spliced, which minibatches are when they are drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import DataError
from asrkit.data.datadir import DataDir
from asrkit.features.frontend import load_front_end
from asrkit.features.pipeline import ModelInputs, PipelineConfig, check_every_frame
from asrkit.stages.record import Failure, RunOptions, check_failures

CACHE_BYTES = 1 << 28
"""Features kept in memory between epochs (256 MB: four hours of 40 dimensions); more are read again."""


def open_features(data: DataDir, pipeline: PipelineConfig) -> ModelInputs:
    """Return features as a training reads them: not spliced, kept in memory as far as they fit.

    Raises
    ------
    ConfigError
        Frames are left out.
    DataError
        Nothing says how the features were made, which the finished model must.
    """
    check_every_frame(pipeline, "this training")
    load_front_end(data.path)
    return ModelInputs(data, replace(pipeline, splice_left=0, splice_right=0), CACHE_BYTES)


def part_usable(
    keys: Iterable[str], features: Mapping[str, NDArray[np.float32]], why_not: Callable[[str], str | None]
) -> tuple[dict[str, int], tuple[Failure, ...]]:
    """Return the frames of each utterance that can be trained on, and the others with the reason.

    Parameters
    ----------
    why_not : callable
        From an utterance to why it cannot be used, None if it can.
    """
    num_frames: dict[str, int] = {}
    failures: list[Failure] = []
    for key in keys:
        reason = why_not(key)
        if reason is None:
            num_frames[key] = len(features[key])
        else:
            failures.append(Failure(key, reason))
    return num_frames, tuple(failures)


def usable_utterances(
    data: DataDir, features: Mapping[str, NDArray[np.float32]], options: RunOptions
) -> tuple[dict[str, int], tuple[Failure, ...]]:
    """Return the frames of each utterance whose features can be trained on by themselves, and the other utterances.

    Raises
    ------
    DataError
        There is none.
    TooManyFailedError
        Too many have no features.
    """
    keys = options.progress(sorted(data.utterances), total=len(data.utterances), label="features")
    num_frames, failures = part_usable(keys, features, lambda key: why_unusable(key, features))
    check_failures(failures, len(data.utterances), options, data.path)
    if not num_frames:
        raise DataError("no utterance has features", where=data.path, remedy=f"run `asrkit extract {data.path}`")
    return num_frames, failures


def why_unusable(key: str, features: Mapping[str, NDArray[np.float32]]) -> str | None:
    """Return why the features of an utterance cannot be trained on, None if they can."""
    if key not in features:
        return "no features (see the report of `asrkit extract`)"
    value = features[key]
    if not len(value):
        return "no frames"
    return None if np.isfinite(value).all() else "features hold NaN or infinity"
