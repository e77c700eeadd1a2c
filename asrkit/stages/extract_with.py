"""`asrkit extract --with`: from audio to what a layer of a convolutional deep belief network makes of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from asrkit.core.archives import ArchiveWriter
from asrkit.core.errors import AsrkitError, DataError, ModelError
from asrkit.core.files import write_json
from asrkit.core.jobs import map_in_order
from asrkit.data.datadir import DataDir
from asrkit.data.warps import read_warps
from asrkit.features.cmvn import CmvnStats
from asrkit.features.frontend import FrontEnd, save_front_end
from asrkit.features.pipeline import INPUTS_FILE, FeaturePipeline
from asrkit.nnet.device import torch_threads
from asrkit.nnet.energy.convolutional_dbn import CDBN_FILE, ConvolutionalDbn, cdbn_files, load_cdbn
from asrkit.stages.extract import (
    ExtractConfig,
    Extractor,
    Recorded,
    extract_inputs,
    extract_outputs,
    recorded,
    write_statistics,
)
from asrkit.stages.record import Failure, RunOptions, StageReport, StageResult, check_failures, run_stage

MOST_FRAMES = 1_000_000
"""An utterance is in memory as a whole: nearly three hours of frames of 10 ms, and a gigabyte of spectrogram."""


@dataclass(frozen=True)
class ExtractWithConfig:
    """What is written, for the record.

    Attributes
    ----------
    layer : int
        1-based; 0: the whitened features.
    pooled : bool
        The pooling units, or the hidden units under them.
    cmvn : {'speaker', 'utterance'}
        Whose statistics are written to ``cmvn.scp``.
    resample : bool
        Convert recordings of another rate instead of refusing them.
    """

    layer: int
    pooled: bool = True
    cmvn: Literal["speaker", "utterance"] = "speaker"
    resample: bool = False


def extract_with(
    path: Path,
    network_path: Path,
    layer: int | None,
    pooled: bool,
    config: ExtractConfig,
    options: RunOptions,
) -> StageReport:
    """Extract features of a data directory into it by a network.

    Writes what :func:`asrkit.stages.extract.extract` writes: a row is the mean of the units of a layer, and stands for
    so many frames of the network's front end that ``frame_shift_ms`` in ``frontend.json`` is theirs together.
    ``inputs.json`` says which network it was, and a model that is trained on such features refuses others.

    Parameters
    ----------
    network_path : Path
        Directory of `asrkit pretrain cdbn`.
    layer : int, optional
        1-based; the highest one by default. 0: the whitened features that the first layer sees.
    pooled : bool
        The pooling units, or the hidden units under them, which are not yet fewer than the layer's inputs.
    config : ExtractConfig
        Of which ``cmvn`` and ``resample`` count: the front end is the network's.

    Raises
    ------
    ModelError, FormatError
        The network is absent or damaged, or was trained on features that audio alone does not give.
    DataError
        The data directory is damaged.
    TooManyFailedError
        Too many utterances are unreadable, too short, or of another sampling rate. Nothing is written then.
    """
    network = load_cdbn(network_path)
    if network.inputs is not None or network.pipeline.cmvn == "speaker":
        raise ModelError(
            "the network was trained on another model's inputs, or on features normalised by speaker",
            where=network_path,
            remedy="train one on spectrograms as `asrkit extract` makes them: --set pipeline.cmvn=none or utterance",
        )
    choice = ExtractWithConfig(network.checked_layer(layer), pooled, config.cmvn, config.resample)
    data = DataDir.load(path)
    sources = recorded(data, read_warps(data))
    inputs = [*extract_inputs(path, sources), *cdbn_files(network_path)]

    def body() -> StageResult:
        work = _Work(network, Extractor(FrontEnd(network.front_end), choice.resample, options.seed), choice)
        with torch_threads(1):
            num_frames, failures = _write(work, sources, data, options)
        digest = hashlib.sha256((network_path / CDBN_FILE).read_bytes()).hexdigest()
        described = {"cdbn_sha256": digest, "layer": choice.layer, "pooled": pooled, "dim": work.dim}
        shift_ms = network.front_end.frame_shift_ms * network.frames_a_row(choice.layer, pooled)
        save_front_end(path, replace(network.front_end, frame_shift_ms=shift_ms))
        write_json(path / INPUTS_FILE, described)
        rows = sum(num_frames.values())
        figures = {
            "utterances": len(num_frames),
            "frames": rows,
            "frame_shift_ms": shift_ms,
            "hours": rows * shift_ms / 3.6e6,
            "dim": work.dim,
        }
        return StageResult(figures, tuple(failures))

    outputs = extract_outputs(path, with_origin=True)
    return run_stage("extract", path, inputs, choice, outputs, options, body, uses_seed=network.front_end.dither > 0)


@dataclass(frozen=True)
class _Work:
    """From an utterance to its features."""

    network: ConvolutionalDbn
    extractor: Extractor
    choice: ExtractWithConfig

    @property
    def dim(self) -> int:
        return self.network.dim(self.choice.layer)

    def __call__(self, source: Recorded) -> NDArray[np.float32] | Failure:
        try:
            frames = self._frames(self.extractor.blocks(source), source)
            value = FeaturePipeline(self.network.pipeline).apply(frames)
            return self.network.features(value, self.choice.layer, self.choice.pooled)
        except AsrkitError as error:
            return Failure.of(source.utterance.utterance_id, error)

    def _frames(self, blocks: Iterable[NDArray[np.float32]], source: Recorded) -> NDArray[np.float32]:
        found: list[NDArray[np.float32]] = []
        total = 0
        for block in blocks:
            found.append(block)
            total += len(block)
            if total > MOST_FRAMES:
                raise DataError(
                    f"more than {MOST_FRAMES} frames, and a network needs an utterance as a whole",
                    where=source.audio,
                    remedy="cut it with `asrkit segment`",
                )
        if not total:
            raise DataError("too few samples for a frame", where=source.audio, remedy="leave the utterance out")
        return np.concatenate(found)


def _write(
    work: _Work, sources: list[Recorded], data: DataDir, options: RunOptions
) -> tuple[dict[str, int], list[Failure]]:
    """Write features and their statistics; return utterance_id -> rows, and the utterances that have none."""
    num_frames: dict[str, int] = {}
    stats: dict[str, CmvnStats] = {}
    failures: list[Failure] = []
    with ArchiveWriter(data.path, "feats") as writer:
        results = map_in_order(work, sources, options.num_jobs, "threads")
        for source, value in zip(sources, options.progress(results, total=len(sources), label="extract")):
            if isinstance(value, Failure):
                failures.append(value)
                continue
            utterance = source.utterance
            writer.write(utterance.utterance_id, value)
            num_frames[utterance.utterance_id] = len(value)
            key = utterance.speaker if work.choice.cmvn == "speaker" else utterance.utterance_id
            stats[key] = stats.get(key, CmvnStats.zero(work.dim)) + CmvnStats.of(value)
        check_failures(failures, len(sources), options, data.path)
        if not num_frames:
            raise DataError("no utterance with features", where=data.path, remedy=f"run `asrkit validate {data.path}`")
    write_statistics(data.path, stats, num_frames)
    return num_frames, failures
