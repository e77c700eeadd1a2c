"""The configuration of the search, apart from it so that reading it compiles nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass

from asrkit.core.errors import ConfigError

MAX_POSTERIOR_SCALE = 1000.0
"""Of costs that become probabilities; long before, the best path alone is left."""


@dataclass(frozen=True)
class SearchConfig:
    """How wide to search, and how the scores are weighed. All costs are negative natural logs.

    Attributes
    ----------
    beam : float
        A path survives when its cost is within this of the best path's.
    max_active, min_active : int
        Largest and smallest number of states that survive a frame; the beam adapts (Kaldi's ``--max-active``,
        ``--min-active``).
    beam_delta : float
        Added to the beam of the next frame after it was adapted (Kaldi's ``--beam-delta``).
    acoustic_scale : float
        Factor of the loglikes; 1 / LM weight.
    word_insertion_penalty : float
        Cost added for each output label; may be negative.
    lattice_beam : float
        A lattice holds every path whose cost is within this of the best one's; 0: no lattice is made.
    """

    beam: float = 13.0
    max_active: int = 7000
    min_active: int = 200
    beam_delta: float = 0.5
    acoustic_scale: float = 0.1
    word_insertion_penalty: float = 0.0
    lattice_beam: float = 0.0

    def __post_init__(self) -> None:
        if not self.beam > 0:
            raise ConfigError(f"beam is {self.beam}, expected a number above 0")
        if self.max_active < 1:
            raise ConfigError(f"max_active is {self.max_active}, expected 1 or more")
        if not 0 <= self.min_active <= self.max_active:
            raise ConfigError(f"min_active is {self.min_active}, expected 0 to max_active ({self.max_active})")
        if not self.beam_delta > 0:
            raise ConfigError(f"beam_delta is {self.beam_delta}, expected a number above 0")
        if not 0 < self.acoustic_scale < math.inf:
            raise ConfigError(f"acoustic_scale is {self.acoustic_scale}, expected a number above 0")
        if not math.isfinite(self.word_insertion_penalty):
            raise ConfigError(f"word_insertion_penalty is {self.word_insertion_penalty}, expected a finite number")
        if not 0 <= self.lattice_beam < math.inf:
            raise ConfigError(f"lattice_beam is {self.lattice_beam}, expected a number of 0 or more")
