"""Small random graphs, and two slow searches that know nothing of the fast one."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import kaldifst
import numpy as np
from numpy.typing import NDArray

from asrkit.graph.arrays import GraphArrays, from_fst

Arc = tuple[int, int, int, int, float]


@dataclass(frozen=True)
class TinyGraph:
    """A graph as a list of arcs ``(source, destination, ilabel, olabel, cost)``; the start state is 0."""

    num_states: int
    arcs: tuple[Arc, ...]
    final_cost: tuple[float, ...]

    def fst(self) -> kaldifst.StdVectorFst:
        fst = kaldifst.StdVectorFst()
        for _ in range(self.num_states):
            fst.add_state()
        fst.start = 0
        for source, destination, ilabel, olabel, cost in self.arcs:
            fst.add_arc(source, kaldifst.StdArc(ilabel, olabel, cost, destination))
        for state, cost in enumerate(self.final_cost):
            if cost < math.inf:
                fst.set_final(state, cost)
        return fst

    def arrays(self) -> GraphArrays:
        return from_fst(self.fst())


def random_tiny(
    rng: np.random.Generator,
    num_states: int = 5,
    num_arcs: int = 9,
    num_labels: int = 4,
    num_epsilons: int = 4,
    epsilon_cycles: bool = False,
    lowest_epsilon_cost: float = -1.5,
) -> TinyGraph:
    """Return a random graph. Without ``epsilon_cycles`` its epsilon arcs go to higher states only; with them
    their costs must not be negative."""
    arcs: list[Arc] = []
    for _ in range(num_arcs):
        source, destination = rng.integers(0, num_states, 2).tolist()
        olabel = int(rng.integers(1, 8)) * int(rng.random() < 0.4)
        arcs.append(
            (source, destination, int(rng.integers(1, num_labels + 1)), olabel, float(np.float32(rng.normal(1, 1))))
        )
    for _ in range(num_epsilons):
        source, destination = sorted(rng.choice(num_states, 2, replace=False).tolist())
        if epsilon_cycles and rng.random() < 0.5:
            source, destination = destination, source
        cost = float(np.float32(rng.uniform(lowest_epsilon_cost, 2)))
        arcs.append((source, destination, 0, int(rng.integers(1, 8)) * int(rng.random() < 0.5), cost))
    final = [float(np.float32(rng.uniform(0, 2))) if rng.random() < 0.5 else math.inf for _ in range(num_states)]
    order = rng.permutation(len(arcs))
    return TinyGraph(num_states, tuple(arcs[i] for i in order), tuple(final))


def random_loglikes(
    rng: np.random.Generator, num_frames: int, num_pdfs: int, scale: float = 2.0
) -> NDArray[np.float32]:
    return (scale * rng.normal(size=(num_frames, num_pdfs))).astype(np.float32)


@dataclass(frozen=True)
class Path:
    """A path's cost, output labels, input labels, and whether it ends in a final state."""

    cost: float
    words: tuple[int, ...]
    labels: tuple[int, ...]
    final: bool


def enumerate_paths(
    graph: TinyGraph, loglikes: NDArray[np.float32], tid_to_pdf: NDArray[np.int32], scale: float, penalty: float
) -> list[Path]:
    """Return all possible paths of a graph without epsilon cycles, into any state and, once more, into final ones."""
    paths: list[Path] = []
    by_source: dict[int, list[Arc]] = {}
    for arc in graph.arcs:
        by_source.setdefault(arc[0], []).append(arc)

    def walk(state: int, frame: int, cost: float, words: tuple[int, ...], labels: tuple[int, ...]) -> None:
        if frame == len(loglikes):
            paths.append(Path(cost, words, labels, False))
            if graph.final_cost[state] < math.inf:
                paths.append(Path(cost + graph.final_cost[state], words, labels, True))
        for _, destination, ilabel, olabel, weight in by_source.get(state, []):
            more = cost + weight + (penalty if olabel else 0.0)
            said = (*words, olabel) if olabel else words
            if ilabel == 0:
                walk(destination, frame, more, said, labels)
            elif frame < len(loglikes):
                acoustic = -scale * float(loglikes[frame, tid_to_pdf[ilabel]])
                walk(destination, frame + 1, more + acoustic, said, (*labels, ilabel))

    walk(0, 0, 0.0, (), ())

    return [path for path in paths if path.cost < math.inf]


def best_cost_by_dense_viterbi(
    graph: TinyGraph, loglikes: NDArray[np.float32], tid_to_pdf: NDArray[np.int32], scale: float, penalty: float
) -> tuple[float, float]:
    """Return the least cost of a path into a final state and into any state; epsilon cycles of cost >= 0 may stand."""
    num_states = graph.num_states
    closure = np.full((num_states, num_states), np.inf)
    np.fill_diagonal(closure, 0.0)
    for source, destination, ilabel, olabel, cost in graph.arcs:
        if ilabel == 0:
            cost += penalty if olabel else 0.0
            closure[source, destination] = min(closure[source, destination], cost)
    # Floyd-Warshall.
    for middle, source, destination in itertools.product(range(num_states), repeat=3):
        through = closure[source, middle] + closure[middle, destination]
        closure[source, destination] = min(closure[source, destination], through)
    alpha = closure[0].copy()
    for row in loglikes.astype(np.float64):
        after = np.full(num_states, np.inf)
        for source, destination, ilabel, olabel, cost in graph.arcs:
            if ilabel:
                cost += (penalty if olabel else 0.0) - scale * row[tid_to_pdf[ilabel]]
                after[destination] = min(after[destination], alpha[source] + cost)
        alpha = (after[:, None] + closure).min(axis=0)
    return float((alpha + np.array(graph.final_cost)).min()), float(alpha.min())
