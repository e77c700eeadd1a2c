from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import GraphError
from asrkit.graph.epsilons import remove_epsilons_locally
from asrkit.graph.fst import FstArrays, from_openfst, read_fst, to_openfst, write_fst
from tests.graph.languages import assert_same_weights, graph_paths

COLUMNS = ("final_cost", "arc_begin", "ilabel", "olabel", "cost", "dst")


def small() -> FstArrays:
    """Arcs given out of order; epsilons on either side; state 2 has no arcs."""
    return FstArrays.from_arcs(
        1, [0.5, np.inf, 2.0], [1, 0, 1, 0], [3, 0, 0, 4], [0, 5, 7, 0], [0.25, 1.5, 0.0, 3.0], [0, 2, 2, 1]
    )


def test_arcs_are_sorted_by_source() -> None:
    fst = small()
    assert fst.arc_begin.tolist() == [0, 2, 4, 4]
    assert fst.sources().tolist() == [0, 0, 1, 1]
    assert fst.ilabel.tolist() == [0, 4, 3, 0]
    assert (fst.num_states, fst.num_arcs) == (3, 4)


def test_openfst_reads_what_we_write(tmp_path: Path) -> None:
    import kaldifst

    write_fst(tmp_path / "a.fst", small())
    theirs = kaldifst.StdVectorFst(kaldifst.StdConstFst.read(str(tmp_path / "a.fst")))
    text = sorted(line.split() for line in theirs.to_str(show_weight_one=True).splitlines())
    assert [row for row in text if len(row) == 5] == [
        ["0", "1", "4", "0", "3"],
        ["0", "2", "0", "5", "1.5"],
        ["1", "0", "3", "0", "0.25"],
        ["1", "2", "0", "7", "0"],
    ]
    assert [row for row in text if len(row) == 2] == [["0", "0.5"], ["2", "2"]]
    assert theirs.start == 1


@pytest.mark.parametrize("kind", ["const", "vector"])
def test_we_read_what_openfst_writes(tmp_path: Path, kind: str) -> None:
    import kaldifst

    theirs = to_openfst(small())
    path = tmp_path / "a.fst"
    (theirs if kind == "vector" else kaldifst.StdConstFst(theirs)).write(str(path))
    ours = read_fst(path)
    assert_same_weights(graph_paths(ours, 4), graph_paths(small(), 4), 0.0 + 1e-6)


def test_round_trip_through_openfst_keeps_everything() -> None:
    fst = from_openfst(to_openfst(small()))
    again = from_openfst(to_openfst(fst))
    assert fst.start == again.start == 1
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(fst, name), getattr(again, name))


def test_const_bytes_are_those_of_openfst(tmp_path: Path) -> None:
    """All of the file but the properties, which OpenFst may leave unsaid."""
    import kaldifst

    fst = from_openfst(to_openfst(small()))
    write_fst(tmp_path / "ours", fst)
    kaldifst.StdConstFst(to_openfst(fst)).write(str(tmp_path / "theirs"))
    ours, theirs = (tmp_path / "ours").read_bytes(), (tmp_path / "theirs").read_bytes()
    properties = slice(4 + 4 + 5 + 4 + 8 + 8, 4 + 4 + 5 + 4 + 8 + 16)
    assert ours[: properties.start] == theirs[: properties.start]
    assert ours[properties.stop :] == theirs[properties.stop :]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    write_fst(tmp_path / "a.fst", small())
    data = (tmp_path / "a.fst").read_bytes()
    (tmp_path / "b.fst").write_bytes(data[:-3])
    with pytest.raises(GraphError, match=r"b\.fst"):
        read_fst(tmp_path / "b.fst")


@st.composite
def transducers(draw: st.DrawFn) -> FstArrays:
    num_states = draw(st.integers(2, 6))
    arcs = draw(
        st.lists(
            st.tuples(
                st.integers(0, num_states - 1),
                st.sampled_from([0, 0, 1, 2]),
                st.sampled_from([0, 0, 3]),
                st.integers(0, 8),
                st.integers(0, num_states - 1),
            ),
            min_size=1,
            max_size=10,
        )
    )
    # Forward only, so that enumeration ends: epsilon cycles are tried separately.
    arcs = [(min(a, e), b, c, d, max(a, e)) for a, b, c, d, e in arcs if a != e] or [(0, 1, 0, 1, 1)]
    final = draw(st.lists(st.sampled_from([np.inf, 0.0, 2.0]), min_size=num_states, max_size=num_states))
    src, ilabel, olabel, cost, dst = zip(*arcs)
    return FstArrays.from_arcs(0, final, src, ilabel, olabel, cost, dst)


@given(transducers())
@settings(max_examples=150, deadline=None)
def test_local_epsilon_removal_keeps_paths_and_adds_no_arc(fst: FstArrays) -> None:
    smaller = remove_epsilons_locally(fst)
    assert_same_weights(graph_paths(smaller, 6), graph_paths(fst, 6), 1e-5) if graph_paths(fst, 6) else None
    assert set(graph_paths(smaller, 6)) == set(graph_paths(fst, 6))
    assert smaller.num_arcs <= fst.num_arcs


def test_local_epsilon_removal_joins_a_chain_into_one_arc() -> None:
    chain = FstArrays.from_arcs(
        0, [np.inf] * 4 + [1.0], range(4), [0, 7, 0, 0], [0, 0, 9, 0], [1, 2, 3, 4], range(1, 5)
    )
    smaller = remove_epsilons_locally(chain)
    assert graph_paths(smaller, 2) == {((7,), (9,)): 11.0}
    begin = smaller.arc_begin
    assert begin[1] - begin[0] == 1
    assert (smaller.ilabel[0], smaller.olabel[0]) == (7, 9)


def test_local_epsilon_removal_survives_epsilon_cycles() -> None:
    cycle = FstArrays.from_arcs(0, [np.inf, np.inf, 0.0], [0, 1, 1], [0, 0, 5], [0, 0, 0], [1, 1, 1], [1, 0, 2])
    looping = FstArrays.from_arcs(0, [np.inf] * 3, [0, 1, 2], [0, 0, 0], [0, 0, 0], [1, 1, 1], [1, 2, 1])
    assert graph_paths(remove_epsilons_locally(cycle), 1) == graph_paths(cycle, 1)
    assert graph_paths(remove_epsilons_locally(looping), 1) == {}
