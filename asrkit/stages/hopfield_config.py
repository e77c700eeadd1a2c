"""Configuration of `asrkit hopfield store` and `asrkit hopfield recall`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from asrkit.core.errors import ConfigError
from asrkit.nnet.energy.hopfield_config import RecallConfig, Rule


@dataclass(frozen=True)
class StoreConfig:
    """How features become patterns, and how these are stored.

    Attributes
    ----------
    rule : {'outer', 'pseudo-inverse', 'modern'}
        Hebb's outer products, the projection onto the patterns, or the patterns themselves, for the modern network.
    frames : int
        That each stretch of speech is brought to, by interpolation.
    per_label : int
        Patterns of each label: stretches drawn at random; 0: one, the mean of them all.
    fewest : int
        Labels with fewer stretches are left out, and named in the log.
    only, skip : tuple of str
        Labels that alone are taken, where any are named; labels that are left out.
    binarise : {'pattern', 'units'}
        1 is what lies above the median of its pattern, or above the median of its unit over all patterns.
    """

    rule: Rule = "outer"
    frames: int = 10
    per_label: int = 0
    fewest: int = 1
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    binarise: Literal["pattern", "units"] = "pattern"

    def __post_init__(self) -> None:
        for name, least, most in (("frames", 1, MAX_FRAMES), ("per_label", 0, 2**31), ("fewest", 1, 2**31)):
            if not least <= getattr(self, name) <= most:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected {least} to {most}")


@dataclass(frozen=True)
class RecallStageConfig:
    """What is asked of a network.

    Attributes
    ----------
    noise : tuple of float
        Shares of the units that are turned round.
    cues : int
        Damaged versions of each pattern, at each share.
    recall : RecallConfig
    """

    noise: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3, 0.4)
    cues: int = 10
    recall: RecallConfig = field(default_factory=RecallConfig)

    def __post_init__(self) -> None:
        if not self.noise or not 0 <= min(self.noise) <= max(self.noise) <= 0.5:
            raise ConfigError(f"noise is {list(self.noise)}, expected shares of 0 to 0.5")
        if not 1 <= self.cues <= MAX_CUES:
            raise ConfigError(f"cues is {self.cues}, expected 1 to {MAX_CUES}")


MAX_FRAMES = 10_000
MAX_CUES = 100_000
