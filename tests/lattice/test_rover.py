"""ROVER against every alignment and every vote counted out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import ConfigError, DataError
from asrkit.lattice.rover import Column, RoverConfig, SaidWord, rover, word_transition_network

Row = tuple[str | None, ...]
HYPOTHESES = st.lists(st.text("abc", max_size=4), min_size=1, max_size=4)


def said(words: str, confidence: float = 0.9, secs: float = 1.0, start: float = 0.0) -> list[SaidWord]:
    """One word a letter, each of ``secs``."""
    return [SaidWord(word, confidence, start + at * secs, start + (at + 1) * secs) for at, word in enumerate(words)]


def text(words: Sequence[SaidWord]) -> str:
    return "".join(word.word for word in words)


def names(columns: Sequence[Column]) -> list[Row]:
    return [tuple(None if entry is None else entry.word for entry in column.entries) for column in columns]


def all_alignments(network: list[Row], words: str, num: int) -> Iterator[list[Row]]:
    """Every way to put one more hypothesis into a network."""
    if not network and not words:
        yield []
    if network:
        for rest in all_alignments(network[1:], words, num):
            yield [(*network[0], None), *rest]
    if words:
        for rest in all_alignments(network, words[1:], num):
            yield [(*(None,) * num, words[0]), *rest]
    if network and words:
        for rest in all_alignments(network[1:], words[1:], num):
            yield [(*network[0], words[0]), *rest]


def cost(network: Sequence[Row], shares: Sequence[float]) -> float:
    """What the last system disagrees with, of the shares of those before it."""
    return sum(share for row in network for entry, share in zip(row[:-1], shares) if entry != row[-1])


@settings(max_examples=80, deadline=None)
@given(HYPOTHESES, st.integers(0, 1000))
def test_each_hypothesis_disagrees_least_with_those_before(hypotheses: list[str], seed: int) -> None:
    shares = np.random.default_rng(seed).dirichlet(np.ones(len(hypotheses))).tolist()
    network = names(word_transition_network([said(words) for words in hypotheses], shares))
    for system, words in enumerate(hypotheses):
        assert "".join(row[system] or "" for row in network) == words
        assert all(any(row) for row in network)
    before: list[Row] = []
    for system, words in enumerate(hypotheses):
        now = [row[: system + 1] for row in network if any(row[: system + 1])]
        assert [row[:-1] for row in now if any(row[:-1])] == before
        least = min(cost(other, shares) for other in all_alignments(before, words, system))
        assert cost(now, shares) == pytest.approx(least, abs=1e-9)
        before = now


def scores(column: Row, confidences: Sequence[float], config: RoverConfig) -> dict[str | None, float]:
    """The score of each candidate of a column, by Fiscus's formula."""
    found: dict[str | None, float] = {}
    for word in dict.fromkeys(column):
        sure = [config.null_confidence if word is None else c for c, w in zip(confidences, column) if w == word]
        share = len(sure) / len(column)
        kind = {"average": sum(sure) / len(sure), "maximum": max(sure), "frequency": share}[config.method]
        found[word] = config.alpha * share + (1 - config.alpha) * kind
    return found


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from(["a", "b", None]), min_size=1, max_size=5).filter(any),
    st.integers(0, 1000),
    st.sampled_from(["frequency", "average", "maximum"]),
    st.sampled_from([0.0, 0.3, 1.0]),
)
def test_a_column_has_the_word_of_the_highest_score(
    entries: list[str | None], seed: int, method: str, alpha: float
) -> None:
    config = RoverConfig(method, alpha, null_confidence=0.6)  # type: ignore[arg-type]
    confidences = np.random.default_rng(seed).uniform(0, 1, len(entries)).round(2).tolist()
    column = Column(
        tuple(None if word is None else SaidWord(word, sure, 0, 1) for word, sure in zip(entries, confidences))
    )
    winner = column.vote(config, config.shares(len(entries)))
    expected = scores(tuple(entries), confidences, config)
    found = None if winner is None else winner.word
    assert expected[found] == pytest.approx(max(expected.values()), abs=1e-9)
    # Of equals the first system's.
    assert found == next(word for word in expected if expected[word] > max(expected.values()) - 1e-9)
    if winner is not None:
        sure = sum(one for one, word in zip(confidences, entries) if word == found)
        assert winner.confidence == pytest.approx(sure / len(entries))


