"""CMU AN4 (Census): spelled words, dates and commands, with its official lists and dictionary."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from asrkit.core.errors import DataError
from asrkit.core.files import read_lines
from asrkit.data.corpora.corpus import Corpus, CorpusConfig, Entry, existing_folder
from asrkit.data.datadir import Utterance

ADDRESS = "http://www.speech.cs.cmu.edu/databases/an4"

GENDERS: dict[str, Literal["f", "m"]] = {"f": "f", "m": "m"}
"""By the first letter of a speaker's name."""

SUFFIXES = (".flac", ".wav", ".sph", ".raw")
"""The published audio forms; where a recording is there in several, the first of these is taken."""

_LINE = re.compile(r"(?P<words>.*?)\s*\((?P<name>[^()\s]+)\)\s*")


@dataclass(frozen=True)
class Config(CorpusConfig):
    """Nothing of its own to choose."""


def read(src: Path, config: Config) -> Corpus:
    """Read ``etc/an4_{train,test}.{fileids,transcription}``, the audio in ``wav`` and the dictionary.

    The speaker is the folder of a recording, the gender its first letter. Ids are Kaldi's: ``an251-fash-b`` becomes
    ``fash-an251-b``, so that they sort by speaker. Sentence marks and fillers (``etc/an4.filler``) are taken out of
    the transcripts.
    """
    root = src if (existing_folder(src, ADDRESS) / "etc").is_dir() else src / "an4"
    if not (root / "etc").is_dir():
        raise DataError("no folder etc, expected AN4's lists there", where=src, remedy=f"AN4 is at {ADDRESS}")
    labels: list[Path] = []
    absent: list[str] = []
    failures: dict[str, str] = {}
    fillers = {"<s>", "</s>", "<sil>"}
    if (root / "etc" / "an4.filler").exists():
        labels.append(root / "etc" / "an4.filler")
        fillers |= {line.split()[0] for line in read_lines(labels[-1]) if line.strip()}
    parts: dict[str, list[Entry]] = {}
    for part in ("train", "test"):
        lists = [root / "etc" / f"an4_{part}.{kind}" for kind in ("fileids", "transcription")]
        missing = [str(path.relative_to(root)) for path in lists if not path.exists()]
        if missing:
            absent.append(f"{part} ({' and '.join(missing)})")
            continue
        names = [line.strip() for line in read_lines(lists[0]) if line.strip()]
        folders = sorted({name.split("/")[0] for name in names})
        if not any((root / "wav" / folder).is_dir() for folder in folders):
            absent.append(f"{part} (wav/{', wav/'.join(folders)})")
            continue
        labels += lists
        parts[part] = _entries(root, names, _transcripts(lists[1], fillers), failures)
    if not parts:
        raise DataError(f"neither train nor test is there: {'; '.join(absent)}", where=root)
    lexicon: tuple[str, ...] = ()
    dictionary = root / "etc" / "an4.dic"
    if dictionary.exists():
        labels.append(dictionary)
        lexicon = _lexicon(dictionary)
    else:
        absent.append("the dictionary (etc/an4.dic)")
    return Corpus(parts, failures, tuple(absent), tuple(labels), lexicon)


def _entries(
    root: Path, names: list[str], transcripts: dict[str, tuple[str, ...]], failures: dict[str, str]
) -> list[Entry]:
    entries: dict[str, Entry] = {}
    raw_checked = False
    for name in names:
        _, speaker, stem = (f"//{name}").rsplit("/", 2)
        candidates = [root / "wav" / f"{name}{suffix}" for suffix in SUFFIXES]
        audio = next((path for path in candidates if path.exists()), None)
        if audio is None:
            failures[stem] = f"no recording wav/{name} with {', '.join(SUFFIXES)}"
            continue
        if stem not in transcripts:
            failures[stem] = "no transcript"
            continue
        if audio.suffix == ".raw" and not raw_checked:
            _check_byte_order(audio)
            raw_checked = True
        pieces = stem.split("-")
        in_kaldis_order = len(pieces) == 3 and pieces[1] == speaker
        key = f"{speaker}-{pieces[0]}-{pieces[2]}" if in_kaldis_order else f"{speaker}-{stem}"
        if key in entries:
            failures[name] = "listed twice in the fileids"
            continue
        entries[key] = Entry(Utterance(key, key, speaker, transcripts[stem]), audio, GENDERS.get(speaker[:1]))
    return list(entries.values())


def _transcripts(path: Path, fillers: set[str]) -> dict[str, tuple[str, ...]]:
    """Read lines ``<s> WORDS </s> (name)``."""
    table: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise DataError(f"expected '<s> WORDS </s> (name)', found {line!r}", where=f"{path}:{number}")
        table[match["name"]] = tuple(word for word in match["words"].split() if word not in fillers)
    return table


def _lexicon(path: Path) -> tuple[str, ...]:
    """Return the dictionary without the marks ``(2)`` of alternative pronunciations, sorted."""
    entries = set()
    for number, line in enumerate(read_lines(path), 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) < 2:
            raise DataError(f"expected 'WORD PHONE ...', found {line!r}", where=f"{path}:{number}")
        entries.add(" ".join([re.sub(r"\(\d+\)$", "", fields[0]), *fields[1:]]))
    return tuple(sorted(entries))


def _check_byte_order(path: Path) -> None:
    """Refuse AN4's little-endian raw form: with bytes swapped, speech is noise, and neighbours differ wildly."""
    content = path.read_bytes()
    content = content[: len(content) // 2 * 2]
    big, little = (np.abs(np.diff(np.frombuffer(content, kind).astype(np.float64))) for kind in (">i2", "<i2"))
    if len(big) and little.mean() < big.mean():
        raise DataError(
            "little-endian samples, expected AN4's big-endian raw form",
            where=path,
            remedy="take AN4's big-endian or SPHERE archive, or swap the bytes with `sox -x`",
        )
