"""HCLG: from transition ids to words, the graph that is searched."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from asrkit.core.errors import ConfigError, GraphError
from asrkit.graph.epsilons import remove_epsilons_locally
from asrkit.graph.fst import FstArrays, from_openfst, to_openfst
from asrkit.graph.h_transducer import h_transducer
from asrkit.graph.lexicon_fst import lexicon_fst
from asrkit.graph.self_loops import add_self_loops
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import ContextTree
from asrkit.lang.langdir import Lang

log = logging.getLogger("asrkit")


@dataclass(frozen=True)
class GraphConfig:
    """How transition probabilities enter the graph (Kaldi's mkgraph.sh).

    Attributes
    ----------
    transition_scale : float
        Scale of the log probabilities of leaving an HMM state one way or the other.
    self_loop_scale : float
        Scale of the log probabilities of staying in a state or leaving it.
    """

    transition_scale: float = 1.0
    self_loop_scale: float = 0.1

    def __post_init__(self) -> None:
        for name in ("transition_scale", "self_loop_scale"):
            if not 0 <= getattr(self, name) <= 10:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 0 to 10")


def compile_hclg(
    lang: Lang, grammar: FstArrays, tree: ContextTree, transitions: TransitionModel, config: GraphConfig
) -> FstArrays:
    """Return HCLG: min(rmeps(det(H ∘ C ∘ min(det(L ∘ G))))) with self-loops.

    Parameters
    ----------
    grammar : FstArrays
        G over the word ids of ``lang``; ``#0`` marks back-off arcs.

    Returns
    -------
    FstArrays
        Input labels are transition ids, output labels word ids; 0 = epsilon in both.

    Raises
    ------
    GraphError
        The graph is empty: no sentence of the grammar can be said.

    Notes
    -----
    M. Mohri, F. Pereira, M. Riley, "Speech recognition with weighted finite-state transducers" (2008), in the
    order of Kaldi's mkgraph.sh: every determinisation is in the log semiring, so that the weights of a
    stochastic grammar stay pushed.
    """
    import kaldifst

    lg = compose_lg(lang, grammar)
    clg, windows = compose_context(lg, lang.inventory.disambiguation, tree)
    del lg
    h = h_transducer(windows, tree, transitions, config.transition_scale)
    arrays = from_openfst(clg)
    del clg
    arrays.ilabel[:] = h.label_map[arrays.ilabel]
    graph = compose(to_openfst(h.fst), to_openfst(arrays))
    _determinize(graph, "HCLG")
    arrays = from_openfst(graph)
    del graph
    arrays.ilabel[arrays.ilabel > transitions.num_transition_ids] = 0
    graph = to_openfst(remove_epsilons_locally(arrays))
    kaldifst.connect(graph)
    kaldifst.minimize_encoded(graph)
    arrays = from_openfst(graph)
    del graph
    _log_size("HCLG without self-loops", arrays)
    result = add_self_loops(arrays, transitions, config.self_loop_scale)
    _log_size("HCLG", result)
    return result


def compose_lg(lang: Lang, grammar: FstArrays, optional_silence: bool = True) -> Any:
    """Return min(det(L_disambig ∘ G)) as an OpenFst transducer from phones to words."""
    import kaldifst

    lexicon = to_openfst(lexicon_fst(lang, disambiguated=True, optional_silence=optional_silence))
    lg = compose(lexicon, to_openfst(grammar))
    _determinize(lg, "LG")
    kaldifst.minimize_encoded(lg)
    kaldifst.arcsort(lg, "ilabel")
    return lg


def compose_context(lg: Any, disambiguation: Iterable[int], tree: ContextTree) -> tuple[Any, list[list[int]]]:
    """Return CLG and the window that each of its input labels stands for (Kaldi's ``fstcomposecontext``)."""
    import kaldifst

    symbols = list(disambiguation)
    if tree.context_width == 1:
        # C is the identity then.
        highest = max(symbols)
        windows = [[-n] if n in symbols else [n] for n in range(highest + 1)]
        windows[0] = []
        return lg, windows
    clg, windows = kaldifst.compose_context(symbols, tree.context_width, tree.central_position, lg)
    return clg, windows


def compose(first: Any, second: Any) -> Any:
    """Return the composition of two OpenFst transducers, both sorted by it; an empty one is a :class:`GraphError`."""
    import kaldifst

    kaldifst.arcsort(first, "olabel")
    kaldifst.arcsort(second, "ilabel")
    composed = kaldifst.compose(first, second)
    if composed.start < 0:
        raise GraphError(
            "no sentence of the language model can be said with this lexicon",
            remedy="do language model and lexicon write words in the same way?",
        )
    return composed


def _determinize(fst: Any, name: str) -> None:
    import kaldifst

    try:
        kaldifst.determinize_star(fst, use_log=True)
    except RuntimeError as error:
        raise GraphError(f"{name} cannot be determinised: {error}") from None
    log.debug("%s: determinised", name)


def _log_size(name: str, fst: FstArrays) -> None:
    log.debug("%s: %d states, %d arcs", name, fst.num_states, fst.num_arcs)
