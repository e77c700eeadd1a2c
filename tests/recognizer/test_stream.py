"""Live audio: words as they settle, utterances that end, and the same result from blocks of any size."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import asrkit
from asrkit.core.errors import ConfigError, DataError
from asrkit.recognizer.endpoint import EndpointConfig, EndpointRule
from asrkit.recognizer.recognizer import Recognizer
from asrkit.recognizer.result import Partial, Result, Segment
from asrkit.recognizer.stream import Event
from asrkit.stages.make_graph import MakeGraphConfig, make_graph
from asrkit.stages.record import RunOptions
from tests.graph.languages import write_arpa
from tests.recognizer.worlds import PHONE_SECS, RATE, SAYINGS, UNIGRAM, World, as_int16, say, spans_secs, words_of

QUICK = {"endpoint": {"likely": {"silence_secs": 0.4}}}


@pytest.fixture(scope="module")
def recognizer(packed: Path) -> Recognizer:
    return asrkit.load(packed)


def heard(
    recognizer: Recognizer, samples: np.ndarray, block: int, rate: int = RATE
) -> tuple[list[tuple[float, Event]], Result]:
    """Feed blocks; return the events, each with the seconds that had been fed, and the whole."""
    stream = recognizer.stream(rate)
    events: list[tuple[float, Event]] = []
    for start in range(0, len(samples), block):
        events += [(stream.heard_secs, event) for event in stream.feed(samples[start : start + block])]
    return events, stream.finish()


@pytest.mark.parametrize("said", SAYINGS)
def test_live_words_are_the_planted_ones(recognizer: Recognizer, said: str) -> None:
    _, result = heard(recognizer, say(said, seed=5), 800)
    assert result.text.split() == words_of(said)
    for word, (start, end) in zip(result.words, spans_secs(said), strict=True):
        assert abs(word.start_secs - start) < 0.05
        assert abs(word.end_secs - end) < 0.05


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 4000))
def test_blocks_of_any_size_give_the_same_result(packed: Path, block: int) -> None:
    recognizer = asrkit.load(packed, config=QUICK)
    samples = say("_ yes _ _ _ not toy _ _ _ no _")
    whole = heard(recognizer, samples, len(samples))[1]
    assert len(whole.segments) == 3
    assert heard(recognizer, samples, block)[1] == whole


def test_words_come_while_they_are_said(recognizer: Recognizer) -> None:
    said = "_ yes no _ toy not _"
    events, result = heard(recognizer, say(said), RATE // 10)
    first = next(secs for secs, event in events if event.words)
    assert first <= spans_secs(said)[0][1] + 0.3
    partials = [event for _, event in events if isinstance(event, Partial)]
    assert len(partials) >= 4
    final = tuple(word.word for word in result.words)
    for partial in partials:
        assert partial.words[: partial.num_settled] == final[: partial.num_settled]
    assert max(partial.num_settled for partial in partials) >= 2


def test_utterances_end_with_silence_and_normalisation_goes_on(packed: Path) -> None:
    recognizer = asrkit.load(packed, config=QUICK)
    said = "_ yes no _ _ _ toy _ _ _ not _"
    events, result = heard(recognizer, say(said), RATE // 10)
    ended = [(secs, event) for secs, event in events if isinstance(event, Segment)]
    assert [segment.text for _, segment in ended] == ["yes no", "toy"]
    assert [segment.text for segment in result.segments] == ["yes no", "toy", "not"]
    for secs, segment in ended:
        assert 0.4 <= secs - segment.words[-1].end_secs <= 0.75
    bounds = [(segment.start_secs, segment.end_secs) for segment in result.segments]
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(bounds))
    assert result.duration_secs == pytest.approx(len(say(said)) / RATE)
    whole = asrkit.load(packed, config={"endpoint": {"enabled": False}})
    assert len(heard(whole, say(said), RATE // 10)[1].segments) == 1


def test_silence_alone_is_no_utterance(packed: Path) -> None:
    recognizer = asrkit.load(packed, config={"endpoint": {"silence": {"silence_secs": 1.0}}})
    events, result = heard(recognizer, say("_ " * 15), RATE // 10)
    assert [event for _, event in events] == []
    assert (result.text, result.segments) == ("", ())
    assert result.duration_secs == pytest.approx(15 * 3 * PHONE_SECS, abs=0.01)


def test_another_rate_and_integers_are_heard_alike(recognizer: Recognizer) -> None:
    from asrkit.data.audio import resample

    said = "_ toy no _ yes _"
    fast = resample(say(said), RATE, 48000)
    assert heard(recognizer, fast, 4800, 48000)[1].text.split() == words_of(said)
    assert heard(recognizer, as_int16(say(said)), 800)[1].text.split() == words_of(said)


def test_a_speakers_statistics_go_on(recognizer: Recognizer) -> None:
    first = recognizer.stream()
    first.feed(say("_ yes no _"))
    first.finish()
    assert first.speaker is not None
    second = recognizer.stream(speaker=first.speaker)
    second.feed(say("_ toy _"))
    assert second.finish().text == "toy"
    assert second.speaker is not None
    assert second.speaker.count > first.speaker.count


def test_a_speaker_adaptive_model_hears_with_its_first_pass(adaptive: World) -> None:
    recognizer = asrkit.load(adaptive.model, adaptive.graph)
    stream = recognizer.stream()
    stream.feed(say("_ not _"))
    assert (stream.finish().text, stream.adaptation) == ("not", "first pass")


def test_a_graph_composed_on_the_fly_is_heard_live_too(world: World, tmp_path: Path) -> None:
    arpa = write_arpa(tmp_path / "bigram.arpa", {**UNIGRAM, "yes no": (-0.2, 0.0), "no </s>": (-0.1, 0.0)}, 2)
    make_graph(world.lang_path, arpa, world.model, tmp_path / "g", MakeGraphConfig(on_the_fly=True), RunOptions())
    recognizer = asrkit.load(world.model, tmp_path / "g", config={**QUICK, "lm_weight": 5.0})
    events, result = heard(recognizer, say("_ yes no _ _ _ toy _"), RATE // 10)
    assert [segment.text for segment in result.segments] == ["yes no", "toy"]
    for _, event in events:
        if isinstance(event, Partial) and event.num_settled:
            whole = next(one for one in result.segments if one.start_secs == event.start_secs)
            assert whole.text.split()[: event.num_settled] == list(event.words[: event.num_settled])


def test_wrong_audio_is_refused_and_leaves_no_trace(recognizer: Recognizer) -> None:
    samples = say("_ yes no _")
    stream = recognizer.stream()
    stream.feed(samples[:3000])
    for wrong in (np.full(100, np.nan), np.full(100, 5e4), np.zeros((10, 2), np.int16), np.zeros(5, np.uint8)):
        with pytest.raises(DataError):
            stream.feed(wrong)
    assert stream.feed(np.zeros(0, np.int16)) == []
    stream.feed(samples[3000:])
    result = stream.finish()
    assert result == heard(recognizer, samples, 3000)[1]
    assert stream.finish() == result
    with pytest.raises(RuntimeError, match="after finish"):
        stream.feed(samples)
    with pytest.raises(DataError, match="all above 3000 Hz"):
        recognizer.stream(6000)
    assert recognizer.stream().finish() == Result((), 0.0)


@pytest.mark.parametrize(
    ("silence", "cost", "length", "expected"),
    [
        (5.0, 1e9, 5.0, True),  # nothing was said for long
        (4.9, 1e9, 4.9, False),
        (0.5, 1.9, 2.0, True),  # said, and probably complete
        (0.5, 2.1, 2.0, False),
        (1.0, 7.9, 2.0, True),
        (2.0, 1e9, 3.0, True),
        (2.0, float("inf"), 3.0, True),  # no path is complete
        (1.9, float("inf"), 3.0, False),
        (0.0, float("inf"), 20.0, True),  # long enough
        (0.0, 0.0, 19.9, False),
    ],
)
def test_the_rules_are_kaldis(silence: float, cost: float, length: float, expected: bool) -> None:
    assert EndpointConfig().reached(silence, cost, length) is expected
    assert not EndpointConfig(enabled=False).reached(silence, cost, length)


def test_what_is_no_array_is_refused(recognizer: Recognizer) -> None:
    stream = recognizer.stream()
    for samples in ([0.1, 0.2], b"ab", np.array(0.5), np.zeros((0, 2), np.complex64)):
        with pytest.raises(DataError, match="expected"):
            stream.feed(samples)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="samples in a list"):
        recognizer([0.1, 0.2], RATE)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="nbest is 0"):
        recognizer.stream(nbest=0)


def test_a_rule_of_negative_numbers_is_refused() -> None:
    with pytest.raises(ConfigError, match="must not be negative"):
        EndpointRule(True, -1.0)
