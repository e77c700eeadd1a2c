"""Where words of least risk are placed: by hand, and for any paths in order and apart."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from asrkit.decode.times import Span
from asrkit.decode.word_places import place_words

A, B, C = 1, 2, 3


def path(words: tuple[int, ...], *spans: Span) -> tuple[tuple[int, ...], list[Span], list[Span]]:
    """A path whose words' arcs lie where the words are."""
    return words, list(spans), list(spans)


def test_each_word_is_where_the_first_path_with_it_has_it() -> None:
    expected = [(0.0, 42.3), (42.3, 60.0), (60.0, 99.0)]
    best = path((A, C, C), (10, 30), (45, 58), (62, 80))
    second = path((A, B), (12, 30), (44, 58))
    assert place_words((A, B, C), expected, [best, second]) == ([(10, 30), (44, 58), (62, 80)], True)


def test_a_word_elsewhere_is_another_word() -> None:
    expected = [(0.0, 20.0), (20.0, 40.0)]
    # The second path's B is where A is; the third's A would lie where A is placed already, and its B within that.
    paths = [
        path((A, C), (2, 22), (25, 40)),
        path((B, A), (2, 20), (22, 38)),
        path((A, B, C), (2, 10), (15, 35), (35, 40)),
    ]
    assert place_words((A, B), expected, paths) == ([(2, 22), (22, 40)], False)
    repeated = [path((A, A), (0, 9), (21, 33))]
    assert place_words((A, A), expected, repeated) == ([(0, 9), (21, 33)], True)
    assert place_words((A,), [(18.0, 40.0)], repeated) == ([(21, 33)], True)


def test_arcs_tell_the_place_and_phones_the_time() -> None:
    """A determinised lattice holds a word on an arc that need not be where the word is."""
    shifted = ((A, B), [(20, 40), (40, 60)], [(3, 18), (25, 38)])
    assert place_words((A, B), [(20.0, 41.0), (41.0, 60.0)], [shifted]) == ([(3, 18), (25, 38)], True)


def test_a_path_of_just_these_words_gives_all_spans() -> None:
    """Wherever its arcs are."""
    first = path((A, C), (0, 10), (12, 30))
    whole = ((A, B), [(60, 70), (70, 80)], [(1, 9), (11, 29)])
    assert place_words((A, B), [(0.0, 10.0), (10.0, 30.0)], [first, whole]) == ([(1, 9), (11, 29)], True)


def test_no_path_is_asked_for_that_is_not_needed() -> None:
    def paths() -> Iterator[tuple[tuple[int, ...], list[Span], list[Span]]]:
        yield path((A,), (3, 8))
        raise AssertionError("asked for another path")

    assert place_words((A,), [(0.0, 10.0)], paths()) == ([(3, 8)], True)
    assert place_words((), [], paths()) == ([], True)


SPANS = st.lists(st.integers(0, 60), min_size=6, max_size=6).map(sorted).map(lambda b: list(zip(b[::2], b[1::2])))
WORDS = st.lists(st.integers(1, 3), min_size=3, max_size=3).map(tuple)


@given(WORDS, SPANS, st.lists(st.tuples(WORDS, SPANS, SPANS), max_size=4))
def test_spans_are_in_order_and_apart(
    words: tuple[int, ...], expected: list[Span], paths: list[tuple[tuple[int, ...], list[Span], list[Span]]]
) -> None:
    spans, all_placed = place_words(words, expected, paths)
    bounds = [bound for span in spans for bound in span]
    assert bounds == sorted(bounds)
    offered = {(word, span) for said, _, where in paths for word, span in zip(said, where)}
    found = [pair in offered for pair in zip(words, spans)]
    assert all(found) or not all_placed
