"""Kaldi's yesno: 60 recordings of eight words, each yes or no, by one speaker; the words are in the file name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from asrkit.core.errors import DataError
from asrkit.data.corpora.corpus import Corpus, CorpusConfig, Entry, audio_files, existing_folder
from asrkit.data.datadir import Utterance

ADDRESS = "https://www.openslr.org/1"

NUM_TRAIN = 31
"""Kaldi's recipe halves a listing of 62 names, the last two of which are no recordings: 31 train, 29 test."""

_NAME = re.compile(r"[01](_[01])+")


@dataclass(frozen=True)
class Config(CorpusConfig):
    """Nothing to choose; there is one speaker, so no dev set can be cut."""


def read(src: Path, config: Config) -> Corpus:
    """Read ``waves_yesno`` (``src`` or a folder in it): the first 31 names in sorted order train, the rest test.

    ``1`` is YES, ``0`` is NO; the one speaker is called ``global``, as in Kaldi's recipe.
    """
    files = audio_files(existing_folder(src, ADDRESS))
    named = [path for path in files if _NAME.fullmatch(path.stem)]
    if not named:
        raise DataError(
            "no recordings named like 0_1_0_0_1_1_1_1.wav found",
            where=src,
            remedy=f"give the folder waves_yesno of {ADDRESS}",
        )
    failures = {
        str(path.relative_to(src)): "its name is not made of 0 and 1 apart by _" for path in files if path not in named
    }
    entries: dict[str, Entry] = {}
    for path in named:
        words = tuple("YES" if digit == "1" else "NO" for digit in path.stem.split("_"))
        if path.stem in entries:
            raise DataError(f"{path.stem} is there twice: {entries[path.stem].audio} and {path}", where=src)
        entries[path.stem] = Entry(Utterance(path.stem, path.stem, "global", words), path)
    keys = sorted(entries)
    parts = {"train": [entries[key] for key in keys[:NUM_TRAIN]]}
    if keys[NUM_TRAIN:]:
        parts["test"] = [entries[key] for key in keys[NUM_TRAIN:]]
    absent = () if len(keys) >= 60 else (f"{60 - len(keys)} of the 60 recordings",)
    return Corpus(parts, failures, absent)
