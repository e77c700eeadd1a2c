"""Lattices as bytes of OpenFst ``vector`` files over Kaldi's two lattice arcs.

Kaldi's CompactLattice is an acceptor of words; a weight is (graph cost, acoustic cost, transition_ids). Its Lattice
is a transducer from transition_ids to words; a weight is (graph cost, acoustic cost).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import FormatError
from asrkit.lattice.lattice import Lattice, build_lattice
from asrkit.lattice.raw_form import raw_form

MAGIC = 2125659606
_VERSION = 2
# OpenFst's property bits, all true of every Lattice: expanded, mutable; acyclic, start in no cycle, in topological
# order, every state on a complete path.
_PROPERTIES = 0x3 | 0x8_0000_0000 | 0x20_0000_0000 | 0x40_0000_0000 | 0x100_0000_0000 | 0x400_0000_0000
_ACCEPTOR = 0x1_0000
_LONGEST_NAME = 32
# Arc type -> (bytes of the two costs, whether compact). Kaldi reads those of double precision too.
_ARC_TYPES = {
    "lattice4": (8, False),
    "lattice8": (16, False),
    "compactlattice44": (8, True),
    "compactlattice84": (16, True),
}


def is_binary_lattice(data: Any, at: int = 0) -> bool:
    """Say whether an OpenFst file over lattice arcs begins at byte ``at`` of a buffer."""
    try:
        return _read_header(data, at).arc_type in _ARC_TYPES
    except FormatError:
        return False


def encode_binary(lattice: Lattice, compact: bool = True) -> bytes:
    """Return the bytes that Kaldi's ``CompactLatticeHolder`` (``LatticeHolder``: not compact) writes.

    Costs become float32. A lattice that is not written compact is brought to raw form.

    Raises
    ------
    FormatError
        A cost is too large for float32.
    """
    lattice = lattice if compact else raw_form(lattice)
    name = b"compactlattice44" if compact else b"lattice4"
    properties = _PROPERTIES | (_ACCEPTOR if compact else 0)
    header = struct.pack("<ii6si", MAGIC, 6, b"vector", len(name)) + name
    header += struct.pack("<iiQqqq", _VERSION, 0, properties, 0, lattice.num_states, 0)
    return header + (_compact_body(lattice) if compact else _raw_body(lattice)).astype("<i4", copy=False).tobytes()


def float_bits(costs: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return the bits of costs as float32, int32; what was finite stays so.

    Raises
    ------
    FormatError
        A cost is too large for float32.
    """
    with np.errstate(over="ignore"):
        narrow = costs.astype(np.float32)
    if not np.array_equal(np.isfinite(narrow), np.isfinite(costs)):
        raise FormatError(f"a cost of {np.abs(costs[np.isfinite(costs)]).max():g} does not fit into float32")
    return narrow.view(np.int32)


def _compact_body(lattice: Lattice) -> NDArray[np.int32]:
    """Return states and arcs as int32: 5 for a state, 6 and the transition_ids for an arc."""
    lengths = lattice.num_tids.astype(np.int64)
    arc_at = 5 * (lattice.sources.astype(np.int64) + 1) + 6 * np.arange(lattice.num_arcs) + lattice.tid_offsets[:-1]
    state_at = 5 * np.arange(lattice.num_states, dtype=np.int64)
    state_at += 6 * lattice.offsets[:-1] + lattice.tid_offsets[lattice.offsets[:-1]]
    body = np.zeros(5 * lattice.num_states + 6 * lattice.num_arcs + len(lattice.tids), dtype=np.int32)
    body[state_at] = float_bits(lattice.final_graph_costs)
    body[state_at + 1] = float_bits(lattice.final_acoustic_costs)
    body[state_at + 3] = np.diff(lattice.offsets)
    body[arc_at] = body[arc_at + 1] = lattice.words
    body[arc_at + 2] = float_bits(lattice.graph_costs)
    body[arc_at + 3] = float_bits(lattice.acoustic_costs)
    body[arc_at + 4] = lengths
    body[np.repeat(arc_at + 5 - lattice.tid_offsets[:-1], lengths) + np.arange(len(lattice.tids))] = lattice.tids
    body[arc_at + 5 + lengths] = lattice.destinations
    return body


