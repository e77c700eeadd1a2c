"""LibriSpeech: read English at 16 kHz in subset folders ``SUBSET/READER/CHAPTER/READER-CHAPTER-NNNN.flac``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from asrkit.core.errors import DataError
from asrkit.core.files import read_lines
from asrkit.data.corpora.corpus import Corpus, CorpusConfig, Entry, audio_files, existing_folder
from asrkit.data.datadir import Utterance

ADDRESS = "https://www.openslr.org/12"

OFFICIAL_SUBSETS = (
    "train-clean-100",
    "train-clean-360",
    "train-other-500",
    "dev-clean",
    "dev-other",
    "test-clean",
    "test-other",
)

_PREFIXES = ("train-", "dev-", "test-")


@dataclass(frozen=True)
class Config(CorpusConfig):
    """Who counts as a speaker.

    Attributes
    ----------
    speaker_by : {'reader', 'chapter'}
        ``reader``: one speaker a reader, who may have recorded chapters in different years and rooms.
        ``chapter``: one a reader and chapter, ``READER-CHAPTER``, as in Kaldi's recipe.
    """

    speaker_by: Literal["reader", "chapter"] = "reader"


def read(src: Path, config: Config) -> Corpus:
    """Read every subset folder (``train-*``, ``dev-*``, ``test-*``) of ``src`` or ``src/LibriSpeech``.

    Each becomes a data directory of its name; ids are the publisher's. Genders come from ``SPEAKERS.TXT``.
    """
    root = existing_folder(src, ADDRESS)
    root = root / "LibriSpeech" if (root / "LibriSpeech").is_dir() else root
    folders = [folder for folder in sorted(root.iterdir()) if folder.is_dir() and folder.name.startswith(_PREFIXES)]
    if not folders and root.name.startswith(_PREFIXES):
        folders, root = [root], root.parent
    if not folders:
        raise DataError("no folders train-*, dev-* or test-*", where=root, remedy=f"LibriSpeech is at {ADDRESS}")
    labels: list[Path] = []
    failures: dict[str, str] = {}
    genders: dict[str, Literal["f", "m"]] = {}
    absent = []
    if (root / "SPEAKERS.TXT").exists():
        labels.append(root / "SPEAKERS.TXT")
        genders = _genders(root / "SPEAKERS.TXT")
    else:
        absent.append("SPEAKERS.TXT (genders)")
    parts = {folder.name: _entries(folder, config, genders, failures, labels) for folder in folders}
    if missing := [name for name in OFFICIAL_SUBSETS if name not in parts]:
        absent.append(f"official subsets {', '.join(missing)}")
    return Corpus(parts, failures, tuple(absent), tuple(labels))


def _entries(
    folder: Path,
    config: Config,
    genders: dict[str, Literal["f", "m"]],
    failures: dict[str, str],
    labels: list[Path],
) -> list[Entry]:
    tables = sorted(path for path in folder.glob("*/*/*.trans.txt") if not path.name.startswith("."))
    labels += tables
    transcripts: dict[str, tuple[str, ...]] = {}
    for table in tables:
        for number, line in enumerate(read_lines(table), 1):
            key, *words = line.split() or [""]
            if key.count("-") != 2 or key in transcripts:
                raise DataError(f"expected 'READER-CHAPTER-NNNN WORDS' once, found {line!r}", where=f"{table}:{number}")
            transcripts[key] = tuple(words)
    entries: dict[str, Entry] = {}
    for path in audio_files(folder):
        key = path.stem
        if key not in transcripts:
            failures[key] = f"no transcript in {path.parent.name}'s .trans.txt"
            continue
        reader, chapter, _ = key.split("-")
        speaker = reader if config.speaker_by == "reader" else f"{reader}-{chapter}"
        if key in entries:
            raise DataError(f"{key} is there twice: {entries[key].audio} and {path}", where=folder)
        entries[key] = Entry(Utterance(key, key, speaker, transcripts[key]), path, genders.get(reader))
    failures.update({key: "no recording of this transcript" for key in transcripts if key not in entries})
    return list(entries.values())


def _genders(path: Path) -> dict[str, Literal["f", "m"]]:
    """Read lines ``reader | F or M | ...``; ``;`` begins a comment."""
    table: dict[str, Literal["f", "m"]] = {}
    for line in read_lines(path):
        fields = [field.strip() for field in line.split("|")]
        if not line.startswith(";") and len(fields) > 2 and fields[1] in ("F", "M"):
            table[fields[0]] = "f" if fields[1] == "F" else "m"
    return table
