"""Decoding graphs as flat arrays, read from OpenFst binary files without OpenFst."""

from __future__ import annotations

import mmap
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import GraphError

_MAGIC = 2125659606
_SYMBOLS_MAGIC = 2125658996
_HAS_INPUT_SYMBOLS, _HAS_OUTPUT_SYMBOLS, _IS_ALIGNED = 1, 2, 4
_CONST_ALIGNED_VERSION = 1
_ALIGNMENT = 16
_CONST_STATE = np.dtype(
    [("final", "<f4"), ("first", "<u4"), ("arcs", "<u4"), ("input_epsilons", "<u4"), ("output_epsilons", "<u4")]
)
_REMEDY = "build the graph again with `asrkit make-graph`"


@dataclass(frozen=True, eq=False)
class GraphArrays:
    """A weighted finite-state transducer ``(states, start, arcs, final costs)`` over the tropical semiring.

    The arcs of a state are contiguous, those without input (epsilon) before those that consume a frame
    (emitting). An arc's number is its row in ``arcs``.

    Attributes
    ----------
    start : int
        Initial state, 0-based.
    final_cost : ndarray, shape (num_states,), float32
        Cost (negative natural log) of ending in a state; +inf where it is not final.
    offsets : ndarray, shape (num_states + 1, 2), int32
        The epsilon arcs of state s are rows ``offsets[s, 0]`` up to ``offsets[s, 1]`` of ``arcs``, its emitting
        ones ``offsets[s, 1]`` up to ``offsets[s + 1, 0]``.
    arcs : ndarray, shape (num_arcs, 4), int32
        OpenFst's records: input label (0 = epsilon), output label (0 = epsilon), the bits of the float32 cost,
        destination state (0-based). May be a read-only view of a mapped file.
    """

    start: int
    final_cost: NDArray[np.float32]
    offsets: NDArray[np.int32]
    arcs: NDArray[np.int32]

    @property
    def num_states(self) -> int:
        """Number of states."""
        return len(self.final_cost)

    @property
    def num_arcs(self) -> int:
        """Number of arcs."""
        return len(self.arcs)

    @property
    def ilabels(self) -> NDArray[np.int32]:
        """Input labels, shape (num_arcs,); 0 = epsilon."""
        return self.arcs[:, 0]

    @property
    def olabels(self) -> NDArray[np.int32]:
        """Output labels, shape (num_arcs,); 0 = epsilon."""
        return self.arcs[:, 1]

    @property
    def costs(self) -> NDArray[np.float32]:
        """Costs, shape (num_arcs,), float32."""
        return self.arcs.view(np.float32)[:, 2]

    @property
    def destinations(self) -> NDArray[np.int32]:
        """Destination states, shape (num_arcs,), 0-based."""
        return self.arcs[:, 3]

    @property
    def sources(self) -> NDArray[np.int32]:
        """Source states, shape (num_arcs,), 0-based (computed at each call)."""
        return np.repeat(np.arange(self.num_states, dtype=np.int32), np.diff(self.offsets[:, 0]))


def load_graph(path: Path | str) -> GraphArrays:
    """Read an OpenFst binary file of type ``const`` or ``vector`` with arc type ``standard``.

    The file is mapped into memory. Where each state's epsilon arcs already come first (a graph sorted by
    input label) the arcs of a ``const`` file are used in place.

    Raises
    ------
    GraphError
        The file is absent, not an OpenFst file, of another type, cut off, or describes no valid graph.
    """
    path = Path(path)
    try:
        with path.open("rb") as handle:
            buffer = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise GraphError("no such graph file", where=path, remedy=_REMEDY) from None
    except (OSError, ValueError) as error:
        raise GraphError(f"not a readable graph file: {error}", where=path, remedy=_REMEDY) from None
    return parse_graph(memoryview(buffer), path)


