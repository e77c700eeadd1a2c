"""MMI, boosted MMI and sMBR of an utterance over its lattice, with their derivatives by the loglikes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ModelError
from asrkit.hmm.transitions import TransitionModel
from asrkit.lattice.acoustics import frames_of_tids, rescored
from asrkit.lattice.discriminative import Reference, boosted, reference_logprob
from asrkit.lattice.forward_backward import forward_backward
from asrkit.lattice.lattice import Doubles, IntArray, Lattice, LatticeScales
from asrkit.nnet.sequence.config import LatticeCriterionConfig
from asrkit.nnet.sequence.criterion import Evaluation, Loglikes


def mmi(
    lattice: Lattice,
    reference: Reference,
    transitions: TransitionModel,
    loglikes: Loglikes,
    config: LatticeCriterionConfig,
    silence_phones: Sequence[int] = (),
    reference_graph_logprob: float | None = None,
) -> Evaluation:
    """Return the log posterior of the reference among the paths of a lattice.

    The derivative is ``acoustic_scale * (numerator - denominator occupancy)`` of each pdf at each frame; it is that
    of the value but at frames dropped by ``config.min_overlap``, where it is 0.

    Parameters
    ----------
    lattice : Lattice
        Holds the reference; its acoustic costs play no part.
    loglikes : (num_frames, num_pdfs) float
        Natural log.
    silence_phones : sequence of int
        1-based; no errors for boosted MMI (see :func:`asrkit.lattice.discriminative.frame_errors`).
    reference_graph_logprob : float, optional
        Log of the summed graph weights of the reference's paths, where it is known already.

    Raises
    ------
    ModelError
        The lattice has other lengths, or not the reference; or log-likelihoods are not finite.
    """
    said = reference_graph_logprob
    if said is None:
        said = graph_logprob(lattice, reference)
    lattice, frames, pdf_ids = _with_acoustics(lattice, transitions, loglikes)
    if config.kind == "bmmi":
        lattice = boosted(lattice, reference.tids, transitions, silence_phones, config.boost)
    found = forward_backward(lattice, LatticeScales(config.acoustic_scale))
    difference = -_occupancies(lattice, frames, pdf_ids, found.arcs, loglikes.shape)
    every, right = np.arange(len(loglikes)), transitions.tid_to_pdf[reference.tids]
    dropped = -difference[every, right] < config.min_overlap
    difference[every, right] += 1.0
    difference[dropped] = 0.0
    along = float(loglikes[every, right].sum(dtype=np.float64))
    value = said + config.acoustic_scale * along - found.total_logprob
    return Evaluation(value, (config.acoustic_scale * difference).astype(np.float32))


def smbr(
    lattice: Lattice,
    reference: IntArray,
    transitions: TransitionModel,
    loglikes: Loglikes,
    config: LatticeCriterionConfig,
    silence_phones: Sequence[int] = (),
) -> Evaluation:
    """Return the expected number of right frames over the paths of a lattice (state-level minimum Bayes risk).

    The derivative is ``acoustic_scale * posterior * (mean of the paths through the arc - mean of all paths)``, summed
    over the arcs that have a pdf at a frame.

    Parameters
    ----------
    reference : (num_frames,) int32
        Transition ids.

    Notes
    -----
    M. Gibson & T. Hain, "Hypothesis spaces for minimum Bayes risk training in large vocabulary speech recognition"
    (2006); accuracies as in Kaldi's LatticeForwardBackwardMpeVariants.
    """
    lattice, frames, pdf_ids = _with_acoustics(lattice, transitions, loglikes)
    from asrkit.nnet.sequence.kernels import expected_values

    accuracies = frame_accuracies(lattice, reference, transitions, silence_phones, config.one_silence_class)
    scales = LatticeScales(config.acoustic_scale)
    found = forward_backward(lattice, scales)
    before, behind = expected_values(
        lattice.offsets, lattice.destinations, lattice.arc_costs(scales), found.forward, found.backward, accuracies
    )
    mean = float(behind[0])
    through = before[lattice.sources] + accuracies + behind[lattice.destinations]
    weights = config.acoustic_scale * found.arcs * (through - mean)
    derivative = _occupancies(lattice, frames, pdf_ids, weights, loglikes.shape)
    return Evaluation(mean, derivative.astype(np.float32))


def frame_accuracies(
    lattice: Lattice,
    reference: IntArray,
    transitions: TransitionModel,
    silence_phones: Sequence[int],
    one_silence_class: bool,
) -> Doubles:
    """Return for each arc the number of its frames that are right, float64.

    A frame is right where its pdf is the reference's. With one silence class also where both are silence; else never
    where it is silence.

    Parameters
    ----------
    reference : (num_frames,) int32
        Transition ids.
    """
    theirs = reference[frames_of_tids(lattice)]
    right = transitions.tid_to_pdf[lattice.tids] == transitions.tid_to_pdf[theirs]
    silent, truly_silent = (
        np.isin(transitions.tid_to_phone[tids], np.asarray(silence_phones)) for tids in (lattice.tids, theirs)
    )
    right = right | (silent & truly_silent) if one_silence_class else right & ~silent
    arcs = np.repeat(np.arange(lattice.num_arcs), lattice.num_tids)
    return np.bincount(arcs[right], minlength=lattice.num_arcs).astype(np.float64)


def graph_logprob(lattice: Lattice, reference: Reference) -> float:
    """Return the log of the summed graph weights of the paths that are the reference; none is a ModelError."""
    found = reference_logprob(lattice, reference, LatticeScales(0.0))
    if not np.isfinite(found):
        raise ModelError("the lattice does not hold its reference", remedy="make the lattices again")
    return found


def _with_acoustics(
    lattice: Lattice, transitions: TransitionModel, loglikes: Loglikes
) -> tuple[Lattice, IntArray, IntArray]:
    """Return the lattice with acoustic costs of these loglikes, and frame and pdf of each of its tids."""
    if lattice.num_frames != len(loglikes):
        raise ModelError(f"a lattice of {lattice.num_frames} frames, and features of {len(loglikes)}")
    frames, pdf_ids = frames_of_tids(lattice), transitions.tid_to_pdf[lattice.tids]
    return rescored(lattice, loglikes[frames, pdf_ids]), frames, pdf_ids


def _occupancies(
    lattice: Lattice, frames: IntArray, pdf_ids: IntArray, arc_weights: Doubles, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    from asrkit.nnet.sequence.kernels import add_to_frames

    total = np.zeros(shape)
    add_to_frames(lattice.tid_offsets, frames, pdf_ids, arc_weights, total)
    return total


class LatticeCriterion:
    """The criterion of each utterance that has a lattice.

    Parameters
    ----------
    lattices : mapping of str to Lattice
        Each holds its reference.
    references : mapping of str to Reference
    transitions : TransitionModel
        Whose transition_ids these are of.
    silence_phones : sequence of int
        1-based.
    config : LatticeCriterionConfig
    """

    def __init__(
        self,
        lattices: Mapping[str, Lattice],
        references: Mapping[str, Reference],
        transitions: TransitionModel,
        silence_phones: Sequence[int],
        config: LatticeCriterionConfig,
    ) -> None:
        self._lattices, self._references, self._transitions = lattices, references, transitions
        self._silence, self._config = tuple(silence_phones), config
        self._graph_logprobs: dict[str, float] = {}

    @property
    def ceiling(self) -> float:
        """1 for sMBR, where a frame is right at most; 0 for a log posterior."""
        return 1.0 if self._config.kind == "smbr" else 0.0

    def __call__(self, utterance_id: str, loglikes: Loglikes, /) -> Evaluation:
        """See :class:`asrkit.nnet.sequence.criterion.Criterion`."""
        lattice, reference = self._lattices[utterance_id], self._references[utterance_id]
        if len(reference.tids) != len(loglikes):
            raise ModelError(f"a reference of {len(reference.tids)} frames, and features of {len(loglikes)}")
        if self._config.kind == "smbr":
            return smbr(lattice, reference.tids, self._transitions, loglikes, self._config, self._silence)
        if utterance_id not in self._graph_logprobs:
            self._graph_logprobs[utterance_id] = graph_logprob(lattice, reference)
        known = self._graph_logprobs[utterance_id]
        return mmi(lattice, reference, self._transitions, loglikes, self._config, self._silence, known)
