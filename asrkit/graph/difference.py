"""What a language model costs more than a smaller one that a graph was made with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from asrkit.core.errors import GraphError
from asrkit.graph.automaton import NgramAutomaton


def difference(full: NgramAutomaton, small: NgramAutomaton) -> NgramAutomaton:
    """Return the automaton that charges the cost of each sentence in ``full`` less that in ``small``.

    It has the states and n-grams of ``full``: as every context and n-gram of the small model is one of the full
    model's, the history in the one says the history in the other, and where the full model backs off the small one
    lists the word no more. Costs may be negative.

    Parameters
    ----------
    full : NgramAutomaton
    small : NgramAutomaton
        All its n-grams are listed in ``full``, and it lists every word that ``full`` does.

    Raises
    ------
    GraphError
        It is not such a model.
    """
    # Numba comes with it.
    from asrkit.graph.automaton_kernels import less_small_model

    costs, final_costs = full.costs.copy(), full.final_costs.copy()
    backoff_costs = full.backoff_costs.copy()
    fits = less_small_model(full.arrays, full.start, small.arrays, small.start, costs, backoff_costs, final_costs)
    if not fits:
        raise GraphError("the small language model is no part of the full one: it cannot be taken away from it")
    # Where the full model makes something impossible it stays so.
    for new, old in ((costs, full.costs), (backoff_costs, full.backoff_costs), (final_costs, full.final_costs)):
        new[old == np.inf] = np.inf
    return replace(full, costs=costs, backoff_costs=backoff_costs, final_costs=final_costs)
