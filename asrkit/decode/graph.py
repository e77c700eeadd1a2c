"""A decoding graph folded with a model's pdfs, in the form that the search reads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import GraphError
from asrkit.decode.kernels import HAS_EPSILONS, Graph
from asrkit.graph.arrays import GraphArrays
from asrkit.graph.automaton import NgramAutomaton
from asrkit.graph.automaton_kernels import NgramArrays


@dataclass(frozen=True, eq=False)
class SearchGraph:
    """A graph whose arcs point to pdfs. Made once per (graph, model), read-only, shared by all searches.

    Attributes
    ----------
    graph : GraphArrays
        The graph; its input labels are transition_ids (1-based, 0 = epsilon), its output labels words.
    tid_to_pdf : ndarray, shape (num_transition_ids + 1,), int32
        pdf_id (0-based) of each transition_id; entry 0 is unused.
    num_pdfs : int
        Number of columns of the loglikes.
    lm : NgramAutomaton, optional
        Composed with the graph on the fly: its costs are added to the graph's words and final costs.

    Raises
    ------
    GraphError
        The graph has transition_ids that ``tid_to_pdf`` does not know, or a pdf_id is out of range.
    """

    graph: GraphArrays
    tid_to_pdf: NDArray[np.int32]
    num_pdfs: int
    lm: NgramAutomaton | None = None

    def __post_init__(self) -> None:
        largest = int(self.graph.ilabels.max(initial=0))
        if largest >= len(self.tid_to_pdf):
            raise GraphError(
                f"the graph has transition_id {largest}, the model knows 1 to {len(self.tid_to_pdf) - 1}",
                remedy="build the graph again with this model",
            )
        pdfs = self.tid_to_pdf[1:]
        if len(pdfs) and not (pdfs.min() >= 0 and pdfs.max() < self.num_pdfs):
            raise GraphError(f"pdf_ids are {pdfs.min()} to {pdfs.max()}, expected 0 to {self.num_pdfs - 1}")

    @property
    def lm_arrays(self) -> NgramArrays | None:
        """The arrays of the language model that the kernels take."""
        return None if self.lm is None else self.lm.arrays

    @cached_property
    def arrays(self) -> Graph:
        """The arrays that the kernels take (computed at the first use)."""
        graph = self.graph
        has_word = (graph.olabels != 0).astype(np.uint32)
        pdfs = self.tid_to_pdf[graph.ilabels].astype(np.uint32)
        has_epsilons = graph.offsets[:-1, 1] > graph.offsets[:-1, 0]
        arcs = np.empty((graph.num_arcs, 4), dtype=np.uint32)
        arcs[:, 0] = np.where(graph.ilabels != 0, pdfs + self.num_pdfs * has_word, has_word)
        arcs[:, 1:] = graph.arcs[:, 1:].view(np.uint32)
        arcs[:, 3] |= np.where(has_epsilons[graph.destinations], HAS_EPSILONS, np.uint32(0))
        offsets = np.require(graph.offsets, requirements=["C", "A", "W"]).view(np.uint32)
        return Graph(offsets, arcs, arcs.view(np.float32))
