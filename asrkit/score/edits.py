"""Edit distance: the fewest insertions, deletions and substitutions between a reference and a hypothesis.

Which of several equally short alignments is taken: equal tokens at both ends are matched first, then the rest is
traced back from its end, preferring a deletion to a substitution to an insertion to a match. The number of errors
is the same whatever the tie; only the split into insertions, deletions and substitutions, and the pairs shown,
depend on it. (Beyond about two thousand tokens rapidfuzz divides the problem, and ties can fall otherwise.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, cast

from rapidfuzz.distance import Levenshtein

EditKind = Literal["insert", "delete", "replace"]

Edit = tuple[EditKind, int, int]
"""``(kind, reference_position, hypothesis_position)``, 0-based.

``delete`` and ``replace`` stand at a reference token, ``insert`` in front of the reference token at that position
(or behind the last one).
"""

Pair = tuple[str | None, str | None]
"""A column of an alignment: ``(reference token, hypothesis token)``; None where a side has no token."""


class TokenCodes:
    """Numbers tokens in the order in which they are first seen, from 0, so that alignment compares integers."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._codes)

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """Return the code of each token; equal codes if and only if equal tokens."""
        codes = self._codes
        return [codes.setdefault(token, len(codes)) for token in tokens]


def edit_operations(reference: Sequence[int], hypothesis: Sequence[int]) -> list[Edit]:
    """Return the fewest edits that turn ``reference`` into ``hypothesis``, in the order of their positions.

    Parameters
    ----------
    reference, hypothesis : sequence of int
        Token codes >= 0; see :class:`TokenCodes`.

    Returns
    -------
    list of Edit
        Empty when the two are equal. Its length is the Levenshtein distance (insertion = deletion =
        substitution = 1). Ties as the module's docstring says.

    Examples
    --------
    >>> edit_operations([7, 8, 9], [7, 9, 5])
    [('delete', 1, 1), ('insert', 3, 2)]
    """
    return cast("list[Edit]", Levenshtein.editops(reference, hypothesis).as_list())


def aligned_pairs(reference: Sequence[str], hypothesis: Sequence[str], edits: Sequence[Edit]) -> list[Pair]:
    """Lay reference and hypothesis side by side as their edits say.

    Returns
    -------
    list of Pair
        Reading the first members without None gives the reference, the second members the hypothesis.

    Examples
    --------
    >>> aligned_pairs(["a", "b"], ["b", "c"], [("delete", 0, 0), ("insert", 2, 1)])
    [('a', None), ('b', 'b'), (None, 'c')]
    """
    pairs: list[Pair] = []
    at_reference = at_hypothesis = 0
    for kind, reference_position, hypothesis_position in edits:
        pairs += zip(reference[at_reference:reference_position], hypothesis[at_hypothesis:hypothesis_position])
        at_reference, at_hypothesis = reference_position, hypothesis_position
        pairs.append(
            (
                None if kind == "insert" else reference[at_reference],
                None if kind == "delete" else hypothesis[at_hypothesis],
            )
        )
        at_reference += kind != "insert"
        at_hypothesis += kind != "delete"
    pairs += zip(reference[at_reference:], hypothesis[at_hypothesis:])
    return pairs
