"""Oracle errors: how near the nearest path of a lattice comes to what was said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asrkit.core.errors import ConfigError
from asrkit.lattice.lattice import Lattice


@dataclass(frozen=True)
class OracleErrors:
    """The fewest errors of any path, and the words of a path that makes no more.

    Attributes
    ----------
    words : tuple of int
        Word ids, 1-based.
    insertions, deletions, substitutions : int
        Edits of a shortest alignment of ``words`` and the reference.
    reference_words : int
        Number of words of the reference.
    """

    words: tuple[int, ...]
    insertions: int
    deletions: int
    substitutions: int
    reference_words: int

    @property
    def errors(self) -> int:
        """Insertions, deletions and substitutions together."""
        return self.insertions + self.deletions + self.substitutions


def oracle_errors(lattice: Lattice, reference: Sequence[int]) -> OracleErrors:
    """Find the path with the least edit distance to the reference (Kaldi's lattice-oracle): exact, at any cost.

    Time and memory are (arcs, states) times reference words.

    Parameters
    ----------
    reference : sequence of int
        Word ids, 1-based; an id that the lattice does not have, e.g. -1 for an unknown word, matches none.

    Raises
    ------
    ConfigError
        A word id of the reference is 0.
    """
    from asrkit.lattice.oracle_kernels import fewest_edits

    wanted = np.array(reference, dtype=np.int32)
    if np.any(wanted == 0):
        raise ConfigError("the reference holds word id 0, which stands for no word")
    _, arcs = fewest_edits(
        lattice.offsets, lattice.sources, lattice.words, lattice.destinations, lattice.is_final, wanted
    )
    words = lattice.words[arcs]
    found = tuple(words[words != 0].tolist())
    return OracleErrors(found, *_edits(tuple(wanted.tolist()), found), len(wanted))


def _edits(reference: tuple[int, ...], words: tuple[int, ...]) -> tuple[int, int, int]:
    """Return insertions, deletions and substitutions of a shortest alignment with as many matches as can be.

    As insertions less deletions are given by the lengths, the number of matches decides all three.
    """
    # (edits, matches as a negative number) of the best alignment with each prefix of the words.
    row = [(at, 0) for at in range(len(words) + 1)]
    for number, expected in enumerate(reference, 1):
        before, row = row, [(number, 0)]
        for at, word in enumerate(words, 1):
            (edits, matches), same = before[at - 1], word == expected
            aligned = (edits + (not same), matches - same)
            deleted, inserted = before[at], row[at - 1]
            row.append(min(aligned, (deleted[0] + 1, deleted[1]), (inserted[0] + 1, inserted[1])))
    edits, matches = row[-1][0], -row[-1][1]
    # matches + substitutions + deletions = reference words; matches + substitutions + insertions = words.
    substitutions = len(reference) + len(words) - 2 * matches - edits
    deletions = len(reference) - matches - substitutions
    return len(words) - matches - substitutions, deletions, substitutions
