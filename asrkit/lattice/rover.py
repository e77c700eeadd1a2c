"""ROVER: the words that most of several recognisers hypothesised, or that they are surest of.

After Fiscus, "A post-processing system to yield reduced word error rates: Recognizer Output Voting Error Reduction
(ROVER)", ASRU 1997, and NIST's program of that name. The hypotheses are aligned, one after the other, into a word
transition network: a row of columns, in each of which every system has one word or none. Then each column is voted on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError, DataError
from asrkit.hmm.combination import check_weights, shares_of
from asrkit.lattice.mbr import put_in_order


@dataclass(frozen=True)
class SaidWord:
    """A word of a hypothesis.

    Attributes
    ----------
    word : str
    confidence : float
        In [0, 1]; NaN where it is not known.
    start_secs, end_secs : float
        NaN where they are not known.
    """

    word: str
    confidence: float = math.nan
    start_secs: float = math.nan
    end_secs: float = math.nan

    @property
    def middle_secs(self) -> float:
        """Half way."""
        return (self.start_secs + self.end_secs) / 2


@dataclass(frozen=True)
class RoverConfig:
    """How systems vote.

    Attributes
    ----------
    method : {'frequency', 'average', 'maximum'}
        ``frequency``: a word's score is the share N of the systems that have it; else ``alpha N + (1 - alpha) C``,
        where C is the average, or the maximum, of their confidences in it.
    alpha : float
        Weight of the number of votes against the confidences.
    null_confidence : float
        Confidence of a system that has no word in a column.
    weights : tuple of float
        What the vote of each system counts, in their order, 0 or more; none: all the same. A system of weight 0 is as
        if it were not there.
    """

    method: Literal["frequency", "average", "maximum"] = "average"
    alpha: float = 0.5
    null_confidence: float = 0.7
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("alpha", "null_confidence"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 0 to 1")
        check_weights(self.weights)

    def shares(self, num_systems: int) -> tuple[float, ...]:
        """Return the weights of so many systems, which sum to 1; weights for another number are a ConfigError."""
        return shares_of(self.weights, num_systems)


@dataclass(frozen=True)
class Column:
    """One place of a word transition network.

    Attributes
    ----------
    entries : tuple of SaidWord or None
        What each system has here; None: no word.
    """

    entries: tuple[SaidWord | None, ...]

    @property
    def middle_secs(self) -> float:
        """Mean middle of the words; NaN where none is known."""
        known = [entry.middle_secs for entry in self.entries if entry is not None and entry.middle_secs >= 0]
        return sum(known) / len(known) if known else math.nan

    def vote(self, config: RoverConfig, shares: Sequence[float]) -> SaidWord | None:
        """Return the word of the highest score, None if that is none; among equals that of the first system.

        Its confidence is the mean of all systems' confidences in it, 0 for those that have it not; of times the mean.
        """
        held: dict[str | None, list[int]] = {}
        for system, entry in enumerate(self.entries):
            held.setdefault(None if entry is None else entry.word, []).append(system)
        best = max(held, key=lambda word: self._score(held[word], config, shares))  # the first of equals
        if best is None:
            return None
        having = [(shares[system], entry) for system in held[best] if (entry := self.entries[system]) is not None]
        votes = sum(share for share, _ in having)
        return SaidWord(
            best,
            sum(share * entry.confidence for share, entry in having),
            sum(share * entry.start_secs for share, entry in having) / votes,
            sum(share * entry.end_secs for share, entry in having) / votes,
        )

    def _score(self, systems: Sequence[int], config: RoverConfig, shares: Sequence[float]) -> float:
        votes = sum(shares[system] for system in systems)
        if config.method == "frequency":
            return round(votes, 12)
        entries = [self.entries[system] for system in systems]
        confidences = [config.null_confidence if entry is None else entry.confidence for entry in entries]
        if config.method == "maximum":
            sure = max(confidences)
        else:
            sure = sum(shares[system] * one for system, one in zip(systems, confidences)) / votes
        return round(config.alpha * votes + (1 - config.alpha) * sure, 12)


def word_transition_network(hypotheses: Sequence[Sequence[SaidWord]], shares: Sequence[float]) -> list[Column]:
    """Align the hypotheses of several systems, in their order, each with all before it.

    Each is aligned so that it disagrees least: a word in a column costs the shares of the systems that have another
    word there or none, a column passed over those of the systems that have a word there. Of equals, times decide.

    Parameters
    ----------
    hypotheses : sequence of sequence of SaidWord
        Of each system; the better should come first.
    shares : sequence of float
        Of each system, above 0.

    Returns
    -------
    list of Column
        Reading what a system has in them gives its hypothesis.
    """
    # Numba comes with it.
    from asrkit.lattice.rover_kernels import INSERT, SKIP, align_with_network

    codes: dict[str, int] = {}
    rows: list[list[SaidWord | None]] = []
    for number, words in enumerate(hypotheses):
        own = [codes.setdefault(word.word, len(codes) + 1) for word in words]
        columns = [Column(tuple(row)) for row in rows]
        steps = align_with_network(
            _entries(columns, codes, number),
            np.array(shares[:number], dtype=np.float64),
            np.array([column.middle_secs for column in columns], dtype=np.float64),
            np.array(own, dtype=np.int32),
            np.array([word.middle_secs for word in words], dtype=np.float64),
        )
        before, coming = iter(rows), iter(words)
        rows = []
        for step in steps.tolist():
            row = [None] * number if step == INSERT else next(before)
            rows.append([*row, None if step == SKIP else next(coming)])
    return [Column(tuple(row)) for row in rows]


def _entries(columns: Sequence[Column], codes: dict[str, int], num_systems: int) -> NDArray[np.int32]:
    entries = np.zeros((num_systems, len(columns)), dtype=np.int32)
    for at, column in enumerate(columns):
        entries[:, at] = [0 if entry is None else codes[entry.word] for entry in column.entries]
    return entries


def rover(hypotheses: Sequence[Sequence[SaidWord]], config: RoverConfig) -> list[SaidWord]:
    """Return the words that several systems vote for.

    Parameters
    ----------
    hypotheses : sequence of sequence of SaidWord
        Of each system, the best first.

    Raises
    ------
    ConfigError
        There are weights for another number of systems.
    DataError
        A word has no confidence, and the method needs it.
    """
    shares = config.shares(len(hypotheses))
    kept = [(words, share) for words, share in zip(hypotheses, shares) if share]
    if config.method != "frequency":
        for words, _ in kept:
            unsure = next((word for word in words if math.isnan(word.confidence)), None)
            if unsure is not None:
                raise DataError(
                    f"the word {unsure.word!r} has no confidence, which the method {config.method!r} needs",
                    remedy="decode with lattices, or --set method=frequency",
                )
    shares = tuple(share for _, share in kept)
    columns = word_transition_network([words for words, _ in kept], shares)
    said = [word for column in columns if (word := column.vote(config, shares)) is not None]
    starts, ends = [word.start_secs for word in said], [word.end_secs for word in said]
    if not any(map(math.isnan, (*starts, *ends))):
        put_in_order(starts, ends)
    return [SaidWord(word.word, word.confidence, start, end) for word, start, end in zip(said, starts, ends)]
