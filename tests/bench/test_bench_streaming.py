"""Live recognition of AN4: errors beside those of whole recordings, and how late partial results and final words come.

Reads models that a run of recipes/an4 made: ASRKIT_AN4_RUN names its folder (with ``data/dev`` and ``exp``), and
ASRKIT_AN4_MODELS the models and graphs, e.g. ``deltas:tg lda_mllt:ug``.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from asrkit.core.errors import AsrkitError
from asrkit.data.audio import FULL_SCALE, read_audio
from asrkit.data.datadir import DataDir
from asrkit.features.cmvn import CmvnStats
from asrkit.recognizer.recognizer import Recognizer, load_recognizer
from asrkit.recognizer.result import Partial
from asrkit.score.sweep import read_best
from asrkit.stages.pack import total_stats

pytestmark = pytest.mark.bench

BLOCK_SECS = 0.1
Recording = tuple[NDArray[np.float32], int]


@dataclass
class Measured:
    """Sums over utterances."""

    errors: dict[str, int] = field(default_factory=lambda: {"decode": 0, "alone": 0, "live": 0, "anew": 0})
    num_words: int = 0
    audio_secs: float = 0.0
    work_secs: float = 0.0
    first_audio: list[float] = field(default_factory=list)
    first_all: list[float] = field(default_factory=list)
    final_audio: list[float] = field(default_factory=list)
    final_all: list[float] = field(default_factory=list)

    def count(self, kind: str, reference: list[str], text: str) -> None:
        self.errors[kind] += Levenshtein.distance(reference, text.split())


def live(
    recognizer: Recognizer, recording: Recording, measured: Measured, speaker: CmvnStats | None
) -> tuple[str, CmvnStats | None]:
    """Feed a recording in blocks; note by how much audio, and work, results come behind the words they tell of."""
    samples, rate = recording
    stream = recognizer.stream(rate, speaker=speaker)
    first: tuple[float, float] | None = None
    size = round(BLOCK_SECS * rate)
    for start in range(0, len(samples), size):
        began = time.perf_counter()
        events = stream.feed(samples[start : start + size])
        work = time.perf_counter() - began
        measured.work_secs += work
        for event in events:
            if first is None and event.words:
                first = (stream.heard_secs, work)
            if not isinstance(event, Partial):
                measured.final_audio += [stream.heard_secs - word.end_secs for word in event.words]
                measured.final_all += [stream.heard_secs - word.end_secs + work for word in event.words]
    began = time.perf_counter()
    ended = sum(len(segment.words) for segment in stream._segments)
    result = stream.finish()
    work = time.perf_counter() - began
    measured.work_secs += work
    measured.audio_secs += len(samples) / rate
    last = result.words[ended:]
    measured.final_audio += [stream.heard_secs - word.end_secs for word in last]
    measured.final_all += [stream.heard_secs - word.end_secs + work for word in last]
    if first is not None and result.words:
        measured.first_audio.append(first[0] - result.words[0].end_secs)
        measured.first_all.append(first[0] + first[1] - result.words[0].end_secs)
    return result.text, stream.speaker


def measure(run: Path, model: str, graph: str) -> Measured:
    folder = run / "exp" / model
    best = read_best(folder / f"decode_dev_{graph}")
    config = {"lm_weight": best.lm_weight, "insertion_penalty": best.insertion_penalty, "lattice_beam": 0.0}
    prior = total_stats(run / "data" / "train")
    recognizer = load_recognizer(folder, folder / f"graph_{graph}", config=config, prior=prior)
    data = DataDir.load(run / "data" / "dev")
    by_speaker: dict[str, list[str]] = {}
    for key, utterance in sorted(data.utterances.items()):
        by_speaker.setdefault(utterance.speaker, []).append(key)
    measured = Measured()
    for keys in by_speaker.values():
        recordings = []
        for key in keys:
            samples, rate = read_audio(data.recordings[data.utterances[key].recording_id])
            recordings.append((samples / np.float32(FULL_SCALE), rate))
        references = [list(data.utterances[key].words or ()) for key in keys]
        measured.num_words += sum(map(len, references))
        for reference, result in zip(references, recognizer.together(recordings), strict=True):
            assert not isinstance(result, AsrkitError)
            measured.count("decode", reference, result.text)
        speaker: CmvnStats | None = None
        for reference, recording in zip(references, recordings, strict=True):
            measured.count("alone", reference, recognizer(*recording).text)
            text, speaker = live(recognizer, recording, measured, speaker)
            measured.count("live", reference, text)
            measured.count("anew", reference, live(recognizer, recording, Measured(), None)[0])
    return measured


def quantiles(values: list[float]) -> str:
    return " ".join(
        f"{name} {np.quantile(values, q):.3f}" for name, q in (("median", 0.5), ("95 %", 0.95), ("max", 1.0))
    )


def test_live_an4() -> None:
    run = Path(os.environ.get("ASRKIT_AN4_RUN", "/nonexistent"))
    if not run.is_dir():
        pytest.skip("set ASRKIT_AN4_RUN to the folder of a run of recipes/an4")
    for pair in os.environ.get("ASRKIT_AN4_MODELS", "deltas:tg deltas:ug lda_mllt:tg lda_mllt:ug").split():
        found = measure(run, *pair.split(":"))
        rates = {kind: 100 * errors / found.num_words for kind, errors in found.errors.items()}
        print(f"\n{pair}: {found.num_words} words, {found.audio_secs:.0f} s")
        print("  %WER of whole recordings: by speaker (asrkit decode) {decode:.2f}, alone {alone:.2f}".format(**rates))
        print("  %WER live: a session a speaker {live:.2f}, a session a recording {anew:.2f}".format(**rates))
        print(f"  real-time factor live {found.work_secs / found.audio_secs:.3f}")
        print(f"  first partial behind the first word's end, s of audio: {quantiles(found.first_audio)}")
        print(f"                                     with its work: {quantiles(found.first_all)}")
        print(f"  final words behind their ends, s of audio: {quantiles(found.final_audio)}")
        print(f"                              with the work: {quantiles(found.final_all)}")
        assert rates["live"] <= rates["decode"] + 0.5
