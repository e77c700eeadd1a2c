"""Asking a context tree about many phones in context at once, and about all that it can answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from asrkit.hmm.tree import PDF_CLASS, ContextTree, Leaf, Node, Split

IntArray = NDArray[np.int32]


def lookup_pdfs(tree: ContextTree, events: IntArray) -> IntArray:
    """Return the pdf_id (0-based) of each event: :meth:`ContextTree.pdf_id` for many windows.

    Parameters
    ----------
    events : int32, shape (n, context_width + 1)
        Phone ids of the windows, then the pdf class.

    Raises
    ------
    ModelError
        The tree knows no such phone or pdf class.
    """
    pdfs = np.full(len(events), -1, dtype=np.int32)
    pending: list[tuple[Node, NDArray[np.intp]]] = [(tree.root, np.arange(len(events)))]
    while pending:
        node, rows = pending.pop()
        if isinstance(node, Leaf):
            pdfs[rows] = node.pdf_id
        elif isinstance(node, Split):
            yes = np.isin(events[rows, node.position], list(node.values))
            pending += [(node.yes, rows[yes])] if yes.any() else []
            pending += [(node.no, rows[~yes])] if not yes.all() else []
        else:
            values = events[rows, node.position]
            pending += [(node.branches[value], rows[values == value]) for value in _present(values, node.branches)]
    for row in np.flatnonzero(pdfs < 0)[:1]:
        tree.pdf_id(events[row, :-1].tolist(), int(events[row, -1]))
    return pdfs


def reachable_pdfs(tree: ContextTree, phone: int, pdf_class: int, phones: Iterable[int]) -> set[int]:
    """Return the pdf_ids that a phone's pdf class has in any context, without asking about each context.

    Parameters
    ----------
    phones : iterable of int
        What may stand beside it; outside the utterance is always among that.

    Raises
    ------
    ModelError
        The tree knows no such phone or pdf class, or lacks a branch for a context.
    """
    beside = frozenset(phones) | {0}
    allowed = dict.fromkeys(range(tree.context_width), beside)
    allowed |= {tree.central_position: frozenset([phone]), PDF_CLASS: frozenset([pdf_class])}
    return set(_reachable(tree, tree.root, allowed))


def _reachable(tree: ContextTree, node: Node, allowed: dict[int, frozenset[int]]) -> Iterator[int]:
    if isinstance(node, Leaf):
        yield node.pdf_id
        return
    values = allowed[node.position]
    if isinstance(node, Split):
        ways = [(values & node.values, node.yes), (values - node.values, node.no)]
    else:
        absent = sorted(values - node.branches.keys())
        if absent:
            example = {place: min(possible) for place, possible in allowed.items()} | {node.position: absent[0]}
            tree.pdf_id([example[place] for place in range(tree.context_width)], example[PDF_CLASS])
        ways = [(frozenset([value]), node.branches[value]) for value in sorted(values)]
    for part, branch in ways:
        if part:
            yield from _reachable(tree, branch, {**allowed, node.position: part})


def _present(values: IntArray, branches: Mapping[int, Node]) -> list[int]:
    return [value for value in np.unique(values).tolist() if value in branches]
