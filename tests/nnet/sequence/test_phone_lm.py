"""The phone n-gram against counting by hand, its graph, and what it has in common with another graph."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import ConfigError, DataError
from asrkit.graph.training import END, PhoneGraph
from asrkit.nnet.sequence.config import PhoneLmConfig
from asrkit.nnet.sequence.phone_lm import estimate_phone_lm, linear_graph

SEQUENCES = st.lists(st.lists(st.integers(1, 4), max_size=8), min_size=1, max_size=12)


def graph_sequences(graph: PhoneGraph, longest: int) -> Iterator[tuple[tuple[int, ...], float]]:
    """Every sequence of phones of a graph, as often as it has paths for it, with its log weight."""
    todo: list[tuple[tuple[int, ...], list[tuple[int, float]], float]] = [((), graph.first, 0.0)]
    while todo:
        phones, arcs, weight = todo.pop()
        for target, more in arcs:
            if target == END:
                yield phones, weight + more
            elif len(phones) < longest:
                todo.append(((*phones, graph.phones[target]), graph.next[target], weight + more))


def by_hand(sequences: Sequence[Sequence[int]], order: int, least: int, phones: Sequence[int]) -> float:
    """The probability of a sequence: at each place count what followed all that is remembered."""
    padded = [(0, *one, 0) for one in sequences]

    def seen(part: tuple[int, ...]) -> int:
        places = range(1, max(map(len, padded)))
        return sum(one[at - len(part) : at] == part for one in padded for at in places if len(part) <= at < len(one))

    total = 0.0
    said = (0, *phones, 0)
    for at in range(1, len(said)):
        parts = [said[at - size : at] for size in range(min(order - 1, at), 0, -1)]
        history = next((part for part in parts if len(part) == 1 or seen(part) >= least), ())
        both, alone = seen((*history, said[at])) if said[at] else ended(padded, history), seen(history)
        if not both:
            return -math.inf
        total += math.log(both / alone)
    return total


def ended(padded: list[tuple[int, ...]], history: tuple[int, ...]) -> int:
    return sum(
        len(history) < len(one) and one[: len(one) - 1][len(one) - 1 - len(history) :] == history for one in padded
    )


@settings(max_examples=80, deadline=None)
@given(SEQUENCES, st.integers(1, 4), st.integers(1, 4), st.lists(st.integers(1, 4), max_size=6))
def test_probabilities_are_relative_frequencies(
    sequences: list[list[int]], order: int, least: int, other: list[int]
) -> None:
    lm = estimate_phone_lm(sequences, PhoneLmConfig(order, least))
    for phones in [*sequences, other]:
        assert lm.logprob(phones) == pytest.approx(by_hand(sequences, order, least, phones), abs=1e-9)
    assert all(lm.logprob(phones) > -math.inf for phones in sequences)
    for arcs, final in zip(lm.arcs, lm.finals, strict=True):
        assert sum(math.exp(weight) for weight, _ in arcs.values()) + math.exp(final) == pytest.approx(1.0)
    assert max(map(len, lm.histories)) <= order - 1


@settings(max_examples=40, deadline=None)
@given(SEQUENCES, st.integers(1, 4), st.integers(1, 4))
def test_the_graph_has_each_sequence_once_with_its_probability(
    sequences: list[list[int]], order: int, least: int
) -> None:
    lm = estimate_phone_lm(sequences, PhoneLmConfig(order, least))
    found = list(graph_sequences(lm.phone_graph(), 5))
    assert max(Counter(phones for phones, _ in found).values(), default=1) == 1
    expected = {
        phones: lm.logprob(phones)
        for size in range(6)
        for phones in itertools.product(range(1, 5), repeat=size)
        if lm.logprob(phones) > -math.inf
    }
    assert dict(found) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(SEQUENCES, st.lists(st.lists(st.integers(1, 4), max_size=5), min_size=1, max_size=6), st.integers(1, 3))
def test_what_a_graph_may_say_gets_the_weights_of_the_model(
    sequences: list[list[int]], said: list[list[int]], order: int
) -> None:
    lm = estimate_phone_lm(sequences, PhoneLmConfig(order, 2))
    allowed = PhoneGraph()
    for phones in [*said, sequences[0], sequences[0]]:
        graph = linear_graph(phones)
        shift = len(allowed.phones)
        allowed.phones += graph.phones
        allowed.next += [[(t if t == END else t + shift, 7.0) for t, _ in arcs] for arcs in graph.next]
        allowed.first += [(t if t == END else t + shift, 7.0) for t, _ in graph.first]
    found = list(graph_sequences(lm.restricted(allowed), 9))
    expected = {tuple(phones): lm.logprob(phones) for phones in [*said, sequences[0]] if lm.logprob(phones) > -math.inf}
    assert len(found) == len(expected)
    assert dict(found) == pytest.approx(expected, abs=1e-9)


def test_fewer_histories_are_remembered_where_more_must_have_been_seen() -> None:
    sequences = [[1, 2, 3, 4], [1, 2, 4], [2, 2, 3], [4, 3, 2, 1]]
    sizes = [estimate_phone_lm(sequences, PhoneLmConfig(3, least)).num_states for least in (1, 2, 9)]
    assert sizes[0] > sizes[1] > sizes[2] == 5
    assert estimate_phone_lm(sequences, PhoneLmConfig(1)).num_states == 1
    assert estimate_phone_lm(sequences, PhoneLmConfig(2)).num_arcs == 4 + 4 + 2 + 1 + 1 - 1


def test_nothing_to_count_and_bad_sizes_are_refused() -> None:
    with pytest.raises(DataError, match="no phone sequences"):
        estimate_phone_lm([], PhoneLmConfig())
    for wrong in ({"order": 0}, {"min_history_count": 0}):
        with pytest.raises(ConfigError):
            PhoneLmConfig(**wrong)