def test_the_majority_wins_wherever_it_is() -> None:
    config = RoverConfig("frequency")
    assert text(rover([said("abcd"), said("abxd"), said("ybcd")], config)) == "abcd"
    assert text(rover([said("abd"), said("abcd"), said("bcd")], config)) == "abcd"
    assert text(rover([said("abcd"), said("abd"), said("bd")], config)) == "abd"
    assert text(rover([said(""), said("a"), said("")], config)) == ""


def test_confidence_may_outvote_a_majority() -> None:
    hypotheses = [said("a", 0.2), said("a", 0.2), said("b", 0.95)]
    assert text(rover(hypotheses, RoverConfig("average", 1.0))) == "a"
    assert text(rover(hypotheses, RoverConfig("average", 0.2))) == "b"
    mixed = [said("a", 0.9), said("a", 0.1), said("b", 0.8)]
    assert text(rover(mixed, RoverConfig("average", 0.0))) == "b"
    assert text(rover(mixed, RoverConfig("maximum", 0.0))) == "a"
    lone = [said("", 0.9), said("a", 0.5)]
    assert text(rover(lone, RoverConfig("average", 0.0, null_confidence=0.6))) == ""
    assert text(rover(lone, RoverConfig("average", 0.0, null_confidence=0.4))) == "a"


@settings(max_examples=40, deadline=None)
@given(st.text("abc", max_size=6), st.integers(1, 4), st.sampled_from(["frequency", "average", "maximum"]))
def test_a_system_with_itself_is_that_system(words: str, num: int, method: str) -> None:
    config = RoverConfig(method, alpha=0.3)  # type: ignore[arg-type]
    hypothesis = said(words, 0.4)
    found = rover([hypothesis] * num, config)
    assert text(found) == words
    for one, other in zip(found, hypothesis, strict=True):
        assert (one.confidence, one.start_secs, one.end_secs) == pytest.approx(
            (other.confidence, other.start_secs, other.end_secs)
        )


def test_a_system_of_no_weight_is_not_there() -> None:
    hypotheses = [said("abc", 0.1), said("xyz", 1.0), said("xbz", 1.0)]
    for method in ("frequency", "average", "maximum"):
        config = RoverConfig(method, weights=(1.0, 0.0, 0.0))  # type: ignore[arg-type]
        assert rover(hypotheses, config) == hypotheses[0]
    assert text(rover(hypotheses, RoverConfig("frequency", weights=(5.0, 1.0, 1.0)))) == "abc"
    assert text(rover(hypotheses, RoverConfig("frequency"))) == "xbz"


def test_times_decide_between_alignments_that_cost_the_same() -> None:
    first = [SaidWord("a", 1.0, 0, 1), SaidWord("b", 1.0, 4, 5)]
    for start, expected in ((0.0, [("a", "c"), ("b", None)]), (4.0, [("a", None), ("b", "c")])):
        network = word_transition_network([first, said("c", start=start)], (0.5, 0.5))
        assert names(network) == expected


def test_times_are_means_in_order() -> None:
    found = rover([said("ab"), said("ab", start=0.5)], RoverConfig())
    assert [(word.start_secs, word.end_secs) for word in found] == [(0.25, 1.25), (1.25, 2.25)]
    # Each word of another system: they would overlap.
    late, early = [SaidWord("a", 0.9, 0, 3)], [SaidWord("b", 0.9, 1, 2)]
    config = RoverConfig("average", 0.0, null_confidence=0.5)
    network = word_transition_network([late, early], (0.5, 0.5))
    assert names(network) == [("a", "b")]
    both = [SaidWord("a", 0.9, 0, 2), SaidWord("b", 0.9, 2, 3)]
    other = [SaidWord("a", 0.9, 0, 2), SaidWord("b", 0.9, 1, 2)]
    flat = [secs for word in rover([both, other], config) for secs in (word.start_secs, word.end_secs)]
    assert flat == sorted(flat)


def test_hypotheses_without_confidences_vote_by_number() -> None:
    plain = [[SaidWord(word) for word in words] for words in ("abc", "abd", "xbd")]
    found = rover(plain, RoverConfig("frequency"))
    assert text(found) == "abd"
    assert all(math.isnan(word.confidence) and math.isnan(word.start_secs) for word in found)
    with pytest.raises(DataError, match="'a' has no confidence"):
        rover(plain, RoverConfig("average"))
    with pytest.raises(ConfigError, match="2 weights for 3 systems"):
        rover(plain, RoverConfig("frequency", weights=(1.0, 2.0)))
    with pytest.raises(ConfigError, match="alpha is 2"):
        RoverConfig(alpha=2)
    with pytest.raises(ConfigError, match="the weights of the systems are 0"):
        RoverConfig(weights=(0.0,))
