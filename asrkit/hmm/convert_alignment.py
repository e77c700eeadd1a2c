"""Alignments of one model said in the transition ids of another (Kaldi's convert-ali)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ModelError
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import ContextTree
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
    states = old.tid_to_transition_state
    events = frame_events(old, alignment, new_tree.context_width, new_tree.central_position)
    described = np.concatenate([alignment[:, None], events], axis=1)
    starts = np.flatnonzero((described[1:] != described[:-1]).any(axis=1)) + 1
    starts = np.concatenate([np.zeros(min(1, len(alignment)), starts.dtype), starts])
    tids = alignment[starts]
    rows = zip(
        old.tid_to_phone[tids].tolist(),
        old.tid_to_hmm_state[tids].tolist(),
        (tids - np.searchsorted(states, states[tids])).tolist(),
        events[starts].tolist(),
        strict=True,
    )
    converted = [
        new.transition_id(phone, state, new_tree.pdf_id(event[:-1], event[-1]), arc)
        for phone, state, arc, event in rows
    ]
    return np.repeat(np.array(converted, dtype=np.int32), np.diff(starts, append=len(alignment)))
