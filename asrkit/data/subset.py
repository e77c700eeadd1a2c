"""Choosing some utterances of a data directory: by speaker, by list, so many, so much speech, the shortest ones."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from asrkit.core.archives import resolve
from asrkit.core.errors import ConfigError, DataError
from asrkit.core.files import write_lines
from asrkit.core.streams import random_stream
from asrkit.data.datadir import DataDir
from asrkit.data.tables import RawDataDir, Table


@dataclass(frozen=True)
class SubsetConfig:
    """Which utterances to take.

    Attributes
    ----------
    speakers : tuple of str
        Of these speakers alone; none: of all.
    order : {'first', 'shortest', 'longest', 'random'}
        Which of them come first: in the order of their ids, by length, or drawn with the seed.
    num : int
        Take so many; 0: all.
    secs : float
        Take utterances until they last so long, the last one included; 0: all.
    per_speaker : bool
        ``num`` and ``secs`` hold for each speaker.
    """

    speakers: tuple[str, ...] = ()
    order: Literal["first", "shortest", "longest", "random"] = "first"
    num: int = 0
    secs: float = 0.0
    per_speaker: bool = False

    def __post_init__(self) -> None:
        if self.num < 0 or not 0 <= self.secs < float("inf"):
            raise ConfigError(f"num is {self.num} and secs {self.secs:g}, expected numbers that are not negative")

    @property
    def needs_lengths(self) -> bool:
        """Whether the lengths of the utterances decide."""
        return self.secs > 0 or self.order in ("shortest", "longest")


def choose_utterances(
    data: DataDir, config: SubsetConfig, secs: Mapping[str, float], seed: int, without: Collection[str] = ()
) -> list[str]:
    """Return the ids of the chosen utterances, sorted.

    Parameters
    ----------
    secs : mapping of str to float
        Length of each utterance; may be empty where :attr:`SubsetConfig.needs_lengths` is False.
    seed : int
        Of the order ``random``, in which each utterance draws for itself: a larger corpus keeps the order of a smaller.
    without : collection of str
        Utterances to leave out.

    Raises
    ------
    DataError
        A speaker is unknown, or no utterance is left.
    """
    by_speaker = data.by_speaker()
    for speaker in config.speakers:
        if speaker not in by_speaker:
            close = difflib.get_close_matches(speaker, by_speaker, n=1, cutoff=0.5)
            advice = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(by_speaker)[:10])}, …"
            raise DataError(f"no speaker {speaker!r}", where=data.path / "utt2spk", remedy=advice)
    wanted = set(config.speakers) or set(by_speaker)
    left = [key for key, utterance in data.utterances.items() if utterance.speaker in wanted and key not in without]
    groups: dict[str, list[str]] = {}
    for key in left:
        groups.setdefault(data.utterances[key].speaker if config.per_speaker else "", []).append(key)
    chosen = [key for group in groups.values() for key in _first(_ordered(group, config, secs, seed), config, secs)]
    if not chosen:
        raise DataError("no utterance is left", where=data.path, remedy="ask for more, or leave less out")
    return sorted(chosen)


def _ordered(keys: list[str], config: SubsetConfig, secs: Mapping[str, float], seed: int) -> list[str]:
    if config.order == "random":
        return sorted(keys, key=lambda key: (random_stream(seed, "subset", key).random(), key))
    if config.order == "first":
        return sorted(keys)
    sign = 1 if config.order == "shortest" else -1
    return sorted(keys, key=lambda key: (sign * secs[key], key))


def _first(keys: list[str], config: SubsetConfig, secs: Mapping[str, float]) -> Iterable[str]:
    total = 0.0
    for number, key in enumerate(keys):
        if (config.num and number >= config.num) or (config.secs and total >= config.secs):
            return
        yield key
        if config.secs:
            total += secs[key]


def write_subset(data: DataDir, keep: Collection[str], path: Path, without: Collection[str] = ()) -> None:
    """Write a data directory with all tables of another one, restricted to some utterances.

    Paths become absolute, so that features and recordings are found from the new directory; nothing else is copied.
    CMVN statistics stay those of all the speaker's utterances until the features are extracted again. The tables
    ``without`` are left out.

    Raises
    ------
    DataError
        A table is damaged.
    """
    raw = RawDataDir.read(data.path)
    kept = data.subset(keep, path)
    ids = {
        "utterance": set(kept.utterances),
        "recording": set(kept.recordings),
        "speaker": {utterance.speaker for utterance in kept.utterances.values()},
    }
    for table in raw.tables.values():
        if table.faults:
            fault = table.faults[0]
            raise DataError(
                fault.message, where=table.where(fault.line), remedy=f"run `asrkit validate {data.path} --fix`"
            )
    for table in raw.tables.values():
        if table.name not in ("spk2utt", "utt2spk", *without):
            wanted = ids[raw.keyed_by(table)]
            write_lines(
                path / table.name,
                (_line(table, entry.key, entry.value) for entry in table.entries if entry.key in wanted),
            )
    write_lines(
        path / "spk2utt", (f"{speaker} {' '.join(keys)}" for speaker, keys in sorted(kept.by_speaker().items()))
    )
    write_lines(path / "utt2spk", (f"{key} {utterance.speaker}" for key, utterance in kept.utterances.items()))


def _line(table: Table, key: str, value: str) -> str:
    if table.spec.holds == "path":
        name, colon, offset = value.rpartition(":")
        if colon and offset.isdigit():
            value = f"{os.path.abspath(resolve(name, table.path.parent))}:{offset}"
        else:
            value = os.path.abspath(resolve(value, table.path.parent))
    return f"{key} {value}".rstrip()
