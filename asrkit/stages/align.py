"""`asrkit align`: from features, transcripts and a model to the times of phones and words."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import AsrkitError, ConfigError, DataError, ModelError
from asrkit.core.files import write_lines
from asrkit.core.jobs import chunks, map_in_order
from asrkit.data.datadir import DataDir, Utterance
from asrkit.features.pipeline import ModelInputs
from asrkit.gmm.diag import DiagGmms
from asrkit.graph.training import TrainingGraphCompiler
from asrkit.hmm.segments import PhoneSegments, WordSegment, cut_phones, find_words
from asrkit.hmm.viterbi import AlignConfig, Alignment, NoPath
from asrkit.hmm.viterbi import align as best_path
from asrkit.lang.langdir import Lang
from asrkit.lang.silence import SILENCE_FILE
from asrkit.stages.acoustic import (
    LANG_FILES,
    AcousticModel,
    copy_file,
    data_files,
    load_acoustic_model,
    model_files,
)
from asrkit.stages.adaptation import (
    TRANSFORM_FILES,
    AdaptationConfig,
    PathPosteriors,
    estimate_transforms,
    is_speaker_adaptive,
)
from asrkit.stages.alignment_files import AlignmentFiles, Format, output_files
from asrkit.stages.alignment_lang import open_lang, with_more_words, words_of
from asrkit.stages.alignment_times import Boundaries, Clock
from asrkit.stages.ladder import LadderConfig
from asrkit.stages.record import Failure, RunOptions, StageReport, StageResult, check_failures, run_stage
from asrkit.stages.speaker_passes import AdaptedInputs
from asrkit.stages.unknown_words import UnknownWords

log = logging.getLogger("asrkit")

IntArray = NDArray[np.int32]

UTTERANCES_AT_ONCE = 32
"""Utterances of one piece of work; fixed, though here no result depends on it."""

GUESSED_FILE = "g2p.txt"
"""Words that a G2P model pronounced: word, how often, phones."""


@dataclass(frozen=True)
class AlignStageConfig:
    """Configuration of `asrkit align`.

    Attributes
    ----------
    formats : tuple of {'ctm', 'json', 'textgrid', 'textgrid-short'}
        What is written beside ``ali.scp``.
    oov : {'unk', 'error', 'g2p'}
        Words outside the lexicon: align them as the unknown word, refuse, or let a G2P model pronounce them; those that
        it cannot are aligned as the unknown word.
    g2p_nbest : int
        Pronunciations of such a word, of which the one that fits best is taken.
    boundaries : {'centre', 'kaldi'}
        Where a boundary lies between two frames: half-way between the centres of their windows, the first label then
        begins and the last one ends with the utterance; or, as Kaldi says, at frame number times shift, which for
        25 ms windows each 10 ms is 7.5 ms earlier.
    goodness : bool
        Also score each phone against the best of all pdfs (costs the log-likelihoods of all pdfs).
    beam, retry_beam : float
        See :class:`asrkit.hmm.viterbi.AlignConfig`; two still wider ones follow.
    acoustic_scale, transition_scale, self_loop_scale : float
        Weights of log-likelihoods and transition probabilities.
    adapt : bool
        With a speaker-adaptive model: align, adapt its inputs to each speaker by that, and align again. Without it the
        model's mixtures for unadapted inputs give the result.
    adaptation : AdaptationConfig
        How the transforms are estimated from the first alignment.
    ladder : LadderConfig
        What ``--train`` trains (:func:`asrkit.stages.align_train.train_and_align`); here it plays no part.
    """

    formats: tuple[Format, ...] = ("ctm", "json")
    oov: Literal["unk", "error", "g2p"] = "unk"
    g2p_nbest: int = 1
    boundaries: Boundaries = "centre"
    goodness: bool = False
    beam: float = 10.0
    retry_beam: float = 40.0
    acoustic_scale: float = 0.1
    transition_scale: float = 1.0
    self_loop_scale: float = 0.1
    adapt: bool = True
    adaptation: AdaptationConfig = field(default_factory=AdaptationConfig)
    ladder: LadderConfig = field(default_factory=LadderConfig)

    def __post_init__(self) -> None:
        if {"textgrid", "textgrid-short"} <= set(self.formats):
            raise ConfigError("formats names both textgrid and textgrid-short, which have the same file names")
        if self.g2p_nbest < 1:
            raise ConfigError(f"g2p_nbest is {self.g2p_nbest}, expected 1 or more")
        _ = self.search

    @property
    def search(self) -> AlignConfig:
        """The configuration of the search."""
        return AlignConfig(self.acoustic_scale, self.beam, self.retry_beam)


def align(
    data_path: Path,
    model_path: Path,
    out: Path,
    config: AlignStageConfig,
    options: RunOptions,
    lang_path: Path | None = None,
    lexicon_path: Path | None = None,
    g2p_path: Path | None = None,
) -> StageReport:
    """Align the utterances of a data directory with a model.

    Parameters
    ----------
    data_path : Path
        Data directory with features and transcripts.
    model_path : Path
        Any model directory.
    out : Path
        Directory to be made: transition ids ``ali.scp``; a copy of the model, so that a training can start from the
        alignments as from those of a training; the formats asked for; ``failed.txt`` and ``oov.txt``. With a
        speaker-adaptive model also the transforms of the speakers, ``trans.scp``.
    lang_path : Path, optional
        Lang directory with the words and pronunciations to use, of the model's phones.
    lexicon_path : Path, optional
        Pronunciations of more words (or other ones of known words), in the model's phones.
    g2p_path : Path, optional
        Model of `asrkit train-g2p` of the model's phones, which ``oov = "g2p"`` needs; ``g2p.txt`` lists its words.

    Raises
    ------
    DataError, FormatError, ModelError
        An input is absent or damaged, or they do not belong together.
    TooManyFailedError
        More utterances failed than the options allow; ``failed.txt`` names them.
    """
    if out.resolve() == model_path.resolve():
        raise ConfigError("OUT is the model's own directory, whose alignments are those of its training")
    lang_folder = lang_path or model_path / "lang"
    inputs = [
        *data_files(data_path, ("utt2spk", "text", "wav.scp", "segments")),
        *model_files(model_path),
        *(lang_folder / name for name in (*LANG_FILES, SILENCE_FILE)),
        *(path for path in (lexicon_path, g2p_path) if path is not None),
    ]
    outputs = [
        out / "ali.scp",
        out / "ali.ark",
        out / "failed.txt",
        out / "oov.txt",
        *output_files(out, config.formats),
    ]
    if config.adapt and is_speaker_adaptive(model_path):
        outputs += [out / name for name in TRANSFORM_FILES]
    if g2p_path is not None:
        outputs.append(out / GUESSED_FILE)

    def body() -> StageResult:
        data, model = DataDir.load(data_path), load_acoustic_model(model_path)
        lang, guessed = with_more_words(open_lang(model, lang_path), data, config, lexicon_path, g2p_path)
        result = _align(Aligner(data, model, lang, config), out, options)
        if guessed is None:
            (out / GUESSED_FILE).unlink(missing_ok=True)
        else:
            write_lines(out / GUESSED_FILE, guessed.lines())
            result.figures["g2p_types"] = guessed.num_types
        for path in model_files(model_path):
            copy_file(path, out / path.name)
        lang.save(out / "lang")
        return result

    return run_stage("align", out, inputs, config, outputs, options, body, uses_seed=False)


@dataclass(frozen=True, eq=False)
class AlignedUtterance:
    """What became of an utterance that could be aligned.

    Attributes
    ----------
    utterance : Utterance
    alignment : Alignment
        Transition ids and log-likelihoods.
    phones : PhoneSegments
    words : tuple of WordSegment
    unknown : frozenset of int
        0-based places in the transcript of words that were aligned as the unknown word.
    loglikes : (N,) float64
        Acoustic log-likelihood per frame of each phone, natural log.
    goodness : (N,) float64 or None
        The same less that of the best pdf of each frame: at most 0, where the phone fits better than any other.
    bounds_secs : (N + 1,) float64
        Boundaries of the phones, in seconds of the recording.
    """

    utterance: Utterance
    alignment: Alignment
    phones: PhoneSegments
    words: tuple[WordSegment, ...]
    unknown: frozenset[int]
    loglikes: NDArray[np.float64]
    goodness: NDArray[np.float64] | None
    bounds_secs: NDArray[np.float64]


class Aligner:
    """Aligns utterances, each by itself; may be used from several threads.

    Parameters
    ----------
    data : DataDir
        With features and transcripts.
    model : AcousticModel
    lang : Lang
        Of the model's phones.
    config : AlignStageConfig
    features : ModelInputs, optional
        The model's inputs, where they are adapted to their speakers.
    gmms : DiagGmms, optional
        Mixtures that go with them; by default those for inputs that are not adapted.

    Raises
    ------
    DataError, ModelError
        The data directory has no transcripts or features, or those of another front end.
    """

    def __init__(
        self,
        data: DataDir,
        model: AcousticModel,
        lang: Lang,
        config: AlignStageConfig,
        features: ModelInputs | None = None,
        gmms: DiagGmms | None = None,
    ) -> None:
        if any(utterance.words is None for utterance in data.utterances.values()):
            raise DataError("no transcripts", where=data.path / "text", remedy="alignment needs the file `text`")
        self.data, self.model, self.lang, self.config = data, model, lang, config
        self.features = model.inputs(data) if features is None else features
        self.gmms = gmms or model.model.alignment_gmms or model.model.gmms
        self.known_words = words_of(lang)
        self.clock = Clock(data, model.front_end, config.boundaries)
        self._compiler = TrainingGraphCompiler(lang, model.tree, model.transitions)
        self._log_probs = model.transitions.scaled_log_probs(config.transition_scale, config.self_loop_scale)

    @cached_property
    def order(self) -> list[str]:
        """The utterances by recording and time, so that those of a recording come one after the other."""
        utterances = self.data.utterances.values()
        ranked = sorted(utterances, key=lambda u: (u.recording_id, u.start_secs or 0.0, u.utterance_id))
        return [utterance.utterance_id for utterance in ranked]

    def align_all(self, num_jobs: int) -> Iterator[AlignedUtterance | Failure]:
        """Yield what becomes of each utterance, in :attr:`order`, whatever the number of jobs."""
        for results in map_in_order(self._align_some, chunks(self.order, UTTERANCES_AT_ONCE), num_jobs, kind="threads"):
            yield from results

    def _align_some(self, keys: Sequence[str]) -> list[AlignedUtterance | Failure]:
        return [self.align(key) for key in keys]

    def align(self, key: str) -> AlignedUtterance | Failure:
        """Align one utterance, or say why it cannot be."""
        utterance = self.data.utterances[key]
        if key not in self.features:
            return Failure(key, "no features (see the report of `asrkit extract`)")
        try:
            return self._align(utterance)
        except AsrkitError as error:
            return Failure(key, str(error))

    def _align(self, utterance: Utterance) -> AlignedUtterance | Failure:
        words = utterance.words or ()
        if not words:
            return Failure(utterance.utterance_id, "empty transcript")
        word_ids, _ = self.lang.transcript_ids(words)
        graph = self._compiler.compile(word_ids)
        frames = self.features[utterance.utterance_id]
        transitions, gmms = self.model.transitions, self.gmms
        pdf_ids = np.unique(transitions.tid_to_pdf[graph.arc_label]).astype(np.int32)
        place = np.zeros(transitions.num_pdfs, dtype=np.int32)
        place[pdf_ids] = np.arange(len(pdf_ids), dtype=np.int32)
        if self.config.goodness:
            everything = gmms.loglikes(frames)
            loglikes = np.ascontiguousarray(everything[:, pdf_ids])
        else:
            loglikes = gmms.loglikes(frames, pdf_ids)
        found = best_path(graph, place[transitions.tid_to_pdf], self._log_probs, loglikes, self.config.search)
        if isinstance(found, NoPath):
            return Failure(utterance.utterance_id, found.reason)
        phones = cut_phones(transitions, found.labels)
        segments = find_words(phones.phones.tolist(), word_ids.tolist(), self.lang)
        if segments is None:
            raise ModelError("the phones of the alignment are not those of the transcript")
        along = loglikes[np.arange(len(frames)), place[transitions.tid_to_pdf[found.labels]]]
        return AlignedUtterance(
            utterance,
            found,
            phones,
            tuple(segments),
            frozenset(place for place, word in enumerate(words) if word not in self.known_words),
            phones.means(along),
            phones.means(along - everything.max(axis=1)) if self.config.goodness else None,
            self.clock.bounds_secs(utterance, phones.bounds, len(frames)),
        )


def adapt_by_first_pass(aligner: Aligner, options: RunOptions) -> tuple[Aligner, AdaptedInputs]:
    """Align the unadapted inputs of a speaker-adaptive model, and adapt them by that (Kaldi's steps/align_fmllr.sh).

    Parameters
    ----------
    aligner : Aligner
        With the alignment model; an utterance that it cannot align is left to the second pass to report.

    Returns
    -------
    aligner : Aligner
        Of the second pass: the adapted inputs, and the mixtures for these.
    inputs : AdaptedInputs
    """
    data, model, config = aligner.data, aligner.model, aligner.config
    first = Aligner(data, model, aligner.lang, replace(config, goodness=False), aligner.features, aligner.gmms)
    found = options.progress(first.align_all(options.num_jobs), total=len(first.order), label="first alignment")
    paths = {one.utterance.utterance_id: one.alignment.labels for one in found if isinstance(one, AlignedUtterance)}
    weight, silence = config.adaptation.silence_weight, aligner.lang.silence_phones
    speakers = estimate_transforms(
        model.model.gmms,
        aligner.features,
        PathPosteriors(model.transitions, paths, silence, weight),
        config.adaptation.fmllr,
        aligner.gmms,
        options.num_jobs,
        options.progress,
    )
    log.info("%s", speakers)
    inputs = aligner.features.with_transforms(aligner.features.transform, speakers.transforms)
    return Aligner(data, model, aligner.lang, config, inputs, model.model.gmms), AdaptedInputs(inputs, (speakers,))


def _align(aligner: Aligner, out: Path, options: RunOptions) -> StageResult:
    """Align everything and write it as it comes."""
    started = time.monotonic()
    outside = UnknownWords.of(aligner.data, aligner.known_words)
    adapted: AdaptedInputs | None = None
    if aligner.config.adapt and aligner.model.model.is_speaker_adaptive:
        aligner, adapted = adapt_by_first_pass(aligner, options)
    failures: list[Failure] = []
    tally = _Tally()
    keys = aligner.order
    with ExitStack() as stack:
        files = AlignmentFiles(out, aligner.lang, aligner.clock, aligner.config.formats, stack)
        for result in options.progress(aligner.align_all(options.num_jobs), total=len(keys), label="align"):
            if isinstance(result, Failure):
                failures.append(result)
            else:
                tally.add(result, aligner.config.beam)
                files.add(result)
        failures.sort(key=lambda failure: failure.utterance_id)
        # Also when there are too many of them.
        write_lines(out / "failed.txt", (f"{failure.utterance_id}\t{failure.reason}" for failure in failures))
        check_failures(failures, len(keys), options, aligner.data.path)
        files.finish()
    write_lines(out / "oov.txt", outside.lines())
    files.sort_index()
    frame_secs = aligner.model.front_end.shift / aligner.model.front_end.sample_rate_hz
    figures: dict[str, Any] = tally.figures(frame_secs)
    figures |= {"failed": len(failures), "oov_words": outside.num_words, "oov_types": len(outside.counts)}
    figures["x_real_time"] = (time.monotonic() - started) / max(figures["speech_secs"], 1e-9)
    if adapted is None:
        for name in TRANSFORM_FILES:
            (out / name).unlink(missing_ok=True)
    else:
        adapted.transforms.save(out)
        figures |= adapted.figures()
    outside.warn(aligner.data.path)
    return StageResult(figures, tuple(failures))


class _Tally:
    """Sums over the aligned utterances, in their order."""

    def __init__(self) -> None:
        self.aligned = self.retried = self.frames = self.words = self.phones = 0
        self.loglike = 0.0

    def add(self, result: AlignedUtterance, beam: float) -> None:
        self.aligned += 1
        self.retried += result.alignment.beam > beam
        self.frames += result.alignment.num_frames
        self.words += len(result.words)
        self.phones += len(result.phones)
        self.loglike += result.alignment.acoustic_loglike

    def figures(self, frame_secs: float) -> dict[str, Any]:
        return {
            "aligned": self.aligned,
            "retried": self.retried,
            "words": self.words,
            "phones": self.phones,
            "frames": self.frames,
            "speech_secs": round(self.frames * frame_secs, 2),
            "loglike_per_frame": self.loglike / max(self.frames, 1),
        }
