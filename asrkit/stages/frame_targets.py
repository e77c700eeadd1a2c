"""What a network is trained on: model inputs that are not spliced yet, with the pdf of each frame by an alignment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.archives import ArchiveReader
from asrkit.core.errors import DataError, ModelError
from asrkit.data.datadir import DataDir
from asrkit.hmm.convert_alignment import convert_alignment
from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import ContextTree, monophone_tree
from asrkit.lang.langdir import Lang
from asrkit.stages.dnn_config import Targets
from asrkit.stages.network_features import part_usable, why_unusable
from asrkit.stages.record import Failure, first_of


def check_transition_ids(tids: NDArray[np.generic], transitions: TransitionModel, utterance_id: str) -> None:
    """Refuse what an archive of alignments holds for an utterance where it cannot be one of this model.

    Raises
    ------
    DataError
        It is no vector of integers, or a transition_id is out of range.
    """
    if tids.ndim != 1 or tids.dtype.kind not in "iu" or not _within(tids, transitions.num_transition_ids):
        raise DataError(
            f"not an alignment of this model ({tids.dtype} of shape {tids.shape})",
            where=utterance_id,
            remedy="align the data again",
        )


def _within(tids: NDArray[Any], highest: int) -> bool:
    return not len(tids) or bool(0 < tids.min() <= tids.max() <= highest)


class PdfTargets(Mapping[str, NDArray[np.int32]]):
    """utterance_id -> the pdf_id (T,) int32, 0-based, of each frame; read when asked for.

    Parameters
    ----------
    alignments : ArchiveReader
        transition_ids of ``aligned_by``.
    aligned_by : TransitionModel
    transitions : TransitionModel
        Whose pdfs are wanted.
    tree : ContextTree
        Of ``transitions``.
    """

    def __init__(
        self,
        alignments: ArchiveReader,
        aligned_by: TransitionModel,
        transitions: TransitionModel,
        tree: ContextTree,
    ) -> None:
        self._alignments, self._aligned_by = alignments, aligned_by
        self._transitions, self._tree = transitions, tree
        self._converted: dict[str, NDArray[np.int32]] = {}

    def __len__(self) -> int:
        return len(self._alignments)

    def __iter__(self) -> Iterator[str]:
        return iter(self._alignments)

    def __getitem__(self, key: str) -> NDArray[np.int32]:
        tids = np.asarray(self._alignments[key])
        check_transition_ids(tids, self._aligned_by, key)
        if self._transitions is self._aligned_by:
            return self._transitions.tid_to_pdf[tids]
        if key not in self._converted:
            found = convert_alignment(self._aligned_by, self._transitions, self._tree, tids.astype(np.int32))
            self._converted[key] = self._transitions.tid_to_pdf[found]
        return self._converted[key]


@dataclass(frozen=True)
class AlignedData:
    """Utterances that have both features and an alignment.

    Attributes
    ----------
    tree : ContextTree
    transitions : TransitionModel
        What the targets are pdfs of.
    targets : PdfTargets
    num_frames : dict of str to int
        Of each usable utterance, by id.
    failures : tuple of Failure
        The others, with the reason.
    """

    tree: ContextTree
    transitions: TransitionModel
    targets: PdfTargets
    num_frames: dict[str, int]
    failures: tuple[Failure, ...]

    def counts(self) -> NDArray[np.float64]:
        """Return the number of frames of each pdf."""
        total = np.zeros(self.tree.num_pdfs)
        for key in self.num_frames:
            total += np.bincount(self.targets[key], minlength=len(total))
        return total


def open_targets(
    data: DataDir,
    features: Mapping[str, NDArray[np.float32]],
    folder: Path,
    tree: ContextTree,
    transitions: TransitionModel,
    kind: Targets,
) -> AlignedData:
    """Match an alignment with features.

    Parameters
    ----------
    folder : Path
        Holds ``ali.scp`` of the model given, and its ``lang``.
    kind : {'tied', 'mono'}
        ``tied``: the pdfs of the alignment's tree; ``mono``: the HMM states of each phone, whatever stands beside it.

    Raises
    ------
    DataError
        No utterance has both.
    """
    if not (folder / "ali.scp").exists():
        raise ModelError("no alignments: ali.scp is missing", where=folder, remedy="make them with `asrkit align`")
    alignments = ArchiveReader(folder / "ali.scp")
    own_tree, own = tree, transitions
    if kind == "mono":
        lang = Lang.load(folder / "lang", folder / "topology.json")
        own_tree = monophone_tree(transitions.topology, lang.shared_phones)
        own = TransitionModel.from_tree(own_tree, transitions.topology)
    targets = PdfTargets(alignments, transitions, own, own_tree)
    num_frames, failures = part_usable(
        sorted(data.utterances), features, lambda key: _reason(key, features, alignments)
    )
    if not num_frames:
        raise DataError(
            f"no utterance has features and an alignment{first_of(failures)}",
            where=folder / "ali.scp",
            remedy="give the alignment of this very data",
        )
    return AlignedData(own_tree, own, targets, num_frames, failures)


def _reason(key: str, features: Mapping[str, NDArray[np.float32]], alignments: ArchiveReader) -> str | None:
    """Return why an utterance cannot be used, None if it can."""
    reason = why_unusable(key, features)
    if reason is not None:
        return reason
    if key not in alignments:
        return "no alignment"
    expected, found = len(features[key]), len(alignments[key])
    return None if expected == found else f"{expected} frames of features and {found} of alignment"
