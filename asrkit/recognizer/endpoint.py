"""When a speaker who is heard live has finished: rules over the silence at the end of the best path."""

from __future__ import annotations

from dataclasses import dataclass, field

from asrkit.core.errors import ConfigError

ANY_COST = 1e10
"""As ``relative_cost`` of a rule: no matter what, even where no path is complete. (JSON knows no infinity.)"""


@dataclass(frozen=True)
class EndpointRule:
    """An end is where all of these hold (Kaldi's OnlineEndpointRule).

    Attributes
    ----------
    needs_speech : bool
        Something other than silence was decoded.
    silence_secs : float
        Seconds of silence, at least, at the end of the best path.
    relative_cost : float
        How much worse, at most, the best complete path is than the best path; 0 = the best path is complete.
    utterance_secs : float
        Seconds since the utterance began, at least.
    """

    needs_speech: bool
    silence_secs: float
    relative_cost: float = ANY_COST
    utterance_secs: float = 0.0

    def __post_init__(self) -> None:
        if min(self.silence_secs, self.relative_cost, self.utterance_secs) < 0:
            raise ConfigError("the numbers of an end-pointing rule must not be negative")

    def holds(self, silence_secs: float, relative_cost: float, utterance_secs: float) -> bool:
        """Say whether the rule holds: silence at the end, cost of a complete path, length, in seconds and nats."""
        return (
            (not self.needs_speech or utterance_secs > silence_secs)
            and silence_secs >= self.silence_secs
            and (relative_cost <= self.relative_cost or self.relative_cost >= ANY_COST)
            and utterance_secs >= self.utterance_secs
        )


@dataclass(frozen=True)
class EndpointConfig:
    """The rules, numbers and names of Kaldi's OnlineEndpointConfig; an end is where any of them holds.

    Attributes
    ----------
    enabled : bool
        False: an utterance lasts until the audio ends.
    silence : EndpointRule
        Nothing was said for long.
    likely, plausible, spoken : EndpointRule
        Something was said, and the more complete it is the less silence it takes.
    longest : EndpointRule
        An utterance does not grow beyond this.
    """

    enabled: bool = True
    silence: EndpointRule = field(default_factory=lambda: EndpointRule(False, 5.0))
    likely: EndpointRule = field(default_factory=lambda: EndpointRule(True, 0.5, 2.0))
    plausible: EndpointRule = field(default_factory=lambda: EndpointRule(True, 1.0, 8.0))
    spoken: EndpointRule = field(default_factory=lambda: EndpointRule(True, 2.0))
    longest: EndpointRule = field(default_factory=lambda: EndpointRule(False, 0.0, ANY_COST, 20.0))

    def reached(self, silence_secs: float, relative_cost: float, utterance_secs: float) -> bool:
        """Say whether any rule holds; see :meth:`EndpointRule.holds`."""
        rules = (self.silence, self.likely, self.plausible, self.spoken, self.longest)
        return self.enabled and any(rule.holds(silence_secs, relative_cost, utterance_secs) for rule in rules)
