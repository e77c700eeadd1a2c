"""What every corpus is read into before it becomes data directories: parts, their utterances, and what was amiss."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from asrkit.core.errors import ConfigError, DataError
from asrkit.core.files import read_lines, write_lines
from asrkit.data.audio import AudioInfo, segment_samples
from asrkit.data.datadir import DataDir, Utterance, save_text

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".sph", ".aiff", ".aif", ".au")
"""What counts as an audio file in a folder; the content decides how it is read."""


@dataclass(frozen=True)
class CorpusConfig:
    """What can be chosen for every corpus.

    Attributes
    ----------
    dev_speakers : tuple of str
        Speakers cut out of the training part(s) into ``dev``; an item ``@FILE`` stands for the names in a file.
    """

    dev_speakers: tuple[str, ...] = ()


@dataclass(frozen=True)
class PhoneSpan:
    """A phone as labelled by hand: samples ``[start_sample, end_sample)`` of the recording."""

    start_sample: int
    end_sample: int
    phone: str


@dataclass(frozen=True)
class Entry:
    """One utterance of a corpus, with all that its publisher says of it.

    Attributes
    ----------
    utterance : Utterance
        Its ``words`` are None where no transcripts were wanted, then those of all.
    audio : Path
        The recording.
    gender : {'f', 'm'}, optional
        Of the speaker.
    phones : tuple of PhoneSpan, optional
        Hand labels.
    """

    utterance: Utterance
    audio: Path
    gender: Literal["f", "m"] | None = None
    phones: tuple[PhoneSpan, ...] | None = None


@dataclass(frozen=True)
class Corpus:
    """A corpus as found on disk.

    Attributes
    ----------
    parts : dict of str to list of Entry
        Name of a data directory -> its utterances, their ids unique over the part.
    failures : dict of str to str
        Utterance or file that cannot be used -> reason.
    absent : tuple of str
        Official parts and files that are not there.
    labels : tuple of Path
        Every text file that was read.
    lexicon : tuple of str
        Lines ``WORD PHONE PHONE ...`` of the publisher's dictionary.
    """

    parts: dict[str, list[Entry]]
    failures: dict[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    labels: tuple[Path, ...] = ()
    lexicon: tuple[str, ...] = ()


def speaker_list(names: Iterable[str]) -> tuple[str, ...]:
    """Expand ``"a,b"`` and ``"@FILE"`` (names in a file, apart by white space or commas) into sorted names."""
    found: set[str] = set()
    for name in names:
        if name.startswith("@"):
            found.update(word for line in read_lines(name[1:]) for word in line.replace(",", " ").split())
        else:
            found.update(word for word in name.replace(",", " ").split())
    return tuple(sorted(found))


def cut_speakers(
    parts: Mapping[str, Sequence[Entry]], speakers: Sequence[str], into: str, option: str
) -> dict[str, list[Entry]]:
    """Move the utterances of ``speakers`` from the training parts (``train``, ``train-*``) to the part ``into``.

    Raises
    ------
    ConfigError
        There is a part ``into`` already, a speaker is in no training part, or no speaker would be left in one.
    """
    if into in parts:
        raise ConfigError(f"{option}: the corpus has a part {into} of its own", remedy=f"leave {option} out")
    training = {name: list(entries) for name, entries in parts.items() if is_training(name)}
    known = {entry.utterance.speaker for entries in training.values() for entry in entries}
    for speaker in speakers:
        if speaker not in known:
            close = difflib.get_close_matches(speaker, known, n=1, cutoff=0.5)
            advice = f"did you mean {close[0]}?" if close else f"speakers: {_some(sorted(known))}"
            raise ConfigError(f"{option}: no training speaker {speaker!r}", remedy=advice)
    chosen = set(speakers)
    cut = [entry for entries in training.values() for entry in entries if entry.utterance.speaker in chosen]
    result = {name: list(entries) for name, entries in parts.items()}
    for name, entries in training.items():
        result[name] = [entry for entry in entries if entry.utterance.speaker not in chosen]
        if not result[name]:
            raise ConfigError(
                f"{option} names every speaker of {name}: {_some(sorted(chosen))}", remedy="leave one to train on"
            )
    result[into] = cut
    return result


def is_training(part: str) -> bool:
    """Whether a part is one to train on."""
    return part == "train" or part.startswith("train-")


def write_part(folder: Path, entries: Sequence[Entry], infos: Mapping[Path, AudioInfo]) -> None:
    """Write one data directory; optional tables that an earlier run left and this one does not make are removed.

    ``wav.scp`` holds absolute paths. Where some utterance is a stretch of its recording, all have a line in
    ``segments``. Beside Kaldi's tables: ``spk2gender``; ``phones.ali`` with lines ``utterance start_secs end_secs
    phone``; and ``text_phones``.
    """
    segmented = any(entry.utterance.start_secs is not None for entry in entries)
    utterances = {}
    for entry in entries:
        utterance = entry.utterance
        if segmented:
            info = infos[entry.audio]
            start, end = segment_samples(info, utterance.start_secs, utterance.end_secs)
            rate = info.sample_rate_hz
            utterance = replace(utterance, start_secs=start / rate, end_secs=end / rate)
        utterances[utterance.utterance_id] = utterance
    recordings = {entry.utterance.recording_id: os.path.abspath(entry.audio) for entry in entries}
    for name in ("segments", "spk2gender", "phones.ali", "text_phones"):
        (folder / name).unlink(missing_ok=True)
    genders = {entry.utterance.speaker: entry.gender for entry in entries if entry.gender is not None}
    if genders:
        write_lines(folder / "spk2gender", (f"{speaker} {gender}" for speaker, gender in sorted(genders.items())))
    labelled = {entry.utterance.utterance_id: entry for entry in entries if entry.phones is not None}
    if labelled:
        save_text(folder / "text_phones", {k: [s.phone for s in e.phones or ()] for k, e in labelled.items()})
        write_lines(folder / "phones.ali", _phone_lines(labelled, infos))
    DataDir(folder, utterances, recordings).save()


def _phone_lines(labelled: Mapping[str, Entry], infos: Mapping[Path, AudioInfo]) -> Iterator[str]:
    for key, entry in sorted(labelled.items()):
        rate = infos[entry.audio].sample_rate_hz
        for span in entry.phones or ():
            yield f"{key} {span.start_sample / rate:.7f} {span.end_sample / rate:.7f} {span.phone}"


def existing_folder(src: Path, address: str) -> Path:
    """Return ``src``; a DataError says where the corpus is published when it is no folder."""
    if not src.is_dir():
        raise DataError("no such folder", where=src, remedy=f"the corpus is published at {address}")
    return src


def audio_files(root: Path, suffixes: Sequence[str] = AUDIO_SUFFIXES) -> list[Path]:
    """Return the audio files below ``root``, sorted, through links too; hidden files and folders are left out."""
    found: list[Path] = []
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(folder, name) for name in names if not name.startswith(".") and name.lower().endswith(tuple(suffixes))
        ]
    return sorted(found)


def _some(names: Sequence[str], most: int = 12) -> str:
    more = f", … ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(names[:most]) + more
