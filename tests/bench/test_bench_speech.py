"""Speech activity detection: errors against TIMIT's hand labels, clean and in noise; an hour of audio: time and memory.

With ``ASRKIT_SPEECH_MODEL=DIR`` also by the silence of that acoustic model.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from asrkit.data.audio import read_audio
from asrkit.data.datadir import DataDir, Utterance
from asrkit.features.config import FrontEndConfig
from asrkit.features.speech_energy import EnergySpeechConfig
from asrkit.features.speech_smoothing import SmoothingConfig, smooth
from asrkit.stages.speech_scores import EnergyScorer, ModelSpeechConfig, Scorer, load_scorer
from tests.voices import planted

pytestmark = pytest.mark.bench

RATE = 16000
NONSPEECH = {"h#", "pau", "epi"}
Recording = tuple[NDArray[np.float32], NDArray[np.bool_]]


def speaker(folder: Path, rng: np.random.Generator) -> Recording:
    """All sentences of a speaker, with pauses of 0.2 to 3 s made of what stands before the first word."""
    samples, labels = [], []
    for path in sorted(folder.glob("*.wav")):
        sentence, _ = read_audio(path)
        speech = np.zeros(len(sentence), dtype=bool)
        rows = [line.split() for line in path.with_suffix(".phn").read_text().splitlines()]
        for start, end, phone in rows:
            speech[int(start) : int(end)] = phone not in NONSPEECH
        lead = sentence[int(rows[0][1]) // 8 : int(rows[0][1]) * 3 // 4]
        num_samples = int(rng.uniform(0.2, 3.0) * RATE)
        pause = np.resize(np.concatenate([lead, lead[::-1]]), num_samples)
        samples += [sentence, pause]
        labels += [speech, np.zeros(num_samples, dtype=bool)]
    return np.concatenate(samples), np.concatenate(labels)


def pink(num_samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    spectrum = np.fft.rfft(rng.standard_normal(num_samples))
    noise = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), num_samples)
    return np.asarray(noise / noise.std())


def conditions(recordings: list[Recording]) -> Iterator[tuple[str, list[Recording]]]:
    """Yield the recordings clean, and with noise at a ratio to the mean power of speech."""
    yield "clean", recordings
    for kind in ("white", "pink"):
        for snr_db in (10, 5):
            rng = np.random.default_rng(snr_db)
            noisy = []
            for samples, labels in recordings:
                noise = rng.standard_normal(len(samples)) if kind == "white" else pink(len(samples), rng)
                level = np.sqrt((samples[labels] ** 2).mean() / 10 ** (snr_db / 10))
                noisy.append(((samples + level * noise).astype(np.float32), labels))
            yield f"{kind} {snr_db} dB", noisy


def test_errors_against_hand_labels(corpora: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    folders = sorted(folder for folder in (corpora / "timit_sample").iterdir() if folder.name.startswith("dr"))
    recordings = [speaker(folder, rng) for folder in folders]
    scorers: dict[str, Scorer] = {"energy": EnergyScorer(EnergySpeechConfig(), FrontEndConfig())}
    if model := os.environ.get("ASRKIT_SPEECH_MODEL"):
        scorers["model"] = load_scorer(Path(model), ModelSpeechConfig(), EnergySpeechConfig(), RATE)
    rows = []
    for condition, noisy in conditions(recordings):
        for name, scorer in scorers.items():
            found, expected = [], []
            for samples, labels in noisy:
                found.append(smooth(np.concatenate(list(scorer.scores([samples]))), SmoothingConfig(), 0.01))
                expected.append(labels[200::160][: len(found[-1])])
            speech, truth = np.concatenate(found), np.concatenate(expected)
            errors, missed, false = (speech != truth).mean(), (~speech[truth]).mean(), speech[~truth].mean()
            rows.append(f"{condition:12} {name:7} {errors:6.1%} {missed:7.1%} {false:7.1%}")
            assert errors < 0.2
    with capsys.disabled():
        print("\n             by      frames  missed   false", *rows, sep="\n")


def test_an_hour_of_audio(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import soundfile

    figures = []
    samples = planted(30.0)[0] / 32768
    for minutes in (6, 60):
        path = tmp_path / f"{minutes}.wav"
        with soundfile.SoundFile(str(path), "w", RATE, 1) as file:
            for _ in range(minutes * 60 // 9):
                file.write(samples)
        DataDir(tmp_path / str(minutes), {"r": Utterance("r", "r", "s")}, {"r": str(path)}).save()
        code = (
            "import resource, sys, time\n"
            "from asrkit.cli.main import main\n"
            "started = time.perf_counter()\n"
            "main(['segment', '-q', *sys.argv[1:]], standalone_mode=False)\n"
            "print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
        )
        arguments = [sys.executable, "-c", code, str(tmp_path / str(minutes)), str(tmp_path / f"out{minutes}")]
        run = subprocess.run(arguments, capture_output=True, text=True, check=True)
        secs, kilobytes = map(float, run.stdout.splitlines()[-1].split())
        figures.append((minutes, secs, kilobytes / 1024))
    with capsys.disabled():
        for minutes, secs, megabytes in figures:
            print(
                f"\n{minutes} min of audio: {secs:.1f} s, {minutes * 60 / secs:.0f} x real time, {megabytes:.0f} MB",
                end="",
            )
        print()
    assert figures[1][2] < figures[0][2] + 20
