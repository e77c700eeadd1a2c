"""OpenFst files as arrays: against kaldifst's own iterators, and damaged in every way."""

from __future__ import annotations

import struct
from pathlib import Path

import kaldifst
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import GraphError
from asrkit.graph.arrays import GraphArrays, from_fst, load_graph

# Arcs not in the order of their input labels, a state without arcs, ilabels != olabels.
TEXT = "0 2 3 7 0.5\n0 1 0 2 0.25\n0 0 1 0 1\n2 1 4 0\n2 3 0 9 -1.5\n1 0.125\n3 2\n"


def arcs_by_kaldifst(fst: kaldifst.StdVectorFst) -> list[list[tuple[int, int, float, int]]]:
    """Arcs of each state, epsilon arcs first, as tuples (ilabel, olabel, cost, destination)."""
    states = []
    for state in range(fst.num_states):
        arcs = [(a.ilabel, a.olabel, a.weight.value, a.nextstate) for a in kaldifst.ArcIterator(fst, state)]
        states.append(sorted(arcs, key=lambda arc: arc[0] != 0))
    return states


def arcs_by_arrays(graph: GraphArrays) -> list[list[tuple[int, int, float, int]]]:
    rows = list(
        zip(
            graph.ilabels.tolist(),
            graph.olabels.tolist(),
            graph.costs.tolist(),
            graph.destinations.tolist(),
        )
    )
    states = []
    for state in range(graph.num_states):
        first, emitting = graph.offsets[state]
        last = graph.offsets[state + 1, 0]
        assert all(rows[arc][0] == 0 for arc in range(first, emitting))
        assert all(rows[arc][0] > 0 for arc in range(emitting, last))
        assert (graph.sources[first:last] == state).all()
        states.append(rows[first:last])
    return states


def write(fst: kaldifst.StdVectorFst, path: Path, kind: str) -> Path:
    assert (kaldifst.StdConstFst(fst) if kind == "const" else fst).write(str(path))
    return path


@pytest.mark.parametrize("kind", ["const", "vector"])
def test_arrays_hold_what_kaldifst_holds(tmp_path: Path, kind: str) -> None:
    fst = kaldifst.compile(TEXT)
    graph = load_graph(write(fst, tmp_path / "g.fst", kind))
    assert graph.start == 0
    assert graph.num_states == 4
    assert graph.num_arcs == 5
    assert arcs_by_arrays(graph) == arcs_by_kaldifst(fst)
    assert graph.final_cost.dtype == np.float32
    assert graph.final_cost.tolist() == [fst.final(s).value for s in range(4)]
    assert np.isinf(graph.final_cost).sum() == 2


def test_a_sorted_const_graph_is_used_in_place(tmp_path: Path) -> None:
    fst = kaldifst.compile(TEXT)
    kaldifst.arcsort(fst, sort_type="ilabel")
    graph = load_graph(write(fst, tmp_path / "g.fst", "const"))
    assert not graph.arcs.flags.owndata
    assert not graph.arcs.flags.writeable
    assert arcs_by_arrays(graph) == arcs_by_kaldifst(fst)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.data())
def test_random_graphs_survive_the_three_ways_in(num_states: int, data: st.DataObject) -> None:
    state = st.integers(0, num_states - 1)
    arc = st.tuples(state, state, st.integers(0, 3), st.integers(0, 5), st.floats(-4, 4, width=32))
    fst = kaldifst.StdVectorFst()
    for _ in range(num_states):
        fst.add_state()
    fst.start = data.draw(state)
    for source, destination, ilabel, olabel, cost in data.draw(st.lists(arc, max_size=12)):
        fst.add_arc(source, kaldifst.StdArc(ilabel, olabel, cost, destination))
    fst.set_final(data.draw(state), 0.75)
    graphs = [from_fst(fst), from_fst(kaldifst.StdConstFst(fst))]
    for graph in graphs:
        assert graph.start == fst.start
        assert arcs_by_arrays(graph) == arcs_by_kaldifst(fst)
        assert graph.final_cost.tolist() == [fst.final(s).value for s in range(num_states)]


