"""Piano rolls, their notes, and the accuracy of predictions, against definitions spelled out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from asrkit.core.errors import DataError
from asrkit.music.accuracy import BOUNDS, BoundedCounts, NoteCounts, count_notes
from asrkit.music.piano_roll import PianoRoll, roll_of_notes, transpose

rolls = arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 6)), elements=st.integers(0, 1))


def test_held_notes_by_hand() -> None:
    notes = np.array([[1, 0, 0], [1, 0, 1], [0, 0, 1], [1, 0, 0]], np.uint8)
    assert PianoRoll(notes, 60).held() == [(0, 2, 60), (1, 3, 62), (3, 4, 60)]


@given(rolls)
def test_a_roll_is_made_of_its_held_notes(notes: np.ndarray) -> None:
    held = PianoRoll(notes, 40).held()
    assert sum(end - start for start, end, _ in held) == notes.sum()
    np.testing.assert_array_equal(roll_of_notes(held, len(notes), 40, notes.shape[1]), notes)


@pytest.mark.parametrize(
    "notes",
    [np.zeros(3, np.uint8), np.zeros((3, 0), np.uint8), np.full((2, 2), 2, np.uint8), np.zeros((2, 2)),
     np.zeros((2, 120), np.uint8)],
)  # fmt: skip
def test_what_is_no_roll_is_refused(notes: np.ndarray) -> None:
    with pytest.raises(DataError):
        PianoRoll(notes, 21)


def test_a_pitch_outside_the_keys_is_named() -> None:
    with pytest.raises(DataError, match="pitch 109 at step 3"):
        roll_of_notes([(3, 4, 109)], 5)


@given(rolls, st.integers(0, 10**6))
def test_expected_counts_are_those_of_drawn_predictions(notes: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = (rng.random(notes.shape) < 0.5).astype(np.float64)
    counts = count_notes(notes, drawn)
    pairs = list(zip(notes.ravel(), drawn.ravel()))
    assert counts == NoteCounts(pairs.count((1, 1)), pairs.count((0, 1)), pairs.count((1, 0)))


def test_accuracy_is_of_sums_not_a_mean_of_steps() -> None:
    notes = np.array([[1, 1, 1], [1, 0, 0]], np.uint8)
    foretold = np.array([[1, 1, 1], [0, 0, 1]], np.float64)
    halves = count_notes(notes[:1], foretold[:1]) + count_notes(notes[1:], foretold[1:])
    assert halves == count_notes(notes, foretold)
    assert halves.accuracy == 3 / 5
    assert NoteCounts().accuracy == 1.0


@given(st.integers(0, 10**6), st.floats(0.1, 3), st.floats(0.1, 3))
def test_of_true_probabilities_no_bound_is_better_than_the_best(seed: int, rare: float, common: float) -> None:
    probabilities = np.random.default_rng(seed).beta(rare, common, size=(50, 88))
    counts = BoundedCounts()
    # The expected counts of notes that are drawn by these probabilities.
    counts.add(probabilities, probabilities)
    best = max(count_notes(probabilities, probabilities >= bound).accuracy for bound in BOUNDS)
    assert best - count_notes(probabilities, probabilities >= counts.best).accuracy < 0.004


def test_a_bound_is_chosen_from_all_that_was_counted() -> None:
    counts = BoundedCounts()
    counts.add(np.ones((1, 1), np.uint8), np.full((1, 1), 0.9))
    assert counts.best == 0.5
    # Right once in three: no better than a third, and a quarter is the bound of that.
    counts.add(np.repeat(np.eye(3, dtype=np.uint8), 50, axis=0), np.full((150, 3), 1 / 3))
    assert counts.best == 0.25


@given(rolls, st.integers(0, 4), st.integers(0, 10**6))
def test_another_key_has_the_same_intervals(notes: np.ndarray, most: int, seed: int) -> None:
    other = transpose(notes, np.random.default_rng(seed), most)
    assert other.shape == notes.shape
    assert other.dtype == np.uint8
    before, after = PianoRoll(notes, 40).held(), PianoRoll(other, 40).held()
    shifts = {(a[0] - b[0], a[1] - b[1], a[2] - b[2]) for a, b in zip(after, before, strict=True)}
    assert len(shifts) <= 1
    for first, last, semitones in shifts:
        assert (first, last) == (0, 0)
        assert abs(semitones) <= most


def test_every_key_that_keeps_all_notes_is_drawn() -> None:
    notes = roll_of_notes([(0, 2, 41), (1, 3, 44)], 3, 40, 7)
    stream = np.random.default_rng(0)
    lowest = {int(np.flatnonzero(transpose(notes, stream, 5).any(axis=0))[0]) for _ in range(100)}
    assert lowest == {0, 1, 2, 3}
