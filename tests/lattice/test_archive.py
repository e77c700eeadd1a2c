"""Lattice archives: against OpenFst's own reader and writer where it has the arc type, and against Kaldi's layout."""

from __future__ import annotations

import contextlib
import gzip
import struct
from dataclasses import replace
from pathlib import Path

import kaldifst
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import AsrkitError, FormatError
from asrkit.lattice.archive import LatticeReader, LatticeWriter, holds_lattices, read_lattices
from asrkit.lattice.binary import encode_binary
from asrkit.lattice.lattice import Lattice
from asrkit.lattice.raw_form import raw_form
from asrkit.lattice.text_form import encode_text
from tests.lattice.lattices import all_paths, random_lattice

INF = float("inf")


def compact_state(final: tuple[float, float, list[int]], arcs: list[tuple[int, float, float, list[int], int]]) -> bytes:
    """Return a state of a CompactLattice as fstext/lattice-weight.h and OpenFst's vector-fst.h write it, by hand."""
    graph, acoustic, string = final
    body = struct.pack(f"<ffi{len(string)}iq", graph, acoustic, len(string), *string, len(arcs))
    for word, graph, acoustic, string, destination in arcs:
        body += struct.pack(f"<iiffi{len(string)}ii", word, word, graph, acoustic, len(string), *string, destination)
    return body


def header(arc_type: bytes, num_states: int, properties: int = 3) -> bytes:
    names = struct.pack("<i6s", 6, b"vector") + struct.pack("<i", len(arc_type)) + arc_type
    return b"\xd6\xfd\xb2\x7e" + names + struct.pack("<iiQqqq", 2, 0, properties, 0, num_states, 0)


NONE = (INF, INF, [])
BY_HAND = (
    header(b"compactlattice44", 3)
    + compact_state(NONE, [(7, 0.5, 12.25, [3, 3, 4], 1), (0, 1.5, -2.0, [3, 5, 6], 2)])
    + compact_state((0.25, 1.0, [9]), [])
    + compact_state((0.0, 0.0, [8]), [])
)
"""Kaldi's layout, made with struct from its sources (kaldi-lattice.cc, lattice-weight.h; OpenFst vector-fst.h)."""


def assert_same(ours: Lattice, theirs: Lattice) -> None:
    for name in Lattice.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)


def narrowed(lattice: Lattice) -> Lattice:
    """Return the lattice with the float32 costs that an archive holds."""
    names = [name for name in Lattice.__dataclass_fields__ if "cost" in name]
    return replace(lattice, **{name: getattr(lattice, name).astype(np.float32).astype(np.float64) for name in names})


def sample(seed: int, longest_arc: int = 3) -> Lattice:
    return narrowed(random_lattice(np.random.default_rng(seed), longest_arc=longest_arc))


def archive(folder: Path, lattices: dict[str, Lattice], compact: bool = True, text: bool = False) -> Path:
    with LatticeWriter(folder, "lat", compact, text) as writer:
        for key, lattice in lattices.items():
            writer.write(key, lattice)
    return folder / "lat.ark"


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("compact", [False, True])
def test_what_is_written_is_read_from_scp_and_archive(tmp_path: Path, compact: bool, text: bool) -> None:
    lattices = {f"utt-{seed}": sample(seed) for seed in range(30)}
    ark = archive(tmp_path, lattices, compact, text)
    expected = {key: lattice if compact else raw_form(lattice) for key, lattice in lattices.items()}
    reader = LatticeReader(tmp_path / "lat.scp")
    assert list(reader) == list(lattices)
    for key in reversed(list(reader)):
        assert_same(reader[key], expected[key])
    found = list(read_lattices(ark))
    assert [key for key, _ in found] == list(lattices)
    for key, lattice in found:
        assert_same(lattice, expected[key])


