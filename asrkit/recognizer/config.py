"""The settings of a recogniser, which its model file keeps."""

from __future__ import annotations

from dataclasses import dataclass, field

from asrkit.core.errors import ConfigError
from asrkit.decode.config import MAX_POSTERIOR_SCALE, SearchConfig
from asrkit.features.online_cmvn import OnlineCmvnConfig
from asrkit.gmm.adaptation import AdaptationConfig
from asrkit.recognizer.endpoint import EndpointConfig


@dataclass(frozen=True)
class RecognizerConfig:
    """How a recogniser searches. The names and defaults are those of `asrkit decode`.

    Attributes
    ----------
    beam : float
        A path survives when its cost is within this of the best path's.
    max_active, min_active : int
        Largest and smallest number of states that survive a frame.
    lm_weight : float
        Weight of the graph's costs against the acoustic ones; the acoustic scale is 1 / weight.
    insertion_penalty : float
        Cost added for each word; may be negative.
    lattice_beam : float
        Alternatives survive whose cost is within this of the best path's; 0: there are none, and no confidences.
    posterior_scale : float
        Factor of all costs where they become confidences.
    adapt : bool
        With a speaker-adaptive model: adapt its inputs by two searches before the one that gives the result.
    adapt_lm_weight : float
        LM weight of the two searches that adapt.
    first_beam, first_max_active :
        Width of the first of them; the second has ``beam`` and ``max_active``.
    adapt_lattice_beam : float
        Both make lattices of all paths within this of the best one, whose posteriors say what was spoken (Kaldi's
        way, with 6); 0: the best path alone says it, which was as good on AN4 and LibriSpeech and takes less time.
    adaptation : AdaptationConfig
        How the transforms are estimated from these.
    online_cmvn : OnlineCmvnConfig
        How live audio is normalised.
    endpoint : EndpointConfig
        When an utterance of live audio ends.
    """

    beam: float = 13.0
    max_active: int = 7000
    min_active: int = 200
    lm_weight: float = 10.0
    insertion_penalty: float = 0.0
    lattice_beam: float = 6.0
    posterior_scale: float = 0.5
    adapt: bool = True
    adapt_lm_weight: float = 10.0
    first_beam: float = 10.0
    first_max_active: int = 2000
    adapt_lattice_beam: float = 0.0
    adaptation: AdaptationConfig = field(default_factory=lambda: AdaptationConfig(silence_weight=0.01))
    online_cmvn: OnlineCmvnConfig = field(default_factory=OnlineCmvnConfig)
    endpoint: EndpointConfig = field(default_factory=EndpointConfig)

    def __post_init__(self) -> None:
        if self.posterior_scale > MAX_POSTERIOR_SCALE:
            raise ConfigError(f"posterior_scale is {self.posterior_scale}, expected {MAX_POSTERIOR_SCALE:g} at most")
        for name in ("lm_weight", "adapt_lm_weight", "posterior_scale"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} is {getattr(self, name)}, expected a number above 0")
        _ = self.search, self.adapting_searches

    @property
    def search(self) -> SearchConfig:
        """The configuration of the search that gives the result."""
        return SearchConfig(
            beam=self.beam,
            max_active=self.max_active,
            min_active=self.min_active,
            acoustic_scale=1.0 / self.lm_weight,
            word_insertion_penalty=self.insertion_penalty,
            lattice_beam=self.lattice_beam,
        )

    @property
    def adapting_searches(self) -> tuple[SearchConfig, SearchConfig]:
        """The configurations of the two searches that adapt."""
        shared = {"acoustic_scale": 1.0 / self.adapt_lm_weight, "lattice_beam": self.adapt_lattice_beam}
        fewest = min(self.min_active, self.first_max_active)
        return (
            SearchConfig(self.first_beam, self.first_max_active, fewest, **shared),
            SearchConfig(self.beam, self.max_active, self.min_active, **shared),
        )
