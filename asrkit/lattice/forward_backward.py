"""Forward-backward over a lattice: posteriors of arcs, and of transition_ids frame by frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.lattice.acoustics import frames_of_tids
from asrkit.lattice.lattice import Doubles, IntArray, Lattice, LatticeScales

_UNSCALED = LatticeScales()


@dataclass(frozen=True, eq=False)
class LatticePosteriors:
    """How probable the parts of a lattice are, if what was said is one of its paths.

    Attributes
    ----------
    total_logprob : float
        Natural log of the summed weight of all paths; a path weighs exp(-weighed cost).
    forward, backward : (num_states,) float64
        Natural log of the summed weight of all paths from the start to a state, and from it to the end.
    arcs : (num_arcs,) float64
        Probability that a path goes through each arc.
    final_states : (num_states,) float64
        Probability that a path ends in each state; sums to 1.
    """

    total_logprob: float
    forward: Doubles
    backward: Doubles
    arcs: Doubles
    final_states: Doubles


@dataclass(frozen=True, eq=False)
class FramePosteriors:
    """A distribution over ids (transition_ids, or what they are mapped to) for each frame, in compressed rows.

    Attributes
    ----------
    offsets : (num_frames + 1,) int32
        The entries of frame t are ``offsets[t]`` up to ``offsets[t + 1]``.
    ids : (num_entries,) int32
        Ascending within a frame.
    posteriors : (num_entries,) float64
        Sum to 1 in each frame.
    """

    offsets: IntArray
    ids: IntArray
    posteriors: Doubles

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return len(self.offsets) - 1

    def mapped(self, new_ids: NDArray[np.integer[Any]]) -> FramePosteriors:
        """Return the posteriors of ``new_ids[id]``, summed where several ids become one; e.g. pdf_id_of of a model."""
        frames = np.repeat(np.arange(self.num_frames), np.diff(self.offsets))
        return _compressed(frames, np.asarray(new_ids)[self.ids], self.posteriors, self.num_frames)


def forward_backward(lattice: Lattice, scales: LatticeScales = _UNSCALED) -> LatticePosteriors:
    """Sum over all paths of a lattice (Kaldi's LatticeForwardBackward)."""
    from asrkit.lattice.posterior_kernels import backward_logprobs, forward_logprobs

    arc_costs, final_costs = lattice.arc_costs(scales), lattice.final_costs(scales)
    forward = forward_logprobs(lattice.offsets, lattice.destinations, arc_costs, lattice.num_states)
    backward = backward_logprobs(lattice.offsets, lattice.destinations, arc_costs, final_costs)
    total = float(backward[0])
    return LatticePosteriors(
        total,
        forward,
        backward,
        np.exp(forward[lattice.sources] - arc_costs + backward[lattice.destinations] - total),
        np.exp(forward - final_costs - total),
    )


def frame_posteriors(lattice: Lattice, arc_posteriors: Doubles) -> FramePosteriors:
    """Return the posteriors of the transition_ids of each frame (Kaldi's lattice-to-post).

    Parameters
    ----------
    arc_posteriors : (num_arcs,) float64
        Of :func:`forward_backward`.

    Raises
    ------
    FormatError
        Paths have different numbers of frames.
    """
    weights = np.repeat(arc_posteriors, lattice.num_tids)
    return _compressed(frames_of_tids(lattice), lattice.tids, weights, lattice.num_frames)


def _compressed(frames: NDArray[Any], ids: NDArray[Any], weights: Doubles, num_frames: int) -> FramePosteriors:
    """Return the sums of the weights of each id in each frame."""
    num_ids = int(ids.max(initial=0)) + 1
    keys, group = np.unique(frames.astype(np.int64) * num_ids + ids, return_inverse=True)
    offsets = np.searchsorted(keys, np.arange(num_frames + 1, dtype=np.int64) * num_ids)
    sums: Doubles = np.bincount(group, weights=weights, minlength=len(keys)).astype(np.float64, copy=False)
    return FramePosteriors(offsets.astype(np.int32), (keys % num_ids).astype(np.int32), sums)
