"""Minimal valid objects for tests: small, real, and asymmetric."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asrkit.core.archives import ArchiveWriter
from asrkit.core.files import write_json, write_lines
from asrkit.data.datadir import DataDir, Utterance

WORDS = ("one", "two", "three", "four", "five", "six")


def make_samples(num_samples: int, seed: int = 0) -> NDArray[np.int16]:
    """Return ``(num_samples,)`` int16 samples: noise with a slowly changing level, far from silence and clipping."""
    stream = np.random.default_rng(seed)
    level = 2000 + 1500 * np.sin(np.arange(num_samples) / (700 + 50 * (seed % 7)))
    return np.clip(stream.standard_normal(num_samples) * level, -20000, 20000).astype(np.int16)


def write_wav(path: Path, samples: NDArray[np.int16], sample_rate_hz: int = 8000) -> Path:
    """Write 16-bit audio, ``(num_samples,)`` or ``(num_samples, num_channels)``, in the format of the ending."""
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(str(path), samples, sample_rate_hz, subtype="PCM_16")
    return path


def make_data_dir(
    path: Path,
    num_speakers: int = 2,
    num_utterances: int = 3,
    sample_rate_hz: int = 8000,
    secs: float = 0.5,
    segments: bool = False,
    features: bool = False,
    words: Sequence[str] = WORDS,
    audio_folder: str = "wav",
    suffix: str = ".wav",
    seed: int = 0,
) -> DataDir:
    """Make a valid data directory with audio in ``path/audio_folder``, and return it loaded.

    Parameters
    ----------
    num_utterances : int
        Utterances of each speaker; utterance ``j`` (0-based) lasts ``secs * (1 + j / 10)`` seconds and has
        ``1 + j % 3`` words, so that no two of a speaker are alike.
    segments : bool
        One recording a speaker, its utterances one after the other with 0.1 s between them.
    features : bool
        Also ``feats.scp`` (dimension 5, a frame each 10 ms), ``cmvn.scp`` by speaker, ``utt2num_frames``,
        ``utt2dur`` and ``frontend.json``, as `asrkit extract` leaves them.
    """
    utterances: dict[str, Utterance] = {}
    recordings: dict[str, str] = {}
    lengths: dict[str, int] = {}
    for i in range(num_speakers):
        speaker, pieces, at = f"spk{i + 1}", [], 0
        for j in range(num_utterances):
            key = f"{speaker}-utt{j + 1}"
            lengths[key] = round(secs * (1 + j / 10) * sample_rate_hz)
            said = tuple(words[(i + j + k) % len(words)] for k in range(1 + j % 3))
            samples = make_samples(lengths[key], seed + 100 * i + j)
            if segments:
                start, end = at / sample_rate_hz, (at + lengths[key]) / sample_rate_hz
                utterances[key] = Utterance(key, f"{speaker}-rec", speaker, said, start, end)
                pieces += [samples, make_samples(sample_rate_hz // 10, seed + j)]
                at += lengths[key] + sample_rate_hz // 10
            else:
                utterances[key] = Utterance(key, key, speaker, said)
                recordings[key] = str(write_wav(path / audio_folder / f"{key}{suffix}", samples, sample_rate_hz))
        if segments:
            name = f"{speaker}-rec"
            file = path / audio_folder / f"{name}{suffix}"
            recordings[name] = str(write_wav(file, np.concatenate(pieces), sample_rate_hz))
    DataDir(path, utterances, recordings).save()
    if features:
        _write_features(path, {key: lengths[key] / sample_rate_hz for key in utterances}, sample_rate_hz, seed)
    return DataDir.load(path)


def _write_features(path: Path, secs: dict[str, float], sample_rate_hz: int, seed: int) -> None:
    stream = np.random.default_rng(seed)
    counts = {key: 1 + int((1000 * length - 25) / 10) for key, length in sorted(secs.items())}
    sums: dict[str, NDArray[np.float64]] = {}
    with ArchiveWriter(path, "feats") as writer:
        for key, rows in counts.items():
            matrix = stream.standard_normal((rows, 5)).astype(np.float32)
            writer.write(key, matrix)
            statistics = np.zeros((2, 6))
            statistics[0, :5], statistics[0, 5], statistics[1, :5] = matrix.sum(0), rows, (matrix**2).sum(0)
            speaker = key.split("-")[0]
            sums[speaker] = sums.get(speaker, np.zeros((2, 6))) + statistics
    with ArchiveWriter(path, "cmvn") as writer:
        for speaker, statistics in sorted(sums.items()):
            writer.write(speaker, statistics)
    write_lines(path / "utt2num_frames", (f"{key} {rows}" for key, rows in counts.items()))
    write_lines(path / "utt2dur", (f"{key} {secs[key]:.3f}" for key in counts))
    front_end = {"kind": "mfcc", "sample_rate_hz": sample_rate_hz, "frame_length_ms": 25.0, "frame_shift_ms": 10.0}
    write_json(path / "frontend.json", front_end)
