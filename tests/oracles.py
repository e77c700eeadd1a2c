"""Slow, obvious implementations that the fast ones are held against; nothing here knows how asrkit works inside."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.hmm.state_graph import StateGraph

Array = NDArray[Any]


def paths(graph: StateGraph, num_frames: int) -> Iterator[tuple[int, ...]]:
    """Yield every connected sequence of ``num_frames`` arcs of a graph, whatever its weight."""
    for arcs in itertools.product(range(graph.num_arcs), repeat=num_frames):
        if all(graph.arc_dst[a] == graph.arc_src[b] for a, b in itertools.pairwise(arcs)):
            yield arcs


def path_score(
    graph: StateGraph, arc_pdf: Array, arc_logprob: Array, loglikes: Array, arcs: tuple[int, ...], scale: float = 1.0
) -> float:
    """Return the natural log weight of one path of at least one arc."""
    score = float(graph.initial_logprob[graph.arc_src[arcs[0]]]) + float(graph.final_logprob[graph.arc_dst[arcs[-1]]])
    for frame, arc in enumerate(arcs):
        score += float(arc_logprob[arc]) + scale * float(loglikes[frame, arc_pdf[arc]])
    return score


def enumerate_scores(
    graph: StateGraph, arc_pdf: Array, arc_logprob: Array, loglikes: Array, scale: float = 1.0
) -> dict[tuple[int, ...], float]:
    """Return the paths of weight above zero that explain ``loglikes``, with their natural log weights."""
    scores = {
        arcs: path_score(graph, arc_pdf, arc_logprob, loglikes, arcs, scale) for arcs in paths(graph, len(loglikes))
    }
    return {arcs: score for arcs, score in scores.items() if score > -math.inf}


def log_sum(values: Any) -> float:
    """Return log(sum(exp(values))), -inf for no values at all."""
    values = sorted(values)
    if not values or values[-1] == -math.inf:
        return -math.inf
    return float(values[-1] + math.log(math.fsum(math.exp(value - values[-1]) for value in values)))


def random_graph(
    rng: np.random.Generator, num_states: int, num_arcs: int, num_labels: int, impossible: float = 0.1
) -> StateGraph:
    """Return a random graph with cycles, parallel arcs, dead ends and some weights of -inf."""

    def weights(count: int, absent: float) -> Array:
        values = rng.normal(-1.0, 1.5, count)
        values[rng.random(count) < absent] = -np.inf
        return values.astype(np.float32)

    return StateGraph(
        num_states,
        np.sort(rng.integers(0, num_states, num_arcs)).astype(np.int32),
        rng.integers(0, num_states, num_arcs).astype(np.int32),
        rng.integers(1, num_labels + 1, num_arcs).astype(np.int32),
        weights(num_arcs, impossible),
        weights(num_states, 0.4),
        weights(num_states, 0.4),
    )


def left_to_right_graph(num_states: int, skip: bool = False) -> StateGraph:
    """Return a chain of ``num_states`` emitting states as in a transcript: self-loops, steps, and perhaps skips.

    State s of the graph is the place before chain state s; label 2 s + 1 is its self-loop, 2 s + 2 its exit.
    """
    arcs = []
    for state in range(num_states):
        arcs += [(state, state, 2 * state + 1, math.log(0.75)), (state, state + 1, 2 * state + 2, math.log(0.25))]
        if skip and state + 2 <= num_states:
            arcs.append((state, state + 2, 2 * state + 2, math.log(0.05)))
    return StateGraph.from_arcs(num_states + 1, arcs, final=[(num_states, 0.0)])


def enumerate_state_paths(initial: Array, transitions: Array, loglikes: Array) -> dict[tuple[int, ...], float]:
    """Return the state sequences of probability above zero of a plain HMM with their joint natural log densities.

    ``initial`` (S,) and ``transitions`` (S, S) are probabilities, ``loglikes`` (T, S).
    """
    scores = {}
    for states in itertools.product(range(len(initial)), repeat=len(loglikes)):
        weight = float(initial[states[0]]) * math.prod(float(transitions[pair]) for pair in itertools.pairwise(states))
        score = sum(float(loglikes[time, state]) for time, state in enumerate(states))
        if weight > 0 and score > -math.inf:
            scores[states] = math.log(weight) + score
    return scores


def best_score(graph: StateGraph, arc_pdf: Array, arc_logprob: Array, loglikes: Array) -> float:
    """Return the score of the best path by the recursion over all states and arcs, -inf if there is none."""
    score = graph.initial_logprob.astype(np.float64)
    for frame in loglikes:
        after = np.full(graph.num_states, -np.inf)
        np.maximum.at(after, graph.arc_dst, score[graph.arc_src] + arc_logprob + frame[arc_pdf])
        score = after
    return float((score + graph.final_logprob).max())
