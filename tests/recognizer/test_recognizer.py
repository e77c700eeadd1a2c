"""A recogniser in memory: planted words with their times, any kind of audio, passes of a speaker-adaptive model."""

from __future__ import annotations

import dataclasses
import logging
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

import asrkit
from asrkit.core.errors import AsrkitError, ConfigError, DataError, GraphError, ModelError
from asrkit.data.audio import resample
from asrkit.recognizer.recognizer import Recognizer
from asrkit.recognizer.result import Result
from tests.factories import write_wav
from tests.recognizer.worlds import RATE, SAYINGS, World, as_int16, say, spans_secs, words_of


@pytest.fixture(scope="module")
def recognizer(packed: Path) -> Recognizer:
    return asrkit.load(packed)


def found(result: Result | AsrkitError) -> list[str]:
    assert isinstance(result, Result), result
    return [word.word for word in result.words]


@pytest.mark.parametrize("said", SAYINGS)
def test_the_planted_words_are_heard_with_their_times(recognizer: Recognizer, said: str) -> None:
    result = recognizer(say(said, seed=4), RATE)
    assert result.text.split() == words_of(said)
    for word, (start, end) in zip(result.words, spans_secs(said), strict=True):
        assert abs(word.start_secs - start) < 0.05
        assert abs(word.end_secs - end) < 0.05
    assert result.adaptation == "none"
    assert result.segments[0].complete
    assert result.duration_secs == pytest.approx(len(say(said)) / RATE)


def test_directories_answer_as_the_file_that_was_packed_of_them(world: World, recognizer: Recognizer) -> None:
    pair = asrkit.load(world.model, world.graph, config={"lm_weight": 5.0})
    for said in SAYINGS:
        assert pair(say(said), RATE) == recognizer(say(said), RATE)
    assert asrkit.load(world.model, world.graph).config.lm_weight == 10.0


def test_every_kind_of_audio_gives_the_same_words(recognizer: Recognizer, tmp_path: Path) -> None:
    said = "_ yes no _ toy _"
    floats = say(said)
    stereo = np.stack([as_int16(say("_ not _")), as_int16(floats)[: len(say("_ not _"))]], axis=1)
    wav, flac = (write_wav(tmp_path / f"a{end}", as_int16(floats), RATE) for end in (".wav", ".flac"))
    for audio in (floats, floats.astype(np.float64), as_int16(floats), as_int16(floats).astype(np.int32) * 65536):
        assert found(recognizer(audio, RATE)) == words_of(said)
    for path in (wav, str(flac)):
        assert found(recognizer(path)) == words_of(said)
    assert found(recognizer(stereo, RATE, channel=0)) == ["not"]
    assert found(recognizer(floats[:, None], RATE)) == words_of(said)
    assert [r.words[0].word for r in recognizer.channels(stereo, RATE)] == ["not", "yes"]
    assert len(recognizer.channels(wav)) == 1


def test_a_higher_rate_is_converted_and_said_once(recognizer: Recognizer, caplog: pytest.LogCaptureFixture) -> None:
    fast = resample(say("_ toy no _"), RATE, 44100)
    with caplog.at_level(logging.INFO, logger="asrkit"):
        for _ in range(2):
            assert found(recognizer(fast, 44100)) == ["toy", "no"]
    assert [r.getMessage() for r in caplog.records if "44100" in r.getMessage()] == [
        "audio at 44100 Hz is resampled to the model's 8000 Hz"
    ]


