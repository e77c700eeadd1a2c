"""The log-likelihoods of utterances as a search takes them: block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.features.pipeline import ModelInputs
from asrkit.hmm.scorer import PdfScorer

BLOCK_FRAMES = 1024
"""Loglikes computed at once, so that an hour-long recording needs no hour-long matrix."""


@dataclass(frozen=True)
class Loglikes:
    """Computes the loglikes of an utterance, block by block."""

    scorer: PdfScorer
    features: ModelInputs

    def __call__(self, utterance_id: str) -> Iterator[NDArray[np.float32]]:
        features = self.features[utterance_id]
        for start in range(0, len(features), BLOCK_FRAMES):
            yield self.scorer.loglikes(features[start : start + BLOCK_FRAMES])
