"""A hidden Markov model by itself: any topology, any emissions, on the very kernels of the recogniser."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import DataError, ModelError
from asrkit.hmm.emissions import Emissions, check_distributions
from asrkit.hmm.forward_backward import forward_backward
from asrkit.hmm.state_graph import StateGraph
from asrkit.hmm.viterbi import NoPath, viterbi

Array = NDArray[Any]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StatePosteriors:
    """What forward-backward says about one sequence.

    Attributes
    ----------
    log_likelihood : float
        Natural log of the density of the whole sequence.
    states : (T, S) float32
        Probability of each state at each time; rows sum to 1.
    initial : (S,) float64
        Expected number of starts in each state; sums to 1.
    transitions : (S, S) float64
        Expected number of transitions; sums to T - 1.
    """

    log_likelihood: float
    states: NDArray[np.float32]
    initial: Floats
    transitions: Floats


@dataclass(frozen=True, eq=False)
class StatePath:
    """The best sequence of states, (T,) int32, 0-based, and the natural log of its joint density with the sequence."""

    states: NDArray[np.int32]
    log_likelihood: float


@dataclass(frozen=True, eq=False)
class Hmm:
    """S states that follow each other as a Markov chain, each of which emits one observation when it is entered.

    ``p(states, observations) = initial[s_0] b(o_0 | s_0) · prod_t transitions[s_{t-1}, s_t] b(o_t | s_t)``; a
    sequence may end in any state.

    Attributes
    ----------
    initial : (S,) float64
        Probabilities of the first state; sum to 1.
    transitions : (S, S) float64
        ``transitions[i, j]`` = probability of state j after state i; rows sum to 1. Zeros are the topology: no
        algorithm makes them more than zero.
    emissions : Emissions
        Of the same S states.

    Raises
    ------
    ModelError
        Shapes disagree, or a row is no distribution.
    """

    initial: Floats
    transitions: Floats
    emissions: Emissions[Any]

    def __post_init__(self) -> None:
        for name in ("initial", "transitions"):
            object.__setattr__(self, name, np.array(getattr(self, name), dtype=np.float64))
        num_states = self.emissions.num_states
        if self.initial.shape != (num_states,) or self.transitions.shape != (num_states, num_states):
            raise ModelError(
                f"initial {self.initial.shape} and transitions {self.transitions.shape}, "
                f"expected ({num_states},) and ({num_states}, {num_states}) for the emissions"
            )
        check_distributions("initial probabilities", self.initial[None])
        check_distributions("transitions", self.transitions)

    @property
    def num_states(self) -> int:
        """S."""
        return len(self.initial)

    @cached_property
    def graph(self) -> StateGraph:
        """The model as the recogniser sees one: graph state 0 is before the first observation, s + 1 is state s.

        The arc into a state emits, with label s + 1 and pdf column s; every state but 0 is final. Arcs stand
        only where probabilities are above zero.
        """
        src, dst = np.nonzero(self._steps)
        return StateGraph(
            self.num_states + 1,
            src.astype(np.int32),
            (dst + 1).astype(np.int32),
            (dst + 1).astype(np.int32),
            self._arc_logprob.astype(np.float32),
            np.array([0.0] + [-np.inf] * self.num_states, dtype=np.float32),
            np.array([-np.inf] + [0.0] * self.num_states, dtype=np.float32),
        )

    @cached_property
    def _steps(self) -> Floats:
        return np.vstack([self.initial, self.transitions])

    @cached_property
    def _arc_logprob(self) -> Floats:
        return np.log(self._steps[np.nonzero(self._steps)])

    def log_likelihood(self, observations: Array) -> float:
        """Return the natural log density of a sequence, -inf if the model cannot emit it; 0.0 for an empty one."""
        if len(observations) == 0:
            return 0.0
        result = self._forward_backward(observations)
        return -math.inf if isinstance(result, NoPath) else result.log_likelihood

    def posteriors(self, observations: Array) -> StatePosteriors:
        """Return the probabilities of states and transitions given a sequence of at least one observation.

        Raises
        ------
        DataError
            The sequence is empty, does not fit the emissions, or the model cannot emit it.
        """
        result = self._forward_backward(observations)
        if isinstance(result, NoPath):
            raise DataError(f"the model cannot emit this sequence: {result.reason}")
        return result

    def viterbi(self, observations: Array, beam: float = math.inf) -> StatePath:
        """Return the best sequence of states; raises as :meth:`posteriors`."""
        loglikes, taken_off = self._loglikes(observations)
        labels = self.graph.arc_label
        path = viterbi(self.graph, labels - 1, self._arc_logprob, loglikes, beam) if len(loglikes) else None
        if path is None:
            raise DataError("the model cannot emit this sequence" if len(loglikes) else "an empty sequence")
        return StatePath(labels[path.arcs] - 1, path.score + taken_off)

    def most_probable_states(self, observations: Array) -> NDArray[np.int32]:
        """Return the most probable state of each time, (T,) int32: posterior decoding; raises as :meth:`posteriors`.

        These make the fewest expected errors, and may follow each other as no path does.
        """
        return self.posteriors(observations).states.argmax(axis=1).astype(np.int32)

    def sample(self, num_observations: int, rng: np.random.Generator) -> tuple[NDArray[np.int32], Array]:
        """Draw a sequence: its states (T,) int32 and its observations, (T,) or (T, D)."""
        if num_observations < 1:
            raise DataError(f"a sample of {num_observations} observations, expected at least 1")
        states = np.empty(num_observations, dtype=np.int32)
        probabilities = self.initial
        for time in range(num_observations):
            states[time] = rng.choice(self.num_states, p=probabilities / probabilities.sum())
            probabilities = self.transitions[states[time]]
        return states, np.stack([self.emissions.sample(int(state), rng) for state in states])

    def _loglikes(self, observations: Array) -> tuple[NDArray[np.float32], float]:
        """Return (T, S) log-likelihoods less the best of each row, and the sum of what was taken off.

        The kernels read float32; relative to the best of its row, what matters there keeps its digits.
        """
        loglikes = np.asarray(self.emissions.loglikes(np.asarray(observations)), dtype=np.float64)
        best = loglikes.max(axis=1, keepdims=True, initial=-np.inf)
        best = np.where(best > -np.inf, best, 0.0)
        return np.ascontiguousarray(loglikes - best, dtype=np.float32), math.fsum(best[:, 0])

    def _forward_backward(self, observations: Array) -> StatePosteriors | NoPath:
        loglikes, taken_off = self._loglikes(observations)
        graph = self.graph
        result = forward_backward(graph, graph.arc_label - 1, self._arc_logprob, loglikes)
        if isinstance(result, NoPath):
            return result
        states = np.zeros((len(loglikes), self.num_states), dtype=np.float32)
        states[:, result.pdf_ids] = result.pdf_posteriors
        steps = np.zeros_like(self._steps)
        steps[np.nonzero(self._steps)] = result.arc_occupancy
        return StatePosteriors(result.log_likelihood + taken_off, states, steps[0], steps[1:])


def ergodic(num_states: int, self_loop: float = 0.5) -> tuple[Floats, Floats]:
    """Return ``(initial, transitions)`` that start anywhere and go from every state to every state.

    Parameters
    ----------
    num_states : int
        S.
    self_loop : float
        Probability of staying; the rest is shared equally. One state alone stays.
    """
    if num_states == 1:
        return np.ones(1), np.ones((1, 1))
    transitions = np.full((num_states, num_states), (1.0 - self_loop) / (num_states - 1))
    np.fill_diagonal(transitions, self_loop)
    return np.full(num_states, 1.0 / num_states), transitions


def left_to_right(num_states: int, max_jump: int = 1, self_loop: float = 0.5) -> tuple[Floats, Floats]:
    """Return ``(initial, transitions)`` that start in state 0 and never go back (Bakis 1976).

    Parameters
    ----------
    num_states : int
        S; the last state stays for ever.
    max_jump : int
        Farthest step; 1 visits every state, 2 may skip one.
    self_loop : float
        Probability of staying; the steps that exist share the rest equally.
    """
    transitions = np.zeros((num_states, num_states))
    for state in range(num_states):
        steps = min(max_jump, num_states - 1 - state)
        transitions[state, state] = self_loop if steps else 1.0
        transitions[state, state + 1 : state + 1 + steps] = (1.0 - self_loop) / steps if steps else 0.0
    return np.eye(num_states)[0], transitions