def _raw_body(lattice: Lattice) -> NDArray[np.int32]:
    """Return states and arcs as int32: 4 for a state, 5 for an arc."""
    arc_at = 4 * (lattice.sources.astype(np.int64) + 1) + 5 * np.arange(lattice.num_arcs)
    state_at = 4 * np.arange(lattice.num_states, dtype=np.int64) + 5 * lattice.offsets[:-1]
    body = np.zeros(4 * lattice.num_states + 5 * lattice.num_arcs, dtype=np.int32)
    body[state_at] = float_bits(lattice.final_graph_costs)
    body[state_at + 1] = float_bits(lattice.final_acoustic_costs)
    body[state_at + 2] = np.diff(lattice.offsets)
    body[arc_at[lattice.num_tids == 1]] = lattice.tids
    body[arc_at + 1] = lattice.words
    body[arc_at + 2] = float_bits(lattice.graph_costs)
    body[arc_at + 3] = float_bits(lattice.acoustic_costs)
    body[arc_at + 4] = lattice.destinations
    return body


@dataclass(frozen=True)
class _Header:
    """What stands before the states, and the byte at which these begin."""

    arc_type: str
    start: int
    num_states: int
    end: int


def _read_header(data: Any, at: int) -> _Header:
    try:
        (magic,) = struct.unpack_from("<i", data, at)
        if magic != MAGIC:
            raise FormatError("no OpenFst file (wrong magic number)")
        names = []
        at += 4
        for _ in range(2):
            (length,) = struct.unpack_from("<i", data, at)
            if not 0 <= length <= _LONGEST_NAME:
                raise FormatError("damaged OpenFst header")
            names.append(bytes(data[at + 4 : at + 4 + length]).decode("ascii", "replace"))
            at += 4 + length
        version, flags, _, start, num_states, _ = struct.unpack_from("<iiQqqq", data, at)
    except struct.error:
        raise FormatError("the file ends before the lattice does") from None
    if names[0] != "vector" or version != _VERSION:
        raise FormatError(f"an OpenFst file of type {names[0]!a}, version {version}; expected 'vector', 2")
    if flags:
        raise FormatError("an OpenFst file with symbol tables inside, which Kaldi's lattices never have")
    return _Header(names[1], start, num_states, at + struct.calcsize("<iiQqqq"))


def parse_binary(data: NDArray[np.uint8], begin: int) -> tuple[Lattice, int]:
    """Read the lattice at byte ``begin`` and return it with the byte at which it ends.

    Raises
    ------
    FormatError
        It is cut off, or no lattice.
    """
    from asrkit.lattice.binary_kernels import COMPLETE, CUT_OFF, find_records

    header = _read_header(data, begin)
    if header.arc_type not in _ARC_TYPES:
        raise FormatError(f"arcs of type {header.arc_type!a}, expected one of {', '.join(_ARC_TYPES)}")
    pair_bytes, compact = _ARC_TYPES[header.arc_type]
    num_states = header.num_states
    # A state takes this many bytes at least, so no more is ever allocated than the file is long.
    if not 0 < num_states <= (len(data) - header.end) // (pair_bytes + 4 * compact + 8):
        raise FormatError(f"{num_states} states announced, more than the file can hold or none at all")
    nothing = np.empty(0, dtype=np.int64)
    place = (data, header.end, num_states, pair_bytes, compact)
    status, num_arcs, end = find_records(*place, nothing, nothing, np.empty(0, dtype=np.int32))
    if status != COMPLETE:
        what = "the file ends before the lattice does" if status == CUT_OFF else "a negative or absurd count"
        raise FormatError(what)
    state_at, arc_at = np.empty(num_states, dtype=np.int64), np.empty(num_arcs, dtype=np.int64)
    sources = np.empty(num_arcs, dtype=np.int32)
    find_records(*place, state_at, arc_at, sources)
    # From here on everything is a number of 32-bit words.
    body = data[header.end : end].copy().view("<i4")
    state_at, arc_at = (state_at - header.end) // 4, (arc_at - header.end) // 4
    labels, pair = _gather(body, arc_at, 2), pair_bytes // 4
    costs, finals = (_gather(body, at, pair).view(f"<f{2 * pair}") for at in (arc_at + 2, state_at))
    strings_at, final_strings_at = arc_at + 2 + pair, state_at + pair
    if compact:
        if not np.array_equal(labels[:, 0], labels[:, 1]):
            raise FormatError("an arc whose two labels differ, where both must be the word")
        lengths, final_lengths = (body[at].astype(np.int64) for at in (strings_at, final_strings_at))
        tids = _gather_strings(body, strings_at + 1, lengths)
        final_tids = _gather_strings(body, final_strings_at + 1, final_lengths)
        destinations = body[strings_at + 1 + lengths]
    else:
        lengths = (labels[:, 0] != 0).astype(np.int64)
        tids = labels[labels[:, 0] != 0, 0]
        final_lengths, final_tids = np.zeros(num_states, dtype=np.int64), np.empty(0, dtype=np.int32)
        destinations = body[strings_at]
    lattice = assemble(
        header.start, sources, destinations, labels[:, 1], costs, lengths, tids, finals, final_lengths, final_tids
    )
    return lattice, end


