"""What `asrkit export` writes: apart from the graphs, so that help needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ExportConfig:
    """Configuration of `asrkit export`.

    Attributes
    ----------
    output : {'loglikes', 'log_posteriors', 'posteriors'}
        What the exported network computes: natural log of posteriors over priors, as decoding takes it, of posteriors,
        or posteriors.
    """

    output: Literal["loglikes", "log_posteriors", "posteriors"] = "loglikes"
