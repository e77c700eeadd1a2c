"""MIDI files: written and read again, and read from messages laid out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from asrkit.core.errors import DataError, FormatError
from asrkit.music.midi import MidiConfig, read_midi, write_midi
from asrkit.music.piano_roll import PianoRoll

mido = pytest.importorskip("mido")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(
    arrays(np.uint8, st.tuples(st.integers(1, 9), st.just(88)), elements=st.integers(0, 1), fill=st.just(0)),
    st.sampled_from([1, 2, 4, 7]),
)
def test_what_is_written_is_read(tmp_path: Path, notes: np.ndarray, steps_per_beat: int) -> None:
    notes[-1, 5] = 1
    config = MidiConfig(steps_per_beat)
    write_midi(tmp_path / "a.mid", PianoRoll(notes, step_secs=0.3), config)
    read = read_midi(tmp_path / "a.mid", config)
    np.testing.assert_array_equal(read.notes, notes)
    assert read.step_secs == pytest.approx(0.3, abs=1e-6)


def save(path: Path, *tracks: list, ticks: int = 100) -> Path:
    midi = mido.MidiFile(type=1, ticks_per_beat=ticks)
    for messages in tracks:
        midi.tracks.append(mido.MidiTrack(messages))
    midi.save(str(path))
    return path


def test_times_are_rounded_and_no_note_vanishes(tmp_path: Path) -> None:
    note = mido.Message
    first = [
        mido.MetaMessage("set_tempo", tempo=600_000, time=0),
        note("note_on", note=60, velocity=9, time=20),  # 0.4 steps: step 0
        note("note_on", note=60, velocity=0, time=10),  # as good as its end; ends at 0.6: step 1
        note("note_on", note=64, velocity=9, channel=3, time=72),  # 2.04
        note("note_off", note=64, channel=3, time=3),  # 2.1: would have no length
        note("note_on", note=70, velocity=9, channel=9, time=0),  # a drum
    ]
    second = [note("note_on", note=21, velocity=9, time=50), note("note_on", note=108, velocity=9, time=150)]
    roll = read_midi(save(tmp_path / "b.mid", first, second), MidiConfig(2))
    assert roll.held() == [(0, 1, 60), (1, 4, 21), (2, 3, 64), (4, 5, 108)]
    assert roll.step_secs == pytest.approx(0.3)


def test_pitches_that_no_piano_has_are_refused(tmp_path: Path) -> None:
    path = save(
        tmp_path / "c.mid", [mido.Message("note_on", note=12, velocity=9), mido.Message("note_off", note=12, time=99)]
    )
    with pytest.raises(DataError, match=r"c\.mid: a note of the pitch 12"):
        read_midi(path)


def test_no_notes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no notes"):
        read_midi(save(tmp_path / "d.mid", [mido.Message("note_on", note=50, channel=9, velocity=5)]))


def test_a_song_without_end_takes_no_memory(tmp_path: Path) -> None:
    long = [mido.Message("note_on", note=50, velocity=5), mido.Message("note_off", note=50, time=(1 << 28) - 1)]
    with pytest.raises(DataError, match="1000000 at most"):
        read_midi(save(tmp_path / "e.mid", long, ticks=1))


@pytest.mark.parametrize("content", [b"", b"RIFF", b"MThd\0\0\0\6\0\0\0\1\0\x64MTrk\0\0\0\xff\0\x90"])
def test_what_is_no_midi_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "f.mid").write_bytes(content)
    with pytest.raises(FormatError, match=r"f\.mid: not a readable MIDI file"):
        read_midi(tmp_path / "f.mid")
    with pytest.raises(FormatError, match="no such file"):
        read_midi(tmp_path / "g.mid")


def test_every_truncation_is_one_clean_error_or_a_roll(tmp_path: Path) -> None:
    notes = np.zeros((6, 88), np.uint8)
    notes[::2, 30] = notes[1:4, 40] = 1
    write_midi(tmp_path / "whole.mid", PianoRoll(notes))
    whole = (tmp_path / "whole.mid").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "part.mid").write_bytes(whole[:length])
        with pytest.raises((FormatError, DataError)):
            read_midi(tmp_path / "part.mid")


def test_a_file_that_ends_too_early_says_so(tmp_path: Path) -> None:
    (tmp_path / "f.mid").write_bytes(b"MThd")
    with pytest.raises(FormatError, match="not a readable MIDI file: it ends too early"):
        read_midi(tmp_path / "f.mid")