def parse_graph(buffer: memoryview, path: Path) -> GraphArrays:
    """Read the bytes of an OpenFst file; see :func:`load_graph`. The arrays may be views of them.

    Parameters
    ----------
    path : Path
        For error messages.
    """
    try:
        return _parse(buffer, path)
    except (struct.error, UnicodeDecodeError):
        raise _cut_off(path) from None


def from_fst(fst: Any) -> GraphArrays:
    """Convert a ``kaldifst`` transducer (``StdVectorFst`` or ``StdConstFst``) in memory.

    Raises
    ------
    GraphError
        The transducer has no start state or an invalid arc.
    """
    with tempfile.TemporaryDirectory(prefix="asrkit-graph-") as folder:
        path = Path(folder) / "graph.fst"
        if not fst.write(str(path)):
            raise GraphError(f"cannot write a temporary copy of the graph to {folder}", remedy="set TMPDIR")
        return load_graph(path)


class _Header:
    """The header that stands before every OpenFst file, and where the states begin."""

    def __init__(self, buffer: memoryview, path: Path) -> None:
        self.buffer, self.path, self.at = buffer, path, 0
        (magic,) = self._unpack("<i")
        if magic != _MAGIC:
            raise GraphError("not an OpenFst binary file (wrong magic number)", where=path, remedy=_REMEDY)
        self.fst_type, self.arc_type = self._string(), self._string()
        self.version, self.flags, _ = self._unpack("<iiQ")
        self.start, self.num_states, self.num_arcs = self._unpack("<qqq")
        for flag in (_HAS_INPUT_SYMBOLS, _HAS_OUTPUT_SYMBOLS):
            if self.flags & flag:
                self._skip_symbols()

    def align(self) -> None:
        self.at += -self.at % _ALIGNMENT

    def _unpack(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from(layout, self.buffer, self.at)
        self.at += struct.calcsize(layout)
        return values

    def _string(self) -> str:
        (length,) = self._unpack("<i")
        if not 0 <= length <= len(self.buffer) - self.at:
            raise _cut_off(self.path)
        self.at += length
        return bytes(self.buffer[self.at - length : self.at]).decode("utf-8")

    def _skip_symbols(self) -> None:
        (magic,) = self._unpack("<i")
        if magic != _SYMBOLS_MAGIC:
            raise GraphError("damaged symbol table inside the graph file", where=self.path, remedy=_REMEDY)
        self._string()
        _, size = self._unpack("<qq")
        for _ in range(size):
            self._string()
            self._unpack("<q")


def _parse(buffer: memoryview, path: Path) -> GraphArrays:
    header = _Header(buffer, path)
    if header.arc_type != "standard":
        raise GraphError(f"arc type is {header.arc_type!r}, expected 'standard' (tropical)", where=path)
    if header.num_states < 1:
        raise GraphError("the graph has no states", where=path, remedy=_REMEDY)
    if header.fst_type == "const":
        final_cost, first, arcs = _read_const(header)
    elif header.fst_type == "vector":
        final_cost, first, arcs = _read_vector(header)
    else:
        raise GraphError(f"FST type is {header.fst_type!r}, expected 'const' or 'vector'", where=path)
    return _build(header.start, final_cost, first, arcs, path)


def _read_const(header: _Header) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int32]]:
    aligned = bool(header.flags & _IS_ALIGNED) or header.version == _CONST_ALIGNED_VERSION
    if aligned:
        header.align()
    states = _view(header, _CONST_STATE, header.num_states)
    if aligned:
        header.align()
    arcs = _view(header, np.dtype("<i4"), 4 * header.num_arcs).reshape(-1, 4)
    first = np.append(states["first"].astype(np.int64), header.num_arcs)
    if not np.array_equal(np.diff(first), states["arcs"]) or first[0] != 0:
        raise GraphError("the arcs of the states do not fill the arc table", where=header.path, remedy=_REMEDY)
    return states["final"].astype(np.float32), first, arcs


