"""One pass of MMI training over the data: lattices rescored by the present model, statistics of both sides."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import AsrkitError, DataError, ModelError
from asrkit.core.jobs import chunks, map_in_order
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.model import GmmHmm
from asrkit.gmm.stats import GmmStats, accumulate
from asrkit.gmm.training import NOT_FINITE, UTTERANCES_AT_ONCE
from asrkit.lattice.acoustics import frames_of_tids, rescored
from asrkit.lattice.discriminative import Reference, boosted, mmi_occupancies, reference_logprob
from asrkit.lattice.forward_backward import forward_backward
from asrkit.lattice.lattice import Lattice, LatticeScales
from asrkit.lattice.occupancies import Occupancies
from asrkit.stages.record import RunOptions


@dataclass(frozen=True, eq=False)
class MmiData:
    """What MMI training sees.

    Attributes
    ----------
    features : mapping of str to float32 (num_frames, dim)
        The model's inputs, adapted where it wants that.
    lattices : mapping of str to Lattice
        Each holds its reference.
    references : mapping of str to Reference
    silence_phones : tuple of int
        1-based.
    graph_logprobs : dict of str to float
        Graph scores of the references, kept from pass to pass: models change the acoustic scores alone.
    """

    features: Mapping[str, NDArray[np.float32]]
    lattices: Mapping[str, Lattice]
    references: Mapping[str, Reference]
    silence_phones: tuple[int, ...]
    graph_logprobs: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class MmiCriterion:
    """What is maximised.

    Attributes
    ----------
    acoustic_scale : float
        Of lattices and reference alike.
    boost : float
        See :func:`asrkit.lattice.discriminative.boosted`; 0: MMI.
    cancel : bool
        See :func:`asrkit.lattice.discriminative.mmi_occupancies`.
    """

    acoustic_scale: float
    boost: float
    cancel: bool


@dataclass(frozen=True)
class MmiStats:
    """What a pass gives; a monoid.

    Attributes
    ----------
    num, den : GmmStats
        Of numerator and denominator.
    likely : GmmStats
        Of the references alone, whatever was cancelled.
    objective : float
        Sum of the log posteriors of the references, natural log, at most 0.
    num_frames : int
    failures : dict of str to str
        Utterance -> reason.
    """

    num: GmmStats
    den: GmmStats
    likely: GmmStats
    objective: float = 0.0
    num_frames: int = 0
    failures: dict[str, str] = field(default_factory=dict)

    @classmethod
    def zero(cls, gmms: DiagGmms) -> MmiStats:
        """Return the neutral element for a model of this shape."""
        return cls(GmmStats.zero(gmms), GmmStats.zero(gmms), GmmStats.zero(gmms))

    def __add__(self, other: MmiStats) -> MmiStats:
        return MmiStats(
            self.num + other.num,
            self.den + other.den,
            self.likely + other.likely,
            self.objective + other.objective,
            self.num_frames + other.num_frames,
            self.failures | other.failures,
        )

    @property
    def objective_per_frame(self) -> float:
        """Mean of the objective, natural log; NaN without frames."""
        return self.objective / self.num_frames if self.num_frames else float("nan")


def mmi_pass(
    model: GmmHmm, data: MmiData, criterion: MmiCriterion, options: RunOptions, label: str = "MMI"
) -> MmiStats:
    """Sum the statistics of all utterances that have a lattice, in the order of their ids."""
    pieces = chunks(sorted(data.references), UTTERANCES_AT_ONCE)
    job = functools.partial(_chunk, model, data, criterion)
    total = MmiStats.zero(model.gmms)
    results = map_in_order(job, pieces, options.num_jobs, kind="threads")
    for result in options.progress(results, total=len(pieces), label=label):
        total = total + result
    return total


@dataclass(frozen=True, eq=False)
class _Utterance:
    """What one utterance adds."""

    features: NDArray[np.float32]
    sides: tuple[Occupancies, Occupancies]
    pdf_ids: NDArray[np.int32]
    objective: float


def _chunk(model: GmmHmm, data: MmiData, criterion: MmiCriterion, keys: Sequence[str]) -> MmiStats:
    found: list[_Utterance] = []
    failures: dict[str, str] = {}
    for key in keys:
        try:
            found.append(_utterance(model, data, criterion, key))
        except AsrkitError as error:
            failures[key] = str(error)
    if not found:
        return replace(MmiStats.zero(model.gmms), failures=failures)
    features = np.concatenate([one.features for one in found])
    starts = np.cumsum([0, *(len(one.features) for one in found)])
    num, den = (
        accumulate(
            model.gmms,
            features[np.concatenate([one.sides[side].frame_index + start for one, start in zip(found, starts)])],
            np.concatenate([one.sides[side].pdf_ids for one in found]),
            np.concatenate([one.sides[side].weights for one in found]),
        )
        for side in (0, 1)
    )
    likely = accumulate(model.gmms, features, np.concatenate([one.pdf_ids for one in found]))
    return MmiStats(num, den, likely, sum(one.objective for one in found), len(features), failures)


def _utterance(model: GmmHmm, data: MmiData, criterion: MmiCriterion, key: str) -> _Utterance:
    features, lattice, reference = data.features[key], data.lattices[key], data.references[key]
    if not np.isfinite(features).all():
        raise DataError(NOT_FINITE)
    transitions, scales = model.transitions, LatticeScales(criterion.acoustic_scale)
    if key not in data.graph_logprobs:
        data.graph_logprobs[key] = reference_logprob(lattice, reference, replace(scales, acoustic_scale=0.0))
    lattice = rescored(lattice, _loglikes(model, features, lattice))
    if criterion.boost:
        lattice = boosted(lattice, reference.tids, transitions, data.silence_phones, criterion.boost)
    found = forward_backward(lattice, scales)
    sides = mmi_occupancies(lattice, found.arcs, reference.tids, transitions, criterion.cancel)
    pdf_ids = transitions.tid_to_pdf[reference.tids]
    along = model.gmms.pair_loglikes(features, np.arange(len(pdf_ids), dtype=np.int32), pdf_ids)
    said = data.graph_logprobs[key] + scales.acoustic_scale * float(along.sum(dtype=np.float64))
    return _Utterance(features, sides, pdf_ids, said - found.total_logprob)


def _loglikes(model: GmmHmm, features: NDArray[np.float32], lattice: Lattice) -> NDArray[np.float32]:
    """Return the log-likelihood of each of the lattice's transition_ids; each pdf is computed once a frame."""
    if lattice.num_frames != len(features):
        raise ModelError(f"a lattice of {lattice.num_frames} frames, and features of {len(features)}")
    num_pdfs = model.transitions.num_pdfs
    pairs = frames_of_tids(lattice).astype(np.int64) * num_pdfs + model.transitions.tid_to_pdf[lattice.tids]
    keys, places = np.unique(pairs, return_inverse=True)
    frames, pdf_ids = (part.astype(np.int32) for part in np.divmod(keys, num_pdfs))
    return model.gmms.pair_loglikes(features, frames, pdf_ids)[places]
