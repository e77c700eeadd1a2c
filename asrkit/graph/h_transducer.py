"""H: from transition ids to phones in context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ModelError
from asrkit.graph.fst import FstArrays
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import ContextTree

Hmm = tuple[int, tuple[int, ...]]


@dataclass(frozen=True)
class HTransducer:
    """H, without self-loops.

    Attributes
    ----------
    fst : FstArrays
        Input labels are transition ids, and above them one label a disambiguation symbol; output labels are
        physical phones (see ``label_map``).
    label_map : (num_windows,) int32
        Input label of CLG (a window) -> output label of H. Windows with the same central phone and the same pdfs
        get the same label: they have the same HMM.
    """

    fst: FstArrays
    label_map: NDArray[np.int32]


def h_transducer(
    windows: Sequence[Sequence[int]], tree: ContextTree, transitions: TransitionModel, transition_scale: float
) -> HTransducer:
    """Return H for the windows that occur in CLG (Kaldi's ``make-h-transducer``, with ``make-ilabel-transducer``).

    Every arc weighs ``transition_scale`` times minus the log of its probability given that the state is left;
    self-loops are added at the very end, by :func:`asrkit.graph.self_loops.add_self_loops`.

    Parameters
    ----------
    windows : sequence of sequences of int
        Meaning of CLG's input labels: entry 0 is empty (epsilon); ``[-n]`` is disambiguation symbol n, ``[0]``
        the one in front of an utterance; any other one is a window of ``tree.context_width`` phone ids.
    """
    label_map = np.zeros(len(windows), dtype=np.int32)
    hmms: dict[Hmm, int] = {}
    builder = _LoopBuilder(transitions, transition_scale)
    num_labels = 0
    next_disambiguation = transitions.num_transition_ids + 1
    for number, window in enumerate(windows[1:], 1):
        if len(window) == 1 and window[0] <= 0:
            num_labels += 1
            label_map[number] = num_labels
            builder.arcs.append((0, next_disambiguation, num_labels, 0.0, 0))
            next_disambiguation += 1
            continue
        hmm = physical_hmm(window, tree, transitions)
        if hmm not in hmms:
            num_labels += 1
            hmms[hmm] = num_labels
            builder.add(hmm, num_labels)
        label_map[number] = hmms[hmm]
    return HTransducer(builder.build(), label_map)


def physical_hmm(window: Sequence[int], tree: ContextTree, transitions: TransitionModel) -> Hmm:
    """Return (phone, pdf_id of each pdf class) of the phone in the middle of a window: all that its HMM depends on."""
    phone = window[tree.central_position]
    classes = range(transitions.topology.num_pdf_classes(phone))
    return phone, tuple(tree.pdf_id(window, pdf_class) for pdf_class in classes)


def forward_arcs(hmm: Hmm, transitions: TransitionModel) -> list[tuple[int, int, int]]:
    """Return the arcs of an HMM without its self-loops: (HMM state, transition_id, next HMM state).

    Arcs of probability zero are left out.

    Raises
    ------
    ModelError
        The transition model has no such state: it does not belong to the tree.
    """
    phone, pdfs = hmm
    states = transitions.topology.states(phone)
    arcs: list[tuple[int, int, int]] = []
    for number, state in enumerate(states[:-1]):
        assert state.pdf_class is not None
        for index, (target, _) in enumerate(state.transitions):
            try:
                tid = transitions.transition_id(phone, number, pdfs[state.pdf_class], index)
            except KeyError:
                raise ModelError(
                    f"phone {phone}, state {number}, pdf {pdfs[state.pdf_class]} has no transition ids",
                    remedy="tree and transition model do not belong together",
                ) from None
            if target != number and transitions.log_probs[tid] > -np.inf:
                arcs.append((number, tid, target))
    return arcs


class _LoopBuilder:
    """Joins HMMs at one state that all of them start from and come back to."""

    def __init__(self, transitions: TransitionModel, transition_scale: float) -> None:
        self.transitions = transitions
        leaving = transitions.log_probs.astype(np.float64) - transitions.non_self_loop_log_probs
        self.cost = -transition_scale * leaving
        self.num_states = 1
        self.arcs: list[tuple[int, int, int, float, int]] = []

    def add(self, hmm: Hmm, label: int) -> None:
        arcs = forward_arcs(hmm, self.transitions)
        final = len(self.transitions.topology.states(hmm[0])) - 1
        first = self.num_states
        if any(target == 0 for _, _, target in arcs):
            # Something comes back to the HMM's first state, so that it cannot be the common one.
            place = {state: first + state for state in range(final)}
            self.num_states += final
            self.arcs.append((0, 0, label, 0.0, first))
            enter = 0
        else:
            place = {0: 0, **{state: first + state - 1 for state in range(1, final)}}
            self.num_states += final - 1
            enter = label
        for state, tid, target in arcs:
            olabel = enter if state == 0 else 0
            self.arcs.append((place[state], tid, olabel, self.cost[tid], place.get(target, 0)))

    def build(self) -> FstArrays:
        src, ilabel, olabel, cost, dst = zip(*self.arcs)
        final = np.full(self.num_states, np.inf)
        final[0] = 0.0
        return FstArrays.from_arcs(0, final, src, ilabel, olabel, cost, dst)
