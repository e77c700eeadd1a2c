"""A user's own recordings: audio files with a table of transcripts, or with a ``.txt`` beside each."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from asrkit.core.errors import AsrkitError, ConfigError, DataError
from asrkit.core.files import read_lines
from asrkit.data.corpora.corpus import (
    AUDIO_SUFFIXES,
    Corpus,
    CorpusConfig,
    Entry,
    audio_files,
    cut_speakers,
    existing_folder,
    speaker_list,
)
from asrkit.data.corpora.transcripts import Row, read_table
from asrkit.data.datadir import Utterance

PARTS = ("train", "dev", "test")


@dataclass(frozen=True)
class Config(CorpusConfig):
    """How to read a folder.

    Attributes
    ----------
    table : str, optional
        The table of transcripts, a path from ``src``; needed where there are several.
    case : {'keep', 'upper', 'lower'}
        What becomes of the transcripts' letters.
    test_speakers : tuple of str
        Speakers cut out of ``train`` into ``test``; an item ``@FILE`` stands for the names in a file.
    transcripts : bool
        False: take recordings as they are, to be cut by `asrkit segment` or recognised; tables and ``.txt`` files are
        passed over.
    """

    table: str | None = None
    case: Literal["keep", "upper", "lower"] = "keep"
    test_speakers: tuple[str, ...] = ()
    transcripts: bool = True

    def __post_init__(self) -> None:
        if not self.transcripts and (self.table is not None or self.test_speakers or self.dev_speakers):
            raise ConfigError(
                "recordings without transcripts have no table, and are not split into parts to train and test on",
                remedy="leave out --no-transcripts, or --table, --dev-speakers and --test-speakers",
            )


def read(src: Path, config: Config) -> Corpus:
    """Read a folder of recordings.

    Parts: tables ``train.csv``, ``dev.csv``, ``test.csv`` (or ``.tsv``) in ``src``, or folders ``train``, ``dev``,
    ``test`` there, become parts of these names; else everything is ``train``, without transcripts ``recordings``.

    Transcripts: the rows of the table in ``src`` or in the part's folder (see `asrkit.data.corpora.transcripts`), whose
    audio paths are relative to the table, or are names that occur once below it, with or without their suffix;
    without a table, a ``.txt`` beside each audio file.

    Speakers: the table's column; else the folder of the recording where recordings lie in several folders; else
    each recording is a speaker of its own, so that what is done per speaker is done per utterance.

    Ids: the recording's path with ``/`` as ``-`` and what is no letter, digit, ``.``, ``_`` or ``-`` as ``_``; the
    speaker is put in front where it is not there, and for a stretch its milliseconds behind. Or the table's column
    of ids.

    Raises
    ------
    DataError
        Two recordings or rows would get the same id, several tables and none chosen, or nothing to read.
    """
    src = Path(os.path.abspath(src))
    existing_folder(src, "nowhere: a folder of your own, audio files with a table or with .txt files")
    labels: list[Path] = []
    failures: dict[str, str] = {}
    absent: list[str] = []
    parts: dict[str, list[Entry]] = {}
    tables, folders = _part_tables(src, config), _part_folders(src)
    if not config.transcripts:
        parts = {part: _entries(root, _untranscribed(root)) for part, root in (folders or {"recordings": src}).items()}
        if not any(parts.values()):
            raise _nothing(src)
        return Corpus(parts)
    if tables:
        sources = [_from_table(src, table, labels, failures) for table in tables.values()]
        failures.update(_unlisted(src, [item for items in sources for item in items]))
        for part, items in zip(tables, sources, strict=True):
            parts[part] = _entries(src, items, config.case)
    elif folders and (table := _one_table(src, config)) is not None:
        items = _from_table(src, table, labels, failures)
        failures.update(_unlisted(src, items))
        for part, folder in folders.items():
            parts[part] = _entries(src, [item for item in items if folder in item[0].parents], config.case)
        for path, row in items:
            if not any(folder in path.parents for folder in folders.values()):
                failures[row.where] = f"{row.audio!r} is in none of the folders {', '.join(folders)}"
    else:
        for part, root in (folders or {"train": src}).items():
            parts[part] = _entries(root, _items(root, config, labels, failures, absent), config.case)
    if not any(parts.values()) and not failures:
        raise _nothing(src)
    if config.test_speakers:
        parts = cut_speakers(parts, speaker_list(config.test_speakers), "test", "--test-speakers")
    return Corpus(parts, failures, tuple(absent), tuple(labels))


Item = tuple[Path, Row]
"""A recording that was found, and what a table or a ``.txt`` says of it."""


def _nothing(src: Path) -> DataError:
    return DataError(f"no audio files ({', '.join(AUDIO_SUFFIXES)}) found", where=src)


def _untranscribed(root: Path) -> list[Item]:
    return [(path, Row(str(path), path.name, None)) for path in audio_files(root)]


def _items(root: Path, config: Config, labels: list[Path], failures: dict[str, str], absent: list[str]) -> list[Item]:
    """Read one part: by its table, or by the ``.txt`` files."""
    table = _one_table(root, config)
    if table is None:
        return _from_text_files(root, labels, failures, absent)
    items = _from_table(root, table, labels, failures)
    failures.update(_unlisted(root, items))
    return items


def _tables(root: Path) -> list[Path]:
    return sorted(
        path for path in root.iterdir() if path.suffix.lower() in (".csv", ".tsv") and not path.name.startswith(".")
    )


def _part_tables(src: Path, config: Config) -> dict[str, Path]:
    """Return the tables that are named as parts, unless one table was chosen or there is no train among several."""
    if config.table is not None:
        return {}
    return {part: table for part in PARTS for table in _tables(src) if table.stem.lower() == part}


def _part_folders(src: Path) -> dict[str, Path]:
    """Return the folders that are named as parts and hold audio; ``dev`` alone does not make a split."""
    by_name = {folder.name.lower(): folder for folder in sorted(src.iterdir()) if folder.is_dir()}
    if not by_name.keys() & {"train", "test"}:
        return {}
    return {part: by_name[part] for part in PARTS if part in by_name and audio_files(by_name[part])}


def _one_table(root: Path, config: Config) -> Path | None:
    if config.table is not None:
        return root / config.table
    tables = _tables(root)
    if len(tables) > 1:
        names = ", ".join(path.name for path in tables)
        raise DataError(f"{len(tables)} tables found: {names}", where=root, remedy="choose one with --table")
    return tables[0] if tables else None


def _from_table(root: Path, table: Path, labels: list[Path], failures: dict[str, str]) -> list[Item]:
    rows = read_table(table)
    labels.append(table)
    by_name: dict[str, list[Path]] = {}
    for path in audio_files(root):
        for name in {path.name, path.stem}:
            by_name.setdefault(name, []).append(path)
    items: list[Item] = []
    for row in rows:
        plain = row.audio.replace("\\", "/")
        direct = [path for path in (table.parent / row.audio, root / row.audio, root / plain) if path.is_file()]
        found = direct[:1] or by_name.get(Path(plain).name, [])
        if len(found) == 1:
            items.append((Path(os.path.abspath(found[0])), row))
        elif found:
            failures[row.where] = f"{row.audio!r} may be {found[0]} or {found[1]}; write its path"
        else:
            failures[row.where] = f"no recording {row.audio!r}"
    return items


def _unlisted(root: Path, items: Sequence[Item]) -> dict[str, str]:
    """Return the recordings below ``root`` that are in no table."""
    listed = {os.path.abspath(path) for path, _ in items}
    return {
        str(path.relative_to(root)): "no transcript: in no table"
        for path in audio_files(root)
        if os.path.abspath(path) not in listed
    }


def _from_text_files(root: Path, labels: list[Path], failures: dict[str, str], absent: list[str]) -> list[Item]:
    items: list[Item] = []
    texts = {str(path.with_suffix("")): path for path in audio_files(root, [".txt"])}
    for path in audio_files(root):
        text = texts.get(str(path.with_suffix("")))
        if text is None:
            failures[str(path.relative_to(root))] = f"no transcript: neither a table nor {path.stem}.txt beside it"
            continue
        labels.append(text)
        try:
            words = " ".join(read_lines(text)).removeprefix("\ufeff")
        except AsrkitError as error:
            failures[str(path.relative_to(root))] = str(error)
            continue
        items.append((path, Row(str(text), path.name, words)))
    used = {Path(row.where) for _, row in items}
    orphans = [str(path.relative_to(root)) for path in sorted(texts.values()) if path not in used]
    if items and orphans:
        absent.append(f"recordings beside {len(orphans)} .txt files: {', '.join(orphans[:5])}")
    return items


def _entries(root: Path, items: Sequence[Item], case: Literal["keep", "upper", "lower"] = "keep") -> list[Entry]:
    """Name the utterances, recordings and speakers of one part."""
    if not items:
        return []
    folders = {path.parent for path, _ in items}
    common = Path(os.path.commonpath([str(folder) for folder in folders]))
    entries: list[Entry] = []
    utterances: dict[str, str] = {}
    recordings: dict[str, Path] = {}
    for path, row in items:
        inner = path.parent.relative_to(common)
        recording = _safe(inner / path.stem)
        speaker = _safe(inner) if len(folders) > 1 and inner != Path(".") else None
        if row.speaker is not None:
            speaker = _safe(Path(row.speaker.replace("/", "_")))
        key = _utterance_id(recording, speaker, row)
        if row.start_secs is None and row.end_secs is None:
            recording = key
        if key in utterances:
            raise DataError(
                f"{utterances[key]} and {row.where} would both be utterance {key}",
                where=root,
                remedy="rename one, or give the table a column `id`",
            )
        if recordings.setdefault(recording, path) != path:
            raise DataError(
                f"{recordings[recording]} and {path} would both be recording {recording}",
                where=root,
                remedy="rename one of them",
            )
        utterances[key] = row.where
        words = None
        if row.text is not None:
            text = {"keep": row.text, "upper": row.text.upper(), "lower": row.text.lower()}[case]
            words = tuple(text.split())
        entries.append(Entry(Utterance(key, recording, speaker or key, words, row.start_secs, row.end_secs), path))
    return entries


def _utterance_id(recording: str, speaker: str | None, row: Row) -> str:
    if row.utterance_id is not None:
        return _safe(Path(row.utterance_id.replace("/", "_")))
    key = recording
    if speaker is not None and key != speaker and not key.startswith(f"{speaker}-"):
        key = f"{speaker}-{key}"
    if row.start_secs is None and row.end_secs is None:
        return key
    end = "end" if row.end_secs is None else f"{round(row.end_secs * 1000):08d}"
    return f"{key}-{round((row.start_secs or 0.0) * 1000):08d}-{end}"


def _safe(path: Path) -> str:
    """Make one word of a relative path: letters and digits of any script, ``.``, ``_`` and ``-`` stay."""
    text = unicodedata.normalize("NFC", "-".join(path.parts))
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in text)
