"""Expectation maximisation of a stand-alone HMM over any number of sequences (Rabiner 1989, section III.C)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError, DataError
from asrkit.core.progress import Progress, silent
from asrkit.hmm.emissions import relative_frequencies
from asrkit.hmm.model import Hmm

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FitConfig:
    """When EM stops and what it may change.

    Attributes
    ----------
    max_iterations : int
        Most iterations, >= 1.
    min_gain : float
        EM has converged when an iteration gains less than this, in nats per observation.
    transition_floor : float
        Least probability of a transition or a start that the topology allows; 0 for none.
    update_initial, update_transitions, update_emissions : bool
        What is estimated; the rest stays as it is.
    """

    max_iterations: int = 100
    min_gain: float = 1e-5
    transition_floor: float = 0.0
    update_initial: bool = True
    update_transitions: bool = True
    update_emissions: bool = True

    def __post_init__(self) -> None:
        if self.max_iterations < 1:
            raise ConfigError(f"max_iterations is {self.max_iterations}, expected at least 1")
        if not 0 <= self.transition_floor < 1:
            raise ConfigError(f"transition_floor is {self.transition_floor}, expected 0 to less than 1")


@dataclass(frozen=True, eq=False)
class HmmStats:
    """Expected counts of some sequences: a monoid.

    Attributes
    ----------
    initial : (S,) float64
        Starts.
    transitions : (S, S) float64
        Transitions.
    emissions : EmissionStats
        As the emissions keep them.
    log_likelihood : float
        Sum over the sequences, natural log.
    num_observations : int
        Sum of their lengths.
    """

    initial: Floats
    transitions: Floats
    emissions: Any
    log_likelihood: float = 0.0
    num_observations: int = 0

    @classmethod
    def zero(cls, hmm: Hmm) -> HmmStats:
        """Return the neutral element for a model of this shape."""
        return cls(np.zeros_like(hmm.initial), np.zeros_like(hmm.transitions), hmm.emissions.zero_stats())

    def __add__(self, other: HmmStats) -> HmmStats:
        return HmmStats(
            self.initial + other.initial,
            self.transitions + other.transitions,
            self.emissions + other.emissions,
            self.log_likelihood + other.log_likelihood,
            self.num_observations + other.num_observations,
        )


@dataclass
class ConvergenceMonitor:
    """Follows the log-likelihood of EM and says when to stop.

    Attributes
    ----------
    min_gain : float
        Nats per observation.
    history : list of float
        Log-likelihood per observation of the model *before* each iteration's update.
    """

    min_gain: float
    history: list[float] = field(default_factory=list)

    def report(self, log_likelihood: float, num_observations: int) -> None:
        """Add the result of an iteration."""
        self.history.append(log_likelihood / num_observations)

    @property
    def converged(self) -> bool:
        """Whether the last iteration gained less than ``min_gain`` (a loss counts as no gain)."""
        return len(self.history) > 1 and self.history[-1] - self.history[-2] < self.min_gain

    @property
    def largest_loss(self) -> float:
        """The largest fall from one iteration to the next, per observation; 0.0 if there was none.

        EM never loses, but for rounding and for floors that bite.
        """
        return max([0.0, *(before - after for before, after in zip(self.history, self.history[1:]))])


def expected_counts(hmm: Hmm, sequence: NDArray[Any]) -> HmmStats:
    """Return the statistics of one sequence; one that the model cannot emit is a :class:`DataError`."""
    posteriors = hmm.posteriors(sequence)
    emissions = hmm.emissions.accumulate(hmm.emissions.zero_stats(), np.asarray(sequence), posteriors.states)
    return HmmStats(
        posteriors.initial, posteriors.transitions, emissions, posteriors.log_likelihood, len(posteriors.states)
    )


def maximised(hmm: Hmm, stats: HmmStats, config: FitConfig) -> Hmm:
    """Return the model of greatest expected log-likelihood; states without counts keep what they had."""
    initial, transitions = hmm.initial, hmm.transitions
    if config.update_initial:
        initial = relative_frequencies(stats.initial[None], initial[None], config.transition_floor)[0]
    if config.update_transitions:
        transitions = relative_frequencies(stats.transitions, transitions, config.transition_floor)
    emissions = hmm.emissions.estimate(stats.emissions) if config.update_emissions else hmm.emissions
    return Hmm(initial, transitions, emissions)


def fit(
    hmm: Hmm, sequences: Sequence[NDArray[Any]], config: FitConfig | None = None, progress: Progress = silent
) -> tuple[Hmm, ConvergenceMonitor]:
    """Fit a model to sequences by EM (Baum-Welch), from where it is.

    Parameters
    ----------
    hmm : Hmm
        The start; its zeros stay zero.
    sequences : sequence of arrays
        Each (T,) or (T, D), as the emissions take them; independent of each other.
    config : FitConfig, optional
        When to stop and what to change.
    progress : Progress
        Wraps the iterations.

    Returns
    -------
    Hmm
        The fitted model.
    ConvergenceMonitor
        Whether it converged, and the log-likelihood before each update.

    Raises
    ------
    DataError
        No sequences, an empty one, or one that the model cannot emit (``where`` says which).
    """
    config = config or FitConfig()
    if len(sequences) == 0:
        raise DataError("no sequences to fit to")
    _check_floor(hmm, config)
    monitor = ConvergenceMonitor(config.min_gain)
    for _ in progress(range(config.max_iterations), total=config.max_iterations, label="EM"):
        stats = HmmStats.zero(hmm)
        for number, sequence in enumerate(sequences):
            try:
                stats = stats + expected_counts(hmm, sequence)
            except DataError as error:
                raise DataError(error.message, where=error.where or f"sequence {number}") from None
        monitor.report(stats.log_likelihood, stats.num_observations)
        if monitor.converged:
            break
        hmm = maximised(hmm, stats, config)
    return hmm, monitor


def _check_floor(hmm: Hmm, config: FitConfig) -> None:
    widest = max(int((hmm.transitions > 0).sum(axis=1).max()), int((hmm.initial > 0).sum()))
    if config.transition_floor * widest >= 1:
        raise ConfigError(
            f"transition_floor {config.transition_floor} for {widest} transitions, expected less than 1 in sum"
        )
