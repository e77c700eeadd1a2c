"""Recognising whole recordings: all recordings of one speaker together, in one pass or with adaptation in three."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import AsrkitError, DataError
from asrkit.core.jobs import chunks
from asrkit.core.streams import random_stream
from asrkit.decode.config import SearchConfig
from asrkit.decode.search import BeamSearch, SearchResult
from asrkit.features.cmvn import CmvnStats
from asrkit.features.pipeline import FeaturePipeline
from asrkit.features.transform import apply_affine, compose
from asrkit.gmm.adaptation import UTTERANCES_AT_ONCE, PdfPosteriors, accumulate_posteriors, path_posteriors
from asrkit.gmm.diag import DiagGmms
from asrkit.gmm.fmllr import FmllrStats, estimate_fmllr
from asrkit.gmm.training import MIN_POSTERIOR
from asrkit.hmm.scorer import PdfScorer, loglike_blocks
from asrkit.lattice.determinise import determinise
from asrkit.lattice.lattice import LatticeScales
from asrkit.lattice.occupancies import lattice_occupancies
from asrkit.recognizer.acoustics import mixtures_of
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
    features = [extract(model, samples, number) for number, samples in enumerate(recordings)]
    speaker = Speaker(model, features, search)
    results = tuple(speaker.recognise(number, search) for number in range(len(features)))
    return Recognised(results, speaker.adaptation, speaker.kind)


def extract(model: RecognizerModel, samples: Rows, number: int = 0) -> Rows:
    """Return the features of a recording, (num_frames, dim) float32, neither normalised nor adapted.

    Parameters
    ----------
    samples : (num_samples,) float32
        In the int16 range, at the rate of the model.
    number : int
        Of the recording among those of its speaker: each has a dither of its own.

    Raises
    ------
    DataError
        They hold no frame.
    """
    check_long_enough(model, len(samples))
    noise = random_stream(0, "dither", str(number)) if model.front_end.config.dither > 0 else None
    return model.front_end.compute(samples, noise)


def check_long_enough(model: RecognizerModel, num_samples: int) -> None:
    """Raise a :class:`DataError` for a recording that holds no frame."""
    if model.front_end.num_frames(num_samples) < 1:
        raise DataError(
            f"{num_samples} samples at {model.sample_rate_hz} Hz are too few for a frame of "
            f"{model.front_end.config.length}"
        )


class Speaker:
    """One speaker, normalised and adapted to over all of his recordings; then each is recognised when it is asked for.

    Only the features of the recordings are held. The model's inputs, three to nine times as many numbers, are made of
    them for each search anew, which takes little of its time.

    Parameters
    ----------
    features : sequence of (num_frames, dim) float32
        Of each recording, by :func:`extract`.
    search : BeamSearch
        Over the model's graph; of no other use meanwhile.

    Attributes
    ----------
    adaptation : {'none', 'first pass', 'fmllr'}
        See :data:`asrkit.recognizer.result.Adaptation`.
    kind : str or None
        Kind of the transform.
    """

    def __init__(self, model: RecognizerModel, features: Sequence[Rows], search: BeamSearch) -> None:
        self._model, self._inputs = model, _Inputs(model, features)
        self._scorer: PdfScorer = model.acoustic.unadapted
        self.kind: str | None = None
        self.adaptation: Adaptation = "none"
        config, acoustic = model.config, model.acoustic
        if not acoustic.is_speaker_adaptive:
            return
        mixtures = mixtures_of(acoustic, model.path)
        self.adaptation = "first pass"
        if config.adapt and features:
            first, second = config.adapting_searches
            for settings, gmms in ((first, mixtures.unadapted), (second, mixtures.fmllr_gmms)):
                self.kind = _adapt(model, self._inputs, gmms, settings, search)
            self.adaptation, self._scorer = "fmllr", mixtures.gmms

    def recognise(self, number: int, search: BeamSearch) -> SearchResult | AsrkitError:
        """Recognise a recording, numbered from 0; an error where no path survived."""
        return _search(self._scorer, self._inputs[str(number)], search, self._model.config.search)


class _Inputs(Mapping[str, Rows]):
    """The model's inputs of one speaker's recordings, by number, under the transform that there is so far."""

    def __init__(self, model: RecognizerModel, features: Sequence[Rows]) -> None:
        self._features, self._lda = features, model.acoustic.input_transform
        self._pipeline = FeaturePipeline(model.pipeline)
        self._stats = CmvnStats.zero(model.front_end.dim)
        for one in features:
            self._stats = self._stats + CmvnStats.of(one)
        self._transform: Rows | None = None

    def __getitem__(self, key: str) -> Rows:
        rows = self._pipeline.apply(self._features[int(key)], self._stats)
        for transform in (self._lda, self._transform):
            rows = rows if transform is None else apply_affine(rows, transform)
        return rows

    def __iter__(self) -> Iterator[str]:
        return map(str, range(len(self._features)))

    def __len__(self) -> int:
        return len(self._features)

    def adapt(self, transform: Rows) -> None:
        """Apply a transform to inputs as they are now."""
        before = self._transform
        self._transform = transform if before is None else compose(transform, before, before_is_affine=True)


def _adapt(model: RecognizerModel, inputs: _Inputs, gmms: DiagGmms, settings: SearchConfig, search: BeamSearch) -> str:
    """Search, and adapt the inputs by what was found (Kaldi's steps/decode_fmllr.sh); return the kind of transform."""
    stats = FmllrStats.zero(gmms.dim)
    adapted = mixtures_of(model.acoustic, model.path).fmllr_gmms
    for keys in chunks(list(inputs), UTTERANCES_AT_ONCE):
        # What an hour is believed to say is larger than its features, so it goes into the sums some at a time.
        rows, posteriors = {key: inputs[key] for key in keys}, {}
        for key in keys:
            result = _search(gmms, rows[key], search, settings)
            if isinstance(result, SearchResult):
                posteriors[key] = _posteriors(model, result, settings)
        stats = stats + accumulate_posteriors(adapted, gmms, list(posteriors), rows, posteriors)
    transform, report = estimate_fmllr(stats, model.config.adaptation.fmllr)
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


def _search(scorer: PdfScorer, rows: Rows, search: BeamSearch, config: SearchConfig) -> SearchResult | AsrkitError:
    try:
        search.start(config)
        for block in loglike_blocks(scorer, rows, BLOCK_FRAMES):
            search.advance(block)
        return search.finish()
    except AsrkitError as error:
        return error
