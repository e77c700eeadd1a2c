"""Recognising whole recordings: all recordings of one speaker together, in one pass or with adaptation in three."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import AsrkitError, DataError
from asrkit.core.streams import random_stream
from asrkit.decode.config import SearchConfig
from asrkit.decode.search import BeamSearch, SearchResult
from asrkit.features.cmvn import CmvnStats
from asrkit.features.pipeline import FeaturePipeline
from asrkit.features.transform import apply_affine, compose
from asrkit.gmm.adaptation import PdfPosteriors, estimate_from_posteriors, path_posteriors
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.training import MIN_POSTERIOR
from asrkit.lattice.determinise import determinise
from asrkit.lattice.lattice import LatticeScales
from asrkit.lattice.occupancies import lattice_occupancies
from asrkit.recognizer.model import RecognizerModel
from asrkit.recognizer.result import Adaptation

Rows = NDArray[np.float32]

BLOCK_FRAMES = 1024
"""Loglikes computed at once, so that an hour-long recording needs no hour-long matrix."""


@dataclass(frozen=True, eq=False)
class Recognised:
    """What the passes over the recordings of one speaker gave.

    Attributes
    ----------
    results : tuple of SearchResult or AsrkitError
        Of each recording, in their order.
    adaptation : {'none', 'first pass', 'fmllr'}
        See :data:`asrkit.recognizer.result.Adaptation`.
    transform : str or None
        Kind of the speaker's transform.
    """

    results: tuple[SearchResult | AsrkitError, ...]
    adaptation: Adaptation
    transform: str | None = None


def recognise(model: RecognizerModel, recordings: Sequence[Rows], search: BeamSearch) -> Recognised:
    """Recognise recordings of one speaker, which CMVN and fMLLR take together.

    Parameters
    ----------
    recordings : sequence of (num_samples,) float32
        In the int16 range, at the rate of the model.
    search : BeamSearch
        Over the model's graph; of no other use meanwhile.
    """
    inputs = _Inputs(model, recordings)
    config, acoustic = model.config, model.acoustic
    if acoustic.alignment_gmms is None or not config.adapt:
        found = tuple(_search(model.unadapted_gmms, rows, search, config.search) for rows in inputs.rows)
        return Recognised(found, "none" if acoustic.alignment_gmms is None else "first pass")
    first, second = config.adapting_searches
    kind = "none"
    for settings, gmms in ((first, acoustic.alignment_gmms), (second, acoustic.fmllr_gmms)):
        kind = _adapt(model, inputs, gmms, settings, search)
    found = tuple(_search(acoustic.gmms, rows, search, config.search) for rows in inputs.rows)
    return Recognised(found, "fmllr", kind)


def check_long_enough(model: RecognizerModel, num_samples: int) -> None:
    """Raise a :class:`DataError` for a recording that holds no frame."""
    if model.front_end.num_frames(num_samples) < 1:
        raise DataError(
            f"{num_samples} samples at {model.sample_rate_hz} Hz are too few for a frame of "
            f"{model.front_end.config.length}"
        )


class _Inputs:
    """The model's inputs of one speaker's recordings, and the transform they have so far."""

    def __init__(self, model: RecognizerModel, recordings: Sequence[Rows]) -> None:
        features = []
        for number, samples in enumerate(recordings):
            check_long_enough(model, len(samples))
            noise = random_stream(0, "dither", str(number)) if model.front_end.config.dither > 0 else None
            features.append(model.front_end.compute(samples, noise))
        stats = CmvnStats.zero(model.front_end.dim)
        for one in features:
            stats = stats + CmvnStats.of(one)
        pipeline, lda = FeaturePipeline(model.pipeline), model.acoustic.input_transform
        plain = [pipeline.apply(one, stats) for one in features]
        self.unadapted = plain if lda is None else [apply_affine(one, lda) for one in plain]
        self.rows = self.unadapted
        self.transform: Rows | None = None

    def adapt(self, transform: Rows) -> None:
        """Apply a transform to inputs as they are now."""
        self.transform = (
            transform if self.transform is None else compose(transform, self.transform, before_is_affine=True)
        )
        self.rows = [apply_affine(one, self.transform) for one in self.unadapted]


def _adapt(model: RecognizerModel, inputs: _Inputs, gmms: DiagGmms, settings: SearchConfig, search: BeamSearch) -> str:
    """Search, and adapt the inputs by what was found (Kaldi's steps/decode_fmllr.sh); return the kind of transform."""
    posteriors: dict[str, PdfPosteriors] = {}
    for number, rows in enumerate(inputs.rows):
        result = _search(gmms, rows, search, settings)
        if isinstance(result, SearchResult):
            posteriors[str(number)] = _posteriors(model, result, settings)
    keyed = {str(number): rows for number, rows in enumerate(inputs.rows)}
    transform, report = estimate_from_posteriors(
        model.acoustic.fmllr_gmms, gmms, list(posteriors), keyed, posteriors, model.config.adaptation.fmllr
    )
    inputs.adapt(transform)
    return report.kind


def _posteriors(model: RecognizerModel, result: SearchResult, settings: SearchConfig) -> PdfPosteriors:
    """Return what a search believes: all of its lattice, or the best path where it made none."""
    transitions, weight = model.acoustic.transitions, model.config.adaptation.silence_weight
    if result.lattice is None:
        return path_posteriors(transitions, result.alignment, model.silence_phones, weight)
    scales = LatticeScales(settings.acoustic_scale, 1.0, settings.word_insertion_penalty)
    lattice = determinise(result.lattice, scales, settings.lattice_beam).lattice
    found = lattice_occupancies(lattice, scales, transitions, model.silence_phones, weight, MIN_POSTERIOR)
    return PdfPosteriors(found.frame_index, found.pdf_ids, found.weights)


def _search(gmms: DiagGmms, rows: Rows, search: BeamSearch, config: SearchConfig) -> SearchResult | AsrkitError:
    try:
        search.start(config)
        for block in _loglikes(gmms, rows):
            search.advance(block)
        return search.finish()
    except AsrkitError as error:
        return error


def _loglikes(gmms: DiagGmms, rows: Rows) -> Iterator[Rows]:
    for start in range(0, len(rows), BLOCK_FRAMES):
        yield gmms.loglikes(rows[start : start + BLOCK_FRAMES])
