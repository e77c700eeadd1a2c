"""The log-likelihoods of utterances as a search takes them: block by block, of one system or of several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError, DataError
from asrkit.features.pipeline import ModelInputs
from asrkit.hmm.combination import CombinationConfig, mean_loglikes, mean_posteriors
from asrkit.hmm.scorer import PdfScorer, PosteriorScorer, begun, loglike_blocks, needs_whole

BLOCK_FRAMES = 1024
"""Loglikes computed at once, so that an hour-long recording needs no hour-long matrix."""

Blocks = Iterator[NDArray[np.float32]]


@dataclass(frozen=True)
class Loglikes:
    """Computes the loglikes of an utterance, block by block."""

    scorer: PdfScorer
    features: ModelInputs

    def __call__(self, utterance_id: str) -> Blocks:
        return loglike_blocks(self.scorer, self.features[utterance_id], BLOCK_FRAMES)


def combined_loglikes(systems: Sequence[Loglikes], config: CombinationConfig) -> Callable[[str], Blocks]:
    """Return what computes the average of several systems, of one tree, whose inputs have the same frames.

    Raises
    ------
    ConfigError
        As many weights as there are not systems; or posteriors are to be averaged and a system has none.
    """
    shares = config.shares(len(systems))
    kept = tuple((system, share) for system, share in zip(systems, shares) if share)
    if config.domain == "linear":
        for number, system in enumerate(systems, 1):
            if not isinstance(system.scorer, PosteriorScorer):
                raise ConfigError(
                    f"combination.domain is 'linear', and system {number} is of mixtures, which have no posteriors",
                    remedy="--set combination.domain=log, or combine networks alone",
                )
    if len(kept) == 1:
        return kept[0][0]
    return _Combined(tuple(system for system, _ in kept), tuple(share for _, share in kept), config.domain == "linear")


@dataclass(frozen=True)
class _Combined:
    systems: tuple[Loglikes, ...]
    shares: tuple[float, ...]
    of_posteriors: bool

    def __call__(self, utterance_id: str) -> Blocks:
        for number, system in enumerate(self.systems, 1):
            if utterance_id not in system.features:
                raise DataError(
                    f"system {number} has no features of it",
                    where=utterance_id,
                    remedy="give data directories of the same utterances",
                )
        features = [system.features[utterance_id] for system in self.systems]
        lengths = [len(value) for value in features]
        if len(set(lengths)) > 1:
            raise DataError(
                f"the systems have {', '.join(map(str, lengths))} frames",
                where=utterance_id,
                remedy="extract all features from the same audio, with the same frame shift and length",
            )
        scorers = [system.scorer for system in self.systems]
        whole = any(needs_whole(one) for one in scorers)
        running = [one if needs_whole(one) else begun(one) for one in scorers]
        size = max(lengths[0], 1) if whole else BLOCK_FRAMES
        for start in range(0, lengths[0], size):
            yield self._mean(running, [value[start : start + size] for value in features])

    def _mean(self, scorers: Sequence[PdfScorer], features: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        if not self.of_posteriors:
            return mean_loglikes([one.loglikes(value) for one, value in zip(scorers, features)], self.shares)
        networks = [one for one in scorers if isinstance(one, PosteriorScorer)]
        posteriors = [one.log_posteriors(value) for one, value in zip(networks, features, strict=True)]
        return mean_posteriors(posteriors, [one.log_priors for one in networks], self.shares)
