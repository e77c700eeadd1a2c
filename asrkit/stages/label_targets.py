"""Labels of utterances: who speaks, of which gender, which word is said, or whatever a table says."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asrkit.core.archives import read_scp
from asrkit.core.errors import DataError
from asrkit.core.streams import random_stream
from asrkit.data.datadir import DataDir
from asrkit.stages.dnn_config import HeldoutBy
from asrkit.stages.held_out import hold_out
from asrkit.stages.network_features import part_usable, why_unusable
from asrkit.stages.record import Failure, first_of

log = logging.getLogger("asrkit")

SPEAKER, GENDER, WORD = SOURCES = ("speaker", "gender", "word")
"""Labels that a data directory has itself."""


def label_file(source: str, data_path: Path) -> Path:
    """Return the file that the labels stand in."""
    return (
        data_path / {SPEAKER: "utt2spk", GENDER: "spk2gender", WORD: "text"}[source]
        if source in SOURCES
        else Path(source)
    )


def read_labels(source: str, data: DataDir) -> dict[str, str]:
    """Return the label of each utterance that has one.

    Parameters
    ----------
    source : str
        ``speaker``; ``gender``, by ``spk2gender``; ``word``, of utterances whose transcript is one word; or the path of
        a table ``utterance_id label``.

    Raises
    ------
    DataError
        There is no such table; or no utterance has a label.
    FormatError
        The table is damaged.
    """
    path = label_file(source, data.path)
    if not path.is_file():
        raise DataError(
            "no such table of labels",
            where=path,
            remedy=f"give {', '.join(SOURCES[:-1])} or {SOURCES[-1]}, or a file of lines 'utterance_id label'",
        )
    if source == SPEAKER:
        found = {key: one.speaker for key, one in data.utterances.items()}
    elif source == GENDER:
        genders = read_scp(path)
        found = {key: genders[one.speaker] for key, one in data.utterances.items() if one.speaker in genders}
    elif source == WORD:
        found = {key: one.words[0] for key, one in data.utterances.items() if one.words and len(one.words) == 1}
    else:
        found = {key: label for key, label in read_scp(path).items() if key in data.utterances}
    if not found:
        raise DataError("no utterance of the data has a label here", where=path)
    return found


class FrameLabels(Mapping[str, NDArray[np.int32]]):
    """utterance_id -> the class (T,) int32, 0-based, of each frame: that of the utterance."""

    def __init__(self, classes: Mapping[str, int], num_frames: Mapping[str, int]) -> None:
        self._classes, self._num_frames = classes, num_frames

    def __len__(self) -> int:
        return len(self._num_frames)

    def __iter__(self) -> Iterator[str]:
        return iter(self._num_frames)

    def __getitem__(self, key: str) -> NDArray[np.int32]:
        return np.full(self._num_frames[key], self._classes[key], dtype=np.int32)


@dataclass(frozen=True)
class LabelledData:
    """Utterances that have both features and a label.

    Attributes
    ----------
    labels : tuple of str
        The classes, sorted; the place of a label is its class, 0-based.
    classes : dict of str to int
        Of each usable utterance, by id.
    num_frames : dict of str to int
    failures : tuple of Failure
        The other utterances, with the reason.
    """

    labels: tuple[str, ...]
    classes: dict[str, int]
    num_frames: dict[str, int]
    failures: tuple[Failure, ...]

    @property
    def targets(self) -> FrameLabels:
        """The class of each frame."""
        return FrameLabels(self.classes, self.num_frames)

    def counts(self) -> NDArray[np.float64]:
        """Return the number of frames of each class."""
        total = np.zeros(len(self.labels))
        for key, number in self.classes.items():
            total[number] += self.num_frames[key]
        return total


def open_labels(data: DataDir, features: Mapping[str, NDArray[np.float32]], source: str) -> LabelledData:
    """Match labels with features.

    Raises
    ------
    DataError, FormatError
        The labels are absent or damaged; or all usable utterances have one and the same.
    """
    found = read_labels(source, data)
    num_frames, failures = part_usable(sorted(data.utterances), features, lambda key: _reason(key, found, features))
    labels = tuple(sorted({found[key] for key in num_frames}))
    if len(labels) < 2:
        raise DataError(
            f"{len(num_frames)} utterances with {len(labels)} different labels, expected two labels or more"
            f"{first_of(failures)}",
            where=label_file(source, data.path),
        )
    place = {label: number for number, label in enumerate(labels)}
    return LabelledData(labels, {key: place[found[key]] for key in num_frames}, num_frames, failures)


def _reason(key: str, labels: Mapping[str, str], features: Mapping[str, NDArray[np.float32]]) -> str | None:
    """Return why an utterance cannot be used, None if it can."""
    return why_unusable(key, features) or (None if key in labels else "no label")


def hold_out_labelled(
    data: DataDir, labelled: LabelledData, share: float, seed: int, by: HeldoutBy = "speaker"
) -> tuple[list[str], list[str]]:
    """Part utterances into those to train on and those to hold out, so that all classes are trained on.

    By speaker as :func:`~asrkit.stages.held_out.hold_out` does; where that would leave a class without training
    utterances (as it must where speakers are the classes), or by utterance, the share is drawn within each class.

    Raises
    ------
    DataError
        No class has two utterances.
    """
    keys = sorted(labelled.classes)
    if by == "speaker":
        training, heldout = hold_out(data, keys, share, seed)
        if len({labelled.classes[key] for key in training}) == len(labelled.labels):
            return training, heldout
        log.info("held out are utterances of each class: without whole speakers classes would not be trained on")
    chosen: set[str] = set()
    for number, label in enumerate(labelled.labels):
        own = [key for key in keys if labelled.classes[key] == number]
        count = min(max(round(share * len(own)), 1), len(own) - 1)
        order = random_stream(seed, "held-out utterances", label).permutation(len(own))
        chosen.update(own[place] for place in order[:count].tolist())
    if not chosen:
        raise DataError("no label has two utterances, one to train on and one to hold out", where=data.path)
    return [key for key in keys if key not in chosen], sorted(chosen)