def test_the_raw_form_has_the_same_paths() -> None:
    lattice = sample(3)
    raw = raw_form(lattice)
    assert lattice.num_tids.max() > 1 >= raw.num_tids.max()
    ours, theirs = ({(p.words, p.tids): p for p in all_paths(one)} for one in (raw, lattice))
    assert ours.keys() == theirs.keys()
    for key, path in ours.items():
        assert path.graph_cost == pytest.approx(theirs[key].graph_cost)
        assert path.acoustic_cost == pytest.approx(theirs[key].acoustic_cost)
    assert raw_form(raw) is raw


def openfst_lattice(path: Path, data: bytes) -> kaldifst.Lattice:
    path.write_bytes(data)
    return kaldifst.Lattice.read(str(path))


def test_openfst_reads_our_raw_lattices_and_prints_them_as_we_do(tmp_path: Path) -> None:
    for seed in range(10):
        lattice = raw_form(sample(seed))
        fst = openfst_lattice(tmp_path / "l.fst", encode_binary(lattice, compact=False))
        printed = [line.split("\t") for line in fst.to_str(fst_field_separator="\t").splitlines()]
        ours = [line.split("\t") for line in encode_text(lattice, compact=False)]
        assert len(printed) == len(ours)
        for theirs, mine in zip(printed, ours):
            assert [f"{float(x):.6g}" for f in mine for x in f.split(",")] == [x for f in theirs for x in f.split(",")]


def test_openfst_finds_the_properties_that_we_claim(tmp_path: Path) -> None:
    def bits(data: bytes) -> int:
        return int(struct.unpack_from("<Q", data, data.index(b"lattice4") + 16)[0])

    ours = encode_binary(raw_form(sample(1)), compact=False)
    fst = openfst_lattice(tmp_path / "l.fst", ours.replace(struct.pack("<Q", bits(ours)), struct.pack("<Q", 3), 1))
    assert fst.properties(0xFFFF_FFFF_FFFF, True) & bits(ours) == bits(ours)
    assert fst.properties(0xFFFF_FFFF_FFFF, False) & 0x800_0000_0000 == 0  # not: "some state on no complete path"


def test_we_read_what_openfst_writes(tmp_path: Path) -> None:
    fst = kaldifst.Lattice()
    for _ in range(4):
        fst.add_state()
    fst.start = 2
    fst.add_arc(2, kaldifst.LatticeArc(3, 7, kaldifst.LatticeWeight(1.25, 2.5), 0))
    fst.add_arc(0, kaldifst.LatticeArc(0, 0, kaldifst.LatticeWeight(0.5, -4), 3))
    fst.add_arc(2, kaldifst.LatticeArc(5, 0, kaldifst.LatticeWeight(0, 1), 1))
    fst.set_final(3, kaldifst.LatticeWeight(0.5, 1.5))
    assert fst.write(str(tmp_path / "l.fst"))
    (tmp_path / "l.ark").write_bytes(b"utt " + (tmp_path / "l.fst").read_bytes())
    ((key, lattice),) = read_lattices(tmp_path / "l.ark")
    (path,) = all_paths(lattice)
    assert (key, path.words, path.tids, path.graph_cost, path.acoustic_cost) == ("utt", (7,), (3,), 2.25, 0.0)


def test_our_compact_bytes_are_those_of_kaldi() -> None:
    lattice = narrowed(random_lattice(np.random.default_rng(5), num_frames=3, longest_arc=2))
    ours = encode_binary(lattice)
    at = ours.index(b"compactlattice44") + 16
    (properties,) = struct.unpack_from("<Q", ours, at + 8)
    expected = header(b"compactlattice44", lattice.num_states, properties)
    for state in range(lattice.num_states):
        arcs = [
            (lattice.words[a], lattice.graph_costs[a], lattice.acoustic_costs[a], lattice.arc_tids(a).tolist(),
             lattice.destinations[a])
            for a in range(lattice.offsets[state], lattice.offsets[state + 1])
        ]  # fmt: skip
        ends = (lattice.final_graph_costs[state], lattice.final_acoustic_costs[state], [])
        expected += compact_state(ends, arcs)
    assert ours == expected


