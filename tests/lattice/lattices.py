"""Small random lattices, and all their paths one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from asrkit.lattice.lattice import Lattice, LatticeScales, build_lattice


@dataclass(frozen=True)
class Path:
    """A complete path: its words, transition_ids, and unscaled costs."""

    words: tuple[int, ...]
    tids: tuple[int, ...]
    graph_cost: float
    acoustic_cost: float

    def cost(self, scales: LatticeScales) -> float:
        penalties = scales.word_insertion_penalty * len(self.words)
        return scales.graph_scale * self.graph_cost + scales.acoustic_scale * self.acoustic_cost + penalties


def all_paths(lattice: Lattice) -> Iterator[Path]:
    """Walk every complete path."""
    todo = [(0, Path((), (), 0.0, 0.0))]
    while todo:
        state, path = todo.pop()
        if lattice.is_final[state]:
            graph, acoustic = float(lattice.final_graph_costs[state]), float(lattice.final_acoustic_costs[state])
            yield Path(path.words, path.tids, path.graph_cost + graph, path.acoustic_cost + acoustic)
        for arc in range(lattice.offsets[state], lattice.offsets[state + 1]):
            word = int(lattice.words[arc])
            longer = Path(
                (*path.words, word) if word else path.words,
                (*path.tids, *lattice.arc_tids(arc).tolist()),
                path.graph_cost + float(lattice.graph_costs[arc]),
                path.acoustic_cost + float(lattice.acoustic_costs[arc]),
            )
            todo.append((int(lattice.destinations[arc]), longer))


def random_lattice(
    rng: np.random.Generator,
    num_frames: int = 5,
    states_a_frame: int = 2,
    num_words: int = 3,
    num_tids: int = 4,
    density: float = 0.6,
    word_rate: float = 0.5,
    longest_arc: int = 1,
    epsilon_rate: float = 0.3,
) -> Lattice:
    """Return a random lattice with at least one path; with ``longest_arc`` above 1 arcs span several frames."""
    states = [(frame, number) for frame in range(num_frames + 1) for number in range(states_a_frame if frame else 1)]
    index = {state: i for i, state in enumerate(states)}
    arcs = []
    for source in states:
        for span in range(longest_arc + 1):
            for target in states:
                if target[0] != source[0] + span or (span == 0 and target[1] <= source[1]):
                    continue
                backbone = span == 1 and source[1] == 0 and target[1] == 0
                while backbone or rng.random() < (density / span if span else epsilon_rate):
                    backbone = False
                    word = int(rng.integers(1, num_words + 1)) * int(rng.random() < word_rate)
                    tids = rng.integers(1, num_tids + 1, span).tolist()
                    arcs.append((index[source], index[target], word, rng.normal(1, 1), rng.normal(5, 5), tids))
                    if rng.random() < 0.7:
                        break
    finals = [frame == num_frames and (number == 0 or rng.random() < 0.5) for frame, number in states]
    costs = np.where(finals, rng.uniform(0, 2, len(states)), np.inf)
    order = rng.permutation(len(arcs))
    arcs = [arcs[i] for i in order]
    renamed = rng.permutation(len(states)).astype(np.int32)
    ends = np.empty((2, len(states)))
    ends[0, renamed], ends[1, renamed] = costs, np.where(finals, 0.25, np.inf)
    columns = list(zip(*arcs))
    return build_lattice(
        start=int(renamed[0]),
        sources=renamed[np.array(columns[0])],
        destinations=renamed[np.array(columns[1])],
        words=np.array(columns[2], dtype=np.int32),
        graph_costs=np.array(columns[3]),
        acoustic_costs=np.array(columns[4]),
        tid_offsets=np.cumsum([0, *map(len, columns[5])]).astype(np.int32),
        tids=np.array([tid for tids in columns[5] for tid in tids], dtype=np.int32),
        final_graph_costs=ends[0],
        final_acoustic_costs=ends[1],
    )
