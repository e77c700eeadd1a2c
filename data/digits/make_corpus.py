#!/usr/bin/env python3
"""Make the corpus of this folder: synthetic speech by espeak-ng, with noise and reverberation added.

Needs espeak-ng on the PATH (Debian: apt-get install espeak-ng) and asrkit's environment:

    python data/digits/make_corpus.py data/digits

The corpus that the project ships was made with espeak-ng 1.51. Voices of `test` speak nothing in `train`.
"""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import subprocess
from pathlib import Path

import numpy as np
import soundfile

RATE_HZ = 8000
TRAIN_UTTERANCES, TEST_UTTERANCES = 10, 8
PEAK = 0.08

TRAIN_VOICES = [
    "en-us+m1", "en-us+f1", "en-gb+m2", "en-gb+f3", "en-gb-scotland+m5", "en-gb-scotland+f5", "en-gb-x-rp+m4",
    "en-gb-x-rp+f1", "en-029+m6", "en-029+f3", "en-us-nyc+m8", "en-us-nyc+f5", "en-gb-x-gbclan+m1",
    "en-gb-x-gbclan+f1", "en-us+Alex", "en-us+Andrea", "en-us+Michael", "en-us+Linda", "en-gb+Denis", "en-gb+Annie",
    "en-us+Lee", "en-us+belinda", "en-gb-x-gbcwmd+m2", "en-gb-x-gbcwmd+f3", "en-us+Henrique", "en-us+steph",
]  # fmt: skip
TEST_VOICES = [
    "en-us+m3", "en-us+f2", "en-gb+m7", "en-gb+f4", "en-gb-scotland+m3", "en-gb-x-rp+f2", "en-029+m7", "en-us-nyc+f4",
    "en-us+john", "en-gb+aunty",
]  # fmt: skip

DIGITS = ["OH", "ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE"]
COMMANDS = [
    "STOP", "CALL HOME", "CALL THE OFFICE", "NEXT STATION", "LAST STATION", "VOLUME UP", "VOLUME DOWN",
    *(" ".join(words) for words in itertools.product(["TURN"], ["ON", "OFF"], ["THE"], ["LIGHT", "RADIO", "HEATING"])),
    *(" ".join(words) for words in itertools.product(["OPEN", "CLOSE"], ["THE"], ["DOOR", "WINDOW"])),
]  # fmt: skip
SPELLING = {"OH": "oh,"}


def sentence(stream: np.random.Generator) -> str:
    """Two in three are strings of two to seven digits, the rest commands, some with a digit behind."""
    if stream.random() < 0.66:
        return " ".join(stream.choice(DIGITS, size=stream.integers(2, 8)))
    command = str(stream.choice(COMMANDS))
    if command.startswith(("CALL", "NEXT", "LAST", "VOLUME")) and stream.random() < 0.5:
        command += f" {stream.choice(DIGITS[1:])}"
    return command


def speak(text: str, voice: str, stream: np.random.Generator) -> np.ndarray:
    """Samples at RATE_HZ of a sentence, at a random speed and pitch."""
    spoken = " ".join(SPELLING.get(word, word.lower()) for word in text.split())
    speed, pitch = int(stream.integers(125, 195)), int(stream.integers(25, 75))
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdout", spoken]
    made = subprocess.run(command, capture_output=True, check=True).stdout
    samples, rate = soundfile.read(io.BytesIO(made), dtype="float32")
    import librosa

    return librosa.resample(samples, orig_sr=rate, target_sr=RATE_HZ)


def in_a_room(samples: np.ndarray, stream: np.random.Generator) -> np.ndarray:
    """Add a decaying echo, coloured noise at 15 to 30 dB, and a little silence at both ends."""
    pads = (stream.uniform(0.12, 0.3, size=2) * RATE_HZ).astype(int)
    samples = np.pad(samples, tuple(pads))
    decay_secs, wet = stream.uniform(0.05, 0.25), stream.uniform(0.0, 0.25)
    length = int(decay_secs * RATE_HZ)
    echo = stream.standard_normal(length) * np.exp(-5 * np.arange(length) / length)
    echo /= np.linalg.norm(echo)
    wet_samples = np.convolve(samples, echo)[: len(samples)]
    samples = samples + wet * wet_samples
    noise = np.convolve(stream.standard_normal(len(samples) + 7), np.full(8, 1 / 8), "valid")
    ratio_db = stream.uniform(15, 30)
    samples = samples + noise * np.sqrt(np.mean(samples**2) / np.mean(noise**2)) * 10 ** (-ratio_db / 20)
    return (samples * PEAK / np.abs(samples).max()).astype(np.float32)


def make(folder: Path, voices: list[str], num_utterances: int, name: str) -> None:
    """Write one part: a folder a speaker, and transcripts.csv."""
    rows = []
    for voice in voices:
        speaker = voice.replace("+", "-").lower()
        for number in range(num_utterances):
            stream = np.random.default_rng([2026, len(name), sum(map(ord, voice)), number])
            text = sentence(stream)
            path = folder / name / speaker / f"{speaker}-{number:02d}.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, in_a_room(speak(text, voice, stream), stream), RATE_HZ, subtype="PCM_16")
            rows.append((str(path.relative_to(folder / name)), speaker, text))
    with (folder / name / "transcripts.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(("file", "speaker", "text"))
        writer.writerows(rows)


def main() -> None:
    """Make both parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    make(folder, TRAIN_VOICES, TRAIN_UTTERANCES, "train")
    make(folder, TEST_VOICES, TEST_UTTERANCES, "test")


if __name__ == "__main__":
    main()
