"""Patterns of ±1 from labelled stretches of speech: phones, or whole utterances."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import DataError
from asrkit.core.streams import random_stream
from asrkit.data.datadir import DataDir
from asrkit.data.labels.phone_table import read_phone_table
from asrkit.features.config import FrontEndConfig
from asrkit.features.frontend import FrontEnd, load_front_end
from asrkit.features.pipeline import ModelInputs, PipelineConfig
from asrkit.stages.hopfield_config import StoreConfig
from asrkit.stages.label_targets import label_file, read_labels
from asrkit.stages.network_features import why_unusable
from asrkit.stages.record import Failure

log = logging.getLogger("asrkit")

PHONES = "phones"
PHONE_TABLE = "phones.ali"

Stretch = NDArray[np.float64]
"""(frames, dim): a stretch of speech, brought to as many frames as all others."""


@dataclass(frozen=True, eq=False)
class LabelPatterns:
    """Patterns of a data directory.

    Attributes
    ----------
    values : (M, frames * dim) int8
        ±1, frame by frame.
    labels : tuple of str
        Of each pattern.
    frames, dim : int
    stretches : int
        That they were made from.
    utterances : int
        That have labels.
    failures : tuple of Failure
        Utterances that could not be used.
    """

    values: NDArray[np.int8]
    labels: tuple[str, ...]
    frames: int
    dim: int
    stretches: int
    utterances: int
    failures: tuple[Failure, ...]


def source_file(source: str, data_path: Path) -> Path:
    """Return the file that the labels stand in."""
    return data_path / PHONE_TABLE if source == PHONES else label_file(source, data_path)


def read_patterns(source: str, data_path: Path, config: StoreConfig, seed: int) -> LabelPatterns:
    """Cut labelled stretches out of the features of a data directory, and make patterns of them.

    Parameters
    ----------
    source : str
        ``phones``, by ``phones.ali``; else what :func:`~asrkit.stages.label_targets.read_labels` takes, for whole
        utterances.

    Raises
    ------
    DataError, FormatError
        Features or labels are absent or damaged; or no label has enough stretches.
    """
    data = DataDir.load(data_path)
    features = ModelInputs(data, PipelineConfig(cmvn="none", delta_order=0))
    failures: list[Failure] = []
    stretches: dict[str, list[Stretch]] = {}
    labelled = _phones_of(data) if source == PHONES else {key: [one] for key, one in _whole(source, data).items()}
    front_end = load_front_end(data_path)
    for key in data.utterances:
        if key not in labelled:
            continue
        reason = why_unusable(key, features)
        if reason is not None:
            failures.append(Failure(key, reason))
            continue
        frames = features[key].astype(np.float64)
        reason = _why_beyond(len(frames), labelled[key], front_end)
        if reason is not None:
            failures.append(Failure(key, reason))
            continue
        for label, stretch in _cut(frames, labelled[key], front_end):
            if label not in config.skip and (not config.only or label in config.only):
                stretches.setdefault(label, []).append(_resampled(stretch, config.frames))
    num_labelled = len(labelled.keys() & data.utterances)
    if num_labelled < len(data.utterances):
        log.info("%d of %d utterances have labels", num_labelled, len(data.utterances))
    few = sorted(label for label, found in stretches.items() if len(found) < config.fewest)
    if few:
        log.info("left out, with fewer than %d stretches: %s", config.fewest, ", ".join(few))
    kept = {label: stretches[label] for label in sorted(stretches) if label not in few}
    if not kept:
        raise DataError(
            "no label has a usable stretch of speech", where=source_file(source, data_path),
            remedy="run `asrkit extract`, or leave out fewer labels",
        )  # fmt: skip
    labels, templates = _templates(kept, config, seed)
    values = binarise(templates.reshape(len(templates), -1), config.binarise)
    used = sum(map(len, kept.values()))
    return LabelPatterns(values, labels, config.frames, templates.shape[2], used, num_labelled, tuple(failures))


def binarise(values: NDArray[np.float64], by: str) -> NDArray[np.int8]:
    """Return 1 where values (M, N) lie above the median of their row (``pattern``) or column (``units``), else -1."""
    middle = np.median(values, axis=1, keepdims=True) if by == "pattern" else np.median(values, axis=0)
    return np.where(values > middle, 1, -1).astype(np.int8)


_Times = tuple[str, float, float]
"""A label and the stretch that it names, in seconds of the utterance."""


def _phones_of(data: DataDir) -> dict[str, list[_Times]]:
    path = data.path / PHONE_TABLE
    if not path.is_file():
        raise DataError(
            "no such table of phones", where=path,
            remedy="give --labels speaker, gender, word or a file for whole utterances",
        )  # fmt: skip
    table: dict[str, list[_Times]] = {}
    for key, labels in read_phone_table(path).items():
        if key in data.utterances:
            begin = data.utterances[key].start_secs or 0.0
            table[key] = [(one.text, one.start_secs - begin, one.end_secs - begin) for one in labels]
    return table


def _whole(source: str, data: DataDir) -> Mapping[str, _Times]:
    return {key: (label, 0.0, np.inf) for key, label in read_labels(source, data).items()}


def _why_beyond(num_frames: int, labels: list[_Times], config: FrontEndConfig) -> str | None:
    """Return which label begins after the end of its utterance, None if there is none.

    Samples that do not fill a frame may follow the last one.
    """
    framing = FrontEnd(config).framing
    samples = framing.first_sample(num_frames) + framing.length
    end_secs = samples / config.sample_rate_hz
    for label, start, _ in labels:
        if start >= end_secs:
            return f"the label {label!r} begins at {start:g} s, and the features end before {end_secs:g} s"
    return None


def _cut(
    frames: NDArray[np.float64], labels: list[_Times], config: FrontEndConfig
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield for each label the frames whose middle lies within its stretch, or the one nearest to the stretch's."""
    framing = FrontEnd(config).framing
    middles = framing.first_sample(0) + framing.length / 2 + framing.shift * np.arange(len(frames))
    middles /= config.sample_rate_hz
    for label, start, end in labels:
        first, last = np.searchsorted(middles, [start, end])
        if first == last:
            first = int(np.argmin(np.abs(middles - (start + end) / 2)))
            last = first + 1
        yield label, frames[first:last]


def _resampled(stretch: NDArray[np.float64], frames: int) -> Stretch:
    """Return (frames, dim): values in the middle of each of so many equal parts, by linear interpolation."""
    places = (np.arange(frames) + 0.5) * len(stretch) / frames - 0.5
    places = np.clip(places, 0, len(stretch) - 1)
    low = np.minimum(places.astype(np.int64), max(len(stretch) - 2, 0))
    share = (places - low)[:, None]
    return np.asarray((1 - share) * stretch[low] + share * stretch[np.minimum(low + 1, len(stretch) - 1)])


def _templates(
    stretches: Mapping[str, list[Stretch]], config: StoreConfig, seed: int
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Return labels, and their templates (M, frames, dim)."""
    labels: list[str] = []
    chosen: list[Stretch] = []
    for label, found in stretches.items():
        if config.per_label:
            order = random_stream(seed, "hopfield templates", label).permutation(len(found))[: config.per_label]
            mine = [found[place] for place in np.sort(order)]
        else:
            mine = [np.mean(found, axis=0)]
        labels += [label] * len(mine)
        chosen += mine
    return tuple(labels), np.stack(chosen)