def _gather(body: NDArray[np.int32], at: NDArray[np.int64], size: int) -> NDArray[np.int32]:
    """Return the ``size`` words from each of the places as rows."""
    return body[at[:, None] + np.arange(size)]


def _gather_strings(body: NDArray[np.int32], at: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return the words of strings that begin at these places, one after the other."""
    begins = np.cumsum(lengths) - lengths
    return body[np.repeat(at - begins, lengths) + np.arange(int(lengths.sum()))]


def assemble(
    start: int,
    sources: NDArray[np.int32],
    destinations: NDArray[np.int32],
    words: NDArray[np.int32],
    costs: NDArray[Any],
    lengths: NDArray[np.int64],
    tids: NDArray[np.int32],
    finals: NDArray[Any],
    final_lengths: NDArray[np.int64],
    final_tids: NDArray[np.int32],
) -> Lattice:
    """Return the lattice of Kaldi's parts, where final weights too can hold transition_ids.

    Each final weight that does becomes an arc without word to a final state of its own.

    Parameters
    ----------
    start : int
    sources, destinations, words : int32, shape (num_arcs,)
    costs : float, shape (num_arcs, 2)
        Graph and acoustic cost of each arc.
    lengths, tids
        Number of transition_ids of each arc, and these one after the other.
    finals : float, shape (num_states, 2)
        Both +inf: not final.
    final_lengths, final_tids
        As for the arcs.

    Raises
    ------
    FormatError
        A label is negative, a transition_id no number of 1 or more, a cost no number, or as build_lattice.
    """
    if words.min(initial=0) < 0:
        raise FormatError(f"word id {words.min()}, expected 0 or more")
    if min(tids.min(initial=1), final_tids.min(initial=1)) < 1:
        raise FormatError("a transition_id below 1")
    is_final = np.isfinite(finals).all(axis=1)
    if not np.all(is_final | np.all(finals == np.inf, axis=1)):
        raise FormatError("a final cost that is neither a finite number nor, both parts, infinite")
    if np.any(final_lengths[~is_final] > 0):
        raise FormatError("a state that is not final ends with transition_ids")
    with_tids = np.flatnonzero(final_lengths)
    num_states, num_added = len(finals), len(with_tids)
    with np.errstate(invalid="ignore"):  # a signalling NaN, which is refused below as any other
        finals, costs = finals.astype(np.float64), costs.astype(np.float64)
    ends = np.concatenate([finals, np.zeros((num_added, 2))])
    added_costs = ends[with_tids]
    ends[with_tids] = np.inf
    all_costs = np.concatenate([costs, added_costs])
    all_lengths = np.concatenate([lengths, final_lengths[with_tids]])
    return build_lattice(
        start,
        np.concatenate([sources, with_tids.astype(np.int32)]),
        np.concatenate([destinations, np.arange(num_states, num_states + num_added, dtype=np.int32)]),
        np.concatenate([words, np.zeros(num_added, dtype=np.int32)]),
        all_costs[:, 0],
        all_costs[:, 1],
        np.concatenate([[0], np.cumsum(all_lengths)]).astype(np.int32),
        np.concatenate([tids, final_tids]).astype(np.int32),
        ends[:, 0],
        ends[:, 1],
    )
