"""MMI and boosted MMI of one utterance: a reference path against the paths of a lattice."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from asrkit.core.errors import ConfigError, ModelError
from asrkit.hmm.transitions import TransitionModel
from asrkit.lattice.acoustics import frames_of_tids
from asrkit.lattice.lattice import Doubles, IntArray, Lattice, LatticeScales, build_lattice
from asrkit.lattice.occupancies import Occupancies


@dataclass(frozen=True, eq=False)
class Reference:
    """What was said: the path that the objective raises.

    Attributes
    ----------
    words : int32, shape (num_words,)
        Word ids, 1-based.
    tids : int32, shape (num_frames,)
        Its alignment, transition_ids, 1-based.
    """

    words: IntArray
    tids: IntArray


def reference_logprob(lattice: Lattice, reference: Reference, scales: LatticeScales) -> float:
    """Return the log of the summed weights of the paths that are the reference: its words, its alignment.

    Natural log, scaled; -inf where the lattice has no such path.
    """
    length = len(reference.tids)
    frames = frames_of_tids(lattice)
    if len(frames) and frames.max() >= length:
        return -math.inf
    wrong = lattice.tids != reference.tids[frames]
    fits = np.bincount(np.repeat(np.arange(lattice.num_arcs), lattice.num_tids)[wrong], minlength=lattice.num_arcs) == 0
    words, whole = reference.words.tolist(), lattice.state_frames == length
    fits &= np.isin(lattice.words, [0, *words])
    arcs = np.flatnonzero(fits)
    offsets = np.searchsorted(arcs, lattice.offsets).tolist()
    own_words, destinations = lattice.words[arcs].tolist(), lattice.destinations[arcs].tolist()
    costs, ends = lattice.arc_costs(scales)[arcs].tolist(), lattice.final_costs(scales)
    # By state the number of words so far -> log weight; a higher state is never followed by a lower one.
    scores: dict[int, dict[int, float]] = {0: {0: 0.0}}
    waiting = [0]
    total = -math.inf
    while waiting:
        state = heapq.heappop(waiting)
        here = scores.pop(state)
        if len(words) in here and whole[state]:
            total = _log_add(total, here[len(words)] - float(ends[state]))
        for arc in range(offsets[state], offsets[state + 1]):
            target, word = destinations[arc], own_words[arc]
            for so_far, score in here.items():
                if word and (so_far == len(words) or words[so_far] != word):
                    continue
                if target not in scores:
                    heapq.heappush(waiting, target)
                    scores[target] = {}
                reached, count = scores[target], so_far + (word != 0)
                reached[count] = _log_add(reached.get(count, -math.inf), score - costs[arc])
    return total


def _log_add(first: float, second: float) -> float:
    high, low = max(first, second), min(first, second)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))


def with_reference(lattice: Lattice, reference: Reference, graph_cost: float, acoustic_cost: float) -> Lattice:
    """Return the lattice with one more path, the reference.

    Without it an objective over the lattice could rise above 0, and what was said would be pushed away nowhere.

    Parameters
    ----------
    graph_cost, acoustic_cost : float
        Of the whole path, not scaled, as in :class:`Lattice`.
    """
    if len(reference.tids) != lattice.num_frames:
        raise ModelError(f"a lattice of {lattice.num_frames} frames, and a reference of {len(reference.tids)}")
    # A chain from the start: the words, and one arc more that carries costs and alignment.
    length = len(reference.words) + 1
    chain = np.arange(lattice.num_states, lattice.num_states + length, dtype=np.int32)
    last = np.zeros(length)
    last[-1] = 1
    ends = np.full(length, np.inf)
    ends[-1] = 0.0
    tid_ends = lattice.tid_offsets[-1] + (last * len(reference.tids)).astype(np.int32)
    return build_lattice(
        start=0,
        sources=np.concatenate([lattice.sources, [0], chain[:-1]]).astype(np.int32),
        destinations=np.concatenate([lattice.destinations, chain]),
        words=np.concatenate([lattice.words, reference.words, [0]]).astype(np.int32),
        graph_costs=np.concatenate([lattice.graph_costs, graph_cost * last]),
        acoustic_costs=np.concatenate([lattice.acoustic_costs, acoustic_cost * last]),
        tid_offsets=np.concatenate([lattice.tid_offsets, tid_ends]).astype(np.int32),
        tids=np.concatenate([lattice.tids, reference.tids]).astype(np.int32),
        final_graph_costs=np.concatenate([lattice.final_graph_costs, ends]),
        final_acoustic_costs=np.concatenate([lattice.final_acoustic_costs, ends]),
    )


def frame_errors(
    lattice: Lattice, reference: IntArray, transitions: TransitionModel, silence_phones: Sequence[int]
) -> Doubles:
    """Return for each arc the number of its frames whose phone is another than the reference's, float64.

    Frames that the arc gives to silence are no errors.
    """
    phones = transitions.tid_to_phone[lattice.tids]
    wrong = phones != transitions.tid_to_phone[reference][frames_of_tids(lattice)]
    wrong &= ~np.isin(phones, np.asarray(silence_phones))
    arcs = np.repeat(np.arange(lattice.num_arcs), lattice.num_tids)
    return np.bincount(arcs[wrong], minlength=lattice.num_arcs).astype(np.float64)


def boosted(
    lattice: Lattice, reference: IntArray, transitions: TransitionModel, silence_phones: Sequence[int], boost: float
) -> Lattice:
    """Return the lattice with paths the likelier the more phone errors they have (Kaldi's lattice-boost-ali).

    Parameters
    ----------
    reference : int32, shape (num_frames,)
        Transition ids.
    boost : float
        Natural log added to an arc's graph score for each wrong frame (see :func:`frame_errors`), 0 or more.

    Notes
    -----
    D. Povey et al., "Boosted MMI for model and feature-space discriminative training" (2008), with errors counted by
    frames and phones.
    """
    if not 0 <= boost < np.inf:
        raise ConfigError(f"boost is {boost}, expected a number of 0 or more")
    errors = frame_errors(lattice, reference, transitions, silence_phones)
    return replace(lattice, graph_costs=lattice.graph_costs - boost * errors)


def mmi_occupancies(
    lattice: Lattice,
    arc_posteriors: Doubles,
    reference: IntArray,
    transitions: TransitionModel,
    cancel: bool = True,
) -> tuple[Occupancies, Occupancies]:
    """Return numerator and denominator occupancies of the pdfs at each frame.

    Parameters
    ----------
    arc_posteriors : float64, shape (num_arcs,)
        Of the (boosted) lattice.
    reference : int32, shape (num_frames,)
        Transition ids; the numerator is 1 at their pdfs.
    cancel : bool
        Take from both sides what both have of a pdf at a frame (Kaldi's sum-post --merge): their difference, and so
        the gradient, stays, and the updates need less smoothing.
    """
    num_pdfs = transitions.num_pdfs
    frames = np.concatenate([frames_of_tids(lattice), np.arange(len(reference))])
    pdfs = transitions.tid_to_pdf[np.concatenate([lattice.tids, reference])]
    keys, places = np.unique(frames.astype(np.int64) * num_pdfs + pdfs, return_inverse=True)
    count = len(lattice.tids)
    repeated = np.repeat(arc_posteriors, lattice.num_tids)
    den = np.bincount(places[:count], repeated, minlength=len(keys)).astype(np.float64)
    num = np.bincount(places[count:], minlength=len(keys)).astype(np.float64)
    if cancel:
        num, den = np.maximum(num - den, 0.0), np.maximum(den - num, 0.0)
    return Occupancies.of_keys(keys, num, num_pdfs), Occupancies.of_keys(keys, den, num_pdfs)
