"""Lattices as text: OpenFst's form over Kaldi's two lattice arcs, one arc or final state a line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import FormatError
from asrkit.lattice.binary import assemble, float_bits
from asrkit.lattice.lattice import Lattice
from asrkit.lattice.raw_form import raw_form

_MOST = 2**31 - 1
_INFINITY = "Infinity"


def encode_text(lattice: Lattice, compact: bool = True) -> Iterator[str]:
    """Yield the lines that Kaldi's ``WriteCompactLattice`` (``WriteLattice``: not compact) writes, without their ends.

    Costs are printed with nine digits, which keep every float32 (Kaldi prints six); what weighs nothing is left out.

    Raises
    ------
    FormatError
        A cost is too large for float32.
    """
    lattice = lattice if compact else raw_form(lattice)
    arc_weights = _weights(lattice.graph_costs, lattice.acoustic_costs)
    final_weights = _weights(lattice.final_graph_costs, lattice.final_acoustic_costs)
    words, destinations, tids = lattice.words.tolist(), lattice.destinations.tolist(), lattice.tids.tolist()
    tid_offsets, offsets = lattice.tid_offsets.tolist(), lattice.offsets.tolist()
    final = lattice.is_final.tolist()
    for state in range(lattice.num_states):
        for arc in range(offsets[state], offsets[state + 1]):
            string = tids[tid_offsets[arc] : tid_offsets[arc + 1]]
            weight = arc_weights[arc]
            if compact:
                labels = str(words[arc])
                weight = f"{weight or '0,0'},{'_'.join(map(str, string))}" if weight or string else ""
            else:
                labels = f"{string[0] if string else 0}\t{words[arc]}"
            yield f"{state}\t{destinations[arc]}\t{labels}" + (f"\t{weight}" if weight else "")
        if final[state]:
            weight = final_weights[state]
            yield f"{state}" + (f"\t{weight}{',' if compact else ''}" if weight else "")


def _weights(graph_costs: NDArray[np.float64], acoustic_costs: NDArray[np.float64]) -> list[str]:
    """Return 'graph,acoustic' of each pair of costs, '' where both are 0."""
    pairs = zip(*(float_bits(costs).view(np.float32).tolist() for costs in (graph_costs, acoustic_costs)))
    return [f"{graph:.9g},{acoustic:.9g}" if graph or acoustic else "" for graph, acoustic in pairs]


@dataclass
class _Lines:
    """Arcs and final states as they are read, states numbered as they are named."""

    compact: bool | None = None
    start: int = -1
    numbers: dict[str, int] = field(default_factory=dict)
    arcs: list[tuple[int, int, int, float, float, int]] = field(default_factory=list)
    tids: list[int] = field(default_factory=list)
    finals: dict[int, tuple[float, float, list[int]]] = field(default_factory=dict)

    def state(self, text: str) -> int:
        _integer(text)
        return self.numbers.setdefault(text, len(self.numbers))

    def add(self, line: str) -> None:
        fields = line.split()
        source = self.state(fields[0])
        self.start = source if self.start < 0 else self.start
        if len(fields) <= 2:
            graph, acoustic, string, form = _weight(fields[1]) if len(fields) == 2 else (0.0, 0.0, [], None)
            self._settle(form, line)
            self.finals[source] = (graph, acoustic, string)
            return
        # Four fields: a label and a weight, or two labels and a weight of nothing.
        acceptor = len(fields) == 3 or (len(fields) == 4 and "," in fields[3])
        if len(fields) > 5:
            raise FormatError(f"{len(fields)} fields in {line[:60]!r}, expected 5 at most")
        self._settle(acceptor, line)
        labels = 1 if acceptor else 2
        has_weight = len(fields) > 2 + labels
        graph, acoustic, string, form = _weight(fields[2 + labels]) if has_weight else (0.0, 0.0, [], None)
        self._settle(form, line)
        ilabel = _integer(fields[2])
        if not acceptor:
            string = [ilabel] if ilabel else []
        word = ilabel if acceptor else _integer(fields[3])
        self.arcs.append((source, self.state(fields[1]), word, graph, acoustic, len(string)))
        self.tids += string

    def _settle(self, compact: bool | None, line: str) -> None:
        if compact is not None and self.compact is not None and compact != self.compact:
            raise FormatError(f"{line[:60]!r} is of the other kind of lattice than the lines before it")
        self.compact = self.compact if compact is None else compact


def parse_text(lines: Iterable[str]) -> Lattice:
    """Read a lattice of either kind from its lines, up to an empty one or their end.

    Raises
    ------
    FormatError
        A line is neither an arc nor a final state, the two kinds are mixed, or it is no lattice.
    """
    parts = _Lines()
    for line in lines:
        if not line.strip():
            break
        parts.add(line)
    if parts.start < 0:
        raise FormatError("a lattice without states")
    num_states, num_arcs = len(parts.numbers), len(parts.arcs)
    table = np.array(parts.arcs, dtype=np.float64).reshape(num_arcs, 6)
    finals, final_lengths = np.full((num_states, 2), np.inf), np.zeros(num_states, dtype=np.int64)
    final_tids: list[int] = []
    for state in sorted(parts.finals):
        graph, acoustic, string = parts.finals[state]
        finals[state], final_lengths[state] = (graph, acoustic), len(string)
        final_tids += string
    sources, destinations, words = (table[:, column].astype(np.int32) for column in range(3))
    return assemble(
        parts.start,
        sources,
        destinations,
        words,
        _narrowed(table[:, 3:5]),
        table[:, 5].astype(np.int64),
        np.array(parts.tids, dtype=np.int32),
        _narrowed(finals),
        final_lengths,
        np.array(final_tids, dtype=np.int32),
    )


def _narrowed(costs: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return costs as what they were printed from; too large ones become infinite, which no arc may be."""
    with np.errstate(over="ignore"):
        return costs.astype(np.float32)


def _integer(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= _MOST):
        raise FormatError(f"{text[:20]!r} is no state, word or transition_id (0 to {_MOST})")
    return int(text)


def _cost(text: str) -> float:
    try:
        value = math.inf if text == _INFINITY else float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise FormatError(f"{text[:20]!r} is no cost")
    return value


def _weight(text: str) -> tuple[float, float, list[int], bool]:
    """Return graph cost, acoustic cost, transition_ids, and whether it is a compact weight."""
    parts = text.split(",")
    if len(parts) not in (2, 3):
        raise FormatError(f"{text[:40]!r} is no weight: expected 'graph,acoustic' or 'graph,acoustic,tid_tid_...'")
    string = [_integer(tid) for tid in parts[2].split("_")] if len(parts) == 3 and parts[2] else []
    return _cost(parts[0]), _cost(parts[1]), string, len(parts) == 3
