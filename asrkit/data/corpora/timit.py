"""TIMIT: the full corpus (LDC93S1, SPHERE or WAV, file names in either case) and the sample that NLTK distributes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from asrkit.core.errors import AsrkitError, ConfigError, DataError
from asrkit.core.files import read_lines
from asrkit.data.corpora.corpus import Corpus, CorpusConfig, Entry, PhoneSpan, existing_folder
from asrkit.data.datadir import Utterance

ADDRESS = "https://catalog.ldc.upenn.edu/LDC93S1 (a sample: https://www.nltk.org/nltk_data, `timit`)"

_CORE = """
mdab0 mwbt0 felc0 mtas1 mwew0 fpas0 mjmp0 mlnt0 fpkt0 mlll0 mtls0 fjlm0
mbpm0 mklt0 fnlp0 mcmj0 mjdh0 fmgd0 mgrt0 mnjm0 fdhc0 mjln0 mpam0 fmld0
"""
_DEV = """
faks0 fdac1 fjem0 mgwt0 mjar0 mmdb1 mmdm2 mpdf0 fcmh0 fkms0 mbdg0 mbwm0 mcsh0 fadg0 fdms0 fedw0 mgjf0
mglb0 mrtk0 mtaa0 mtdt0 mthc0 mwjg0 fnmr0 frew0 fsem0 mbns0 mmjr0 mdls0 mdlf0 mdvc0 mers0 fmah0 fdrw0
mrcs0 mrjm4 fcal1 mmwh0 fjsj0 majc0 mjsw0 mreb0 fgjd0 fjmg0 mroa0 mteb0 mjfc0 mrjr0 fmml0 mrws1
"""

CORE_TEST_SPEAKERS = frozenset(_CORE.split())
"""The 24 speakers of the core test set (TIMIT's ``testset.doc``, table 1)."""

DEV_SPEAKERS = frozenset(_DEV.split())
"""The 50 development speakers of the complete test set that the literature uses (Halberstadt 1998; Kaldi's recipe)."""

NUM_TRAIN_SPEAKERS = 462
NUM_FOLDS = 3

_SPEAKER = re.compile(r"[fm][a-z]{3}[0-9]")
_SAMPLE_FOLDER = re.compile(r"dr[1-8]-([fm][a-z]{3}[0-9])", re.IGNORECASE)
_SENTENCE = re.compile(r"(s[aix][0-9]+)\.(wav|flac|sph)", re.IGNORECASE)


@dataclass(frozen=True)
class Config(CorpusConfig):
    """What of TIMIT to take.

    Attributes
    ----------
    fold : int, optional
        0, 1 or 2: split NLTK's sample of 6 female and 6 male speakers. With F and M sorted by folder name, fold k
        tests on F[k], F[k+3], M[(k+1) % 3] and M[(k+1) % 3 + 3] and trains on the other eight.
    test_set : {'core', 'complete'}
        Of the full corpus: the 24 speakers of the core test set, with the 50 development speakers as ``dev``, or
        all 168 test speakers, with no ``dev``. With ``dev_speakers`` given, ``dev`` is these training speakers.
    keep_sa : bool
        Keep the two SA sentences, which every speaker reads.
    """

    fold: int | None = None
    test_set: Literal["core", "complete"] = "core"
    keep_sa: bool = False


def read(src: Path, config: Config) -> Corpus:
    """Read either layout, found by its folders.

    The full corpus is ``TRAIN/DR1/FVMH0/SX206.WAV`` in ``src`` or up to two folders below, the sample is
    ``dr1-fvmh0/sx206.wav``. Ids are ``fvmh0-sx206``; the gender is the first letter of the speaker. Words come
    from ``.wrd`` (or from ``.txt``, in lower case without punctuation), phones from ``.phn``.
    """
    existing_folder(src, ADDRESS)
    failures: dict[str, str] = {}
    labels: list[Path] = []
    sample = {
        match[1].lower(): folder
        for folder in sorted(src.iterdir())
        if folder.is_dir() and (match := _SAMPLE_FOLDER.fullmatch(folder.name))
    }
    if sample:
        entries = _entries(sample, config, failures, labels)
        return Corpus(*_sample_parts(entries, sample, config, src, failures), tuple(labels))
    if config.fold is not None:
        raise ConfigError("--fold is for NLTK's sample (folders dr1-fvmh0, ...), which is not here", where=str(src))
    found = {part: _find_part(src, part) for part in ("train", "test")}
    if not any(found.values()):
        raise DataError(
            "neither TRAIN or TEST nor folders like dr1-fvmh0 found", where=src, remedy=f"TIMIT is at {ADDRESS}"
        )
    read_parts = {
        part: _entries(_speaker_folders(folder), config, failures, labels) for part, folder in found.items() if folder
    }
    return Corpus(*_full_parts(read_parts, config, failures), tuple(labels))


Parts = tuple[dict[str, list[Entry]], dict[str, str], tuple[str, ...]]


def _full_parts(read_parts: dict[str, list[Entry]], config: Config, failures: dict[str, str]) -> Parts:
    """Cut the folders TRAIN and TEST into train, dev and test, and say which speakers are missing."""
    absent: list[str] = []
    parts: dict[str, list[Entry]] = {}
    if "train" in read_parts:
        parts["train"] = read_parts["train"]
        num_speakers = len({entry.utterance.speaker for entry in parts["train"]})
        if num_speakers < NUM_TRAIN_SPEAKERS:
            absent.append(f"{NUM_TRAIN_SPEAKERS - num_speakers} of {NUM_TRAIN_SPEAKERS} train speakers")
    else:
        absent.append("train (folder TRAIN)")
    if "test" not in read_parts:
        return parts, failures, (*absent, "test and dev (folder TEST)")
    if config.test_set == "complete":
        return {**parts, "test": read_parts["test"]}, failures, tuple(absent)
    official = {"dev": DEV_SPEAKERS, "test": CORE_TEST_SPEAKERS}
    if config.dev_speakers:
        del official["dev"]
    for name, speakers in official.items():
        entries = [entry for entry in read_parts["test"] if entry.utterance.speaker in speakers]
        if entries:
            parts[name] = entries
        missing = speakers - {entry.utterance.speaker for entry in entries}
        if missing:
            absent.append(f"{len(missing)} of {len(speakers)} {name} speakers")
    return parts, failures, tuple(absent)


def _sample_parts(
    entries: list[Entry], folders: dict[str, Path], config: Config, src: Path, failures: dict[str, str]
) -> Parts:
    if config.fold is None:
        return {"train": entries}, failures, ("test (NLTK's sample has none; --fold 0, 1 or 2 makes one)",)
    if not 0 <= config.fold < NUM_FOLDS:
        raise ConfigError(f"--fold is {config.fold}, expected 0, 1 or 2")
    by_folder = sorted(folders, key=lambda speaker: folders[speaker].name.lower())
    female, male = ([speaker for speaker in by_folder if speaker[0] == gender] for gender in "fm")
    if len(female) != 2 * NUM_FOLDS or len(male) != 2 * NUM_FOLDS:
        raise DataError(f"{len(female)} female and {len(male)} male speakers, --fold expects 6 and 6", where=src)
    k, m = config.fold, (config.fold + 1) % NUM_FOLDS
    chosen = {female[k], female[k + NUM_FOLDS], male[m], male[m + NUM_FOLDS]}
    parts = {
        "train": [entry for entry in entries if entry.utterance.speaker not in chosen],
        "test": [entry for entry in entries if entry.utterance.speaker in chosen],
    }
    return parts, failures, ()


def _find_part(src: Path, part: str) -> Path | None:
    """Find the folder TRAIN or TEST in ``src`` or up to two folders below, whatever its case."""
    for pattern in ("*", "*/*", "*/*/*"):
        for folder in sorted(src.glob(pattern)):
            if folder.name.lower() == part and folder.is_dir():
                return folder
    return None


def _speaker_folders(part: Path) -> dict[str, Path]:
    return {
        folder.name.lower(): folder
        for folder in sorted(part.glob("*/*"))
        if folder.is_dir() and _SPEAKER.fullmatch(folder.name.lower())
    }


def _entries(folders: dict[str, Path], config: Config, failures: dict[str, str], labels: list[Path]) -> list[Entry]:
    entries = []
    for speaker, folder in sorted(folders.items()):
        beside = {path.name.lower(): path for path in folder.iterdir()}
        for sentence, audio in _sentences(beside):
            if sentence.startswith("sa") and not config.keep_sa:
                continue
            key = f"{speaker}-{sentence}"
            texts = [beside[name] for kind in ("wrd", "txt") if (name := f"{sentence}.{kind}") in beside]
            phones = beside.get(f"{sentence}.phn")
            if not texts or phones is None:
                failures[key] = f"no {'.phn' if texts else '.wrd or .txt'} beside {audio}"
                continue
            labels += [texts[0], phones]
            try:
                words = _words(texts[0])
                spans = tuple(PhoneSpan(start, end, phone) for start, end, phone in _spans(phones))
            except AsrkitError as error:
                failures[key] = str(error)
                continue
            gender: Literal["f", "m"] = "f" if speaker[0] == "f" else "m"
            entries.append(Entry(Utterance(key, key, speaker, words), audio, gender, spans))
    return entries


def _sentences(beside: dict[str, Path]) -> Iterator[tuple[str, Path]]:
    """Yield each sentence once; a copy under a second audio form is left aside (``.wav`` comes first)."""
    seen = set()
    for name in sorted(beside, key=lambda name: (not name.endswith(".wav"), name)):
        match = _SENTENCE.fullmatch(name)
        if match and match[1] not in seen:
            seen.add(match[1])
            yield match[1], beside[name]


def _words(text: Path) -> tuple[str, ...]:
    """Return the words of a ``.wrd``, or of the sentence in a ``.txt`` (``start end Sentence.``)."""
    if text.suffix.lower() == ".wrd":
        return tuple(word.lower() for _, _, word in _spans(text))
    sentence = " ".join(read_lines(text)).lower()
    return tuple(re.findall(r"[a-z]+(?:'[a-z]+)*'?", sentence))


def _spans(path: Path) -> Iterator[tuple[int, int, str]]:
    """Yield lines ``start_sample end_sample label``."""
    for number, line in enumerate(read_lines(path), 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 3 or not fields[0].isdigit() or not fields[1].isdigit():
            raise DataError(f"expected 'start end label', found {line!r}", where=f"{path}:{number}")
        yield int(fields[0]), int(fields[1]), fields[2]
