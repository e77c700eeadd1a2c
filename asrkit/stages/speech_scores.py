"""How much like speech each frame of a recording is: by its energy, or by the pdfs of an acoustic model."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError, ModelError
from asrkit.core.files import read_json
from asrkit.features.cmvn import CmvnStats
from asrkit.features.config import FrontEndConfig
from asrkit.features.context_windows import ContextWindow, context_windows
from asrkit.features.frontend import FrontEnd
from asrkit.features.pipeline import INPUTS_FILE, FeaturePipeline, PipelineConfig
from asrkit.features.speech_energy import EnergySpeechConfig, energy_scores
from asrkit.features.transform import apply_affine
from asrkit.lang.langdir import Lang
from asrkit.stages.acoustic import AcousticModel

CHUNK_SECS = 10.0
"""So much is scored at once."""

MIN_SPEECH_SECS = 0.5
"""Speech that a mean is taken of: noise less its own mean looks like anything."""

Scores = NDArray[np.float32]
Samples = NDArray[np.float32]
PdfIds = NDArray[np.int32]


@dataclass(frozen=True)
class ModelSpeechConfig:
    """How the pdfs of an acoustic model tell speech from silence.

    Attributes
    ----------
    speech_prior : float
        Prior probability that a frame is speech.
    scale : float
        The log odds that count as certain: they are divided by this and cut to [-1, 1], since neighbouring frames say
        the same thing again, and a model of clean speech is too sure of itself in noise.
    nonspeech_share : float
        Where the model's inputs are normalised by the mean of speaker or utterance: the share of silence in that mean.
        A recording with long pauses would otherwise be normalised unlike the utterances of the training.
    energy_weight : float
        Share of the energy's score in the result; 0 leaves it to the model alone. In noise that the model was not
        trained in, its silence misses much of what the energy still finds.
    """

    speech_prior: float = 0.5
    scale: float = 8.0
    nonspeech_share: float = 0.2
    energy_weight: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.speech_prior < 1:
            raise ConfigError(f"speech_prior is {self.speech_prior:g}, expected a number between 0 and 1")
        if not 0 < self.scale < math.inf:
            raise ConfigError(f"scale is {self.scale:g}, expected a positive number")
        for name in ("nonspeech_share", "energy_weight"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name):g}, expected 0 to 1")


class EnergyScorer:
    """Scores frames by their energy; see :func:`asrkit.features.speech_energy.energy_scores`.

    Parameters
    ----------
    config : EnergySpeechConfig
    like : FrontEndConfig
        Sample rate and frames.
    """

    def __init__(self, config: EnergySpeechConfig, like: FrontEndConfig) -> None:
        self._config = config
        self._front_end = FrontEnd(config.front_end(like))

    @property
    def frames(self) -> FrontEndConfig:
        """The front end whose frames are scored."""
        return self._front_end.config

    def scores(self, blocks: Iterable[Samples]) -> Iterator[Scores]:
        """Yield the scores (n,) float32 in [-1, 1], positive for speech, of a recording that comes in blocks.

        ``CHUNK_SECS`` at a time, each once ``context_secs`` behind it have come; the sizes of the blocks have no
        influence.
        """
        secs = frame_secs(self.frames)
        features = self._front_end.compute_blocks(blocks)
        for window in context_windows(features, *_extent(self._config, secs)):
            yield energy_scores(window, self._config, secs)[window.first : window.last]


class ModelScorer:
    """Scores frames by the log odds of a model's speech pdfs against its silence pdfs.

    The likelihood of either is the mean over its pdfs: how often each occurs is not stored in a model. Spoken noise is
    on neither side: its pdfs are trained on words that the lexicon does not have, or on nothing. Where inputs are
    normalised by a mean, it is that of the recording around a frame, in which :func:`energy_scores` tells what is
    speech; where that finds none to normalise by, its scores stand.

    Parameters
    ----------
    model : AcousticModel
        Of a speaker-adaptive model the mixtures for unadapted inputs are used.
    config : ModelSpeechConfig
    energy : EnergySpeechConfig
        Its ``context_secs`` is the extent of the mean.

    Raises
    ------
    ModelError
        The model has no silence of its own, or takes the outputs of another model as features.
    """

    def __init__(self, model: AcousticModel, config: ModelSpeechConfig, energy: EnergySpeechConfig) -> None:
        self._config, self._energy = config, energy
        self._front_end = FrontEnd(replace(model.front_end, dither=0.0))
        self._bands = FrontEnd(energy.front_end(model.front_end))
        self._pipeline, self._transform = model.pipeline, model.model.input_transform
        self._scorer = model.model.unadapted
        inputs = model.path / INPUTS_FILE
        if inputs.exists() and "model_sha256" in read_json(inputs):
            raise ModelError(
                "its features are the inputs of another model",
                where=model.path,
                remedy="find speech with a model of features as extracted, e.g. of `asrkit train-gmm mono`",
            )
        speech, nonspeech = speech_pdfs(model)
        self._pdf_ids, self._num_speech = np.concatenate([speech, nonspeech]), len(speech)

    @property
    def frames(self) -> FrontEndConfig:
        """The front end whose frames are scored."""
        return self._front_end.config

    def scores(self, blocks: Iterable[Samples]) -> Iterator[Scores]:
        """Yield scores as :meth:`EnergyScorer.scores` does."""
        first, second = itertools.tee(blocks)
        pairs = zip(self._front_end.compute_blocks(first), self._bands.compute_blocks(second), strict=True)
        features = (np.concatenate(pair, axis=1) for pair in pairs)
        secs = frame_secs(self.frames)
        for window in context_windows(features, *_extent(self._energy, secs)):
            bands = replace(window, features=window.features[:, self._front_end.dim :])
            energy = energy_scores(bands, self._energy, secs)
            if self._normalises and np.count_nonzero(energy > 0) * secs < MIN_SPEECH_SECS:
                yield energy[window.first : window.last]
                continue
            inputs = self._inputs(window, energy > 0)
            loglikes = self._scorer.loglikes(inputs, self._pdf_ids)
            odds = log_odds(loglikes, self._num_speech, self._config.speech_prior)
            own = np.clip(odds / np.float32(self._config.scale), -1.0, 1.0)
            weight = np.float32(self._config.energy_weight)
            yield (1 - weight) * own + weight * energy[window.first : window.last]

    @property
    def _normalises(self) -> bool:
        return self._pipeline.cmvn in ("speaker", "utterance")

    def _inputs(self, window: ContextWindow, speech: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return the model's inputs for the frames of the chunk; ``speech`` is where the window has some."""
        config, dim = self._pipeline, self._front_end.dim
        reach = config.delta_order * config.delta_window + max(config.splice_left, config.splice_right)
        if config.cmvn == "sliding":
            reach += config.cmn_window
        begin, end = max(0, window.first - reach), min(len(window.features), window.last + reach)
        features, stats = window.features[:, :dim], None
        if self._normalises:
            stats = _mixed(features[speech], features[~speech], self._config.nonspeech_share)
            config = replace(config, cmvn="speaker")
        inputs = self._apply(features[begin:end], config, stats)
        return np.ascontiguousarray(inputs[window.first - begin : window.last - begin])

    def _apply(
        self, features: NDArray[np.float32], config: PipelineConfig, stats: CmvnStats | None
    ) -> NDArray[np.float32]:
        value = FeaturePipeline(config).apply(features, stats)
        return value if self._transform is None else apply_affine(value, self._transform)


