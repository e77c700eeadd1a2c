"""Features as the trainings of networks read them: not spliced, which minibatches are when they are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from asrkit.data.datadir import DataDir
from asrkit.features.pipeline import ModelInputs, PipelineConfig, check_every_frame

CACHE_BYTES = 1 << 28
"""Features kept in memory between epochs (256 MB: four hours of 40 dimensions); more are read again."""


def open_features(data: DataDir, pipeline: PipelineConfig) -> ModelInputs:
    """Return features as a training reads them: not spliced, kept in memory as far as they fit."""
    check_every_frame(pipeline, "this training")
    return ModelInputs(data, replace(pipeline, splice_left=0, splice_right=0), CACHE_BYTES)


def why_unusable(key: str, features: Mapping[str, NDArray[np.float32]]) -> str | None:
    """Return why the features of an utterance cannot be trained on, None if they can."""
    if key not in features:
        return "no features (see the report of `asrkit extract`)"
    value = features[key]
    if not len(value):
        return "no frames"
    return None if np.isfinite(value).all() else "features hold NaN or infinity"
