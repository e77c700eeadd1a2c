"""Utterances matched by id, aligned and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import DataError
from asrkit.score.counts import ErrorCounts
from asrkit.score.edits import Edit, Pair, TokenCodes, aligned_pairs, edit_operations

_NAMED = 5
"""How many ids an error message names."""


@dataclass(frozen=True)
class ScoredUtterances:
    """Reference, hypothesis, and the edits between them, of each utterance; in the order of the ids.

    Attributes
    ----------
    utterance_ids : tuple of str
        Sorted.
    references, hypotheses : tuple of tuple of str
        Tokens, one tuple an utterance.
    edits : tuple of list of Edit
        See :func:`asrkit.score.edits.edit_operations`.
    table : ndarray of int64, (utterances, 4)
        Insertions, deletions, substitutions, reference tokens.
    """

    utterance_ids: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]
    hypotheses: tuple[tuple[str, ...], ...]
    edits: tuple[list[Edit], ...]
    table: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.utterance_ids)

    def counts(self, at: int) -> ErrorCounts:
        """Return the counts of the utterance at position ``at``."""
        return _counts(self.table[at : at + 1])

    def total(self) -> ErrorCounts:
        """Return the counts of all utterances together."""
        return _counts(self.table)

    def by_speaker(self, speakers: Mapping[str, str]) -> dict[str, ErrorCounts]:
        """Return speaker -> counts, sorted by speaker; ``speakers`` maps every utterance_id to its speaker."""
        rows: dict[str, list[int]] = {}
        for row, key in enumerate(self.utterance_ids):
            rows.setdefault(speakers[key], []).append(row)
        return {speaker: _counts(self.table[rows[speaker]]) for speaker in sorted(rows)}

    def pairs(self, at: int) -> list[Pair]:
        """Return the alignment of the utterance at position ``at``, column by column."""
        return aligned_pairs(self.references[at], self.hypotheses[at], self.edits[at])

    def confusions(self) -> Counter[Pair]:
        """Count each kind of error: ``(a, b)`` a for b, ``(None, b)`` b inserted, ``(a, None)`` a deleted."""
        found: Counter[Pair] = Counter()
        for reference, hypothesis, edits in zip(self.references, self.hypotheses, self.edits):
            for kind, at_reference, at_hypothesis in edits:
                found[
                    None if kind == "insert" else reference[at_reference],
                    None if kind == "delete" else hypothesis[at_hypothesis],
                ] += 1
        return found


def score_utterances(
    references: Mapping[str, tuple[str, ...]], hypotheses: Mapping[str, tuple[str, ...]]
) -> ScoredUtterances:
    """Align each reference with the hypothesis of the same id.

    Parameters
    ----------
    references, hypotheses : mapping of str to tuple of str
        utterance_id -> tokens, with the same ids (see :func:`match`). An empty hypothesis is all deletions.
    """
    keys = tuple(sorted(references))
    codes = TokenCodes()
    table = np.zeros((len(keys), 4), dtype=np.int64)
    all_edits: list[list[Edit]] = []
    for row, key in enumerate(keys):
        reference, hypothesis = references[key], hypotheses[key]
        edits = [] if reference == hypothesis else edit_operations(codes.encode(reference), codes.encode(hypothesis))
        if edits:
            kinds = [kind for kind, _, _ in edits]
            table[row, :3] = kinds.count("insert"), kinds.count("delete"), kinds.count("replace")
        table[row, 3] = len(reference)
        all_edits.append(edits)
    return ScoredUtterances(
        keys,
        tuple(references[key] for key in keys),
        tuple(hypotheses[key] for key in keys),
        tuple(all_edits),
        table,
    )


def match(
    references: Mapping[str, Sequence[str]],
    hypotheses: Mapping[str, Sequence[str]],
    where: Path | str,
    allow_missing: bool = False,
) -> tuple[dict[str, Sequence[str]], tuple[str, ...]]:
    """Bring hypotheses to the ids of the references: ``(hypotheses, missing ids)``.

    A missing hypothesis becomes an empty one where ``allow_missing`` is set.

    Raises
    ------
    DataError
        A hypothesis without a reference; a reference without a hypothesis, unless allowed. The ids are named.
    """
    extra = sorted(hypotheses.keys() - references.keys())
    if extra:
        raise DataError(
            f"{len(extra)} {_plural(extra, 'hypothesis has', 'hypotheses have')} no reference: {name_some(extra)}",
            where=where,
            remedy="score against the references of the data that was decoded",
        )
    missing = tuple(sorted(references.keys() - hypotheses.keys()))
    if missing and not allow_missing:
        raise DataError(
            f"{len(missing)} of {len(references)} utterances have no hypothesis: {name_some(missing)}",
            where=where,
            remedy="decode them, or count them as deleted with --allow-missing",
        )
    return {key: hypotheses.get(key, ()) for key in references}, missing


def name_some(names: Sequence[str]) -> str:
    """Name the first few of many, and say how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _plural(items: Sequence[str], one: str, many: str) -> str:
    return one if len(items) == 1 else many


def _counts(table: NDArray[np.int64]) -> ErrorCounts:
    insertions, deletions, substitutions, tokens = (int(n) for n in table.sum(axis=0))
    wrong = int(np.count_nonzero(table[:, :3].any(axis=1)))
    return ErrorCounts(insertions, deletions, substitutions, tokens, len(table), wrong)


def group_by(keys: Sequence[str]) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    """Number the groups that ``keys`` name: ``(group of each item, names)``; names sorted, groups 0-based."""
    names = tuple(sorted(set(keys)))
    numbers = {name: number for number, name in enumerate(names)}
    return np.array([numbers[key] for key in keys], dtype=np.intp), names
