"""What the paths of a lattice say together of each frame: weights of pdfs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.hmm.transitions import TransitionModel
from asrkit.lattice.forward_backward import forward_backward, frame_posteriors
from asrkit.lattice.lattice import Doubles, IntArray, Lattice, LatticeScales


@dataclass(frozen=True, eq=False)
class Occupancies:
    """Weights of pdfs at frames, each pair once, sorted by frame and then by pdf.

    Attributes
    ----------
    frame_index : int32, shape (n,)
        0-based.
    pdf_ids : int32, shape (n,)
        0-based.
    weights : float32, shape (n,)
        Above 0.
    """

    frame_index: IntArray
    pdf_ids: IntArray
    weights: NDArray[np.float32]

    @classmethod
    def of_keys(cls, keys: NDArray[np.int64], weights: Doubles, num_pdfs: int) -> Occupancies:
        """Return those of weight above 0; a key is frame times number of pdfs plus pdf, and keys ascend."""
        kept = weights > 0
        frames, pdfs = np.divmod(keys[kept], num_pdfs)
        return cls(frames.astype(np.int32), pdfs.astype(np.int32), weights[kept].astype(np.float32))

    @property
    def total(self) -> float:
        """Sum of the weights, frames."""
        return float(self.weights.sum(dtype=np.float64))


def lattice_occupancies(
    lattice: Lattice,
    scales: LatticeScales,
    transitions: TransitionModel,
    silence_phones: Sequence[int] = (),
    silence_weight: float = 1.0,
    min_posterior: float = 0.0,
) -> Occupancies:
    """Return the posteriors of the pdfs, silence weighted down (lattice-to-post, weight-silence-post).

    Parameters
    ----------
    silence_phones : sequence of int
        1-based.
    silence_weight : float
        Factor of the posteriors of these phones.
    min_posterior : float
        Transition_ids that are less probable at a frame are left out.
    """
    found = frame_posteriors(lattice, forward_backward(lattice, scales).arcs)
    kept = found.posteriors >= min_posterior
    frames = np.repeat(np.arange(found.num_frames), np.diff(found.offsets))[kept]
    tids = found.ids[kept]
    silent = np.isin(transitions.tid_to_phone[tids], np.asarray(silence_phones))
    weights = np.where(silent, silence_weight, 1.0) * found.posteriors[kept]
    pairs = frames.astype(np.int64) * transitions.num_pdfs + transitions.tid_to_pdf[tids]
    keys, places = np.unique(pairs, return_inverse=True)
    sums: Doubles = np.bincount(places, weights, minlength=len(keys)).astype(np.float64)
    return Occupancies.of_keys(keys, sums, transitions.num_pdfs)
