"""Hopfield networks: how patterns are stored and recalled, and how capacity is measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from asrkit.core.errors import ConfigError

Rule = Literal["outer", "pseudo-inverse", "modern"]

MAX_UNITS = 30_000
"""Whose weights take 7 GB."""


@dataclass(frozen=True)
class RecallConfig:
    """How a state is let fall into a pattern.

    Attributes
    ----------
    update : {'asynchronous', 'synchronous'}
        One unit after the other, in a random order that each sweep draws anew: the energy never rises. Or all at once:
        the states may end in a cycle of two. The modern network has but one way.
    max_sweeps : int
        Over all units.
    beta : float or None
        Of the modern network: how sharply it chooses among patterns; None: one over the root of the number of units.
    """

    update: Literal["asynchronous", "synchronous"] = "asynchronous"
    max_sweeps: int = 100
    beta: float | None = None

    def __post_init__(self) -> None:
        if self.max_sweeps < 1:
            raise ConfigError(f"max_sweeps is {self.max_sweeps}, expected 1 or more")
        if self.beta is not None and not 0 < self.beta < float("inf"):
            raise ConfigError(f"beta is {self.beta:g}, expected a finite number above 0")


@dataclass(frozen=True)
class CapacityConfig:
    """How the capacity of random patterns is measured.

    Attributes
    ----------
    units : tuple of int
        Sizes of networks.
    loads : tuple of float
        Patterns a unit.
    networks : int
        Of each size and load.
    cues : int
        Patterns, at most, that each network is asked for.
    noise : float
        Share of the units that a cue has wrong.
    overlap : float
        Mean product of units from which on a pattern counts as recalled.
    rule : {'outer', 'pseudo-inverse'}
    recall : RecallConfig
    """

    units: tuple[int, ...] = (250, 500, 1000)
    loads: tuple[float, ...] = (0.05, 0.08, 0.1, 0.11, 0.12, 0.13, 0.14, 0.15, 0.16, 0.17, 0.18, 0.2)
    networks: int = 5
    cues: int = 20
    noise: float = 0.0
    overlap: float = 0.9
    rule: Literal["outer", "pseudo-inverse"] = "outer"
    recall: RecallConfig = field(default_factory=RecallConfig)

    def __post_init__(self) -> None:
        if not self.units or not 2 <= min(self.units) <= max(self.units) <= MAX_UNITS:
            raise ConfigError(f"units are {list(self.units)}, expected numbers of 2 to {MAX_UNITS}")
        if not self.loads or not 0 < min(self.loads) <= max(self.loads) <= 2:
            raise ConfigError(f"loads are {list(self.loads)}, expected numbers above 0 and up to 2")
        for name in ("networks", "cues"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 1 or more")
        if not 0 <= self.noise <= 0.5:
            raise ConfigError(f"noise is {self.noise:g}, expected 0 to 0.5")
        if not 0 < self.overlap <= 1:
            raise ConfigError(f"overlap is {self.overlap:g}, expected above 0 and up to 1")