Scorer = EnergyScorer | ModelScorer


def speech_pdfs(model: AcousticModel) -> tuple[PdfIds, PdfIds]:
    """Return the pdf_ids (0-based, sorted) of speech alone, and those of silence and noise.

    Raises
    ------
    ModelError
        One of them has none.
    """
    lang = Lang.load(model.path / "lang", model.path / "topology.json")
    names = {lang.config.silence_phone, *lang.config.noise_phones}
    quiet = {phone for phone in lang.silence_phones if _base(lang.phones.symbols[phone]) in names}
    tid_to_phone, tid_to_pdf = model.transitions.tid_to_phone[1:], model.transitions.tid_to_pdf[1:]
    nonspeech = np.unique(tid_to_pdf[np.isin(tid_to_phone, sorted(quiet))])
    speech = np.unique(tid_to_pdf[~np.isin(tid_to_phone, lang.silence_phones)])
    speech = np.setdiff1d(speech, nonspeech)
    if not len(speech) or not len(nonspeech):
        raise ModelError(
            f"{len(speech)} pdfs of speech and {len(nonspeech)} of silence ({', '.join(sorted(names))})",
            where=model.path,
            remedy="give a model that was trained with a silence phone",
        )
    return speech.astype(np.int32), nonspeech.astype(np.int32)


def log_odds(loglikes: NDArray[np.float32], num_speech: int, speech_prior: float) -> Scores:
    """Return the log posterior odds of speech, (T,) float32.

    Parameters
    ----------
    loglikes : (T, num_speech + num_nonspeech) float32
        Natural logs; those of speech come first.
    """
    from scipy.special import logsumexp

    num_nonspeech = loglikes.shape[1] - num_speech
    odds = logsumexp(loglikes[:, :num_speech], axis=1) - math.log(num_speech)
    odds -= logsumexp(loglikes[:, num_speech:], axis=1) - math.log(num_nonspeech)
    return np.asarray(odds + math.log(speech_prior / (1 - speech_prior)), dtype=np.float32)


def frame_secs(config: FrontEndConfig) -> float:
    """Return the frame shift in seconds, as it is in whole samples."""
    return config.shift / config.sample_rate_hz


def load_scorer(
    model: Path | None, speech: ModelSpeechConfig, energy: EnergySpeechConfig, sample_rate_hz: int
) -> Scorer:
    """Return the scorer of a model directory, or without one that of the energy at a sample rate."""
    if model is None:
        return EnergyScorer(energy, FrontEndConfig(sample_rate_hz=sample_rate_hz))
    from asrkit.stages.acoustic import load_acoustic_model

    return ModelScorer(load_acoustic_model(model), speech, energy)


def _extent(config: EnergySpeechConfig, secs: float) -> tuple[int, int]:
    """Return the frames of a chunk and of its context."""
    return max(1, round(CHUNK_SECS / secs)), round(config.context_secs / secs)


def _mixed(speech: NDArray[np.float32], other: NDArray[np.float32], share: float) -> CmvnStats:
    """Return the statistics of speech and other frames, the latter with a given share."""
    if not len(speech) or not len(other):
        return CmvnStats.of(speech if len(speech) else other)
    parts = [(CmvnStats.of(speech), 1.0 - share), (CmvnStats.of(other), share)]
    weights = [part * (len(speech) + len(other)) / stats.count for stats, part in parts]
    total = CmvnStats.zero(speech.shape[1])
    for (stats, _), weight in zip(parts, weights, strict=True):
        total = total + CmvnStats(stats.count * weight, stats.total * weight, stats.squares * weight)
    return total


def _base(symbol: str) -> str:
    """Return a phone without the suffix of its word position."""
    from asrkit.lang.phones import WORD_POSITIONS

    return symbol[:-2] if symbol[-2:] in WORD_POSITIONS else symbol
