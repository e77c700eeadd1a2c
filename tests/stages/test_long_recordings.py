"""Long recordings: segments where speech was planted, with the samples of the file, in bounded memory."""

from __future__ import annotations

import itertools
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asrkit.core.errors import DataError
from asrkit.data.audio import read_audio, resample
from asrkit.features.config import FrontEndConfig
from asrkit.features.speech_energy import EnergySpeechConfig
from asrkit.features.speech_segments import CuttingConfig
from asrkit.stages.long_recordings import SpeechConfig, SpeechSegment, SpeechTally, speech_segments
from asrkit.stages.speech_scores import EnergyScorer
from tests.voices import BURSTS, RATE, planted, vowels

CONFIG = SpeechConfig()


def scorer(rate: int = RATE, context_secs: float = 30.0) -> EnergyScorer:
    return EnergyScorer(EnergySpeechConfig(context_secs=context_secs), FrontEndConfig(sample_rate_hz=rate))


def write(path: Path, samples: np.ndarray, rate: int = RATE, subtype: str = "PCM_16") -> Path:
    soundfile.write(str(path), np.clip(samples / 32768, -1, 1), rate, subtype=subtype)
    return path


def find(
    path: Path, channel: int | None = None, rate: int = RATE, config: SpeechConfig = CONFIG
) -> list[SpeechSegment]:
    return list(speech_segments(path, channel, scorer(rate), config))


def check_bursts(found: list[SpeechSegment], offset: float = 0.0) -> None:
    assert len(found) == len(BURSTS)
    for segment, (start, end) in zip(found, BURSTS, strict=True):
        # The padding is 0.2 s; smoothing may add as much, and may take less than the padding.
        assert offset + start - 0.4 < segment.start_secs <= offset + start
        assert offset + end <= segment.end_secs < offset + end + 0.4
        assert segment.overlap_secs == 0


def test_planted_speech_with_the_samples_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", planted(30.0)[0])
    found = find(path)
    check_bursts(found)
    whole, _ = read_audio(path)
    for segment in found:
        first, last = round(segment.start_secs * RATE), round(segment.end_secs * RATE)
        np.testing.assert_array_equal(segment.samples, whole[first:last])


@pytest.mark.parametrize(
    ("rate", "subtype"), [(8000, "PCM_U8"), (11025, "PCM_16"), (44100, "PCM_24"), (48000, "FLOAT")]
)
def test_files_of_any_rate_and_width(tmp_path: Path, rate: int, subtype: str) -> None:
    samples = resample(planted(30.0)[0] * 3, RATE, rate)
    path = write(tmp_path / "a.wav", samples, rate, subtype)
    found = find(path)
    check_bursts(found)
    whole = resample(read_audio(path)[0], rate, RATE)
    for segment in found:
        first = round(segment.start_secs * RATE)
        np.testing.assert_allclose(segment.samples, whole[first : first + len(segment.samples)], atol=1.0)


def test_channels_are_recordings_of_their_own(tmp_path: Path) -> None:
    left, _ = planted(30.0)
    right = np.roll(left, RATE // 2)
    path = write(tmp_path / "a.wav", np.stack([left, right], axis=1))
    check_bursts(find(path, channel=0))
    check_bursts(find(path, channel=1), offset=0.5)
    with pytest.raises(DataError, match="2 channels found"):
        find(path)


def test_offset_and_clipping(tmp_path: Path) -> None:
    samples, _ = planted(30.0)
    check_bursts(find(write(tmp_path / "dc.wav", samples + 3000)))
    check_bursts(find(write(tmp_path / "clipped.wav", samples * 20)))


def test_silence_and_noise_have_no_segments(tmp_path: Path) -> None:
    noise = 200 * np.random.default_rng(2).standard_normal(20 * RATE)
    for name, samples in (("zeros", np.zeros(20 * RATE)), ("noise", noise), ("short", np.zeros(100))):
        tally = SpeechTally()
        path = write(tmp_path / f"{name}.wav", samples)
        assert list(speech_segments(path, None, scorer(), CONFIG, tally=tally)) == []
        assert tally == SpeechTally(len(samples) / RATE, 0.0, 0.0)


def test_speech_alone_is_one_segment_or_windows_that_overlap(tmp_path: Path) -> None:
    samples = vowels(40.0, 3) + 20 * np.random.default_rng(2).standard_normal(40 * RATE)
    path = write(tmp_path / "a.wav", samples)
    cutting = CuttingConfig(max_secs=10.0, overlap_secs=2.0)
    found = find(path, config=SpeechConfig(cutting=cutting))
    assert sum(segment.end_secs - segment.start_secs - segment.overlap_secs for segment in found) > 30
    for before, behind in itertools.pairwise(found):
        assert behind.overlap_secs == pytest.approx(max(0.0, before.end_secs - behind.start_secs), abs=1e-9)
    assert max(segment.end_secs - segment.start_secs for segment in found) <= 10.0 + 0.02


def test_an_empty_or_damaged_file_is_named(tmp_path: Path) -> None:
    soundfile.write(str(tmp_path / "empty.wav"), np.zeros(0), RATE)
    with pytest.raises(DataError, match="no samples"):
        find(tmp_path / "empty.wav")
    path = write(tmp_path / "a.wav", planted(30.0)[0])
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(DataError, match="truncated"):
        find(path)
    bad = planted(30.0)[0] / 32768
    bad[70_000] = np.nan
    soundfile.write(str(tmp_path / "nan.wav"), bad, RATE, subtype="FLOAT")
    with pytest.raises(DataError, match="not finite"):
        find(tmp_path / "nan.wav")


def test_segments_come_early_and_the_seconds_are_told(tmp_path: Path) -> None:
    samples = np.tile(planted(30.0)[0], 15)
    path = write(tmp_path / "a.wav", samples)
    told: list[tuple[float, float]] = []
    stream = speech_segments(path, None, scorer(), CONFIG, progress=lambda done, total: told.append((done, total)))
    for segment in stream:
        assert not told or told[-1][0] - segment.end_secs <= 60
    assert [done for done, _ in told] == pytest.approx([*range(10, 140, 10), 135])
    assert {total for _, total in told} == {135.0}


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    peaks = []
    samples = planted(30.0)[0] / 32768
    for minutes in (2, 6):
        path = tmp_path / f"{minutes}.wav"
        with soundfile.SoundFile(str(path), "w", RATE, 1) as file:
            for _ in range(minutes * 60 // 9):
                file.write(samples)
        if not peaks:
            find(path)  # what is compiled or loaded once is not counted
        tracemalloc.start()
        for _ in speech_segments(path, None, scorer(), CONFIG):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # The longer one has 23 MB of samples, 15 MB more.
    assert peaks[1] < peaks[0] + 3e6
    assert peaks[1] < 23e6
