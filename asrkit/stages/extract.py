"""The stage behind `asrkit extract`: audio to features and CMVN statistics."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from asrkit.core.archives import ArchiveWriter
from asrkit.core.errors import AsrkitError, DataError
from asrkit.core.files import write_json, write_lines
from asrkit.core.jobs import chunks, map_in_order
from asrkit.core.streams import random_stream
from asrkit.data.audio import AudioInfo, audio_info, read_audio, resample, resample_blocks, stream_audio
from asrkit.data.datadir import DataDir, Utterance
from asrkit.data.warps import WARP_TABLES, read_warps
from asrkit.features.cmvn import CmvnStats
from asrkit.features.frontend import FrontEnd, FrontEndConfig, load_front_end, save_front_end
from asrkit.features.pipeline import INPUTS_FILE
from asrkit.stages.acoustic import WARPED
from asrkit.stages.record import Failure, RunOptions, StageReport, StageResult, check_failures, run_stage

UTTERANCES_A_JOB = 8
"""Utterances computed together by one worker; has no influence on the result."""

STREAMED_SECS = 600.0
"""Longer utterances are read, computed and written block by block."""

BLOCK_SECS = 30.0
"""Length of such a block; has no influence on the result."""

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class ExtractConfig(FrontEndConfig):
    """The front end, and what else `asrkit extract` can be told.

    Attributes
    ----------
    cmvn : {'speaker', 'utterance'}
        Whose statistics are written to ``cmvn.scp``.
    resample : bool
        Convert recordings of another rate instead of refusing them.
    """

    cmvn: Literal["speaker", "utterance"] = "speaker"
    resample: bool = False

    @property
    def front_end(self) -> FrontEndConfig:
        """The front end alone."""
        names = (field.name for field in dataclasses.fields(FrontEndConfig))
        return FrontEndConfig(**{name: getattr(self, name) for name in names})


def like(config: ExtractConfig, folder: Path) -> ExtractConfig:
    """Return ``config`` with the front end of another data or model directory."""
    front_end = load_front_end(folder)
    return dataclasses.replace(config, **{f.name: getattr(front_end, f.name) for f in dataclasses.fields(front_end)})


@dataclass(frozen=True)
class Recorded:
    """An utterance, its audio file, and its own warp factor where it has one."""

    utterance: Utterance
    audio: Path
    warp: float | None = None


@dataclass(frozen=True)
class _Extracted:
    """What a worker found: features and statistics, or a reason why not, or (neither) that it must be streamed."""

    source: Recorded
    features: NDArray[np.float32] | None = None
    stats: CmvnStats | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class Extractor:
    """From an utterance to its features; sent to the workers."""

    front_end: FrontEnd
    resample: bool
    seed: int

    def chunk(self, sources: Sequence[Recorded]) -> list[_Extracted]:
        """Extract utterances, but leave those to be streamed alone."""
        return [self._one(source) for source in sources]

    def _one(self, source: Recorded) -> _Extracted:
        try:
            info = self._info(source)
            if _duration_secs(source.utterance, info) > STREAMED_SECS:
                return _Extracted(source)
            utterance = source.utterance
            samples, rate_hz = read_audio(source.audio, utterance.start_secs, utterance.end_secs)
            samples = resample(samples, rate_hz, self.front_end.config.sample_rate_hz)
            features = self.front_end.compute(samples, self._stream(utterance), source.warp)
            if not len(features):
                raise self._too_short(len(samples), source)
            _check_finite(features, source)
        except AsrkitError as error:
            return _Extracted(source, failure=Failure.of(source.utterance.utterance_id, error))
        return _Extracted(source, features, CmvnStats.of(features))

    def blocks(self, source: Recorded) -> Iterator[NDArray[np.float32]]:
        """Yield the features of a long utterance."""
        info = self._info(source)
        rate_hz = self.front_end.config.sample_rate_hz
        samples = resample_blocks(_sample_blocks(source, info), info.sample_rate_hz, rate_hz)
        for features in self.front_end.compute_blocks(samples, self._stream(source.utterance), source.warp):
            _check_finite(features, source)
            yield features

    def _info(self, source: Recorded) -> AudioInfo:
        info = audio_info(source.audio)
        expected = self.front_end.config.sample_rate_hz
        if info.sample_rate_hz != expected and not self.resample:
            raise DataError(
                f"sampled at {info.sample_rate_hz} Hz, expected {expected} Hz",
                where=source.audio,
                remedy=f"--resample converts it, --set sample_rate_hz={info.sample_rate_hz} takes it as it is",
            )
        return info

    def _stream(self, utterance: Utterance) -> np.random.Generator | None:
        return dither_stream(self.front_end.config, self.seed, utterance.utterance_id)

    def _too_short(self, num_samples: int, source: Recorded) -> DataError:
        config = self.front_end.config
        return DataError(
            f"{num_samples} samples are too few for a frame of {config.length}",
            where=source.audio,
            remedy="leave the utterance out, or set snip_edges=false",
        )


def dither_stream(config: FrontEndConfig, seed: int, utterance_id: str) -> np.random.Generator | None:
    """Return the noise of an utterance; None without dither."""
    return None if config.dither == 0 else random_stream(seed, "dither", utterance_id)


def _duration_secs(utterance: Utterance, info: AudioInfo) -> float:
    end = info.duration_secs if utterance.end_secs is None else min(utterance.end_secs, info.duration_secs)
    return end - (utterance.start_secs or 0.0)


def _sample_blocks(source: Recorded, info: AudioInfo) -> Iterator[Samples]:
    utterance, rate_hz = source.utterance, info.sample_rate_hz
    block = int(BLOCK_SECS * rate_hz)
    if utterance.start_secs is None and utterance.end_secs is None:
        yield from stream_audio(source.audio, block)
        return
    # Whole multiples of BLOCK_SECS behind the start fall between samples just as the start does.
    start = utterance.start_secs or 0.0
    end = info.duration_secs if utterance.end_secs is None else utterance.end_secs
    while start < end:
        stop = start + BLOCK_SECS
        # A last block of a few samples joins the one before it: a stretch without samples is an error.
        stop = end if stop + 1.0 > end else stop
        yield read_audio(source.audio, start, stop)[0]
        start = stop


def _check_finite(features: NDArray[np.float32], source: Recorded) -> None:
    if not np.isfinite(features).all():
        raise DataError("features that are not finite", where=source.audio, remedy="look at the recording")


def extract(path: Path, config: ExtractConfig, options: RunOptions) -> StageReport:
    """Extract the features of a data directory into it.

    Writes ``feats.scp``/``.ark``, ``cmvn.scp``/``.ark``, ``utt2num_frames`` and ``frontend.json``. Where there are warp
    factors (``spk2warp``, ``utt2warp``), the features are warped by them and ``inputs.json`` says so.

    Parameters
    ----------
    path : Path
        A data directory, see :class:`~asrkit.data.datadir.DataDir`.
    config : ExtractConfig
    options : RunOptions
        The seed matters only with dither.

    Raises
    ------
    DataError, FormatError
        The data directory is damaged.
    TooManyFailedError
        Too many utterances are unreadable, too short, or of another sampling rate. Nothing is written then.
    """
    data = DataDir.load(path)
    warps = read_warps(data)
    sources = recorded(data, warps)
    return run_stage(
        "extract",
        path,
        extract_inputs(path, sources),
        config,
        extract_outputs(path, bool(warps)),
        options,
        lambda: _run(data, sources, config, options),
        uses_seed=config.dither > 0,
    )


def recorded(data: DataDir, warps: Mapping[str, float]) -> list[Recorded]:
    """Return the utterances with their audio files, in the order of their ids."""
    return [Recorded(u, data.audio_path(u), warps.get(key)) for key, u in sorted(data.utterances.items())]


def extract_inputs(path: Path, sources: Sequence[Recorded]) -> list[Path]:
    """Return the files that decide what is extracted of a data directory: tables, and audio."""
    tables = [path / name for name in ("wav.scp", "utt2spk", "segments", *WARP_TABLES)]
    return [*tables, *dict.fromkeys(source.audio for source in sources)]


def extract_outputs(path: Path, with_origin: bool) -> list[Path]:
    """Return the files that are made, ``inputs.json`` among them where the features have another origin than audio."""
    outputs = [path / f"{name}.{kind}" for name in ("feats", "cmvn") for kind in ("ark", "scp")]
    return [*outputs, path / "utt2num_frames", path / "frontend.json", *([path / INPUTS_FILE] if with_origin else [])]


def _run(data: DataDir, sources: list[Recorded], config: ExtractConfig, options: RunOptions) -> StageResult:
    front_end = FrontEnd(config.front_end)
    extractor = Extractor(front_end, config.resample, options.seed)
    num_frames: dict[str, int] = {}
    stats: dict[str, CmvnStats] = {}
    failures: list[Failure] = []
    with ArchiveWriter(data.path, "feats") as writer:
        results = map_in_order(extractor.chunk, chunks(sources, UTTERANCES_A_JOB), options.num_jobs, "threads")
        flat = (result for chunk in results for result in chunk)
        for result in options.progress(flat, total=len(sources), label="extract"):
            utterance = result.source.utterance
            if result.failure is None:
                result = _write(writer, extractor, result)
            if result.failure is not None or result.stats is None:
                failures += [result.failure] if result.failure else []
                continue
            num_frames[utterance.utterance_id] = int(result.stats.count)
            key = utterance.speaker if config.cmvn == "speaker" else utterance.utterance_id
            stats[key] = stats[key] + result.stats if key in stats else result.stats
        check_failures(failures, len(sources), options, data.path)
        if not num_frames:
            raise DataError("no utterance with features", where=data.path, remedy=f"run `asrkit validate {data.path}`")
    write_statistics(data.path, stats, num_frames)
    save_front_end(data.path, config.front_end)
    if any(source.warp is not None for source in sources):
        write_json(data.path / INPUTS_FILE, WARPED)
    else:
        (data.path / INPUTS_FILE).unlink(missing_ok=True)
    frames = sum(num_frames.values())
    figures = {
        "utterances": len(num_frames),
        "frames": frames,
        "hours": frames * config.frame_shift_ms / 3.6e6,
        "dim": front_end.dim,
        "cmvn": len(stats),
    }
    return StageResult(figures, tuple(failures))


def write_statistics(folder: Path, stats: Mapping[str, CmvnStats], num_frames: Mapping[str, int]) -> None:
    """Write ``cmvn.scp`` of speakers or utterances, and ``utt2num_frames``."""
    with ArchiveWriter(folder, "cmvn") as writer:
        for key, value in sorted(stats.items()):
            writer.write(key, value.to_matrix())
    write_lines(folder / "utt2num_frames", (f"{key} {count}" for key, count in num_frames.items()))


def _write(writer: ArchiveWriter, extractor: Extractor, result: _Extracted) -> _Extracted:
    """Write features to the archive, computing those of a long utterance on the way."""
    key = result.source.utterance.utterance_id
    if result.features is not None:
        writer.write(key, result.features)
        return result
    total = CmvnStats.zero(extractor.front_end.dim)

    def counted() -> Iterator[NDArray[np.float32]]:
        nonlocal total
        for block in extractor.blocks(result.source):
            total = total + CmvnStats.of(block)
            yield block

    try:
        writer.write_rows(key, extractor.front_end.dim, counted())
    except AsrkitError as error:
        return dataclasses.replace(result, failure=Failure.of(key, error))
    return dataclasses.replace(result, stats=total)
