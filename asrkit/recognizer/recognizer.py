"""The recogniser: called with sound, it answers with words."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from asrkit.core.config import from_mapping
from asrkit.core.errors import AsrkitError, ConfigError, ModelError
from asrkit.decode.search import BeamSearch, SearchResult
from asrkit.features.cmvn import CmvnStats
from asrkit.recognizer.audio import Audio, RateConverter, Samples, num_channels, read_samples
from asrkit.recognizer.config import RecognizerConfig
from asrkit.recognizer.hypotheses import join_segments, make_segment
from asrkit.recognizer.model import RecognizerModel, load_model_folders
from asrkit.recognizer.offline import Speaker, extract, recognise
from asrkit.recognizer.package import load_package
from asrkit.recognizer.result import Adaptation, Result, Segment
from asrkit.recognizer.stream import RecognizerStream
from asrkit.recognizer.words import NewWords, Phrases, with_other_words

log = logging.getLogger("asrkit")

StrPath = str | os.PathLike[str]


class Recognizer:
    """Turns sound into words.

    Calls may come from several threads; each has a search of its own over the shared model.

    Parameters
    ----------
    model : RecognizerModel
    upsample : bool
        Also take audio of a lower rate than the model's; see :class:`asrkit.recognizer.audio.RateConverter`.

    Examples
    --------
    >>> recognizer = asrkit.load("digits.asrkit")            # doctest: +SKIP
    >>> result = recognizer("one-two-three.wav", nbest=3)    # doctest: +SKIP
    >>> result.text                                          # doctest: +SKIP
    'one two three'
    >>> [(word.word, word.start_secs, word.confidence) for word in result.words]  # doctest: +SKIP
    """

    def __init__(self, model: RecognizerModel, upsample: bool = False) -> None:
        self.model = model
        self._converter = RateConverter(model.sample_rate_hz, upsample)
        self._searches: list[BeamSearch] = []

    @property
    def sample_rate_hz(self) -> int:
        """Rate of the sound that the model hears; audio of a higher rate is resampled."""
        return self.model.sample_rate_hz

    @property
    def config(self) -> RecognizerConfig:
        """Settings of the search."""
        return self.model.config

    @property
    def adaptation(self) -> Adaptation:
        """How whole recordings are heard; see :data:`asrkit.recognizer.result.Adaptation`."""
        if not self.model.acoustic.is_speaker_adaptive:
            return "none"
        return "fmllr" if self.config.adapt else "first pass"

    def check_rate(self, rate_hz: int) -> None:
        """Raise a :class:`DataError` for a rate that the model cannot be fed from; say, once, what is resampled."""
        self._converter.check(rate_hz)

    def __call__(self, audio: Audio, rate: int | None = None, *, channel: int | None = None, nbest: int = 1) -> Result:
        """Recognise one recording. What the model normalises or adapts by speaker is estimated on it alone.

        Parameters
        ----------
        audio : ndarray or path
            (num_samples,) or (num_samples, num_channels), int16, int32, or floats in [-1, 1]; or an audio file.
        rate : int
            Samples a second of an array.
        channel : int, optional
            0-based; must be given where there are several.
        nbest : int
            Alternatives wanted of each segment, at most.

        Raises
        ------
        DataError
            The audio is empty, damaged, not finite, on another scale, too short, or of too low a rate.
        """
        (result,) = self.together([(audio, rate)], channel=channel, nbest=nbest)
        if isinstance(result, AsrkitError):
            raise result
        return result

    def together(
        self,
        recordings: Sequence[tuple[Audio, int | None]],
        *,
        channel: int | None = None,
        nbest: int = 1,
    ) -> list[Result | AsrkitError]:
        """Recognise several recordings of one speaker, who is normalised and adapted to over all of them.

        Given the utterances of each speaker of a data directory, this is what `asrkit decode` does.

        Parameters
        ----------
        recordings : sequence of (audio, rate)
            See :meth:`__call__`.

        Returns
        -------
        list of Result or AsrkitError
            In their order; an error for a recording on which no path survived.

        Raises
        ------
        DataError
            A recording cannot be used; see :meth:`__call__`.
        """
        if nbest < 1:
            raise ConfigError(f"nbest is {nbest}, expected 1 or more")
        samples = [self._samples(audio, rate, channel) for audio, rate in recordings]
        with _Borrowed(self) as search:
            found = recognise(self.model, samples, search)
        answers: list[Result | AsrkitError] = []
        for one, heard in zip(found.results, samples, strict=True):
            if isinstance(one, AsrkitError):
                answers.append(one)
                continue
            secs = len(heard) / self.sample_rate_hz
            segment = make_segment(self.model, one, 0.0, secs, nbest)
            answers.append(Result((segment,), secs, found.adaptation, found.transform))
        return answers

    def channels(self, audio: Audio, rate: int | None = None, *, nbest: int = 1) -> list[Result]:
        """Recognise each channel of a recording by itself; see :meth:`__call__`."""
        return [self(audio, rate, channel=channel, nbest=nbest) for channel in range(num_channels(audio))]

    def pieces(self, pieces: Iterable[Piece], *, nbest: int = 1, one_speaker: bool = True) -> HeardPieces:
        """Recognise the pieces of a long recording, and join those that overlap.

        Parameters
        ----------
        pieces : iterable of Piece
            In order of time, as :func:`asrkit.stages.long_recordings.speech_segments` yields them.
        one_speaker : bool
            Normalise and adapt over all pieces together: they are taken to their end before the first is recognised,
            but of each only the features are kept, 19 MB an hour of speech at 13 dimensions and 100 frames a second.
            False: each by itself, as it comes.

        Returns
        -------
        HeardPieces
            With a segment of each piece; pieces that overlap give one together, without alternatives.
        """
        if not one_speaker:
            return HeardPieces(_joined((piece, self._piece(piece, nbest)) for piece in pieces))
        bounds: list[_Bounds] = []
        features: list[Samples] = []
        for piece in pieces:
            number = None
            if self.model.front_end.num_frames(len(piece.samples)) >= 1:
                number = len(features)
                features.append(extract(self.model, piece.samples, number))
            bounds.append(_Bounds(piece.start_secs, piece.end_secs, piece.overlap_secs, number))
        with _Borrowed(self) as search:
            speaker = Speaker(self.model, features, search)
        return HeardPieces(_joined((one, self._heard(one, speaker, nbest)) for one in bounds), speaker.kind)

    def _piece(self, piece: Piece, nbest: int) -> Segment:
        if self.model.front_end.num_frames(len(piece.samples)) < 1:
            return _nothing(piece)
        with _Borrowed(self) as search:
            (found,) = recognise(self.model, [piece.samples], search).results
        return self._segment(piece, found, nbest)

    def _heard(self, bounds: _Bounds, speaker: Speaker, nbest: int) -> Segment:
        if bounds.number is None:
            return _nothing(bounds)
        with _Borrowed(self) as search:
            found = speaker.recognise(bounds.number, search)
        return self._segment(bounds, found, nbest)

    def _segment(self, bounds: Bounds, found: SearchResult | AsrkitError, nbest: int) -> Segment:
        if isinstance(found, AsrkitError):
            log.warning("nothing recognised from %.2f to %.2f s: %s", bounds.start_secs, bounds.end_secs, found)
            return _nothing(bounds)
        return make_segment(self.model, found, bounds.start_secs, bounds.end_secs, nbest)

    def stream(self, rate: int | None = None, *, speaker: CmvnStats | None = None, nbest: int = 1) -> RecognizerStream:
        """Return what takes live audio; see :class:`asrkit.recognizer.stream.RecognizerStream`.

        Parameters
        ----------
        rate : int, optional
            Samples a second of what will be fed; by default the model's.
        speaker : CmvnStats, optional
            ``stream.speaker`` of an earlier stream with the same speaker.

        Examples
        --------
        >>> stream = recognizer.stream(16000)                # doctest: +SKIP
        >>> for block in microphone:                         # doctest: +SKIP
        ...     for event in stream.feed(block):
        ...         print(event.text)
        >>> stream.finish().text                             # doctest: +SKIP
        """
        return RecognizerStream(self.model, self._converter, rate, speaker, nbest)

    def warm_up(self, *, live: bool = False, nbest: int = 1) -> None:
        """Hear a second of faint noise, so that what is compiled or loaded at first use is not at the first recording.

        Parameters
        ----------
        live : bool
            As a stream does, not as a whole recording.
        """
        noise = np.random.default_rng(0).normal(0.0, 1e-3, self.sample_rate_hz)
        try:
            if live:
                stream = self.stream(nbest=nbest)
                stream.feed(noise)
                stream.finish()
            else:
                self(noise, self.sample_rate_hz, nbest=nbest)
        except AsrkitError as error:
            log.debug("nothing heard in the noise of the warm-up: %s", error)

    def with_config(self, **changes: Any) -> Recognizer:
        """Return a recogniser of the same model with other settings, e.g. ``beam=10.0``."""
        config = from_mapping(RecognizerConfig, changes, base=self.config)
        return Recognizer(dataclasses.replace(self.model, config=config), self._converter.upsample)

    def _samples(self, audio: Audio, rate: int | None, channel: int | None) -> Samples:
        try:
            samples, found = read_samples(audio, rate, channel)
            return self._converter(samples, found)
        except AsrkitError as error:
            if error.where is None and isinstance(audio, (str, os.PathLike)):
                error.where = str(audio)
            raise


class Bounds(Protocol):
    """Where a piece lies in its recording."""

    @property
    def start_secs(self) -> float:
        """Where it begins in the recording."""
        ...

    @property
    def end_secs(self) -> float:
        """Where it ends."""
        ...

    @property
    def overlap_secs(self) -> float:
        """So much of its beginning is the end of the piece before."""
        ...


class Piece(Bounds, Protocol):
    """A stretch of a recording: samples float32 in the int16 range, at the rate of the model."""

    @property
    def samples(self) -> Samples:
        """(n,) float32."""
        ...


@dataclass(frozen=True)
class HeardPieces:
    """What is heard in the pieces of a long recording.

    Attributes
    ----------
    segments : iterator of Segment
        Each is recognised when it is asked for.
    transform : str or None
        Kind of the speaker's transform; None where there is none, or one for each piece.
    """

    segments: Iterator[Segment]
    transform: str | None = None


@dataclass(frozen=True)
class _Bounds:
    """Where a piece lies, and which of the speaker's recordings it is; None where it holds no frame."""

    start_secs: float
    end_secs: float
    overlap_secs: float
    number: int | None