@pytest.mark.parametrize("kind", ["const", "vector"])
def test_symbol_tables_inside_the_file_are_stepped_over(tmp_path: Path, kind: str) -> None:
    symbols = kaldifst.SymbolTable("words")
    for word in ("<eps>", "zero", "größe"):
        symbols.add_symbol(word)
    fst = kaldifst.compile("0 1 1 2 0.5\n1 0.25\n")
    fst.input_symbols = symbols
    fst.output_symbols = symbols
    graph = load_graph(write(fst, tmp_path / "g.fst", kind))
    assert arcs_by_arrays(graph) == [[(1, 2, 0.5, 1)], []]


def test_an_aligned_const_file_is_read(tmp_path: Path) -> None:
    plain = write(kaldifst.compile(TEXT), tmp_path / "plain.fst", "const").read_bytes()
    header, states, arcs = plain[: -5 * 16 - 4 * 20], plain[-5 * 16 - 4 * 20 : -5 * 16], plain[-5 * 16 :]
    flags_at = 4 + 4 + 5 + 4 + 8 + 4
    header = header[:flags_at] + struct.pack("<i", 4) + header[flags_at + 4 :]
    aligned = header + bytes(-len(header) % 16) + states
    aligned += bytes(-len(aligned) % 16) + arcs
    (tmp_path / "aligned.fst").write_bytes(aligned)
    one, other = load_graph(tmp_path / "plain.fst"), load_graph(tmp_path / "aligned.fst")
    assert arcs_by_arrays(one) == arcs_by_arrays(other)
    assert len(aligned) != len(plain)


@pytest.mark.parametrize("kind", ["const", "vector"])
def test_a_file_cut_off_anywhere_is_a_graph_error(tmp_path: Path, kind: str) -> None:
    whole = write(kaldifst.compile(TEXT), tmp_path / "g.fst", kind).read_bytes()
    for length in range(len(whole)):
        (tmp_path / "cut.fst").write_bytes(whole[:length])
        with pytest.raises(GraphError):
            load_graph(tmp_path / "cut.fst")


# What is written over the file, where (from the end, or from the start), and what the error says. The const file
# ends with five arcs of 16 bytes: ilabel, olabel, cost, destination.
@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, struct.pack("<i", 7), "not an OpenFst binary file"),
        (8, b"cOnst", "FST type is 'cOnst'"),
        (17, b"logarith", "arc type is 'logarith'"),
        (41, struct.pack("<q", -1), "start state is -1, expected 0 to 3"),
        (49, struct.pack("<q", 0), "the graph has no states"),
        (49, struct.pack("<q", -5), "the graph has no states"),
        (49, struct.pack("<q", 1 << 60), "the file ends before the graph does"),
        (-4, struct.pack("<i", 4), "an arc of state 1 has destination state 4"),
        (-20, struct.pack("<i", -1), "an arc of state 1 has destination state -1"),
        (-16, struct.pack("<i", -3), "an arc of state 1 has input label -3"),
        (-12, struct.pack("<i", -3), "an arc of state 1 has output label -3"),
        (-72, struct.pack("<f", float("nan")), "an arc of state 0 has cost nan"),
        (-72, struct.pack("<f", float("-inf")), "an arc of state 0 has cost -inf"),
        (-80 - 20, struct.pack("<f", float("nan")), "state 3 has final cost nan"),
        (-80 - 80 + 8, struct.pack("<I", 2), "do not fill the arc table"),
    ],
)
def test_damage_is_named(tmp_path: Path, at: int, value: bytes, message: str) -> None:
    damaged = bytearray(write(kaldifst.compile(TEXT), tmp_path / "g.fst", "const").read_bytes())
    at = at if at >= 0 else len(damaged) + at
    damaged[at : at + len(value)] = value
    path = tmp_path / "damaged.fst"
    path.write_bytes(damaged)
    with pytest.raises(GraphError, match="damaged.fst") as caught:
        load_graph(path)
    assert message in str(caught.value)


def test_absent_empty_and_folder(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="no such graph file"):
        load_graph(tmp_path / "none.fst")
    (tmp_path / "empty.fst").write_bytes(b"")
    with pytest.raises(GraphError, match="not a readable graph file"):
        load_graph(tmp_path / "empty.fst")
    with pytest.raises(GraphError, match="not a readable graph file"):
        load_graph(tmp_path)
    with pytest.raises(GraphError, match="no states"):
        from_fst(kaldifst.StdVectorFst())
