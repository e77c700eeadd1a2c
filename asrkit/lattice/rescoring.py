"""Another language model for a lattice: the old one's costs taken away, the new one's added."""

from __future__ import annotations

import math

import numpy as np

from asrkit.core.errors import ConfigError, DataError
from asrkit.graph.automaton import NgramAutomaton
from asrkit.lattice.lattice import Lattice, build_lattice

NO_PATH = "the language model gives no path of the lattice a probability"
"""What is said where a model leaves nothing of a lattice."""
_UNCHANGED = "is the lattice from a graph of this language model and these words?"


def replace_model(
    lattice: Lattice,
    old: NgramAutomaton,
    new: NgramAutomaton,
    old_scale: float = 1.0,
    new_scale: float = 1.0,
    old_backs_off_freely: bool = True,
    new_backs_off_freely: bool = True,
) -> Lattice:
    """Return the lattice with ``new_scale`` times the new model's costs in place of ``old_scale`` times the old one's.

    Only the difference of the models is added to the graph costs: transitions and pronunciations keep theirs. With
    the same model twice every path keeps its cost; with ``old_scale`` = ``new_scale`` = w, it is the log-linear
    interpolation of the models that gives the new one the weight w.

    Parameters
    ----------
    lattice : Lattice
        Raw or determinised. Determinise it first: of the paths of one word sequence that chose different back-offs
        in the old graph only the best should go on.
    old, new : NgramAutomaton
        Of any order, over the word ids of the lattice.
    old_backs_off_freely, new_backs_off_freely : bool
        See :func:`add_model`. A lattice from a static graph holds costs of the free kind, one from a graph made
        with ``--on-the-fly`` of the other.

    Raises
    ------
    DataError
        The old model makes a word of the lattice impossible, or the new one every path.
    """
    bare = add_model(lattice, old, -old_scale, old_backs_off_freely)
    return add_model(bare, new, new_scale, new_backs_off_freely)


def add_model(lattice: Lattice, model: NgramAutomaton, scale: float, backs_off_freely: bool = True) -> Lattice:
    """Return the lattice with ``scale`` times the model's costs added to its graph costs.

    The lattice is composed with the model on demand, so that a state stands for one history: exact for any order.

    Parameters
    ----------
    scale : float
        Negative: the model's costs are taken away.
    backs_off_freely : bool
        True: a sentence costs what the best path of the decoding graph says, which may back off although the longer
        n-gram is listed, wherever that is cheaper. (Kaldi's ``lattice-lmrescore`` takes the old model away like
        this.) False: it costs exactly what the ARPA file says (Kaldi's ``lattice-lmrescore-const-arpa``). The two
        differ in models whose back-off estimates exceed listed probabilities, as Kneser-Ney's in back-off form
        often do, and interpolated ones hardly.

    Raises
    ------
    DataError
        The model makes all paths impossible, or, where its costs are taken away, a word.
    """
    # Numba comes with it.
    from asrkit.lattice.rescoring_kernels import compose

    if not math.isfinite(scale):
        raise ConfigError(f"the scale of a language model is {scale}, expected a finite number")
    states, arcs, ends, impossible = compose(
        model.arrays,
        model.start,
        backs_off_freely,
        model.order,
        lattice.offsets,
        lattice.words,
        lattice.destinations,
    )
    if scale < 0 and impossible >= 0:
        raise DataError(
            f"the language model to be taken away gives word {lattice.words[impossible]} of the lattice no probability",
            remedy=_UNCHANGED,
        )
    final_graph_costs = np.full(len(states), np.inf)
    can_end = np.isfinite(ends)
    final_graph_costs[can_end] = lattice.final_graph_costs[states[can_end]] + scale * ends[can_end]
    if not np.any(final_graph_costs < np.inf):
        raise DataError(
            NO_PATH,
            remedy="are its words those of the graph that the lattice is from?",
        )
    num_tids = lattice.num_tids[arcs.arcs]
    tid_offsets = np.concatenate([[0], np.cumsum(num_tids)]).astype(np.int32)
    within = np.arange(tid_offsets[-1]) - np.repeat(tid_offsets[:-1], num_tids)
    return build_lattice(
        start=0,
        sources=arcs.sources.astype(np.int32),
        destinations=arcs.targets.astype(np.int32),
        words=lattice.words[arcs.arcs],
        graph_costs=lattice.graph_costs[arcs.arcs] + scale * arcs.costs,
        acoustic_costs=lattice.acoustic_costs[arcs.arcs],
        tid_offsets=tid_offsets,
        tids=lattice.tids[np.repeat(lattice.tid_offsets[arcs.arcs], num_tids) + within],
        final_graph_costs=final_graph_costs,
        final_acoustic_costs=lattice.final_acoustic_costs[states],
    )
