"""The passes of a search that adapt a model's inputs to their speakers, before the one that gives the result."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.decode.config import SearchConfig
from asrkit.decode.graph import SearchGraph
from asrkit.decode.parallel import decode_many
from asrkit.features.pipeline import ModelInputs
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.model import GmmHmm
from asrkit.gmm.training import MIN_POSTERIOR
from asrkit.lang.langdir import Lang
from asrkit.lattice.determinise import determinise
from asrkit.lattice.lattice import LatticeScales
from asrkit.lattice.occupancies import lattice_occupancies
from asrkit.stages.acoustic import AcousticModel
from asrkit.stages.adaptation import (
    AdaptationConfig,
    PathPosteriors,
    PdfPosteriors,
    SpeakerTransforms,
    estimate_transforms,
)
from asrkit.stages.loglikes import Loglikes
from asrkit.stages.record import RunOptions

log = logging.getLogger("asrkit")


@dataclass(frozen=True, eq=False)
class AdaptedInputs:
    """A model's inputs adapted to their speakers.

    Attributes
    ----------
    features : ModelInputs
    passes : tuple of SpeakerTransforms
        What each pass estimated; the transforms of the last one are those of ``features``.
    """

    features: ModelInputs
    passes: tuple[SpeakerTransforms, ...]

    @property
    def transforms(self) -> SpeakerTransforms:
        """The final ones."""
        return self.passes[-1]

    def figures(self) -> dict[str, object]:
        """Return gains per frame, and how many speakers got which kind of transform."""
        gains = {f"fmllr_gain_{number}": round(one.gain, 4) for number, one in enumerate(self.passes, 1)}
        return {**gains, **{f"speakers_{kind}": number for kind, number in self.transforms.kinds.items()}}


def adapt_by_searching(
    model: AcousticModel,
    features: ModelInputs,
    graph: SearchGraph,
    first: SearchConfig,
    second: SearchConfig,
    config: AdaptationConfig,
    options: RunOptions,
) -> AdaptedInputs:
    """Adapt the inputs of a speaker-adaptive model by what two searches find (Kaldi's steps/decode_fmllr.sh).

    The first search sees unadapted inputs with the model's mixtures for these; the transforms that its lattices (or
    best paths, where it has no lattice beam) lead to are estimated for the adapted mixtures. The second search sees
    the inputs so adapted, and leads to further transforms, which are composed with the first.

    Parameters
    ----------
    features : ModelInputs
        Not adapted.
    first, second : SearchConfig
        Of the two searches.

    Raises
    ------
    ModelError
        The model's lang directory is damaged.
    """
    mixtures = model.mixtures
    assert mixtures.alignment_gmms is not None
    lang = Lang.load(model.path / "lang", model.path / "topology.json")
    passes: list[SpeakerTransforms] = []
    inputs = features
    searches: tuple[tuple[SearchConfig, DiagGmms], ...] = (
        (first, mixtures.alignment_gmms),
        (second, mixtures.fmllr_gmms),
    )
    for number, (search, gmms) in enumerate(searches, 1):
        label = f"pass {number} of 3"
        posteriors = _search(mixtures, gmms, inputs, graph, search, lang.silence_phones, config, options, label)
        found = estimate_transforms(
            mixtures.fmllr_gmms, inputs, posteriors, config.fmllr, gmms, options.num_jobs, options.progress
        )
        log.info("%s: %s", label, found)
        passes.append(found)
        inputs = features.with_transforms(features.transform, found.transforms)
    return AdaptedInputs(inputs, tuple(passes))


def _search(
    model: GmmHmm,
    gmms: DiagGmms,
    inputs: ModelInputs,
    graph: SearchGraph,
    search: SearchConfig,
    silence_phones: tuple[int, ...],
    config: AdaptationConfig,
    options: RunOptions,
    label: str,
) -> Mapping[str, PdfPosteriors]:
    """Return what one search believes of each utterance; one that it cannot use is left to the last pass to report."""
    decoded = decode_many(graph, [search], list(inputs), Loglikes(gmms, inputs), options.num_jobs)
    alignments: dict[str, NDArray[np.int32]] = {}
    posteriors: dict[str, PdfPosteriors] = {}
    for one in options.progress(decoded, total=len(inputs), label=label):
        if one.error is not None:
            continue
        result = one.results[0]
        if result.lattice is None:
            alignments[one.utterance_id] = result.alignment
        else:
            scales = LatticeScales(search.acoustic_scale, 1.0, search.word_insertion_penalty)
            lattice = determinise(result.lattice, scales, search.lattice_beam).lattice
            found = lattice_occupancies(
                lattice, scales, model.transitions, silence_phones, config.silence_weight, MIN_POSTERIOR
            )
            posteriors[one.utterance_id] = PdfPosteriors(found.frame_index, found.pdf_ids, found.weights)
    return posteriors or PathPosteriors(model.transitions, alignments, silence_phones, config.silence_weight)
