"""Free Spoken Digit Dataset: single English digits at 8 kHz; ``DIGIT_SPEAKER_INDEX.wav`` says all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from asrkit.core.errors import DataError
from asrkit.data.corpora.corpus import Corpus, CorpusConfig, Entry, audio_files, cut_speakers, existing_folder
from asrkit.data.datadir import Utterance

ADDRESS = "https://github.com/Jakobovski/free-spoken-digit-dataset"

WORDS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")

NUM_TEST_INDICES = 5
"""The official test set is the recordings with index 0 to 4 of every digit and speaker."""

_NAME = re.compile(r"([0-9])_([A-Za-z0-9-]+)_([0-9]+)")


@dataclass(frozen=True)
class Config(CorpusConfig):
    """How to split.

    Attributes
    ----------
    test_speaker : str, optional
        Leave this speaker out for the test; by default the official split, in which every speaker is in both
        parts.
    """

    test_speaker: str | None = None


def read(src: Path, config: Config) -> Corpus:
    """Read the folder ``recordings`` (``src`` or a folder in it). Utterance ids are ``SPEAKER-DIGIT-INDEX``."""
    existing_folder(src, ADDRESS)
    root = src / "recordings" if (src / "recordings").is_dir() else src
    train: list[Entry] = []
    test: list[Entry] = []
    failures: dict[str, str] = {}
    for path in audio_files(root):
        match = _NAME.fullmatch(path.stem)
        if match is None:
            failures[str(path.relative_to(root))] = "its name is not DIGIT_SPEAKER_INDEX"
            continue
        digit, speaker, index = match.groups()
        key = f"{speaker}-{digit}-{int(index):02d}"
        entry = Entry(Utterance(key, key, speaker, (WORDS[int(digit)],)), path)
        official_test = int(index) < NUM_TEST_INDICES and config.test_speaker is None
        (test if official_test else train).append(entry)
    if not train:
        raise DataError(
            "no recordings named like 7_jackson_32.wav found", where=src, remedy=f"the corpus is at {ADDRESS}"
        )
    parts = {"train": train, "test": test} if test else {"train": train}
    if config.test_speaker is not None:
        parts = cut_speakers(parts, [config.test_speaker], "test", "--test-speaker")
    return Corpus(parts, failures, () if "test" in parts else ("recordings 0 to 4, the official test set",))
