"""The graph of emitting arcs: what it accepts, what it refuses, and its shortest path."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest

from asrkit.core.errors import GraphError
from asrkit.hmm.state_graph import StateGraph

ARCS = [(1, 2, 5, -0.5), (0, 1, 4, -1.0), (1, 1, 6, -0.25), (0, 0, 3, -2.0), (2, 1, 7, -3.0)]


def _graph() -> StateGraph:
    return StateGraph.from_arcs(4, ARCS, initial=[(0, -0.1), (1, -2.0)], final=[(2, -0.7)])


def test_from_arcs_sorts_by_source_and_keeps_each_arc_whole() -> None:
    graph = _graph()
    rows = list(
        zip(graph.arc_src.tolist(), graph.arc_dst.tolist(), graph.arc_label.tolist(), graph.arc_logprob.tolist())
    )
    assert rows == [ARCS[1], ARCS[3], ARCS[0], ARCS[2], ARCS[4]]
    assert graph.arc_begin.tolist() == [0, 2, 4, 5, 5]
    assert graph.num_arcs == 5
    np.testing.assert_array_equal(graph.initial_logprob, np.array([-0.1, -2.0, -np.inf, -np.inf], dtype=np.float32))


def test_a_graph_survives_pickling_between_processes() -> None:
    graph = _graph()
    copy = pickle.loads(pickle.dumps(graph))
    for field in dataclasses.fields(StateGraph):
        np.testing.assert_array_equal(getattr(graph, field.name), getattr(copy, field.name))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_states": 0}, "0 states"),
        ({"arc_src": np.array([0, 1, 0, 1, 2], dtype=np.int32)}, "not sorted"),
        ({"arc_src": np.array([0, 0, 1, 1, 4], dtype=np.int32)}, "arc_src holds states 0 to 4, expected 0 to 3"),
        ({"arc_dst": np.array([0, 0, 1, 1, -1], dtype=np.int32)}, "arc_dst holds states -1"),
        ({"arc_label": np.array([1, 2, 3, 0, 1], dtype=np.int32)}, "1-based"),
        ({"arc_label": np.array([1, 2, 3, 1, 1])}, "int64"),
        ({"arc_dst": np.zeros(10, dtype=np.int32)[::2]}, "C-contiguous"),
        ({"arc_dst": [0, 0, 0, 0, 0]}, "list"),
        ({"arc_logprob": np.zeros(4, dtype=np.float32)}, "shape"),
        ({"arc_logprob": np.array([0, 0, np.nan, 0, 0], dtype=np.float32)}, "NaN"),
        ({"final_logprob": np.full(4, np.inf, dtype=np.float32)}, "inf"),
        ({"initial_logprob": np.zeros(3, dtype=np.float32)}, "initial_logprob"),
    ],
)
def test_a_malformed_graph_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        dataclasses.replace(_graph(), **change)  # type: ignore[arg-type]


def test_an_end_outside_the_graph_is_refused() -> None:
    with pytest.raises(GraphError, match="state 4"):
        StateGraph.from_arcs(4, ARCS, final=[(4, 0.0)])


def test_minus_infinity_and_an_empty_set_of_arcs_are_values() -> None:
    assert StateGraph.from_arcs(1, [], final=[(0, 0.0)]).min_num_frames() == 0
    assert StateGraph.from_arcs(2, [(0, 1, 1, -np.inf)], final=[(1, 0.0)]).min_num_frames() is None


def test_the_shortest_path_is_counted_in_frames() -> None:
    assert _graph().min_num_frames() == 1  # state 1 is initial too
    assert (
        dataclasses.replace(_graph(), initial_logprob=StateGraph.from_arcs(4, []).initial_logprob).min_num_frames() == 2
    )
    chain = StateGraph.from_arcs(6, [(s, s + 1, 1, 0.0) for s in range(5)] + [(0, 3, 2, -9.0)], final=[(5, 0.0)])
    assert chain.min_num_frames() == 3
