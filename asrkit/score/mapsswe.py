"""The matched-pairs sentence-segment word error test of two systems on the same utterances.

Source: Gillick and Cox, "Some statistical issues in the comparison of speech recognition algorithms", ICASSP 1989;
segments are cut as in NIST's sc_stats (two words that both systems have right end one).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from asrkit.score.edits import Edit

MIN_GOOD = 2
"""Reference tokens in a row, right in both systems, that part two segments."""

FEW_SEGMENTS = 50
"""Below this number Gillick and Cox do not trust the normal approximation."""


@dataclass(frozen=True)
class Mapsswe:
    """The test's result; errors of system a minus errors of system b in a segment are what is averaged.

    Attributes
    ----------
    num_segments : int
        Segments with at least one error of one system.
    mean, deviation : float
        Of the difference per segment; the deviation with n - 1, 0 for fewer than two segments.
    statistic : float
        ``mean / (deviation / sqrt(num_segments))``, standard normal when the systems are equally good;
        0 where it is not defined (the deviation is 0).
    p_value : float
        Two-sided; 1 when there are no segments or no difference.
    """

    num_segments: int
    mean: float
    deviation: float
    statistic: float
    p_value: float


def segment_errors(edits_a: Iterable[Edit], edits_b: Iterable[Edit], min_good: int = MIN_GOOD) -> list[tuple[int, int]]:
    """Cut one utterance into segments and count the errors of both systems in each.

    A segment runs from the first error of either system to where ``min_good`` reference tokens in a row are right
    in both and nothing is inserted between them, or to the end of the utterance.

    Parameters
    ----------
    edits_a, edits_b : iterable of Edit
        Both against the same reference; see :func:`asrkit.score.edits.edit_operations`.

    Returns
    -------
    list of (int, int)
        Errors of a and of b, one pair a segment, not both 0.
    """
    # an edit spans [start, end) of the reference; an insertion stands between two tokens: start == end
    spans = sorted(
        (position, position + (kind != "insert"), system)
        for system, edits in enumerate((edits_a, edits_b))
        for kind, position, _ in edits
    )
    segments: list[list[int]] = []
    reached = 0
    for start, end, system in spans:
        if not segments or start - reached >= min_good:
            segments.append([0, 0])
        segments[-1][system] += 1
        reached = end
    return [(a, b) for a, b in segments]


def mapsswe(differences: Sequence[int]) -> Mapsswe:
    """Test whether the mean of ``differences`` (errors of a minus errors of b, one a segment) is 0.

    The p-value is the normal approximation's, as in NIST's sc_stats, but not less than ``2^(1 - m)``, what an exact
    test by exchanging the systems could reach at best on the m segments in which they differ: with a handful of
    segments the approximation promises more than they hold. That bound is also the value where all differences are
    equal and the statistic is not defined.

    Examples
    --------
    The example in Jurafsky and Martin, "Speech and language processing", 2nd edition, section 9.8:

    >>> result = mapsswe([2 - 0, 0 - 1, 1 - 2, 1 - 0])
    >>> result.mean, result.deviation, round(result.statistic, 4), round(result.p_value, 4)
    (0.25, 1.5, 0.3333, 0.7389)
    """
    number = len(differences)
    if not any(differences):
        return Mapsswe(number, 0.0, 0.0, 0.0, 1.0)
    mean = sum(differences) / number
    bound = 2.0 ** (1 - sum(difference != 0 for difference in differences))
    if len(set(differences)) == 1:
        return Mapsswe(number, mean, 0.0, 0.0, bound)
    deviation = math.sqrt(sum((difference - mean) ** 2 for difference in differences) / (number - 1))
    statistic = mean / (deviation / math.sqrt(number))
    return Mapsswe(number, mean, deviation, statistic, max(math.erfc(abs(statistic) / math.sqrt(2)), bound))


def compare_edits(all_a: Iterable[Sequence[Edit]], all_b: Iterable[Sequence[Edit]]) -> Mapsswe:
    """Run the test over utterances; ``all_a`` and ``all_b`` hold the edits of each, in the same order."""
    differences = [
        errors_a - errors_b
        for edits_a, edits_b in zip(all_a, all_b, strict=True)
        if edits_a or edits_b
        for errors_a, errors_b in segment_errors(edits_a, edits_b)
    ]
    return mapsswe(differences)