def test_a_lower_rate_is_refused_unless_it_is_wanted(packed: Path, caplog: pytest.LogCaptureFixture) -> None:
    slow = resample(say("_ no _"), RATE, 6000)
    with pytest.raises(DataError, match="all above 3000 Hz is missing"):
        asrkit.load(packed)(slow, 6000)
    with caplog.at_level(logging.INFO, logger="asrkit"):
        assert found(asrkit.load(packed, upsample=True)(slow, 6000)) == ["no"]
    said = "audio at 6000 Hz is resampled to the model's 8000 Hz; all above 3000 Hz is missing in it"
    assert said in [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("audio", "rate", "message"),
    [
        (np.zeros(0, np.float32), RATE, "no samples"),
        (np.zeros((0, 1), np.int16), RATE, "no samples"),
        (np.zeros(50, np.int16), RATE, "too few for a frame"),
        (np.full(9000, np.nan, np.float32), RATE, "not finite"),
        (np.full(9000, np.inf), RATE, "not finite"),
        (np.full(9000, 3000.0), RATE, "divide them by 32768"),
        (np.zeros(9000, np.uint8), RATE, "samples of the type uint8"),
        (np.zeros(9000, complex), RATE, "samples of the type complex128"),
        (np.zeros((9000, 2), np.int16), RATE, "2 channels, expected one"),
        (np.zeros((2, 9000), np.int16), RATE, "transpose"),
        (np.zeros((2, 2, 2), np.int16), RATE, "shape"),
        (np.zeros(9000, np.int16), None, "does not tell its rate"),
        (np.zeros(9000, np.int16), 0, "a rate of 0"),
        (np.zeros(9000, np.int16), 8000.5, "a rate of 8000.5"),
        (np.zeros(9000, np.int16), float("nan"), "a rate of nan"),
    ],
)
def test_audio_that_is_none_is_refused(recognizer: Recognizer, audio: np.ndarray, rate: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        recognizer(audio, rate)


def test_wrong_channels_alternatives_and_settings_are_refused(recognizer: Recognizer, packed: Path) -> None:
    with pytest.raises(DataError, match="channels are 0 to 0"):
        recognizer(say("_ no _"), RATE, channel=1)
    with pytest.raises(ConfigError, match="nbest is 0"):
        recognizer(say("_ no _"), RATE, nbest=0)
    with pytest.raises(ConfigError, match="did you mean beam"):
        asrkit.load(packed, config={"baem": 3})
    with pytest.raises(ConfigError, match="expected a number above 0"):
        recognizer.with_config(beam=-1.0)
    assert recognizer.with_config(beam=7.0).config.beam == 7.0


def test_a_model_directory_needs_its_graph(world: World, packed: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no graph"):
        asrkit.load(world.model)
    with pytest.raises(ModelError, match="holds its own graph"):
        asrkit.load(packed, world.graph)
    with pytest.raises(GraphError, match="not a graph directory"):
        asrkit.load(world.model, tmp_path)
    with pytest.raises(ModelError, match="no such model file"):
        asrkit.load(tmp_path / "none.asrkit")


def test_one_recording_alone_is_not_one_among_its_speakers(recognizer: Recognizer) -> None:
    """CMVN over both changes the costs, not the words; and alone is what a group of one is."""
    first, second = say("_ yes no _"), 0.2 * say("_ toy _ not _", seed=2)
    together = recognizer.together([(first, RATE), (second, RATE)])
    alone = [recognizer(audio, RATE) for audio in (first, second)]
    assert [found(r) for r in together] == [found(r) for r in alone] == [["yes", "no"], ["toy", "not"]]
    assert isinstance(together[0], Result)
    assert together[0].nbest[0].cost != alone[0].nbest[0].cost
    assert recognizer.together([(first, RATE)]) == [alone[0]]


def test_a_speaker_adaptive_model_says_how_it_heard(adaptive: World) -> None:
    settings = {"adaptation": {"fmllr": {"min_count": 1e6, "diag_min_count": 50.0, "offset_min_count": 10.0}}}
    recognizer = asrkit.load(adaptive.model, adaptive.graph, config=settings)
    result = recognizer(say("_ yes no _ toy not _"), RATE)
    assert (found(result), result.adaptation, result.transform) == (["yes", "no", "toy", "not"], "fmllr", "diag")
    short = recognizer(say("_ no _")[: round(0.5 * RATE)], RATE)
    assert (short.adaptation, short.transform) == ("fmllr", "offset")
    first = recognizer.with_config(adapt=False)(say("_ yes no _ toy not _"), RATE)
    assert (found(first), first.adaptation, first.transform) == (["yes", "no", "toy", "not"], "first pass", None)


@dataclasses.dataclass(frozen=True)
class Cut:
    """A piece of a long recording."""

    start_secs: float
    end_secs: float
    overlap_secs: float
    samples: np.ndarray


def cuts_of(sayings: Sequence[str], overlap_secs: float = 0.0) -> list[Cut]:
    pieces, at = [], 0.0
    for number, said in enumerate(sayings):
        samples = say(said, seed=number) * 32767 * (0.1 + 0.2 * number)
        end = at + len(samples) / RATE
        pieces.append(Cut(at, end, overlap_secs if number else 0.0, samples))
        at = end - overlap_secs
    return pieces


def test_the_pieces_of_one_speaker_are_heard_as_his_recordings_are(adaptive: World, packed: Path) -> None:
    settings = {"adaptation": {"fmllr": {"min_count": 1e6, "diag_min_count": 50.0, "offset_min_count": 10.0}}}
    for recognizer in (asrkit.load(adaptive.model, adaptive.graph, config=settings), asrkit.load(packed)):
        pieces = cuts_of(SAYINGS)
        heard = recognizer.pieces(pieces)
        together = recognizer.together([(piece.samples / 32768, RATE) for piece in pieces])
        for segment, piece, result in zip(heard.segments, pieces, together, strict=True):
            assert isinstance(result, Result)
            assert heard.transform == result.transform
            (expected,) = result.segments
            assert (segment.text, segment.complete) == (expected.text, expected.complete)
            assert segment.nbest[0].cost == pytest.approx(expected.nbest[0].cost, rel=1e-4)
            assert [w.start_secs - piece.start_secs for w in segment.words] == pytest.approx(
                [w.start_secs for w in expected.words]
            )
        alone = [recognizer(piece.samples / 32768, RATE) for piece in pieces]
        apart = list(recognizer.pieces(pieces, one_speaker=False).segments)
        for segment, result in zip(apart, alone, strict=True):
            assert segment.nbest[0].cost == pytest.approx(result.segments[0].nbest[0].cost, rel=1e-4)
        # Else the two would be one.
        assert [s.nbest[0].cost for s in apart] != pytest.approx([r.nbest[0].cost for r in together], rel=1e-3)


def test_of_the_pieces_of_one_speaker_no_audio_is_kept(adaptive: World) -> None:
    """When the next piece is asked for, the samples of the one before are nobody's."""
    kept: list[weakref.ref[np.ndarray]] = []

    def one_by_one() -> Iterator[Cut]:
        for piece in cuts_of(SAYINGS):
            samples = piece.samples.copy()
            kept.append(weakref.ref(samples))
            yield Cut(piece.start_secs, piece.end_secs, 0.0, samples)
            del samples
            held.append(sum(ref() is not None for ref in kept))

    held: list[int] = []
    recognizer = asrkit.load(adaptive.model, adaptive.graph)
    segments = list(recognizer.pieces(one_by_one()).segments)
    assert [s.text for s in segments] == [" ".join(words_of(said)) for said in SAYINGS]
    assert max(held) <= 1
    assert sum(ref() is not None for ref in kept) == 0


def test_pieces_without_a_frame_and_pieces_that_overlap(adaptive: World) -> None:
    recognizer = asrkit.load(adaptive.model, adaptive.graph)
    first, second = cuts_of(["_ yes no _", "_ no toy _"])
    short = Cut(first.end_secs, first.end_secs + 0.01, 0.0, np.zeros(round(0.01 * RATE), np.float32))
    for one_speaker in (True, False):
        with_nothing = list(recognizer.pieces([first, short, second], one_speaker=one_speaker).segments)
        assert [s.text for s in with_nothing] == ["yes no", "", "no toy"]
        nothing = list(recognizer.pieces([short], one_speaker=one_speaker).segments)
        assert [(s.text, s.complete) for s in nothing] == [("", False)]
        assert list(recognizer.pieces([], one_speaker=one_speaker).segments) == []
        (joined,) = recognizer.pieces([first, dataclasses.replace(second, overlap_secs=0.05)]).segments
        assert (joined.text, joined.nbest) == ("yes no no toy", ())


def test_importing_asrkit_stays_light() -> None:
    import subprocess
    import sys

    code = "import asrkit, sys; asrkit.load; print([n for n in ('numpy', 'numba', 'librosa') if n in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