def test_final_strings_become_arcs_to_final_states_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "a.ark").write_bytes(b"u " + BY_HAND)
    ((_, lattice),) = read_lattices(tmp_path / "a.ark")
    assert {(p.words, p.tids, p.graph_cost, p.acoustic_cost) for p in all_paths(lattice)} == {
        ((7,), (3, 3, 4, 9), 0.75, 13.25),
        ((), (3, 5, 6, 8), 1.5, -2.0),
    }
    assert (lattice.num_states, lattice.num_arcs, lattice.num_frames) == (5, 4, 4)


KALDI_TEXT = """u1 \n0\t1\t7\t0.5,12.25,3_3_4\n0\t2\t0\t1.5,-2,3_5_6\n1\t0.25,1,9\n2\t0,0,8\n
u2 \n0 1 3\n1\n
u3 \n0 3 4 0 1,2\n3 5 0 7\n5 0.5,0.25\n
"""


def test_text_as_kaldi_prints_it(tmp_path: Path) -> None:
    (tmp_path / "a.ark").write_text(KALDI_TEXT)
    (tmp_path / "b.ark").write_bytes(b"u1 " + BY_HAND)
    found = dict(read_lattices(tmp_path / "a.ark"))
    assert_same(found["u1"], next(read_lattices(tmp_path / "b.ark"))[1])
    paths = {key: list(all_paths(lattice)) for key, lattice in found.items()}
    assert [(p.words, p.tids, p.graph_cost) for p in paths["u2"]] == [((3,), (), 0.0)]
    assert [(p.words, p.tids, p.graph_cost, p.acoustic_cost) for p in paths["u3"]] == [((7,), (4,), 1.5, 2.25)]


def test_a_signalling_nan_is_refused_like_any_other(tmp_path: Path) -> None:
    one = struct.pack("<ffiq", INF, INF, 0, 1) + struct.pack("<iiIfiii", 2, 2, 0x7FA00000, 1.0, 1, 6, 1)
    data = b"u " + header(b"compactlattice44", 2) + one + struct.pack("<ffiq", 0.0, 0.0, 0, 0)
    (tmp_path / "lat.ark").write_bytes(data)
    with pytest.raises(FormatError, match="cost"):
        list(read_lattices(tmp_path / "lat.ark"))


def test_double_precision_and_gzip_are_read(tmp_path: Path) -> None:
    one = struct.pack("<ddiq", INF, INF, 0, 1) + struct.pack("<iiddiii", 2, 2, 1e-9, 1e9, 1, 6, 1)
    data = b"u " + header(b"compactlattice84", 2) + one + struct.pack("<ddiq", 0.0, 0.0, 0, 0)
    with gzip.open(tmp_path / "lat.1.gz", "wb") as handle:
        handle.write(data * 3)
    found = list(read_lattices(tmp_path / "lat.1.gz"))
    assert [key for key, _ in found] == ["u"] * 3
    assert found[2][1].acoustic_costs.tolist() == [1e9]
    (tmp_path / "cut.gz").write_bytes((tmp_path / "lat.1.gz").read_bytes()[:-9])
    with pytest.raises(FormatError, match="cannot read"):
        list(read_lattices(tmp_path / "cut.gz"))


@pytest.mark.parametrize("text", [False, True])
def test_damage_is_told_with_file_and_utterance(tmp_path: Path, text: bool) -> None:
    ark = archive(tmp_path, {"first": sample(1), "second": sample(2)}, text=text)
    whole = ark.read_bytes()
    ark.write_bytes(whole[:-20])
    with pytest.raises(FormatError, match="lat.ark: second: "):
        list(read_lattices(ark))
    with pytest.raises(FormatError, match="lat.ark: second: "):
        LatticeReader(tmp_path / "lat.scp")["second"]
    ark.write_bytes(b"")
    with pytest.raises(FormatError, match="cannot read"):
        LatticeReader(tmp_path / "lat.scp")["first"]


