"""`asrkit vtln`: vocal tract length normalisation, the warp factor of each speaker found by trying all of a grid."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.archives import read_scp
from asrkit.core.errors import AsrkitError, ConfigError, DataError, ModelError
from asrkit.core.files import read_json, write_json, write_lines
from asrkit.core.jobs import map_in_order
from asrkit.data.audio import read_audio, resample
from asrkit.data.datadir import DataDir, Utterance, read_text
from asrkit.data.warps import MAX_WARP, MIN_WARP
from asrkit.features.cmvn import CmvnStats
from asrkit.features.frontend import FrontEnd, check_front_end, load_front_end
from asrkit.features.pipeline import FeaturePipeline
from asrkit.features.transform import apply_affine
from asrkit.gmm.collapse import collapse
from asrkit.gmm.training import Scales, align_utterance
from asrkit.gmm.warp_stats import WarpStats
from asrkit.graph.training import TrainingGraphCompiler
from asrkit.hmm.state_graph import StateGraph
from asrkit.hmm.viterbi import AlignConfig, NoPath
from asrkit.lang.langdir import Lang
from asrkit.stages.acoustic import INPUTS_FILE, LANG_FILES, AcousticModel, load_acoustic_model, model_files
from asrkit.stages.adaptation import PathPosteriors, PdfPosteriors
from asrkit.stages.extract import dither_stream
from asrkit.stages.record import Failure, RunOptions, StageReport, StageResult, check_failures, run_stage
from asrkit.stages.unknown_words import UnknownWords

log = logging.getLogger("asrkit")

FloatArray = NDArray[np.float32]

NUM_NAMED = 10
BAR_WIDTH = 40


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
        if not (MIN_WARP <= self.min_warp < self.max_warp <= MAX_WARP and self.step > 0):
            raise ConfigError(
                f"a grid from {self.min_warp:g} to {self.max_warp:g} in steps of {self.step:g}, expected two numbers "
                f"in order between {MIN_WARP:g} and {MAX_WARP:g}, and a step above 0"
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


def vtln(
    data_path: Path, model_path: Path, config: VtlnConfig, options: RunOptions, text: Path | None = None
) -> StageReport:
    """Find the warp factor of each speaker that makes its speech fit a model best (Lee and Rose 1998).

    Writes ``spk2warp``, which `asrkit extract` obeys, and ``vtln.json`` into the data directory. Features are computed
    from the audio for each factor, in memory; those of the directory are not used, so that extracting them again
    changes nothing here.

    Parameters
    ----------
    data_path : Path
        Data directory with transcripts and ``frontend.json``.
    model_path : Path
        Model directory. A speaker-adaptive model's mixtures for unadapted inputs are used.
    options : RunOptions
        The seed matters only with dither.
    text : Path, optional
        Take what was said from here (``hyp.txt`` of `asrkit decode`); utterances without a line are left out.

    Raises
    ------
    DataError, FormatError, ModelError
        An input is absent or damaged, or they do not belong together.
    TooManyFailedError
        Too many utterances could not be read or aligned. Nothing is written then.
    """
    data = DataDir.load(data_path)
    said = text or data_path / "text"
    tables = [data_path / name for name in ("wav.scp", "utt2spk", "segments", "spk2gender", "frontend.json")]
    audio = dict.fromkeys(data.audio_path(utterance) for utterance in data.utterances.values())
    model_inputs = [*model_files(model_path), *(model_path / "lang" / name for name in LANG_FILES)]
    outputs = [data_path / "spk2warp", data_path / "vtln.json"]

    def body() -> StageResult:
        model = load_acoustic_model(model_path)
        _check_features(data_path, model)
        lang = Lang.load(model_path / "lang", model_path / "topology.json")
        return _search(WarpSearch(model, lang, config, options.seed), _with_words(data, said), options)

    inputs = [*tables, said, *audio, *model_inputs]
    return run_stage("vtln", data_path, inputs, config, outputs, options, body)


def _check_features(data_path: Path, model: AcousticModel) -> None:
    front_end = load_front_end(data_path)
    check_front_end(model.front_end, front_end, data_path)
    for path in (data_path, model.path):
        if (path / INPUTS_FILE).exists() and "model_sha256" in read_json(path / INPUTS_FILE):
            raise ModelError(
                "its features are the inputs of another model, which cannot be warped",
                where=path,
                remedy="find warp factors with a model of features as extracted",
            )


def _with_words(data: DataDir, path: Path) -> DataDir:
    """Return the data with the transcripts of a file; one of an utterance that is not in it is None."""
    if not path.exists():
        raise DataError(
            "no transcripts", where=path, remedy="give hypotheses, e.g. hyp.txt of `asrkit decode`, with --text"
        )
    texts = read_text(path)
    strange = sorted(texts.keys() - data.utterances.keys())
    if strange:
        raise DataError(
            f"{len(strange)} utterances are not in {data.path}: {', '.join(strange[:NUM_NAMED])}",
            where=path,
            remedy="give the transcripts of this data directory",
        )
    utterances = {key: replace(one, words=texts.get(key)) for key, one in data.utterances.items()}
    return replace(data, utterances=utterances)


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
        self.gmms = model.model.alignment_gmms or model.model.gmms
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
            # Of equal ones the factor nearest to 1.
            place = max(range(len(warps)), key=lambda i: (stats[i].score, -abs(warps[i] - 1.0)))
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
        model, alignments = self.model.model, {}
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


def _search(search: WarpSearch, data: DataDir, options: RunOptions) -> StageResult:
    path, speakers = data.path, speech_by_speaker(data)
    results = map_in_order(search, speakers, options.num_jobs)
    found = list(options.progress(results, total=len(speakers), label="vtln"))
    failures = [failure for one in found for failure in one.failures]
    check_failures(failures, len(failures) + sum(one.num_utterances for one in found), options, path)
    UnknownWords.of(data, frozenset(p.word for p in search.lang.pronunciations)).warn(path)
    for one in found:
        if one.reason is not None:
            log.warning("speaker %s keeps the warp factor 1: %s", one.speaker, one.reason)
    if (path / "utt2warp").exists():
        log.warning("%s has factors of single utterances, which win over those found here", path / "utt2warp")
    warps = search.config.warps
    write_json(path / "vtln.json", {"warps": warps, "speakers": {one.speaker: one.to_json(warps) for one in found}})
    write_lines(path / "spk2warp", (f"{one.speaker} {one.warp:g}" for one in found))
    genders = read_scp(path / "spk2gender") if (path / "spk2gender").exists() else {}
    lines = (*_distribution(found, genders), f"`asrkit extract {path}` makes features of these", "")
    return StageResult(_figures(found, warps), tuple(failures), lines)


def _figures(found: Sequence[SpeakerWarp], warps: Sequence[float]) -> dict[str, Any]:
    estimated = [one for one in found if one.reason is None]
    frames = sum(one.num_frames for one in estimated)
    unwarped = warps.index(1.0)
    gain = sum(one.num_frames * (max(one.scores) - one.scores[unwarped]) for one in estimated)
    return {
        "speakers": len(found),
        "not_estimated": len(found) - len(estimated),
        "at_the_edge": sum(one.warp in (warps[0], warps[-1]) for one in estimated),
        "mean_warp": round(sum(one.warp for one in found) / len(found), 4),
        "gain_per_frame": round(gain / max(frames, 1), 4),
        "utterances": sum(one.num_utterances for one in found),
        "frames": frames,
    }


def _distribution(found: Sequence[SpeakerWarp], genders: Mapping[str, str]) -> Iterator[str]:
    """Yield a histogram of the factors, by gender where that is known."""
    groups = sorted(set(genders.values())) if genders else []
    counts = Counter(one.warp for one in found)
    by_group = Counter((one.warp, genders.get(one.speaker)) for one in found)
    yield "".join([" warp  speakers", *(f"{group:>5}" for group in groups)])
    widest = max(counts.values())
    for warp, number in sorted(counts.items()):
        columns = "".join(f"{by_group[warp, group]:5d}" for group in groups)
        yield f"{warp:5.2f}  {number:8d}{columns}  {'#' * -(-number * BAR_WIDTH // max(widest, BAR_WIDTH))}"
    for group in groups:
        own = [one.warp for one in found if genders.get(one.speaker) == group]
        if own:
            yield f"mean of {group}: {sum(own) / len(own):.3f}"
