"""`asrkit segment`: from whole recordings to a data directory with `segments`."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asrkit.core.errors import AsrkitError, DataError
from asrkit.core.files import write_json
from asrkit.core.jobs import map_in_order
from asrkit.data.audio import audio_info
from asrkit.data.datadir import DataDir, Utterance
from asrkit.features.speech_segments import CuttingConfig
from asrkit.lang.silence import SILENCE_FILE
from asrkit.stages.acoustic import LANG_FILES, model_files
from asrkit.stages.long_recordings import SpeechConfig, SpeechTally, segments_by_chunk
from asrkit.stages.record import (
    Failure,
    RunOptions,
    StageReport,
    StageResult,
    check_apart,
    check_failures,
    run_stage,
)
from asrkit.stages.speech_scores import Scorer, load_scorer

log = logging.getLogger("asrkit")

REPORT_FILE = "segmentation.json"
NUM_NAMED = 10


@dataclass(frozen=True)
class SegmentConfig(SpeechConfig):
    """Configuration of `asrkit segment`: how speech is found and cut.

    Segments do not overlap unless ``cutting.overlap_secs`` says so: what reads a data directory takes each for an
    utterance of its own.
    """

    cutting: CuttingConfig = field(default_factory=lambda: CuttingConfig(overlap_secs=0.0))


@dataclass(frozen=True)
class FoundSpeech:
    """What was found in a recording.

    Attributes
    ----------
    recording_id : str
    bounds : tuple of (float, float)
        Start and end of each segment in seconds.
    tally : SpeechTally
        Seconds of all, of speech, and of speech in stretches too short to be kept.
    reason : str or None
        Why there is nothing.
    """

    recording_id: str
    bounds: tuple[tuple[float, float], ...]
    tally: SpeechTally
    reason: str | None = None


def segment(
    data_path: Path, out: Path, config: SegmentConfig, options: RunOptions, model: Path | None = None
) -> StageReport:
    """Find the speech in whole recordings and write a data directory of its segments.

    Parameters
    ----------
    data_path : Path
        Data directory without ``segments``; transcripts are of no use here and are not passed on.
    out : Path
        Data directory to be made: ``wav.scp``, ``segments``, ``utt2spk``, ``spk2utt``, and for each recording the
        seconds of speech and of the rest in ``segmentation.json``.
    model : Path, optional
        Model directory whose silence is compared with its speech; without one the energy decides.

    Raises
    ------
    DataError, FormatError, ModelError
        An input is absent or damaged, the recordings are already cut into segments, or none holds speech.
    TooManyFailedError
        Too many recordings could not be read.
    """
    check_apart(out, data_path)
    data = DataDir.load(data_path)
    cut = [utterance for utterance in data.utterances.values() if utterance.start_secs is not None]
    if cut or (data_path / "segments").exists():
        raise DataError(
            "the recordings are already cut into segments",
            where=data_path / "segments",
            remedy="give a data directory of whole recordings",
        )
    audio = {key: data.audio_path(utterance) for key, utterance in data.utterances.items()}
    inputs = [data_path / "wav.scp", data_path / "utt2spk", *audio.values()]
    if model is not None:
        inputs += [*model_files(model), *(model / "lang" / name for name in (*LANG_FILES, SILENCE_FILE))]
    outputs = [out / name for name in ("wav.scp", "segments", "utt2spk", "spk2utt", REPORT_FILE)]

    def body() -> StageResult:
        found, failures = _find(audio, config, options, model)
        check_failures(failures, len(audio), options, data_path)
        return _write(data, audio, out, found, failures)

    return run_stage("segment", out, inputs, config, outputs, options, body, uses_seed=False)


def _find(
    audio: dict[str, Path], config: SegmentConfig, options: RunOptions, model: Path | None
) -> tuple[list[FoundSpeech], list[Failure]]:
    """Go through all recordings; the progress is in seconds of audio."""
    failures, secs = [], {}
    for key, path in audio.items():
        try:
            secs[key] = audio_info(path).duration_secs
        except AsrkitError as error:
            failures.append(Failure.of(key, error))
    found: list[FoundSpeech] = []
    work = [(key, audio[key]) for key in secs]
    finder = _SpeechFinder(config, model)
    results = finder.one_by_one(work, found) if options.num_jobs == 1 else _together(finder, work, found, options)
    for _ in options.progress(_whole_seconds(results), total=int(sum(secs.values())), label="segment"):
        pass
    failures += [Failure(one.recording_id, one.reason) for one in found if one.reason is not None]
    return [one for one in found if one.reason is None], failures


class _SpeechFinder:
    """Finds the speech of recordings; sent to the workers."""

    def __init__(self, config: SegmentConfig, model: Path | None) -> None:
        self._config, self._model = config, model

    def __call__(self, recording: tuple[str, Path]) -> FoundSpeech:
        """Find the speech of one recording."""
        found: list[FoundSpeech] = []
        for _ in self.one_by_one([recording], found):
            pass
        return found[0]

    def one_by_one(self, recordings: Sequence[tuple[str, Path]], found: list[FoundSpeech]) -> Iterator[float]:
        """Yield how many seconds more have been gone through, and add to ``found``."""
        from threadpoolctl import threadpool_limits

        with threadpool_limits(limits=1):
            for key, path in recordings:
                bounds: list[tuple[float, float]] = []
                tally, reason, before = SpeechTally(), None, 0.0
                try:
                    scorer = self._scorer(audio_info(path).sample_rate_hz)
                    for segments in segments_by_chunk(path, None, scorer, self._config, tally=tally):
                        bounds += [(one.start_secs, one.end_secs) for one in segments]
                        yield tally.secs - before
                        before = tally.secs
                except AsrkitError as error:
                    reason = str(error)
                found.append(FoundSpeech(key, tuple(bounds), tally, reason))

    def _scorer(self, rate_hz: int) -> Scorer:
        # A model has a sample rate of its own; energies are looked at as they were recorded.
        return _load_scorer(self._model, self._config, rate_hz if self._model is None else 0)


@functools.lru_cache(maxsize=4)
def _load_scorer(model: Path | None, config: SegmentConfig, rate_hz: int) -> Scorer:
    return load_scorer(model, config.model, config.energy, rate_hz)


def _together(
    finder: _SpeechFinder, work: Sequence[tuple[str, Path]], found: list[FoundSpeech], options: RunOptions
) -> Iterator[float]:
    for one in map_in_order(finder, work, options.num_jobs):
        found.append(one)
        yield one.tally.secs


def _whole_seconds(steps: Iterator[float]) -> Iterator[int]:
    """Yield once for each whole second that the ``steps`` add up to."""
    done = 0
    total = 0.0
    for step in steps:
        total += step
        while done + 1 <= total:
            done += 1
            yield done


def _write(
    data: DataDir, audio: dict[str, Path], out: Path, found: list[FoundSpeech], failures: list[Failure]
) -> StageResult:
    utterances: dict[str, Utterance] = {}
    for one in found:
        source = data.utterances[one.recording_id]
        for start, end in one.bounds:
            # Seven digits of centiseconds sort the segments of a day.
            key = f"{one.recording_id}-{round(start * 100):07d}-{round(end * 100):07d}"
            utterances[key] = Utterance(key, source.recording_id, source.speaker, None, start, end)
    silent = [one.recording_id for one in found if not one.bounds]
    if silent:
        more = ", …" if len(silent) > NUM_NAMED else ""
        log.warning("%d recordings without speech: %s%s", len(silent), ", ".join(silent[:NUM_NAMED]), more)
    if not utterances:
        raise DataError(
            f"no speech in {len(found)} recordings",
            where=data.path,
            remedy="listen to them; a lower energy.threshold or energy.min_rise finds fainter speech",
        )
    kept = {utterance.recording_id for utterance in utterances.values()}
    paths = {data.utterances[key].recording_id: os.path.abspath(path) for key, path in audio.items()}
    DataDir(out, utterances, {key: path for key, path in paths.items() if key in kept}).save()
    write_json(out / REPORT_FILE, {one.recording_id: _described(one) for one in found})
    secs, speech, dropped = (
        sum(getattr(one.tally, name) for one in found) for name in ("secs", "speech_secs", "dropped_secs")
    )
    inside = sum(end - start for one in found for start, end in one.bounds)
    figures = {
        "recordings": len(found),
        "without_speech": len(silent),
        "segments": len(utterances),
        "hours": round(secs / 3600, 4),
        "speech_secs": round(speech, 2),
        "nonspeech_secs": round(secs - speech, 2),
        "segment_secs": round(inside, 2),
        "too_short_secs": round(dropped, 2),
        "longest_secs": round(max(end - start for one in found for start, end in one.bounds), 2),
    }
    return StageResult(figures, tuple(failures))


def _described(one: FoundSpeech) -> dict[str, float]:
    return {
        "secs": round(one.tally.secs, 3),
        "speech_secs": round(one.tally.speech_secs, 3),
        "nonspeech_secs": round(one.tally.secs - one.tally.speech_secs, 3),
        "too_short_secs": round(one.tally.dropped_secs, 3),
        "segments": len(one.bounds),
    }
