"""MIDI files, read as piano rolls and written from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asrkit.core.errors import ConfigError, DataError, FormatError
from asrkit.core.files import whole_file
from asrkit.music.piano_roll import LOWEST_PITCH, PianoRoll, roll_of_notes

PERCUSSION = 9
"""Channel, counted from 0, whose notes are drums and have no pitch (General MIDI)."""

DEFAULT_TEMPO = 500_000
"""Microseconds of a beat where a file states none (Standard MIDI Files 1.0)."""

MAX_BYTES = 1 << 26
MAX_STEPS = 1_000_000
TICKS_PER_BEAT = 480


@dataclass(frozen=True)
class MidiConfig:
    """How time is divided.

    Attributes
    ----------
    steps_per_beat : int
        Steps of a quarter note: 2 are the eighths of Boulanger-Lewandowski 2012, 1 the quarters of its JSB Chorales.
    """

    steps_per_beat: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.steps_per_beat <= TICKS_PER_BEAT:
            raise ConfigError(f"steps_per_beat is {self.steps_per_beat}, expected 1 to {TICKS_PER_BEAT}")


def read_midi(path: Path, config: MidiConfig | None = None) -> PianoRoll:
    """Read a MIDI file as a piano roll of 88 keys, all its channels but the drums' together.

    Beginnings and ends of notes are rounded to the nearest step, and no note is shorter than a step. Steps are parts of
    a beat, whatever the tempo; ``step_secs`` is that of the first tempo.

    Raises
    ------
    FormatError
        The file is absent, no MIDI file or damaged, or counts time in seconds and not in beats.
    DataError
        It has no notes, notes that no piano has, or more than a million steps.
    """
    config = config or MidiConfig()
    midi = _open(path)
    if midi.ticks_per_beat <= 0 or midi.ticks_per_beat >= 1 << 15:
        raise FormatError("time is counted in seconds (SMPTE), expected beats", where=path)
    ticks = midi.ticks_per_beat / config.steps_per_beat
    notes, tempo = _notes(midi)
    if not notes:
        raise DataError("no notes but a drum's, if any", where=path)
    rounded = []
    for start, end, pitch in notes:
        first = _nearest(start / ticks)
        rounded.append((first, max(first + 1, _nearest(end / ticks)), pitch))
    num_steps = max(end for _, end, _ in rounded)
    if num_steps > MAX_STEPS:
        raise DataError(f"{num_steps} steps, expected {MAX_STEPS} at most", where=path)
    try:
        matrix = roll_of_notes(rounded, num_steps)
    except DataError as error:
        raise DataError(error.message, where=path, remedy="transpose the piece") from None
    return PianoRoll(matrix, LOWEST_PITCH, tempo / 1e6 / config.steps_per_beat)


def write_midi(path: Path, roll: PianoRoll, config: MidiConfig | None = None) -> None:
    """Write a piano roll as a MIDI file of one track; a key that sounds in neighbouring steps is held.

    Rests at the end of the roll are not in the file's notes, but in the time of its end.
    """
    from mido import Message, MetaMessage, MidiFile, MidiTrack

    config = config or MidiConfig()
    events = []
    for start, end, pitch in roll.held():
        events += [(start, 1, pitch), (end, 0, pitch)]
    midi = MidiFile(type=0, ticks_per_beat=TICKS_PER_BEAT - TICKS_PER_BEAT % config.steps_per_beat)
    ticks = midi.ticks_per_beat // config.steps_per_beat
    tempo = round(roll.step_secs * config.steps_per_beat * 1e6)
    if not 0 < tempo < 1 << 24:
        raise DataError(f"a beat of {tempo / 1e6:g} s, expected less than 16.8 s", where=path)
    track = MidiTrack([MetaMessage("set_tempo", tempo=tempo, time=0)])
    now = 0
    # At one time ends go before beginnings.
    for step, on, pitch in sorted(events):
        kind = "note_on" if on else "note_off"
        track.append(Message(kind, note=pitch, velocity=80 if on else 0, time=(step - now) * ticks))
        now = step
    track.append(MetaMessage("end_of_track", time=(roll.num_steps - now) * ticks))
    midi.tracks.append(track)
    with whole_file(path) as part:
        midi.save(str(part))


def _open(path: Path) -> Any:
    from mido import MidiFile

    if not path.is_file():
        raise FormatError("no such file", where=path)
    if path.stat().st_size > MAX_BYTES:
        raise FormatError(f"{path.stat().st_size} bytes, expected a MIDI file of {MAX_BYTES} at most", where=path)
    try:
        return MidiFile(str(path), clip=True)
    except (OSError, EOFError, ValueError, TypeError, LookupError) as error:
        reason = str(error) or ("it ends too early" if isinstance(error, EOFError) else type(error).__name__)
        raise FormatError(f"not a readable MIDI file: {reason}", where=path) from None
    except Exception as error:
        # mido has an exception of its own for damaged key signatures, derived from Exception.
        if type(error).__module__.split(".")[0] != "mido":
            raise
        raise FormatError(f"not a readable MIDI file: {error}", where=path) from None


def _notes(midi: Any) -> tuple[list[tuple[int, int, int]], int]:
    """Return the notes (tick of the beginning, of the end, pitch) and the first tempo.

    A note that is never ended lasts to the end of its track, and one that is struck again ends there.
    """
    notes: list[tuple[int, int, int]] = []
    tempo: int | None = None
    for track in midi.tracks:
        now = 0
        sounding: dict[tuple[int, int], int] = {}
        for message in track:
            now += message.time
            if message.type == "set_tempo" and tempo is None:
                tempo = message.tempo
            if message.type not in ("note_on", "note_off") or message.channel == PERCUSSION:
                continue
            key = (message.channel, message.note)
            if key in sounding:
                notes.append((sounding.pop(key), now, message.note))
            if message.type == "note_on" and message.velocity:
                sounding[key] = now
        notes += [(start, now, pitch) for (_, pitch), start in sounding.items()]
    return notes, tempo or DEFAULT_TEMPO


def _nearest(step: float) -> int:
    """Round halves up: Python would put them on even steps."""
    return int(step + 0.5)
