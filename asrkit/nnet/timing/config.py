"""The timing tasks and how they are learned: what a user may choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from asrkit.core.errors import ConfigError

Learner = Literal["peephole", "plain", "full", "plain-full"]
"""A net and a gradient: with or without peepholes, truncated as in the paper or ``full``."""

FunctionName = Literal["cosine", "triangle", "rectangle"]

MAX_PERIOD = 10_000
MAX_PERIODS = 20_000
MAX_RUNS = 10_000


@dataclass(frozen=True)
class TimingConfig:
    """What all timing tasks have in common (Gers, Schraudolph & Schmidhuber 2002).

    Attributes
    ----------
    period : int
        F: steps of a period, or the least steps between spikes.
    runs : int
        Of each learner, from as many sets of initial weights, which all learners share.
    learners : tuple of {'peephole', 'plain', 'full', 'plain-full'}
        ``peephole``: the net with peepholes by the truncated gradient; ``plain``: without peepholes; ``full`` and
        ``plain-full``: the same by the full gradient, which also goes back through gates and peepholes.
    learning_rate : float
        Of the changes after each step.
    momentum : float
        Share of the last change that each step repeats.
    max_streams : int
        Training streams after which a run gives up.
    max_steps : int
        Steps, of training and tests together, after which it does.
    training_periods : int
        Periods, or intervals, of a training stream; it ends earlier at the first large error.
    test_periods : int
        Consecutive ones without a large error that a task is solved with; a test follows on each training stream.
    max_error : float
        An absolute error from here on is large.
    input_bias, forget_bias, output_bias : float
        Of the gates, to begin with.
    spread : float
        The other weights are drawn evenly from within ± this.
    squashes : bool
        The cell's input is squashed by tanh; the paper leaves it as it is.
    logistic : bool
        The output is squashed into 0 to 1, else left as it is.
    """

    period: int = 10
    runs: int = 10
    learners: tuple[Learner, ...] = ("peephole", "plain", "full")
    learning_rate: float = 1e-5
    momentum: float = 0.99
    max_streams: int = 10_000_000
    max_steps: int = 1_000_000_000
    training_periods: int = 100
    test_periods: int = 1000
    max_error: float = 0.49
    input_bias: float = 0.0
    forget_bias: float = 2.0
    output_bias: float = -2.0
    spread: float = 0.1
    squashes: bool = False
    logistic: bool = True

    def __post_init__(self) -> None:
        for name, most in (
            ("period", MAX_PERIOD), ("runs", MAX_RUNS), ("max_streams", 2**62), ("max_steps", 2**62),
            ("training_periods", MAX_PERIODS), ("test_periods", MAX_PERIODS),
        ):  # fmt: skip
            if not 1 <= getattr(self, name) <= most:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 1 to {most}")
        if not self.learners or len(set(self.learners)) < len(self.learners):
            raise ConfigError(f"learners are {list(self.learners)}, expected one or more, each once")
        if not 0 <= self.momentum < 1:
            raise ConfigError(f"momentum is {self.momentum:g}, expected 0 to below 1")
        for name in ("learning_rate", "max_error"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} is {getattr(self, name):g}, expected a finite number above 0")
        if not 0 <= self.spread < float("inf"):
            raise ConfigError(f"spread is {self.spread:g}, expected a finite number of 0 or more")


@dataclass(frozen=True)
class SpikeTimesConfig(TimingConfig):
    """A task whose spikes lie F + I(n) steps apart.

    Attributes
    ----------
    offsets : tuple of int
        Values of I(n), drawn evenly anew for each spike.
    """

    offsets: tuple[int, ...] = (0, 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.offsets or min(self.offsets) < 0 or max(self.offsets) > MAX_PERIOD:
            raise ConfigError(f"offsets are {list(self.offsets)}, expected one or more of 0 to {MAX_PERIOD}")

    @property
    def scale(self) -> float:
        """What offsets are multiplied by: an output of 0 to 1 measures them in shares of the largest one."""
        return 1.0 / max(self.offsets) if self.logistic and max(self.offsets) else 1.0


@dataclass(frozen=True)
class DelaysConfig(SpikeTimesConfig):
    """Measuring spike delays: the input is spikes, and at each the output is to be I(n).

    Attributes
    ----------
    continual : bool
        Streams are of many spikes (the paper's MSD), else of one (NMSD), and a test is as many streams.
    """

    continual: bool = True
    momentum: float = 0.9999


@dataclass(frozen=True)
class SpikesConfig(SpikeTimesConfig):
    """Generating timed spikes: the input is I(n), the output is to be a spike at the end of each interval.

    Attributes
    ----------
    held : bool
        I(n) is the input throughout its interval, else at the first step only.
    """

    held: bool = True
    momentum: float = 0.999


@dataclass(frozen=True)
class FunctionsConfig(TimingConfig):
    """Generating a periodic function, from 0 to 1, without any input.

    Attributes
    ----------
    function : {'cosine', 'triangle', 'rectangle'}
    """

    function: FunctionName = "cosine"
    max_error: float = 0.3
    logistic: bool = False


AnyTimingConfig = DelaysConfig | SpikesConfig | FunctionsConfig
