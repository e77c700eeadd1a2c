"""What CTC trains on: the phones of each utterance, by its transcript and the lexicon, or by an alignment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asrkit.core.archives import ArchiveReader
from asrkit.core.errors import DataError
from asrkit.data.datadir import DataDir, Utterance
from asrkit.hmm.ctc import BLANK
from asrkit.hmm.segments import cut_phones
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import ContextTree
from asrkit.lang.langdir import Lang
from asrkit.nnet.sequence.ctc import frames_needed
from asrkit.stages.acoustic import LANG_FILES, load_acoustic_model, model_files
from asrkit.stages.frame_targets import check_transition_ids
from asrkit.stages.network_features import why_unusable
from asrkit.stages.record import Failure, first_of
from asrkit.stages.unknown_words import check_known

Labels = NDArray[np.int32]


@dataclass(frozen=True)
class PhoneSource:
    """What knows the phones of utterances: a lang directory, or an alignment directory with one in it.

    Attributes
    ----------
    lang_path : Path
    alignment : Path or None
        None: the first of the most probable pronunciations of each word is taken.
    """

    lang_path: Path
    alignment: Path | None

    @classmethod
    def at(cls, folder: Path) -> PhoneSource:
        """Return what a directory is."""
        return cls(folder / "lang", folder) if (folder / "ali.scp").is_file() else cls(folder, None)

    def files(self) -> list[Path]:
        """Return the files that decide what it says."""
        own = [self.lang_path / name for name in (*LANG_FILES, "topology.json")]
        if self.alignment is None:
            return own
        return [*own[:-1], *model_files(self.alignment), self.alignment / "ali.scp", self.alignment / "ali.ark"]

    def open(self, tree: ContextTree, lang: Lang) -> LexiconPhones | AlignedPhones:
        """Return what gives the labels of utterances."""
        if self.alignment is None:
            return LexiconPhones(tree, lang)
        transitions = load_acoustic_model(self.alignment).transitions
        return AlignedPhones(tree, ArchiveReader(self.alignment / "ali.scp"), transitions)

    def lang(self) -> Lang:
        """Return its lang directory."""
        return Lang.load(self.lang_path, None if self.alignment is None else self.alignment / "topology.json")


class LexiconPhones:
    """The labels of transcripts: the first of the most probable pronunciations of each word; silence is none.

    Attributes
    ----------
    num_words, num_unknown : int
        Of the transcripts that labels were asked for, and those of them that the lexicon lacks, which have the labels
        of the unknown word.
    """

    def __init__(self, tree: ContextTree, lang: Lang) -> None:
        self._lang = lang
        self.num_words = self.num_unknown = 0
        self._labels = {
            word: _labels_of(tree, max(entries, key=lambda entry: entry.log_probability).phones)
            for word, entries in lang.entries_of_word.items()
        }

    def check_unknown(self, text: Path) -> None:
        """Warn of words outside the lexicon, and refuse transcripts of the file ``text`` that have no others.

        Raises
        ------
        DataError
            Not one word is in the lexicon.
        """
        check_known(self.num_unknown, self.num_words, text)

    def __call__(self, utterance: Utterance) -> list[int] | str:
        """Return the labels of an utterance, or why it has none."""
        if utterance.words is None:
            return "no transcript"
        words, num_unknown = self._lang.transcript_ids(utterance.words)
        self.num_words += len(words)
        self.num_unknown += num_unknown
        return [label for word in words.tolist() for label in self._labels[word]]


class AlignedPhones:
    """The labels of alignments: the pronunciations that fitted best; silence is none."""

    def __init__(self, tree: ContextTree, alignments: ArchiveReader, transitions: TransitionModel) -> None:
        self._tree, self._alignments, self._transitions = tree, alignments, transitions

    def __call__(self, utterance: Utterance) -> list[int] | str:
        """Return the labels of an utterance, or why it has none."""
        key = utterance.utterance_id
        if key not in self._alignments:
            return "no alignment"
        tids = np.asarray(self._alignments[key])
        check_transition_ids(tids, self._transitions, key)
        return _labels_of(self._tree, cut_phones(self._transitions, tids.astype(np.int32)).phones.tolist())


def _labels_of(tree: ContextTree, phones: Iterable[int]) -> list[int]:
    pdfs = (tree.pdf_id((phone,), 0) for phone in phones)
    return [pdf for pdf in pdfs if pdf != BLANK]


@dataclass(frozen=True)
class PhoneTargets:
    """Utterances that have both features and labels that fit into them.

    Attributes
    ----------
    labels : dict of str to (L,) int32
        pdf_ids of the phones, 0-based, none of them the blank.
    num_frames : dict of str to int
        Of the network's inputs.
    failures : tuple of Failure
        The other utterances, with the reason.
    """

    labels: dict[str, Labels]
    num_frames: dict[str, int]
    failures: tuple[Failure, ...]

    def counts(self, num_pdfs: int) -> NDArray[np.float64]:
        """Return how often each pdf is a label, the blank standing before and behind each."""
        total = np.zeros(num_pdfs)
        for labels in self.labels.values():
            total += np.bincount(labels, minlength=num_pdfs)
            total[BLANK] += len(labels) + 1
        return total


def open_phone_targets(
    data: DataDir, features: Mapping[str, NDArray[np.float32]], phones: LexiconPhones | AlignedPhones
) -> PhoneTargets:
    """Match the labels of utterances with features.

    Raises
    ------
    DataError
        No utterance has both, or not one word of the transcripts is in the lexicon.
    """
    found: dict[str, Labels] = {}
    num_frames: dict[str, int] = {}
    failures: list[Failure] = []
    for key, utterance in sorted(data.utterances.items()):
        reason = why_unusable(key, features)
        labels = reason or phones(utterance)
        if not isinstance(labels, str):
            labels = _that_fit(labels, len(features[key]))
        if isinstance(labels, str):
            failures.append(Failure(key, labels))
        else:
            found[key], num_frames[key] = np.array(labels, dtype=np.int32), len(features[key])
    if not found:
        raise DataError(f"no utterance has features and phones{first_of(failures)}", where=data.path)
    if isinstance(phones, LexiconPhones):
        phones.check_unknown(data.path / "text")
    return PhoneTargets(found, num_frames, tuple(failures))


def _that_fit(labels: list[int], num_frames: int) -> list[int] | str:
    """Return the labels of an utterance, or why it cannot be trained on."""
    if not labels:
        return "no phones but silence in its transcript"
    needed = frames_needed(labels)
    if needed <= num_frames:
        return labels
    return f"{num_frames} frames for {len(labels)} phones, which take {needed} at least; a smaller keep_every may help"
