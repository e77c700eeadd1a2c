"""Which models an amount of speech can carry, one trained from the alignments of the other, and of what sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from asrkit.core.errors import ConfigError

RungName = Literal["mono", "deltas", "lda-mllt", "sat"]


@dataclass(frozen=True)
class LadderConfig:
    """How the amount of speech decides what is trained.

    Gaussians grow with the square root of the hours, which goes through the sizes of Kaldi's recipes from half an hour
    (4,000) over mini_librispeech's five (10,000) to LibriSpeech's 460 (100,000).

    Attributes
    ----------
    gaussians_of_an_hour : int
        Of the models with context; ``h`` hours have this times the square root of ``h``.
    gaussians_per_leaf : int
        So many leaves their trees have.
    max_leaves : int
        More leaves are not asked for, however much speech there is.
    mono_share, max_mono_gaussians : float, int
        Monophones have this share of the Gaussians, and not more than so many.
    mono_shortest : int
        Where other models follow, monophones are trained on this many of the shortest utterances.
    min_context_secs : float
        With less speech than this, seconds, monophones are the last model; Baum-Welch then trains them.
    """

    gaussians_of_an_hour: int = 5000
    gaussians_per_leaf: int = 8
    max_leaves: int = 5000
    mono_share: float = 1 / 3
    max_mono_gaussians: int = 1000
    mono_shortest: int = 5000
    min_context_secs: float = 600.0

    def __post_init__(self) -> None:
        for name in ("gaussians_of_an_hour", "gaussians_per_leaf", "max_leaves", "max_mono_gaussians"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 1 or more")
        if not 0 < self.mono_share <= 1:
            raise ConfigError(f"mono_share is {self.mono_share:g}, expected above 0 and at most 1")
        if self.mono_shortest < 0 or not self.min_context_secs >= 0:
            raise ConfigError("mono_shortest and min_context_secs must not be negative")


@dataclass(frozen=True)
class Rung:
    """A model of the ladder.

    Attributes
    ----------
    name : {'mono', 'deltas', 'lda-mllt', 'sat'}
        Of the training command.
    total_gaussians : int
    max_leaves : int
        0: monophones, which have no tree to grow.
    """

    name: RungName
    total_gaussians: int
    max_leaves: int = 0

    def __str__(self) -> str:
        leaves = f", {self.max_leaves} leaves" if self.max_leaves else ""
        return f"{self.name} ({self.total_gaussians} Gaussians{leaves})"


def plan_ladder(config: LadderConfig, speech_secs: float, num_speakers: int) -> tuple[Rung, ...]:
    """Return the models to train, in their order.

    Parameters
    ----------
    speech_secs : float
        Duration of the utterances, their silences included.
    num_speakers : int
        A single one has no adaptive training: there is nobody to tell it from.
    """
    gaussians = max(1, round(config.gaussians_of_an_hour * math.sqrt(speech_secs / 3600)))
    mono = Rung("mono", min(config.max_mono_gaussians, max(1, round(config.mono_share * gaussians))))
    if speech_secs < config.min_context_secs:
        return (mono,)
    leaves = min(config.max_leaves, max(1, gaussians // config.gaussians_per_leaf))
    names: tuple[RungName, ...] = ("deltas", "lda-mllt", *(("sat",) if num_speakers > 1 else ()))
    return (mono, *(Rung(name, gaussians, leaves) for name in names))
