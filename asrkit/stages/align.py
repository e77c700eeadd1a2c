"""`asrkit align`: from features, transcripts and a model to the times of phones and words."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from asrkit.core.errors import ConfigError
from asrkit.core.files import write_lines
from asrkit.data.datadir import DataDir
from asrkit.lang.silence import SILENCE_FILE
from asrkit.stages.acoustic import (
    LANG_FILES,
    copy_file,
    data_files,
    load_acoustic_model,
    model_files,
)
from asrkit.stages.adaptation import (
    TRANSFORM_FILES,
    PathPosteriors,
    estimate_transforms,
    is_speaker_adaptive,
)
from asrkit.stages.aligned_utterance import AlignedUtterance
from asrkit.stages.aligner import Aligner, AlignStageConfig
from asrkit.stages.alignment_files import AlignmentFiles, output_files
from asrkit.stages.alignment_lang import open_lang, with_more_words
from asrkit.stages.loglikes import Loglikes, combined_loglikes
from asrkit.stages.record import Failure, RunOptions, StageReport, StageResult, check_apart, check_failures, run_stage
from asrkit.stages.speaker_passes import AdaptedInputs
from asrkit.stages.systems import System, open_further
from asrkit.stages.unknown_words import UnknownWords

log = logging.getLogger("asrkit")

GUESSED_FILE = "g2p.txt"
"""Words that a G2P model pronounced: word, how often, phones."""


def align(
    data_path: Path,
    model_path: Path,
    out: Path,
    config: AlignStageConfig,
    options: RunOptions,
    lang_path: Path | None = None,
    lexicon_path: Path | None = None,
    g2p_path: Path | None = None,
    others: Sequence[tuple[Path, Path]] = (),
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
    others : sequence of (Path, Path)
        Further model directories of the same tree, each with its own data directory of the same utterances; what all
        of them say of a frame is averaged.

    Raises
    ------
    DataError, FormatError, ModelError
        An input is absent or damaged, or they do not belong together.
    TooManyFailedError
        More utterances failed than the options allow; ``failed.txt`` names them.
    """
    if out.resolve() == model_path.resolve():
        raise ConfigError("OUT is the model's own directory, whose alignments are those of its training")
    config.combination.shares(1 + len(others))
    check_apart(out, data_path, *([] if lang_path is None else [lang_path]), *(path for one in others for path in one))
    lang_folder = lang_path or model_path / "lang"
    inputs = [
        *data_files(data_path, ("utt2spk", "text", "wav.scp", "segments")),
        *model_files(model_path),
        *(lang_folder / name for name in (*LANG_FILES, SILENCE_FILE)),
        *(path for path in (lexicon_path, g2p_path) if path is not None),
    ]
    for other, other_data in others:
        inputs += [*model_files(other), *data_files(other_data, ("utt2spk",))]
    outputs = [
        out / "ali.scp",
        out / "ali.ark",
        out / "failed.txt",
        out / "oov.txt",
        *output_files(out, config.formats),
        *(out / path.name for path in model_files(model_path)),
        *(out / "lang" / name for name in LANG_FILES),
    ]
    if config.adapt and is_speaker_adaptive(model_path):
        outputs += [out / name for name in TRANSFORM_FILES]
    if g2p_path is not None:
        outputs.append(out / GUESSED_FILE)

    def body() -> StageResult:
        data, model = DataDir.load(data_path), load_acoustic_model(model_path)
        lang, guessed = with_more_words(open_lang(model, lang_path), data, config, lexicon_path, g2p_path)
        further = open_further(others, model)
        result = _align(Aligner(data, model, lang, config), further, out, options)
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
    mixtures = model.mixtures
    first = Aligner(data, model, aligner.lang, replace(config, goodness=False), aligner.features, mixtures.unadapted)
    found = options.progress(first.align_all(options.num_jobs), total=len(first.order), label="first alignment")
    paths = {one.utterance.utterance_id: one.alignment.labels for one in found if isinstance(one, AlignedUtterance)}
    weight, silence = config.adaptation.silence_weight, aligner.lang.silence_phones
    speakers = estimate_transforms(
        mixtures.gmms,
        aligner.features,
        PathPosteriors(model.transitions, paths, silence, weight),
        config.adaptation.fmllr,
        mixtures.unadapted,
        options.num_jobs,
        options.progress,
    )
    log.info("%s", speakers)
    inputs = aligner.features.with_transforms(aligner.features.transform, speakers.transforms)
    return Aligner(data, model, aligner.lang, config, inputs, mixtures.gmms), AdaptedInputs(inputs, (speakers,))


def _adapted(aligner: Aligner, options: RunOptions) -> tuple[Aligner, AdaptedInputs | None]:
    """Return what aligns in the end, and how its inputs were adapted, where its model is speaker-adaptive."""
    if aligner.config.adapt and aligner.model.model.is_speaker_adaptive:
        return adapt_by_first_pass(aligner, options)
    return aligner, None


def _together(aligner: Aligner, further: Sequence[System], options: RunOptions) -> Aligner:
    """Return what aligns with the average of several systems, each adapted as when it aligns alone."""
    data, model, lang, config = aligner.data, aligner.model, aligner.lang, aligner.config
    systems = [aligner]
    systems += [_adapted(Aligner(data, one.model, lang, config, one.inputs), options)[0] for one in further]
    combined = combined_loglikes([Loglikes(one.scorer, one.features) for one in systems], config.combination)
    return Aligner(data, model, lang, config, aligner.features, aligner.scorer, combined)


def _align(aligner: Aligner, further: Sequence[System], out: Path, options: RunOptions) -> StageResult:
    """Align everything and write it as it comes."""
    started = time.monotonic()
    outside = UnknownWords.of(aligner.data, aligner.known_words)
    aligner, adapted = _adapted(aligner, options)
    if further:
        aligner = _together(aligner, further, options)
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
