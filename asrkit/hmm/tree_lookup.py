"""Asking a context tree about many phones in context at once, and about all that it can answer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ModelError
from asrkit.hmm.tree import ContextTree, Leaf, Node, Split

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
            pending += [(node.yes, rows[yes]), (node.no, rows[~yes])]
        else:
            values = events[rows, node.position]
            pending += [(node.branches[value], rows[values == value]) for value in _present(values, node.branches)]
    unknown = np.flatnonzero(pdfs < 0)
    if len(unknown):
        tree.pdf_id(events[unknown[0], :-1].tolist(), int(events[unknown[0], -1]))
        raise ModelError("the tree has no leaf for an event")
    return pdfs


def _present(values: IntArray, branches: object) -> list[int]:
    assert isinstance(branches, dict)
    return [value for value in np.unique(values).tolist() if value in branches]