def _read_vector(header: _Header) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int32]]:
    """Read states that lie between their arcs: (final, number of arcs as int64, arcs …) one after the other."""
    remaining = (len(header.buffer) - header.at) // 4
    if remaining < 3 * header.num_states:
        raise _cut_off(header.path)
    # Python walks from state to state, faster over a memoryview than over an array.
    count_of = header.buffer[header.at : header.at + 4 * remaining].cast("i")
    words = _view(header, np.dtype("<i4"), remaining)
    heads = np.empty(header.num_states, dtype=np.int64)
    at = 0
    try:
        for state in range(header.num_states):
            heads[state] = at
            count = count_of[at + 1]
            if count < 0 or count_of[at + 2] != 0:
                raise GraphError(f"state {state} announces a wrong number of arcs", where=header.path, remedy=_REMEDY)
            at += 3 + 4 * count
    except IndexError:
        raise _cut_off(header.path) from None
    if at > remaining:
        raise _cut_off(header.path)
    is_arc = np.ones(at, dtype=bool)
    for part in range(3):
        is_arc[heads + part] = False
    first = np.concatenate([[0], np.cumsum(words[heads + 1], dtype=np.int64)])
    return words[heads].view(np.float32), first, words[:at][is_arc].reshape(-1, 4)


def _build(
    start: int,
    final_cost: NDArray[np.float32],
    first: NDArray[np.int64],
    arcs: NDArray[np.int32],
    path: Path,
) -> GraphArrays:
    num_states = len(final_cost)
    if not 0 <= start < num_states:
        raise GraphError(f"start state is {start}, expected 0 to {num_states - 1}", where=path, remedy=_REMEDY)
    if len(arcs) >= 2**31:
        raise GraphError(f"{len(arcs)} arcs are more than 2^31", where=path, remedy="prune the language model")
    costs = arcs[:, 2].view(np.float32) if len(arcs) else np.zeros(0, np.float32)
    _check_arcs(first, arcs[:, 3], (arcs[:, 3] < 0) | (arcs[:, 3] >= num_states), "destination state", path)
    _check_arcs(first, arcs[:, 0], arcs[:, 0] < 0, "input label", path)
    _check_arcs(first, arcs[:, 1], arcs[:, 1] < 0, "output label", path)
    _check_arcs(first, costs, ~(costs > -np.inf), "cost", path)
    if not np.all(final_cost > -np.inf):
        state = int(np.argmax(~(final_cost > -np.inf)))
        raise GraphError(f"state {state} has final cost {final_cost[state]}", where=path, remedy=_REMEDY)
    emitting = arcs[:, 0] != 0
    counts = np.concatenate([[0], np.cumsum(~emitting, dtype=np.int64)])
    num_epsilons = np.diff(counts[first])
    # A graph that is not sorted by input label has its arcs moved once here; the order within each part stays.
    key = 2 * np.repeat(np.arange(num_states, dtype=np.int64), np.diff(first)) + emitting
    if np.any(key[1:] < key[:-1]):
        arcs = arcs[np.argsort(key, kind="stable")]
    offsets = np.empty((num_states + 1, 2), dtype=np.int32)
    offsets[:, 0] = first
    offsets[:-1, 1] = first[:-1] + num_epsilons
    offsets[-1, 1] = first[-1]
    return GraphArrays(int(start), final_cost, offsets, arcs)


def _check_arcs(
    first: NDArray[np.int64], values: NDArray[Any], wrong: NDArray[np.bool_], what: str, path: Path
) -> None:
    if np.any(wrong):
        arc = int(np.argmax(wrong))
        state = int(np.searchsorted(first, arc, side="right")) - 1
        raise GraphError(f"an arc of state {state} has {what} {values[arc]}", where=path, remedy=_REMEDY)


def _view(header: _Header, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    if count < 0 or header.at + count * dtype.itemsize > len(header.buffer):
        raise _cut_off(header.path)
    array = np.frombuffer(header.buffer, dtype=dtype, count=count, offset=header.at)
    header.at += count * dtype.itemsize
    return array


def _cut_off(path: Path) -> GraphError:
    return GraphError("the file ends before the graph does", where=path, remedy=_REMEDY)
