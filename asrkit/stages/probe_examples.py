"""What `asrkit probe` classifies: utterances by their labels, or hand-labelled phones, as vectors of features."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import AsrkitError, ConfigError, DataError
from asrkit.data.datadir import DataDir
from asrkit.data.labels.phone_table import read_phone_table
from asrkit.features.frontend import load_front_end
from asrkit.features.pipeline import ModelInputs, PipelineConfig
from asrkit.features.summary import segment_summary, summary
from asrkit.score.timit import FOLD_39
from asrkit.stages.label_targets import read_labels
from asrkit.stages.probe_config import ProbeConfig
from asrkit.stages.record import Failure

PHONES = "phones"
"""The labels of ``phones.ali``, whose examples are segments of utterances."""

Segments = list[tuple[float, float]]


@dataclass(frozen=True)
class Target:
    """What is to be told of an utterance.

    Attributes
    ----------
    labels : tuple of str
        One for the utterance, or one for each of its segments.
    segments : list of (float, float) or None
        Start and end in seconds.
    """

    labels: tuple[str, ...]
    segments: Segments | None = None


def read_targets(source: str, data: DataDir, config: ProbeConfig) -> dict[str, Target]:
    """Return what is to be told of each utterance that has labels.

    Raises
    ------
    DataError, FormatError
        The labels are absent or damaged.
    """
    if source != PHONES:
        return {key: Target((label,)) for key, label in read_labels(source, data).items()}
    path = data.path / "phones.ali"
    if not path.is_file():
        raise DataError("no hand labels of phones", where=path, remedy="`asrkit prepare timit` writes them")
    targets: dict[str, Target] = {}
    for key, labels in read_phone_table(path).items():
        if key not in data.utterances:
            continue
        kept = [label for label in labels if label.end_secs > label.start_secs]
        if config.fold == "timit39":
            unknown = sorted({label.text for label in kept} - set(FOLD_39))
            if unknown:
                raise DataError(f"phones that TIMIT has not: {', '.join(unknown[:10])}", where=path)
        names = [FOLD_39[label.text] if config.fold == "timit39" else label.text for label in kept]
        chosen = [(name, label) for name, label in zip(names, kept) if name is not None]
        spans = [(label.start_secs, label.end_secs) for _, label in chosen]
        targets[key] = Target(tuple(name for name, _ in chosen), spans)
    return targets


def parse_sets(arguments: Sequence[str]) -> tuple[dict[str, Path], dict[str, tuple[str, ...]]]:
    """Return name -> data directory, and name -> names of the sets that are judged together by it, in their order.

    A single set stands for itself; ``both=mfcc+cdbn`` names sets that were named before.

    Raises
    ------
    ConfigError
        An argument is not ``NAME=DATA`` or ``NAME=NAME+NAME``, or a name is given twice.
    """
    folders: dict[str, Path] = {}
    judged: dict[str, tuple[str, ...]] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or not name or not value or name in judged:
            raise ConfigError(f"{argument!r} is not a new NAME=DATA, nor NAME=NAME+NAME")
        parts = tuple(value.split("+"))
        if len(parts) > 1 and all(part in folders for part in parts):
            judged[name] = parts
        else:
            folders[name] = Path(value)
            judged[name] = (name,)
    if not folders:
        raise ConfigError("no features to compare", remedy="name some: NAME=DATA")
    return folders, judged


@dataclass(frozen=True)
class FeatureSet:
    """Vectors of examples.

    Attributes
    ----------
    vectors : mapping of str to (n, D) float32
        Utterance -> the vectors of its examples, as many as the target has labels.
    """

    vectors: Mapping[str, NDArray[np.float32]]

    def of(self, keys: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of some utterances, (N, D)."""
        return np.concatenate([self.vectors[key] for key in keys])


def read_set(
    name: str,
    folder: Path,
    targets: Mapping[str, Target],
    config: ProbeConfig,
    progress: Callable[[Sequence[str]], object],
) -> tuple[FeatureSet, list[Failure]]:
    """Return the vectors of a feature set, and the utterances that have none.

    Raises
    ------
    DataError, FormatError
        Its data directory has no features, or lacks an utterance.
    """
    data = DataDir.load(folder)
    order = 2 if name in config.deltas else 0
    pipeline = PipelineConfig(cmvn="utterance" if name in config.cmn else "none", delta_order=order)
    features = ModelInputs(data, pipeline)
    rows_a_sec = 1000 / load_front_end(folder).frame_shift_ms
    vectors: dict[str, NDArray[np.float32]] = {}
    failures: list[Failure] = []
    for key in progress(sorted(targets)):  # type: ignore[attr-defined]
        try:
            if key not in features:
                raise DataError(f"no features in {folder} (see the report of `asrkit extract`)")
            vectors[key] = _vectors(features[key], targets[key], rows_a_sec, config)
        except AsrkitError as error:
            failures.append(Failure.of(key, error))
            continue
        if not np.isfinite(vectors[key]).all():
            del vectors[key]
            failures.append(Failure(key, f"features in {folder} hold NaN or infinity"))
    return FeatureSet(vectors), failures


def _vectors(
    frames: NDArray[np.float32], target: Target, rows_a_sec: float, config: ProbeConfig
) -> NDArray[np.float32]:
    if target.segments is None:
        return summary(frames, config.statistics)[None]
    rows = [segment_summary(frames, start * rows_a_sec, end * rows_a_sec) for start, end in target.segments]
    return np.stack(rows) if rows else np.zeros((0, 3 * frames.shape[1] + 1), dtype=np.float32)
