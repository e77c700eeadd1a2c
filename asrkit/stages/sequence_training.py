"""What the sequence trainings of networks share: opening the network, its utterances, and the model directory."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.archives import ArchiveWriter
from asrkit.core.errors import ModelError
from asrkit.core.files import write_json, write_lines
from asrkit.features.frontend import load_front_end
from asrkit.nnet.acoustic import NnetHmm
from asrkit.nnet.sequence.config import SequenceConfig
from asrkit.nnet.sequence.criterion import Criterion
from asrkit.nnet.sequence.training import SequenceData, SequenceReport, train_sequences
from asrkit.nnet.train.checkpoint import CheckpointStore
from asrkit.recognizer.acoustics import check_aligns
from asrkit.stages.acoustic import AcousticModel, load_acoustic_model, model_files, save_model_folder
from asrkit.stages.checkpoint import training_key
from asrkit.stages.gmm_training import Corpus
from asrkit.stages.held_out import HELDOUT_FILE, hold_out_again
from asrkit.stages.network_features import open_features
from asrkit.stages.record import Failure, RunOptions, StageResult, check_failures

Alignments = Mapping[str, NDArray[np.int32]]


@dataclass(frozen=True)
class SequenceRun:
    """A training and where it stands on disk.

    Attributes
    ----------
    data_path, lang_path, out : Path
    inputs : list of Path
        Files that decide the result.
    config : dataclass
        Of the stage.
    training : SequenceConfig
    heldout_share : float
    options : RunOptions
    """

    data_path: Path
    lang_path: Path
    out: Path
    inputs: list[Path]
    config: Any
    training: SequenceConfig
    heldout_share: float
    options: RunOptions

    @property
    def outputs(self) -> list[Path]:
        """The files that are made."""
        names = ("epochs.json", "ali.scp", "ali.ark", HELDOUT_FILE)
        return [*(self.out / path.name for path in model_files(self.data_path)), *(self.out / name for name in names)]

    def train(
        self,
        seed: AcousticModel,
        corpus: Corpus,
        alignments: Alignments,
        criterion: Criterion,
        failures: tuple[Failure, ...],
    ) -> StageResult:
        """Train the network of a seed model, and write the model directory.

        Parameters
        ----------
        alignments : mapping of str to (T,) int32
            transition_ids of the utterances to use.
        failures : tuple of Failure
            Utterances that were left out so far.
        """
        model = network_of(seed)
        data = self._data(model, seed.path, corpus, alignments)
        store = CheckpointStore(
            self.out / "checkpoint.safetensors", training_key(self.config, self.options.seed, self.inputs)
        )
        check = functools.partial(self._check, failures, corpus.num_utterances)
        options = self.options
        reports, reasons = train_sequences(
            model.network,
            data,
            criterion,
            self.training,
            options.seed,
            options.num_jobs,
            store,
            options.progress,
            check,
        )
        self._write(seed, model, alignments, data.heldout, reports)
        store.clear()
        figures = {
            **model.sizes(),
            "training_frames": sum(data.num_frames[key] for key in data.training),
            "heldout_frames": sum(data.num_frames[key] for key in data.heldout),
            **_figures(reports),
        }
        return StageResult(figures, (*failures, *_failures(reasons)))

    def _data(self, model: NnetHmm, seed_path: Path, corpus: Corpus, alignments: Alignments) -> SequenceData:
        pipeline = corpus.features.pipeline.config
        features = open_features(corpus.data_dir, pipeline)
        training, heldout = hold_out_again(
            corpus.data_dir, sorted(alignments), seed_path, self.heldout_share, self.options.seed
        )
        return SequenceData(
            features,
            model.normalisation,
            pipeline.splice_left,
            pipeline.splice_right,
            model.log_priors,
            {key: model.transitions.tid_to_pdf[tids] for key, tids in alignments.items()},
            {key: len(tids) for key, tids in alignments.items()},
            tuple(training),
            tuple(heldout),
        )

    def _check(self, before: tuple[Failure, ...], total: int, reasons: Mapping[str, str]) -> None:
        check_failures((*before, *_failures(reasons)), total, self.options, self.data_path)

    def _write(
        self,
        seed: AcousticModel,
        model: NnetHmm,
        alignments: Alignments,
        heldout: tuple[str, ...],
        reports: tuple[SequenceReport, ...],
    ) -> None:
        with ArchiveWriter(self.out, "ali") as writer:
            for key, tids in sorted(alignments.items()):
                writer.write(key, tids)
        write_lines(self.out / HELDOUT_FILE, heldout)
        write_json(self.out / "epochs.json", [_finite(asdict(report)) for report in reports])
        front_end = load_front_end(self.data_path)
        save_model_folder(self.out, front_end, seed.pipeline, self.lang_path, model, self.data_path)


def open_network(folder: Path) -> AcousticModel:
    """Open a model directory that must hold a network; another kind of model is a :class:`ModelError`."""
    model = load_acoustic_model(folder)
    network_of(model)
    return model


def network_of(model: AcousticModel) -> NnetHmm:
    """Return the network of a model directory; another kind of model is a :class:`ModelError`."""
    if not isinstance(model.model, NnetHmm):
        raise ModelError(
            "the model is made of Gaussian mixtures, and this trains a network further",
            where=model.path,
            remedy="train one with `asrkit train-dnn mlp` first; for mixtures there is `asrkit train-gmm mmi`",
        )
    check_aligns(model.model, model.path, "this training")
    return model.model


def _failures(reasons: Mapping[str, str]) -> tuple[Failure, ...]:
    return tuple(Failure(key, reason) for key, reason in sorted(reasons.items()))


def _figures(reports: tuple[SequenceReport, ...]) -> dict[str, Any]:
    kept = [report for report in reports if report.accepted][-1]
    return {
        "epochs": len(reports) - 1,
        "kept_epoch": kept.epoch,
        "heldout_criterion_before": round(reports[0].heldout_criterion, 5),
        "heldout_criterion": round(kept.heldout_criterion, 5),
        "heldout_accuracy": round(kept.heldout_accuracy, 4),
        "frames_per_sec": round(float(np.median([report.frames_per_sec for report in reports[1:]]))),
    }


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row that JSON can hold: what was not finite is null."""
    return {key: None if isinstance(value, float) and not np.isfinite(value) else value for key, value in row.items()}