def _nothing(bounds: Bounds) -> Segment:
    return Segment(bounds.start_secs, bounds.end_secs, (), (), False)


def _joined(heard: Iterable[tuple[Bounds, Segment]]) -> Iterator[Segment]:
    """Yield segments, those of pieces that overlap as one."""
    overlapping: list[Segment] = []
    for bounds, segment in heard:
        if overlapping and bounds.overlap_secs <= 0:
            yield join_segments(overlapping)
            overlapping = []
        overlapping.append(segment)
    if overlapping:
        yield join_segments(overlapping)


class _Borrowed:
    """A search that nobody else uses, given back when done."""

    def __init__(self, recognizer: Recognizer) -> None:
        self._recognizer = recognizer

    def __enter__(self) -> BeamSearch:
        try:
            # Taking from the end of a list is one step for Python: no two threads get the same.
            self._search = self._recognizer._searches.pop()
        except IndexError:
            self._search = BeamSearch(self._recognizer.model.graph)
        return self._search

    def __exit__(self, *_: object) -> None:
        self._recognizer._searches.append(self._search)


def load_recognizer(
    path: StrPath,
    graph: StrPath | None = None,
    *,
    config: Mapping[str, Any] | None = None,
    upsample: bool = False,
    phrases: Phrases | None = None,
    add_words: NewWords | None = None,
    word_cost: float | None = None,
    prior: CmvnStats | None = None,
) -> Recognizer:
    """Open a model; see :func:`asrkit.load`. ``prior`` is that of a model directory, which has none."""
    model = load_model(Path(path), None if graph is None else Path(graph))
    model = model if prior is None else dataclasses.replace(model, prior=prior)
    if config:
        changed = from_mapping(RecognizerConfig, config, base=model.config)
        model = dataclasses.replace(model, config=changed)
    if (phrases, add_words, word_cost) != (None, None, None):
        model = with_other_words(model, phrases, add_words, word_cost)
    return Recognizer(model, upsample)


def load_model(path: Path, graph: Path | None) -> RecognizerModel:
    """Open a model file, or a model directory and a graph directory."""
    if path.is_dir():
        if graph is None:
            raise ModelError("a model directory, and no graph", where=path, remedy="give the graph directory too")
        return load_model_folders(path, graph)
    if graph is not None:
        raise ModelError(f"a model file holds its own graph, and {graph} was given too", where=path)
    return load_package(path)
