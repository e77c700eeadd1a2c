"""`asrkit classify`: the label of each utterance of a data directory, by a trained classifier."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import AsrkitError, DataError, ModelError
from asrkit.core.files import write_json, write_lines
from asrkit.core.jobs import map_in_order
from asrkit.data.datadir import DataDir
from asrkit.features.description import read_inputs
from asrkit.features.frontend import check_front_end, load_front_end
from asrkit.features.pipeline import ModelInputs
from asrkit.stages.acoustic import data_files
from asrkit.stages.label_targets import SOURCES, label_file, read_labels
from asrkit.stages.loglikes import BLOCK_FRAMES
from asrkit.stages.record import (
    Failure,
    RunOptions,
    StageReport,
    StageResult,
    check_apart,
    check_failures,
    first_of,
    run_stage,
)

if TYPE_CHECKING:
    from asrkit.nnet.label_classifier import LabelClassifier

log = logging.getLogger("asrkit")

LABELS, PROBABILITIES, ACCURACY = "utt2label", "probabilities.jsonl", "accuracy.json"

MOST_SHOWN = 20
"""Labels of a confusion matrix that is still printed."""


@dataclass(frozen=True)
class ClassifyConfig:
    """Configuration of `asrkit classify`.

    Attributes
    ----------
    average : {'log', 'linear'}
        What becomes of the probabilities of an utterance's windows: their geometric mean, made to sum to 1, or their
        mean.
    """

    average: Literal["log", "linear"] = "log"


def classify(
    model_path: Path,
    data_path: Path,
    out: Path,
    config: ClassifyConfig,
    options: RunOptions,
    truth: str | None = None,
) -> StageReport:
    """Name the label of each utterance, and where it is known count how often that is right.

    Parameters
    ----------
    model_path : Path
        Classifier directory (`asrkit train-dnn --targets labels`).
    data_path : Path
        Data directory with features.
    out : Path
        Directory to be made: ``utt2label``, ``probabilities.jsonl`` with a JSON object a line, and where labels are
        known ``accuracy.json``.
    truth : str, optional
        The labels as they are, as for the training; by default those that the data directory has itself of the
        classifier's kind.

    Raises
    ------
    ModelError, DataError, FormatError
        An input is absent or damaged, or they do not belong together.
    TooManyFailedError
        Too many utterances have no features.
    """
    # torch comes with it.
    from asrkit.nnet.label_classifier import LabelClassifier, classifier_files

    check_apart(out, model_path, data_path)
    classifier = LabelClassifier.load(model_path)
    if truth is None and classifier.source in SOURCES and label_file(classifier.source, data_path).is_file():
        truth = classifier.source
    inputs = [*classifier_files(model_path), *data_files(data_path, ("utt2spk",))]
    inputs += [] if truth is None else [label_file(truth, data_path)]

    def body() -> StageResult:
        data = DataDir.load(data_path)
        known = {} if truth is None else read_labels(truth, data)
        found, failures = _classify(classifier, data, config, options)
        check_failures(failures, len(data.utterances), options, data_path)
        if not found:
            raise DataError(f"no utterance can be classified{first_of(failures)}", where=data_path)
        names = {key: classifier.labels[int(np.argmax(probabilities))] for key, probabilities in found.items()}
        write_lines(out / LABELS, (f"{key} {label}" for key, label in names.items()))
        write_lines(out / PROBABILITIES, (_line(key, names[key], classifier.labels, found[key]) for key in found))
        if truth is None:
            (out / ACCURACY).unlink(missing_ok=True)
            return StageResult({"utterances": len(found), "labels": len(classifier.labels)}, tuple(failures))
        score = _Score.of(names, known, data, classifier.labels)
        write_json(out / ACCURACY, score.to_json())
        return StageResult(score.figures(), tuple(failures), tuple(score.lines()))

    outputs = [out / name for name in (LABELS, PROBABILITIES, *([] if truth is None else [ACCURACY]))]
    return run_stage("classify", out, inputs, config, outputs, options, body, uses_seed=False)


def _classify(
    classifier: LabelClassifier, data: DataDir, config: ClassifyConfig, options: RunOptions
) -> tuple[dict[str, NDArray[np.float64]], list[Failure]]:
    check_front_end(classifier.front_end, load_front_end(data.path), data.path)
    inputs = read_inputs(data.path)
    if inputs != classifier.inputs:
        raise ModelError(
            "the classifier was trained on features of another kind than these",
            where=data.path,
            remedy="make these as those were: with or without the same `asrkit write-inputs` or `asrkit vtln`",
        )
    features = ModelInputs(data, classifier.pipeline)
    keys = [key for key in data.utterances if key in features]
    failures = [
        Failure(key, "no features (see the report of `asrkit extract`)")
        for key in data.utterances
        if key not in features
    ]
    work = functools.partial(_probabilities, classifier, features, config.average)
    found: dict[str, NDArray[np.float64]] = {}
    results = zip(keys, map_in_order(work, keys, options.num_jobs, kind="threads"))
    for key, result in options.progress(results, total=len(keys), label="classify"):
        if isinstance(result, Failure):
            failures.append(result)
        else:
            found[key] = result
    return found, failures


def _probabilities(
    classifier: LabelClassifier, features: ModelInputs, average: str, key: str
) -> NDArray[np.float64] | Failure:
    """Return the probability of each label of an utterance, (num_labels,), or why there is none."""
    try:
        value = features[key]
        total = np.zeros(len(classifier.labels))
        size = max(len(value), 1) if classifier.needs_whole else BLOCK_FRAMES
        for start in range(0, len(value), size):
            posteriors = classifier.log_posteriors(value[start : start + size]).astype(np.float64)
            total += posteriors.sum(axis=0) if average == "log" else np.exp(posteriors).sum(axis=0)
    except AsrkitError as error:
        return Failure.of(key, error)
    if not len(value):
        return Failure(key, "no frames")
    if not np.isfinite(total).all():
        return Failure(key, "features hold NaN or infinity")
    mean: NDArray[np.float64] = total / len(value)
    if average == "linear":
        return mean
    scaled = np.exp(mean - mean.max())
    return scaled / scaled.sum()


def _line(key: str, label: str, labels: Sequence[str], probabilities: NDArray[np.float64]) -> str:
    named = {name: float(f"{value:.4g}") for name, value in zip(labels, probabilities.tolist(), strict=True)}
    return json.dumps({"utterance_id": key, "label": label, "probabilities": named}, ensure_ascii=False)


@dataclass(frozen=True)
class _Score:
    """How often the labels are right.

    Attributes
    ----------
    labels : tuple of str
        Those of the classifier, and behind them those that it does not know.
    num_known : int
        How many the classifier knows.
    confusion : (num_labels, num_labels) int64
        Utterances by true label (rows) and found one.
    by_speaker : dict of str to (int, int)
        Right ones and all.
    """

    labels: tuple[str, ...]
    num_known: int
    confusion: NDArray[np.int64]
    by_speaker: dict[str, tuple[int, int]]

    @classmethod
    def of(cls, names: Mapping[str, str], known: Mapping[str, str], data: DataDir, labels: Sequence[str]) -> _Score:
        """Compare the utterances whose label is known."""
        if not any(key in known for key in names):
            raise DataError("no utterance that was classified has a label", where=data.path)
        strange = sorted({known[key] for key in names if key in known} - set(labels))
        if strange:
            log.warning("labels that the classifier was not trained on: %s", ", ".join(strange[:MOST_SHOWN]))
        every = (*labels, *strange)
        place = {label: number for number, label in enumerate(every)}
        confusion = np.zeros((len(every), len(every)), dtype=np.int64)
        by_speaker: dict[str, tuple[int, int]] = {}
        for key, name in names.items():
            if key in known:
                confusion[place[known[key]], place[name]] += 1
                right, total = by_speaker.get(data.utterances[key].speaker, (0, 0))
                by_speaker[data.utterances[key].speaker] = right + (known[key] == name), total + 1
        return cls(every, len(labels), confusion, by_speaker)

    @property
    def accuracy(self) -> float:
        """Percent."""
        return 100 * int(np.trace(self.confusion)) / int(self.confusion.sum())

    def figures(self) -> dict[str, Any]:
        return {
            "accuracy": round(self.accuracy, 2),
            "correct": int(np.trace(self.confusion)),
            "utterances": int(self.confusion.sum()),
            "labels": self.num_known,
            "by_speaker": {
                speaker: round(100 * right / total, 2) for speaker, (right, total) in sorted(self.by_speaker.items())
            },
        }

    def to_json(self) -> dict[str, Any]:
        return {**self.figures(), "confusion": {"labels": list(self.labels), "counts": self.confusion.tolist()}}

    def lines(self) -> list[str]:
        """Return the confusion matrix, true labels downwards, and accuracies by speaker."""
        lines = []
        if len(self.labels) <= MOST_SHOWN:
            width = max(5, *(len(label) for label in self.labels))
            lines.append(" ".join(f"{name:>{width}}" for name in ("", *self.labels)))
            for label, row in zip(self.labels, self.confusion.tolist()):
                lines.append(" ".join(f"{name:>{width}}" for name in (label, *(count or "." for count in row))))
        if len(self.by_speaker) > 1:
            for speaker, (right, total) in sorted(self.by_speaker.items()):
                lines.append(f"{speaker}: {100 * right / total:.2f} % [ {right} / {total} ]")
        correct, total = int(np.trace(self.confusion)), int(self.confusion.sum())
        return [*lines, f"accuracy {self.accuracy:.2f} % [ {correct} / {total} ]"]
