"""Weighted finite-state transducers as flat arrays, and their way into OpenFst and back.

Building a transducer arc by arc through Python bindings costs a microsecond or more an arc; here it is built as
arrays, written as the bytes of an OpenFst ``const`` file, and read by OpenFst at once.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import GraphError
from asrkit.core.files import whole_file
from asrkit.graph.arrays import GraphArrays, load_graph

_MAGIC = 2125659606
_EXPANDED = 1
_CONST_UNALIGNED = 2
_STATE = np.dtype(
    [("final", "<f4"), ("begin", "<u4"), ("num_arcs", "<u4"), ("num_iepsilons", "<u4"), ("num_oepsilons", "<u4")]
)
_ARC = np.dtype([("ilabel", "<i4"), ("olabel", "<i4"), ("cost", "<f4"), ("dst", "<i4")])


@dataclass(frozen=True, eq=False)
class FstArrays:
    """A weighted transducer of S states and A arcs over the tropical semiring (costs add, the least is best).

    Attributes
    ----------
    start : int
        0-based start state; -1 in a transducer without states.
    final_cost : (S,) float32
        Cost of ending in a state, in nats; +inf = not final.
    arc_begin : (S + 1,) int64
        The arcs of state s are ``arc_begin[s]`` up to, not including, ``arc_begin[s + 1]``.
    ilabel, olabel : (A,) int32
        Input and output labels, 1-based; 0 = epsilon.
    cost : (A,) float32
        Cost of each arc, in nats.
    dst : (A,) int32
        Destination state of each arc.
    """

    start: int
    final_cost: NDArray[np.float32]
    arc_begin: NDArray[np.int64]
    ilabel: NDArray[np.int32]
    olabel: NDArray[np.int32]
    cost: NDArray[np.float32]
    dst: NDArray[np.int32]

    @property
    def num_states(self) -> int:
        """S, the number of states."""
        return len(self.final_cost)

    @property
    def num_arcs(self) -> int:
        """A, the number of arcs."""
        return len(self.ilabel)

    def sources(self) -> NDArray[np.int32]:
        """Return the source state of each arc, (A,) int32."""
        return np.repeat(np.arange(self.num_states, dtype=np.int32), np.diff(self.arc_begin))

    @classmethod
    def from_arcs(
        cls,
        start: int,
        final_cost: Any,
        src: Any,
        ilabel: Any,
        olabel: Any,
        cost: Any,
        dst: Any,
    ) -> FstArrays:
        """Build a transducer from arcs in any order; the arcs of one state keep theirs."""
        final = np.asarray(final_cost, dtype=np.float32)
        source = np.asarray(src, dtype=np.int32)
        order = np.argsort(source, kind="stable")
        begin = np.zeros(len(final) + 1, dtype=np.int64)
        np.cumsum(np.bincount(source, minlength=len(final)), out=begin[1:])
        ilabel, olabel, dst = (np.asarray(column, dtype=np.int32)[order] for column in (ilabel, olabel, dst))
        return cls(start, final, begin, ilabel, olabel, np.asarray(cost, dtype=np.float32)[order], dst)


def write_fst(path: Path | str, fst: FstArrays) -> None:
    """Write an OpenFst ``const`` file over the standard arc (``fstconvert --fst_type=const``), whole or not at all."""
    states = np.zeros(fst.num_states, dtype=_STATE)
    states["final"] = fst.final_cost
    states["begin"] = fst.arc_begin[:-1]
    states["num_arcs"] = np.diff(fst.arc_begin)
    for name, labels in (("num_iepsilons", fst.ilabel), ("num_oepsilons", fst.olabel)):
        epsilons = np.concatenate([[0], np.cumsum(labels == 0)])
        states[name] = epsilons[fst.arc_begin[1:]] - epsilons[fst.arc_begin[:-1]]
    arcs = np.empty(fst.num_arcs, dtype=_ARC)
    for name in ("ilabel", "olabel", "cost", "dst"):
        arcs[name] = getattr(fst, name)
    with whole_file(path) as part, part.open("wb") as handle:
        handle.write(_header(fst))
        states.tofile(handle)
        arcs.tofile(handle)


def _header(fst: FstArrays) -> bytes:
    names = b"".join(len(name).to_bytes(4, "little") + name for name in (b"const", b"standard"))
    version_and_flags = np.array([_CONST_UNALIGNED, 0], dtype="<i4").tobytes()
    # OpenFst works out the properties that the header does not claim, when it needs them.
    sizes = np.array([_EXPANDED, fst.start, fst.num_states, fst.num_arcs], dtype="<i8").tobytes()
    return np.int32(_MAGIC).astype("<i4").tobytes() + names + version_and_flags + sizes


def to_openfst(fst: FstArrays) -> Any:
    """Return the same transducer as a ``kaldifst.StdVectorFst``."""
    import kaldifst

    return _through_file(
        lambda path: write_fst(path, fst), lambda path: kaldifst.StdVectorFst(kaldifst.StdConstFst.read(str(path)))
    )


def from_openfst(fst: Any) -> FstArrays:
    """Return a ``kaldifst`` transducer over the standard arc as arrays; epsilon inputs come first in every state."""
    import kaldifst

    def write(path: Path) -> None:
        if not kaldifst.StdConstFst(fst).write(str(path)):
            raise GraphError(
                "OpenFst could not write a transducer", where=path, remedy="is there room in the temporary directory?"
            )

    return _through_file(write, read_fst)


def read_fst(path: Path | str) -> FstArrays:
    """Read an OpenFst file of type ``const`` or ``vector``; see :func:`asrkit.graph.arrays.load_graph`."""
    return from_graph(load_graph(path))


def from_graph(graph: GraphArrays) -> FstArrays:
    """Return a graph as columns of their own."""
    ilabel, olabel, dst = (
        np.ascontiguousarray(column) for column in (graph.ilabels, graph.olabels, graph.destinations)
    )
    begin = graph.offsets[:, 0].astype(np.int64)
    return FstArrays(graph.start, graph.final_cost, begin, ilabel, olabel, np.ascontiguousarray(graph.costs), dst)


def _through_file(write: Callable[[Path], None], read: Callable[[Path], Any]) -> Any:
    with tempfile.TemporaryDirectory(prefix="asrkit-fst-") as folder:
        path = Path(folder) / "fst"
        write(path)
        return read(path)
