"""Configuration of `asrkit probe`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from asrkit.core.errors import ConfigError
from asrkit.features.summary import Statistic


@dataclass(frozen=True)
class ProbeConfig:
    """How features are compared.

    Attributes
    ----------
    counts : tuple of int
        Training utterances: of each label; of phones, all together.
    draws : int
        How often they are drawn anew for each count.
    test_share : float
        Share of the speakers that are drawn for testing, of whom nothing is trained on; the number is rounded, and at
        least one. Where speakers are the labels all other utterances of theirs are tested on instead.
    statistics : tuple of {'mean', 'max', 'sd'}
        Of each dimension over the frames of an utterance.
    shrinkage : float
        How far the covariance of the classifier is drawn to a sphere, in (0, 1].
    standardise : bool
        Divide each dimension by its standard deviation over the training examples. Features that are unlike each other,
        as cepstra are, gain by it, but of a handful of examples, as of two labels, that deviation knows too little.
    cmn : tuple of str
        Names of feature sets from which the mean over an utterance is subtracted.
    deltas : tuple of str
        Names of those that have their first and second derivatives beside them.
    fold : {'none', 'timit39'}
        Of phones.
    """

    counts: tuple[int, ...] = (1, 2, 3, 5, 8)
    draws: int = 10
    test_share: float = 1 / 3
    statistics: tuple[Statistic, ...] = ("mean", "sd")
    shrinkage: float = 0.2
    standardise: bool = True
    cmn: tuple[str, ...] = ()
    deltas: tuple[str, ...] = ()
    fold: Literal["none", "timit39"] = "none"

    def __post_init__(self) -> None:
        if not self.counts or min(self.counts) < 1:
            raise ConfigError(f"counts is {list(self.counts)}, expected numbers of 1 or more")
        if self.draws < 1:
            raise ConfigError(f"draws is {self.draws}, expected 1 or more")
        if not 0 < self.test_share < 1:
            raise ConfigError(f"test_share is {self.test_share:g}, expected more than 0 and less than 1")
        if not self.statistics or set(self.statistics) - {"mean", "max", "sd"}:
            raise ConfigError(f"statistics is {list(self.statistics)}, expected some of mean, max, sd")
        if not 0 < self.shrinkage <= 1:
            raise ConfigError(f"shrinkage is {self.shrinkage:g}, expected more than 0, and 1 at most")