@pytest.mark.parametrize("text", [False, True])
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damaged_archives_raise_our_errors_only(
    tmp_path_factory: pytest.TempPathFactory, text: bool, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    ark = archive(folder, {"a": sample(1), "b": sample(2)}, compact=data.draw(st.booleans()), text=text)
    damaged = bytearray(ark.read_bytes()[: data.draw(st.one_of(st.none(), st.integers(1, 2000)))])
    values = st.sampled_from([0, 1, 9, 10, 32, 44, 45, 48, 57, 95, 127, 128, 255])
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(damaged) - 1), values), max_size=4)):
        damaged[at] = value
    ark.write_bytes(damaged)
    reader = LatticeReader(folder / "lat.scp")
    for attempt in (lambda: list(read_lattices(ark)), lambda: reader["a"], lambda: reader["b"]):
        with contextlib.suppress(AsrkitError):
            attempt()
    holds_lattices(bytes(damaged[:200]))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("0 1 3 4 5 6\n", "6 fields"),
        ("0 1 3 1,2,3\n1 1,2\n", "other kind"),
        ("0 1 3 1,2\n1\n", "other kind"),
        ("0 -1 3 1,2,3\n", "no state"),
        ("0 1 3 1,x,3\n1\n", "no cost"),
        ("0 1 3 nan,1,3\n1\n", "no cost"),
        ("0 1 3 Infinity,1,3\n1\n", "finite"),
        ("0 1 3 1,2,0\n1\n", "below 1"),
        ("0 1 99999999999 1,2,3\n1\n", "no state"),
        ("0 1 3 1,2,3\n", "no complete path"),
        ("0 1 3\n1 0 3\n1\n", "cycle"),
        ("", "without states"),
    ],
)
def test_bad_text_is_refused(tmp_path: Path, lines: str, message: str) -> None:
    (tmp_path / "a.ark").write_text(f"utt \n{lines}\n")
    with pytest.raises(FormatError, match=f"a.ark: utt: .*{message}"):
        list(read_lattices(tmp_path / "a.ark"))


def test_absurd_counts_take_no_memory(tmp_path: Path) -> None:
    for data in (
        header(b"compactlattice44", 2**40),
        header(b"compactlattice44", 1) + struct.pack("<ffiq", 0, 0, 2**30, 0),
        header(b"compactlattice44", 1) + struct.pack("<ffiq", 0, 0, 0, 2**31 - 1),
        header(b"lattice4", 1) + struct.pack("<ffq", 0, 0, 2**40),
    ):
        (tmp_path / "a.ark").write_bytes(b"u " + data)
        with pytest.raises(FormatError, match="a.ark: u: "):
            list(read_lattices(tmp_path / "a.ark"))


def test_pipes_and_wrong_locations_are_refused(tmp_path: Path) -> None:
    archive(tmp_path, {"a": sample(1)})
    (tmp_path / "lat.scp").write_text(f"a {tmp_path}/lat.ark:999999\nb {tmp_path}/lat.ark\nc none.ark:3\n")
    reader = LatticeReader(tmp_path / "lat.scp")
    for key, message in (("a", "behind the end"), ("b", "file:offset"), ("c", "No such file")):
        with pytest.raises(FormatError, match=message):
            reader[key]
    (tmp_path / "lat.scp").write_text("a gunzip -c lat.1.gz |\n")
    with pytest.raises(FormatError, match="pipe"):
        LatticeReader(tmp_path / "lat.scp")


def test_what_cannot_be_stored_is_refused(tmp_path: Path) -> None:
    lattice = sample(1)
    huge = replace(lattice, graph_costs=lattice.graph_costs + 1e39)
    with LatticeWriter(tmp_path, "lat") as writer:
        with pytest.raises(FormatError, match="utt: a cost of 1e\\+39 does not fit"):
            writer.write("utt", huge)
        with pytest.raises(FormatError, match="utterance_id"):
            writer.write("a b", lattice)
        writer.write("c", lattice)
    assert list(LatticeReader(tmp_path / "lat.scp")) == ["c"]


def test_archives_of_lattices_are_told_from_others(tmp_path: Path) -> None:
    for text in (False, True):
        for compact in (False, True):
            assert holds_lattices(archive(tmp_path, {"a": sample(1)}, compact, text).read_bytes()[:300])
    assert not holds_lattices(b"a \0BFM \4")
    assert not holds_lattices(b"hello world\n1 2 3\n")
