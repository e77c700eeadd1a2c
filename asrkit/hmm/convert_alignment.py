"""Alignments of one model said in the transition ids of another (Kaldi's convert-ali)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ModelError
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import ContextTree
from asrkit.hmm.tree_lookup import lookup_pdfs
from asrkit.hmm.tree_stats import frame_events

IntArray = NDArray[np.int32]


def convert_alignment(
    old: TransitionModel, new: TransitionModel, new_tree: ContextTree, alignment: IntArray
) -> IntArray:
    """Return the transition ids by which another model says the same alignment.

    Parameters
    ----------
    old, new : TransitionModel
        Models of the same topology.
    new_tree : ContextTree
        The tree of ``new``.
    alignment : int32, shape (T,)
        Transition ids of ``old``.

    Returns
    -------
    int32, shape (T,)
        Transition ids of ``new``: phone, HMM state and arc of each frame are kept, the pdf is that of the phone in
        its new context.

    Raises
    ------
    ModelError
        The topologies differ.
    """
    if old.topology != new.topology:
        raise ModelError("the two models have different topologies", remedy="train both with the same lang directory")
    if not len(alignment):
        return np.zeros(0, np.int32)
    events = frame_events(old, alignment, new_tree.context_width, new_tree.central_position)
    pdfs = lookup_pdfs(new_tree, events)
    states = old.tid_to_transition_state
    arcs = alignment - np.searchsorted(states, states[alignment])
    described = np.stack([old.tid_to_phone[alignment], old.tid_to_hmm_state[alignment], pdfs, arcs], axis=1)
    distinct, inverse = np.unique(described, axis=0, return_inverse=True)
    converted = [new.transition_id(*row) for row in distinct.tolist()]
    return np.array(converted, dtype=np.int32)[inverse.reshape(-1)]
