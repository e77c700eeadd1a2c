"""Making a graph smaller without changing what it sums: states that have the same future become one, or the same past.

A context tree asks little about most contexts, and nothing about those of silence, so that of the copies which a phone
needs for its neighbours many differ in nothing but where they stand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]
Hashes = NDArray[np.uint64]

DECIMALS = 9
"""Natural logs of weights that agree to so many decimals are the same."""


@dataclass(frozen=True, eq=False)
class WeightedStates:
    """A graph of S states and A arcs; a path of T arcs weighs ``initial * product of (weight * emission) * final``.

    Attributes
    ----------
    src, dst : (A,) int64
        States, 0-based; no two arcs have both in common.
    weight : (A,) float64
        Above 0.
    pdf : (S,) int64
        0-based; what emits the frame by which a state is entered.
    initial, final : (S,) float64
    """

    src: Ints
    dst: Ints
    weight: Doubles
    pdf: Ints
    initial: Doubles
    final: Doubles

    @property
    def num_states(self) -> int:
        """S."""
        return len(self.pdf)

    def reversed(self) -> WeightedStates:
        """Return the graph whose paths are these backwards, but for the frames' places."""
        return WeightedStates(self.dst, self.src, self.weight, self.pdf, self.final, self.initial)


def merged(graph: WeightedStates) -> WeightedStates:
    """Return a graph with the same sums, in which the probability of a state is that of all that it stands for."""
    return _merge_pasts(_merge_futures(_reachable(graph)))


def _merge_futures(graph: WeightedStates) -> WeightedStates:
    """Make one state of those with the same pdf, of which arcs of the same weights lead to the same states."""
    return _quotient(graph, _classes(graph, graph.weight, graph.final))


def _merge_pasts(graph: WeightedStates) -> WeightedStates:
    """Make one state of those with the same pdf whose forward probabilities are always in the same proportion.

    That proportion is the one of their best paths' weights: divided by it, forward probabilities are equal where arcs
    of the same weights come from the same states.
    """
    best = _best_weights(graph)
    weight = graph.weight * best[graph.src] / best[graph.dst]
    turned = WeightedStates(
        graph.src, graph.dst, weight, graph.pdf, graph.initial / best, graph.final * best
    ).reversed()
    classes = _classes(turned, turned.weight, turned.final)
    small = _quotient(turned, classes).reversed()
    share = np.bincount(classes, best)
    return WeightedStates(
        small.src,
        small.dst,
        small.weight * share[small.dst] / share[small.src],
        small.pdf,
        small.initial * share,
        small.final / share,
    )


def _reachable(graph: WeightedStates) -> WeightedStates:
    """Drop the states that no path comes to."""
    kept = graph.initial > 0
    while True:
        more = kept.copy()
        more[graph.dst[kept[graph.src]]] = True
        if more.sum() == kept.sum():
            break
        kept = more
    place = np.cumsum(kept) - 1
    arcs = kept[graph.src] & kept[graph.dst]
    src, dst = (place[states[arcs]] for states in (graph.src, graph.dst))
    return WeightedStates(src, dst, graph.weight[arcs], graph.pdf[kept], graph.initial[kept], graph.final[kept])


def _best_weights(graph: WeightedStates) -> Doubles:
    """Return the largest weight of a way from the start to each state, emissions aside, that comes nowhere twice."""
    best = graph.initial.copy()
    for _ in range(graph.num_states):
        longer = best.copy()
        np.maximum.at(longer, graph.dst, best[graph.src] * graph.weight)
        if (longer == best).all():
            break
        best = longer
    return best


def _classes(graph: WeightedStates, weight: Doubles, end: Doubles) -> Ints:
    """Return the number of the class of each state: the coarsest parting that arcs and ends agree with.

    Classes are compared by 64-bit sums over their arcs; that two different ones agree by chance is as good as
    impossible. They are numbered in the order of their first states.
    """
    with np.errstate(divide="ignore"):
        weights, ends = (_mixed(np.round(np.log(values), DECIMALS).view(np.uint64)) for values in (weight, end))
    key = _mixed(graph.pdf.astype(np.uint64)) + ends
    count = 0
    while True:
        _, first, classes = np.unique(key, return_index=True, return_inverse=True)
        if len(first) == count:
            order = np.empty(count, dtype=np.int64)
            order[np.argsort(first)] = np.arange(count)
            return order[classes]
        count = len(first)
        own = _mixed(key)
        key = own.copy()
        np.add.at(key, graph.src, _mixed(own[graph.dst] + weights))


def _mixed(values: Hashes) -> Hashes:
    """Return well mixed bits (Steele et al. 2014, splitmix64)."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _quotient(graph: WeightedStates, classes: Ints) -> WeightedStates:
    """Return the graph of classes: each has the arcs of its first state, and begins what all of them begin."""
    count = int(classes.max()) + 1
    _, first = np.unique(classes, return_index=True)
    chosen = first[classes[graph.src]] == graph.src
    keys, places = np.unique(classes[graph.src[chosen]] * count + classes[graph.dst[chosen]], return_inverse=True)
    src, dst = np.divmod(keys, count)
    weight = np.bincount(places, graph.weight[chosen], minlength=len(keys)).astype(np.float64)
    initial = np.bincount(classes, graph.initial).astype(np.float64)
    return WeightedStates(src, dst, weight, graph.pdf[first], initial, graph.final[first])
