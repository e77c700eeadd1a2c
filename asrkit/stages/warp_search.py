"""The warp factor of a speaker, found by trying all of a grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import AsrkitError, ConfigError, ModelError
from asrkit.data.audio import read_audio, resample
from asrkit.data.datadir import DataDir, Utterance
from asrkit.data.warps import MAX_WARP, MIN_WARP
from asrkit.features.cmvn import CmvnStats
from asrkit.features.frontend import FrontEnd
from asrkit.features.pipeline import FeaturePipeline
from asrkit.features.transform import apply_affine
from asrkit.gmm.collapse import collapse
from asrkit.gmm.training import Scales, align_utterance
from asrkit.gmm.warp_stats import WarpStats
from asrkit.graph.training import TrainingGraphCompiler
from asrkit.hmm.state_graph import StateGraph
from asrkit.hmm.viterbi import AlignConfig, NoPath
from asrkit.lang.langdir import Lang
from asrkit.stages.acoustic import AcousticModel
from asrkit.stages.adaptation import PathPosteriors, PdfPosteriors
from asrkit.stages.extract import dither_stream
from asrkit.stages.record import Failure

FloatArray = NDArray[np.float32]


MIN_STEP = 0.001
"""Of a grid; a finer one has no use, and each factor is an extraction."""


@dataclass(frozen=True)
class VtlnConfig:
    """How warp factors are looked for.

    Attributes
    ----------
    min_warp, max_warp, step : float
        The grid.
    num_passes : int
        The first pass aligns unwarped features, each further one the features warped as the pass before found best
        (it ends where nothing changes). Within a pass all warps are compared on one alignment.
    single_gaussians : bool
        Score with one Gaussian in place of each mixture (see :mod:`asrkit.gmm.collapse`): a mixture of a model that
        was trained on these very speakers, unwarped, fits each of them as they are. Alignment has the mixtures.
    silence_weight : float
        Weight of frames of silence phones, 0 to 1: what is heard there is the room more than the speaker.
    min_frames : int
        A speaker with fewer frames (weighted as above) keeps the factor 1.
    max_secs : float
        Speech of a speaker that is looked at, the utterances in the order of their ids; 0: all of it. A second takes
        about 0.3 MB of memory.
    beam, retry_beam, acoustic_scale : float
        Of the alignment, see :class:`asrkit.hmm.viterbi.AlignConfig`.
    """

    min_warp: float = 0.8
    max_warp: float = 1.2
    step: float = 0.02
    num_passes: int = 2
    single_gaussians: bool = True
    silence_weight: float = 0.0
    min_frames: int = 200
    max_secs: float = 300.0
    beam: float = 10.0
    retry_beam: float = 40.0
    acoustic_scale: float = 0.1

    def __post_init__(self) -> None:
        if not (MIN_WARP <= self.min_warp < self.max_warp <= MAX_WARP and self.step >= MIN_STEP):
            raise ConfigError(
                f"a grid from {self.min_warp:g} to {self.max_warp:g} in steps of {self.step:g}, expected two numbers "
                f"in order between {MIN_WARP:g} and {MAX_WARP:g}, and a step of {MIN_STEP:g} or more"
            )
        if self.num_passes < 1:
            raise ConfigError(f"num_passes is {self.num_passes}, expected 1 or more")
        if not 0 <= self.silence_weight <= 1:
            raise ConfigError(f"silence_weight is {self.silence_weight:g}, expected 0 to 1")
        if self.min_frames < 0 or self.max_secs < 0:
            raise ConfigError(f"min_frames is {self.min_frames} and max_secs {self.max_secs:g}, expected 0 or more")
        _ = self.beams

    @property
    def warps(self) -> tuple[float, ...]:
        """The factors of the grid, ascending; 1 is one of them."""
        number = int((self.max_warp - self.min_warp) / self.step + 1e-6) + 1
        return tuple(sorted({1.0, *(round(self.min_warp + i * self.step, 6) for i in range(number))}))

    @property
    def beams(self) -> AlignConfig:
        """The configuration of the alignment."""
        return AlignConfig(self.acoustic_scale, self.beam, self.retry_beam)


@dataclass(frozen=True)
class SpeakerWarp:
    """What was found of one speaker.

    Attributes
    ----------
    speaker : str
    warp : float
        The best factor; 1 where ``reason`` is set.
    num_utterances, num_frames : int
        What it was found from; frames are weighted.
    loglikes, log_volumes : tuple of float
        For each warp of the grid, per frame: log-likelihood, and the term that makes it comparable (see
        :class:`asrkit.gmm.warp_stats.WarpStats`); empty where ``reason`` is set.
    failures : tuple of Failure
        Utterances that could not be used.
    reason : str or None
        Why there is no estimate.
    """

    speaker: str
    warp: float
    num_utterances: int
    num_frames: int
    loglikes: tuple[float, ...] = ()
    log_volumes: tuple[float, ...] = ()
    failures: tuple[Failure, ...] = ()
    reason: str | None = None

    @property
    def scores(self) -> tuple[float, ...]:
        """The sums of the two, by which the warps are compared."""
        return tuple(one + other for one, other in zip(self.loglikes, self.log_volumes, strict=True))

    def to_json(self, warps: Sequence[float]) -> dict[str, Any]:
        """Return what `vtln.json` says of the speaker."""
        rows = {"score": self.scores, "loglike": self.loglikes, "log_volume": self.log_volumes}
        found: dict[str, Any] = {"warp": self.warp, "utterances": self.num_utterances, "frames": self.num_frames}
        if self.reason is not None:
            return found | {"reason": self.reason}
        names = [f"{warp:g}" for warp in warps]
        return found | {key: dict(zip(names, (round(x, 4) for x in row), strict=True)) for key, row in rows.items()}


@dataclass(frozen=True)
class Speech:
    """The utterances of one speaker, with what was said, and their audio files."""

    speaker: str
    utterances: tuple[tuple[Utterance, Path], ...]


def speech_by_speaker(data: DataDir) -> list[Speech]:
    """Return what each speaker says, sorted by speaker and utterance."""
    return [
        Speech(speaker, tuple((data.utterances[key], data.audio_path(data.utterances[key])) for key in keys))
        for speaker, keys in sorted(data.by_speaker().items())
    ]


class WarpSearch:
    """Tries the warps of the grid on one speaker at a time; knows no data, so that it is cheap to send to jobs.

    Parameters
    ----------
    model : AcousticModel
    lang : Lang
        The model's own.
    config : VtlnConfig
    seed : int
        Of the dither.
    """

    def __init__(self, model: AcousticModel, lang: Lang, config: VtlnConfig, seed: int = 0) -> None:
        self.model, self.lang, self.config, self.seed = model, lang, config, seed
        self.front_end = FrontEnd(model.front_end)
        self.pipeline = FeaturePipeline(model.pipeline)
        self.gmms = model.mixtures.unadapted
        self.scoring = collapse(self.gmms) if config.single_gaussians else self.gmms
        self._compiler = TrainingGraphCompiler(lang, model.tree, model.transitions)

    def __call__(self, speech: Speech) -> SpeakerWarp:
        """Find the warp of one speaker."""
        speaker = speech.speaker
        config, warps = self.config, self.config.warps
        failures: dict[str, str] = {}
        samples = self._read(speech, failures)
        graphs = {one.utterance_id: self._graph(one) for one, _ in speech.utterances if one.utterance_id in samples}
        inputs = {warp: self.inputs(samples, warp) for warp in warps}
        best, found = 1.0, SpeakerWarp(speaker, 1.0, 0, 0)
        for _ in range(config.num_passes):
            beliefs = self._align(inputs[best], graphs, failures)
            count = sum(float(one.weights.sum(dtype=np.float64)) for one in beliefs.values())
            found = SpeakerWarp(speaker, 1.0, len(beliefs), round(count))
            needed = max(config.min_frames, 2 * self.gmms.dim)
            if count < needed:
                reason = f"{count:.0f} frames of speech are too few, {needed} are needed"
                found = replace(found, reason=reason)
                break
            stats = [self._stats(inputs[warp], beliefs) for warp in warps]
            try:
                scores = [one.score for one in stats]
            except ModelError as error:
                found = replace(found, reason=str(error))
                break
            # Of equal ones the factor nearest to 1.
            place = max(range(len(warps)), key=lambda i: (scores[i], -abs(warps[i] - 1.0)))
            loglikes = tuple(one.loglike / one.count for one in stats)
            found = replace(
                found, warp=warps[place], loglikes=loglikes, log_volumes=tuple(one.log_volume for one in stats)
            )
            if found.warp == best:
                break
            best = found.warp
        return replace(found, failures=tuple(Failure(key, reason) for key, reason in failures.items()))

    def _read(self, speech: Speech, failures: dict[str, str]) -> dict[str, FloatArray]:
        """Read the audio of the utterances that have words, up to so many seconds."""
        rate = self.model.front_end.sample_rate_hz
        left = self.config.max_secs or float("inf")
        samples: dict[str, FloatArray] = {}
        for utterance, audio in speech.utterances:
            key = utterance.utterance_id
            if left <= 0:
                break
            if not utterance.words:
                failures[key] = "no transcript" if utterance.words is None else "empty transcript"
                continue
            try:
                read, own_rate = read_audio(audio, utterance.start_secs, utterance.end_secs)
            except AsrkitError as error:
                failures[key] = str(error)
                continue
            samples[key] = resample(read, own_rate, rate)
            left -= len(samples[key]) / rate
        return samples

    def _graph(self, utterance: Utterance) -> StateGraph:
        word_ids, _ = self.lang.transcript_ids(utterance.words or ())
        return self._compiler.compile(word_ids)

    def inputs(self, samples: Mapping[str, FloatArray], warp: float) -> dict[str, FloatArray]:
        """Return the model's inputs of one speaker's utterances, warped."""
        raw = {
            key: self.front_end.compute(one, dither_stream(self.front_end.config, self.seed, key), warp)
            for key, one in samples.items()
        }
        stats = sum(map(CmvnStats.of, raw.values()), CmvnStats.zero(self.front_end.dim))
        transform = self.model.model.input_transform
        inputs = {key: self.pipeline.apply(one, stats) for key, one in raw.items() if len(one)}
        return inputs if transform is None else {key: apply_affine(one, transform) for key, one in inputs.items()}

    def _align(
        self, inputs: Mapping[str, FloatArray], graphs: Mapping[str, StateGraph], failures: dict[str, str]
    ) -> dict[str, PdfPosteriors]:
        model, alignments = self.model.mixtures, {}
        for key, graph in graphs.items():
            failures.pop(key, None)
            if key not in inputs or not np.isfinite(inputs[key]).all():
                failures[key] = "features hold NaN or infinity" if key in inputs else "shorter than one frame"
                continue
            result = align_utterance(model, self.gmms, graph, inputs[key], self.config.beams, Scales())
            if isinstance(result, NoPath):
                failures[key] = result.reason
            else:
                alignments[key] = result.labels
        weight = self.config.silence_weight
        return dict(PathPosteriors(model.transitions, alignments, self.lang.silence_phones, weight))

    def _stats(self, inputs: Mapping[str, FloatArray], beliefs: Mapping[str, PdfPosteriors]) -> WarpStats:
        total = WarpStats.zero(self.gmms.dim)
        for key, one in beliefs.items():
            total = total + WarpStats.of(self.scoring, inputs[key], one.pdf_ids, one.weights)
        return total
