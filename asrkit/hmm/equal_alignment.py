"""Equal alignment: the flat start, which spreads the frames of an utterance evenly over the states of one path."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from asrkit.hmm.state_graph import StateGraph

MAX_TRIES = 10


def equal_alignment(graph: StateGraph, num_frames: int, stream: np.random.Generator) -> NDArray[np.int32] | None:
    """Return the arcs (num_frames,) of a path whose states share the frames equally, or None if none is short enough.

    A random path without self-loops is drawn (again, up to ten times, while it is longer than the utterance, and then
    the shortest one is taken); the frames left over are spread evenly over the self-loops of its states, as Kaldi's
    align-equal-compiled does.
    """
    for attempt in range(MAX_TRIES + 1):
        path = _random_path(graph, num_frames, stream) if attempt < MAX_TRIES else _shortest_path(graph)
        if path is not None and len(path) <= num_frames:
            stretched = _stretch(graph, path, num_frames)
            if stretched is not None:
                return stretched
    return None


def _shortest_path(graph: StateGraph) -> list[int] | None:
    """Return the arcs of a path with the fewest arcs (breadth first), None if no final state can be reached."""
    arriving: dict[int, int | None] = {int(state): None for state in np.flatnonzero(graph.initial_logprob > -np.inf)}
    queue = deque(arriving)
    while queue:
        state = queue.popleft()
        if graph.final_logprob[state] > -np.inf:
            path: list[int] = []
            arc = arriving[state]
            while arc is not None:
                path.append(arc)
                arc = arriving[int(graph.arc_src[arc])]
            return path[::-1]
        for arc in range(graph.arc_begin[state], graph.arc_begin[state + 1]):
            if int(graph.arc_dst[arc]) not in arriving:
                arriving[int(graph.arc_dst[arc])] = arc
                queue.append(int(graph.arc_dst[arc]))
    return None


def _random_path(graph: StateGraph, num_frames: int, stream: np.random.Generator) -> list[int] | None:
    starts = np.flatnonzero(graph.initial_logprob > -np.inf)
    state = int(starts[stream.integers(len(starts))])
    path: list[int] = []
    while True:
        arcs = range(graph.arc_begin[state], graph.arc_begin[state + 1])
        choices = [arc for arc in arcs if graph.arc_dst[arc] != state]
        may_end = bool(graph.final_logprob[state] > -np.inf)
        if not choices and not may_end:
            return None
        choice = int(stream.integers(len(choices) + may_end))
        if choice == len(choices):
            return path
        path.append(choices[choice])
        if len(path) > num_frames:
            return None
        state = int(graph.arc_dst[choices[choice]])


def _stretch(graph: StateGraph, path: list[int], num_frames: int) -> NDArray[np.int32] | None:
    loops = [_self_loop(graph, int(graph.arc_dst[arc])) for arc in path]
    extra = num_frames - len(path)
    places = [i for i, loop in enumerate(loops) if loop is not None]
    if extra and not places:
        return None
    share = np.zeros(len(path), dtype=np.int64)
    if extra:
        share[places] = np.diff(np.linspace(0, extra, len(places) + 1).astype(np.int64))
    arcs: list[int] = []
    for arc, loop, count in zip(path, loops, share.tolist(), strict=True):
        arcs.append(arc)
        arcs.extend([loop] * count if loop is not None else [])
    return np.array(arcs, dtype=np.int32)


def _self_loop(graph: StateGraph, state: int) -> int | None:
    for arc in range(graph.arc_begin[state], graph.arc_begin[state + 1]):
        if graph.arc_dst[arc] == state:
            return arc
    return None
