"""Merged states: the same sums and shares of pdfs as before, by dense matrices; and states that only seem the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.nnet.sequence.merging import WeightedStates, merged

NUM_PDFS = 3


def sums(graph: WeightedStates, emissions: np.ndarray, leaky: float = 0.0) -> tuple[float, np.ndarray, list[float]]:
    """Total weight of paths, expected counts of pdfs by frame, and the probability of all states after each frame."""
    size = graph.num_states
    matrix = np.zeros((size, size))
    np.add.at(matrix, (graph.src, graph.dst), graph.weight)
    leak = np.eye(size) + leaky * np.tile(start_of(graph, matrix), (size, 1))
    forward, masses = [graph.initial], []
    for frame, row in enumerate(emissions):
        here = forward[-1] @ leak if frame else forward[-1]
        forward.append((here @ matrix) * row[graph.pdf])
        masses.append(float(forward[-1].sum()))
    backward = graph.final
    counts = np.zeros((len(emissions), NUM_PDFS))
    for frame in range(len(emissions) - 1, -1, -1):
        np.add.at(counts[frame], graph.pdf, forward[frame + 1] * backward)
        backward = matrix @ (emissions[frame][graph.pdf] * backward)
        backward = leak @ backward if frame else backward
    return float(forward[-1] @ graph.final), counts, masses


def start_of(graph: WeightedStates, matrix: np.ndarray) -> np.ndarray:
    here = graph.initial @ matrix + graph.initial @ matrix @ matrix
    return here / max(here.sum(), 1e-300)


def random_states(seed: int, copies: bool) -> WeightedStates:
    """A random graph; with copies, every state is split in two of the same arcs, which share what comes to it."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, 6))
    pairs = np.argwhere(rng.random((size, size)) < 0.5)
    weight = rng.choice([0.5, 0.25, 0.125, 0.3], len(pairs))
    pdf = rng.integers(0, NUM_PDFS, size)
    initial = np.where(rng.random(size) < 0.5, 0.5, 0.0)
    initial[0] = 1.0
    final = rng.choice([0.0, 0.5, 1.0], size)
    src, dst = pairs.T
    graph = WeightedStates(src, dst, weight, pdf, initial, final)
    if not copies:
        return graph
    # A state and its copy have the same future; each has its part of the past, the copy a third of it.
    parts = np.array([2 / 3, 1 / 3])
    both = [
        (s + i * size, d + j * size, w * parts[j]) for s, d, w in zip(src, dst, weight) for i in (0, 1) for j in (0, 1)
    ]
    columns = list(zip(*both, strict=True)) if both else [(), (), ()]
    return WeightedStates(
        np.array(columns[0], dtype=np.int64),
        np.array(columns[1], dtype=np.int64),
        np.array(columns[2]),
        np.tile(pdf, 2),
        np.concatenate([initial * part for part in parts]),
        np.tile(final, 2),
    )


@settings(max_examples=120, deadline=None)
@given(seed=st.integers(0, 10**6), copies=st.booleans(), leaky=st.sampled_from([0.0, 0.3]))
def test_sums_stay_and_copies_go(seed: int, copies: bool, leaky: float) -> None:
    graph = random_states(seed, copies)
    small = merged(graph)
    emissions = np.random.default_rng(seed).uniform(0.1, 2.0, (7, NUM_PDFS))
    for before, after in zip(sums(graph, emissions, leaky), sums(small, emissions, leaky), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-8, atol=1e-12)
    assert small.num_states <= merged(random_states(seed, False)).num_states
    assert merged(small).num_states == small.num_states


def chain(
    weights: tuple[float, float], pdfs: tuple[int, int], final: tuple[float, float] = (0.0, 0.0)
) -> WeightedStates:
    """Start -> one of two states -> the end; which of them is told by the weights on the way, the pdfs, the ends."""
    return WeightedStates(
        np.array([0, 0, 1, 2]),
        np.array([1, 2, 3, 3]),
        np.array([*weights, 1.0, 1.0]),
        np.array([0, *pdfs, 2]),
        np.array([1.0, 0.0, 0.0, 0.0]),
        np.array([0.0, *final, 1.0]),
    )


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (chain((0.5, 0.5), (1, 1)), 3),
        (chain((0.7, 0.3), (1, 1)), 3),  # the past need not be as probable
        (chain((0.5, 0.5), (1, 2)), 4),
        (chain((0.5, 0.5), (1, 1), (0.5, 0.5)), 3),
    ],
)
def test_what_makes_states_different(graph: WeightedStates, expected: int) -> None:
    assert merged(graph).num_states == expected


def test_the_same_past_is_enough() -> None:
    """Other ends, but both come from the start alone: one state, with the ends weighed by the shares."""
    graph = chain((0.6, 0.2), (1, 1), (0.5, 0.1))
    small = merged(graph)
    assert small.num_states == 3
    assert sorted(small.final) == pytest.approx([0.0, (0.6 * 0.5 + 0.2 * 0.1) / 0.8, 1.0])


def test_states_that_no_path_comes_to_are_dropped() -> None:
    graph = chain((0.5, 0.5), (1, 2))
    more = replace(
        graph,
        src=np.append(graph.src, [4, 4]),
        dst=np.append(graph.dst, [3, 4]),
        weight=np.append(graph.weight, [0.5, 0.5]),
        pdf=np.append(graph.pdf, 1),
        initial=np.append(graph.initial, 0.0),
        final=np.append(graph.final, 1.0),
    )
    assert merged(more).num_states == 4
