"""Piano rolls: which keys sound in each step of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import DataError

NUM_KEYS = 88
LOWEST_PITCH = 21
"""MIDI number of a piano's lowest key, A0; its highest is 108, C8."""


@dataclass(frozen=True, eq=False)
class PianoRoll:
    """Which of K neighbouring keys sound in each of T steps.

    Attributes
    ----------
    notes : (T, K) uint8
        1 where a key sounds, else 0. A key that is struck again at once looks like one that is held.
    lowest_pitch : int
        MIDI number of the first column; each column is a semitone above the one before it.
    step_secs : float
        Length of a step.

    Raises
    ------
    DataError
        ``notes`` is no matrix of zeros and ones, or has keys beyond MIDI's 0 to 127.
    """

    notes: NDArray[np.uint8]
    lowest_pitch: int = LOWEST_PITCH
    step_secs: float = 0.25

    def __post_init__(self) -> None:
        if self.notes.ndim != 2 or not self.notes.shape[1]:
            raise DataError(f"a piano roll of the shape {self.notes.shape}, expected (steps, keys)")
        if self.notes.dtype != np.uint8 or (self.notes > 1).any():
            raise DataError("a piano roll of other values than 0 and 1 in uint8")
        highest = self.lowest_pitch + self.num_keys - 1
        if self.lowest_pitch < 0 or highest > 127:
            raise DataError(f"keys from {self.lowest_pitch} to {highest}, expected MIDI's, from 0 to 127")
        if not 0 < self.step_secs < float("inf"):
            raise DataError(f"a step of {self.step_secs:g} s, expected a positive length")

    @property
    def num_steps(self) -> int:
        """T."""
        return len(self.notes)

    @property
    def num_keys(self) -> int:
        """K."""
        return int(self.notes.shape[1])

    def held(self) -> list[tuple[int, int, int]]:
        """Return the notes as (first step, step after the last, pitch), in order of time, then pitch."""
        padded = np.zeros((self.num_steps + 2, self.num_keys), np.int8)
        padded[1:-1] = self.notes
        change = np.diff(padded, axis=0)
        # Column by column a key's beginnings and ends alternate.
        columns, starts = np.nonzero(change.T == 1)
        _, ends = np.nonzero(change.T == -1)
        pitches = columns + self.lowest_pitch
        order = np.lexsort((pitches, starts))
        return [(int(starts[i]), int(ends[i]), int(pitches[i])) for i in order]


def roll_of_notes(
    notes: list[tuple[int, int, int]], num_steps: int, lowest_pitch: int = LOWEST_PITCH, num_keys: int = NUM_KEYS
) -> NDArray[np.uint8]:
    """Return the matrix (num_steps, num_keys) of notes (first step, step after the last, pitch).

    Raises
    ------
    DataError
        A pitch is outside the keys.
    """
    matrix = np.zeros((num_steps, num_keys), np.uint8)
    for start, end, pitch in notes:
        if not lowest_pitch <= pitch < lowest_pitch + num_keys:
            raise DataError(
                f"a note of the pitch {pitch} at step {start}, expected {lowest_pitch} to {lowest_pitch + num_keys - 1}"
            )
        matrix[start:end, pitch - lowest_pitch] = 1
    return matrix


def transpose(notes: NDArray[np.uint8], stream: np.random.Generator, most: int) -> NDArray[np.uint8]:
    """Return a piano roll in a key drawn at random: all notes higher or lower by the same number of semitones.

    Parameters
    ----------
    notes : (T, K) uint8
    stream : Generator
        Of the number, which all have an equal chance to be but those by which a note would leave the keys.
    most : int
        Semitones up or down.
    """
    keys = np.flatnonzero(notes.any(axis=0))
    if not len(keys):
        return notes
    shift = int(stream.integers(max(-most, -keys[0]), min(most, notes.shape[1] - 1 - keys[-1]) + 1))
    # Nothing sounds at the end that comes round.
    return np.roll(notes, shift, axis=1)
