"""Recognising live audio: samples go in as they come, words come out as they settle, utterance by utterance."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError
from asrkit.core.streams import random_stream
from asrkit.decode.search import BeamSearch, SearchResult
from asrkit.features.cmvn import CmvnStats
from asrkit.features.input_stream import InputStream
from asrkit.features.online_cmvn import OnlineCmvn
from asrkit.hmm.scorer import begun
from asrkit.recognizer.audio import RateConverter, RateStream, checked_rate, pick_channel, scaled
from asrkit.recognizer.hypotheses import make_segment
from asrkit.recognizer.model import RecognizerModel
from asrkit.recognizer.result import Adaptation, Partial, Result, Segment

log = logging.getLogger("asrkit")

DECISION_FRAMES = 5
"""Whether an utterance has ended is asked at every such number of frames, counted from the beginning of the stream; so
blocks of any size give the same result."""

Event = Partial | Segment


class RecognizerStream:
    """One live recording: :meth:`feed` it, take the events; :meth:`finish` gives the whole.

    A speaker-adaptive model hears live audio with its mixtures for unadapted inputs. Utterances are parted by the
    rules of :class:`asrkit.recognizer.endpoint.EndpointConfig`; normalisation goes on across them.

    Parameters
    ----------
    model : RecognizerModel
    converter : RateConverter
        Says whether a rate may be fed.
    rate : int or None
        Samples a second of what is fed; None: the model's.
    speaker : CmvnStats, optional
        What :attr:`speaker` of an earlier stream was after the same speaker's speech.
    nbest : int
        Alternatives of an utterance, at most.

    Raises
    ------
    DataError
        The rate cannot be fed.
    ConfigError
        ``nbest`` is below 1.
    ModelError
        The model is a network that reads utterances from their ends, too.
    """

    def __init__(
        self,
        model: RecognizerModel,
        converter: RateConverter,
        rate: int | None = None,
        speaker: CmvnStats | None = None,
        nbest: int = 1,
    ) -> None:
        if nbest < 1:
            raise ConfigError(f"nbest is {nbest}, expected 1 or more")
        self.rate_hz = model.sample_rate_hz if rate is None else checked_rate(rate)
        converter.check(self.rate_hz)
        self._model, self._nbest = model, nbest
        self._resampled = RateStream(self.rate_hz, model.sample_rate_hz)
        noise = random_stream(0, "dither", "stream") if model.front_end.config.dither > 0 else None
        self._inputs = InputStream(
            model.front_end.stream(noise), model.pipeline, _cmvn(model, speaker), model.acoustic.input_transform
        )
        self._waiting = np.empty((0, model.acoustic.unadapted.dim), dtype=np.float32)
        self._search = BeamSearch(model.graph)
        self._search.start(model.config.search)
        self._scorer = begun(model.acoustic.unadapted)
        self._silence = np.isin(model.acoustic.transitions.tid_to_phone, model.silence_phones)
        self._num_samples = 0
        self._begin = self._num_frames = 0  # first frame of the utterance, and frames searched so far
        self._segments: list[Segment] = []
        self._last: Partial | None = None
        self._finished = False

    @property
    def adaptation(self) -> Adaptation:
        """How live audio is heard; see :data:`asrkit.recognizer.result.Adaptation`."""
        return "first pass" if self._model.acoustic.is_speaker_adaptive else "none"

    @property
    def heard_secs(self) -> float:
        """Seconds of audio that were fed."""
        return self._num_samples / self.rate_hz

    @property
    def speaker(self) -> CmvnStats | None:
        """Statistics of all that was heard, for the next stream of the same speaker; None: the model needs none."""
        return None if self._inputs.cmvn is None else self._inputs.cmvn.stats

    def feed(self, samples: NDArray[Any]) -> list[Event]:
        """Take the next samples, (n,) int16, int32, or floats in [-1, 1].

        Returns
        -------
        list of Partial or Segment
            The utterances that ended, and at the end what is believed of the one that goes on, if that is news.

        Raises
        ------
        DataError
            The samples are not finite, on another scale or of another type. They are then as if never fed.
        """
        if self._finished:
            raise RuntimeError("feed() after finish()")
        block = scaled(samples)
        if not block.size:
            return []
        block = pick_channel(block, None)
        self._num_samples += len(block)
        resampled = self._resampled.push(block)
        self._waiting = np.concatenate([self._waiting, self._inputs.push(resampled)])
        events: list[Event] = []
        while len(self._waiting) >= DECISION_FRAMES:
            rows, self._waiting = self._waiting[:DECISION_FRAMES], self._waiting[DECISION_FRAMES:]
            self._advance(rows)
            if self._at_end():
                events += self._end()
        return [*events, *self._news()]

    def finish(self) -> Result:
        """Return everything that was said; the last utterance ends with the audio."""
        if not self._finished:
            rest = np.concatenate([self._inputs.push(self._resampled.finish()), self._inputs.finish()])
            rows = np.concatenate([self._waiting, rest])
            for start in range(0, len(rows), DECISION_FRAMES):
                self._advance(rows[start : start + DECISION_FRAMES])
            self._end()
            self._finished = True
        return Result(tuple(self._segments), self.heard_secs, self.adaptation)

    def _advance(self, rows: NDArray[np.float32]) -> None:
        self._search.advance(self._scorer.loglikes(rows))
        self._num_frames += len(rows)

    def _at_end(self) -> bool:
        best = self._search.partial()
        silent = self._silence[best.alignment]
        trailing = len(silent) if silent.all() else int(np.argmin(silent[::-1]))
        step = self._model.frame_secs
        return self._model.config.endpoint.reached(
            trailing * step, self._search.relative_cost(), (self._num_frames - self._begin) * step
        )

    def _end(self) -> list[Event]:
        """End the utterance at hand, and begin another; one without words is none."""
        events: list[Event] = []
        if self._num_frames > self._begin:
            segment = self._segment(self._search.finish())
            if segment.words:
                self._segments.append(segment)
                events.append(segment)
        self._search.start(self._model.config.search)
        self._scorer = begun(self._model.acoustic.unadapted)
        self._begin, self._last = self._num_frames, None
        return events

    def _segment(self, result: SearchResult) -> Segment:
        step = self._model.frame_secs
        return make_segment(self._model, result, self._begin * step, self._num_frames * step, self._nbest)

    def _news(self) -> list[Event]:
        if self._num_frames == self._begin:
            return []
        symbols, step = self._model.words.symbols, self._model.frame_secs
        words = tuple(symbols[word] for word in self._search.partial().words)
        settled = len(self._search.settled_words())
        before, heard = self._last, self._num_frames * step
        if (words, settled) == (() if before is None else before.words, 0 if before is None else before.num_settled):
            return []
        self._last = Partial(self._begin * step, heard, words, settled)
        return [self._last]


def _cmvn(model: RecognizerModel, speaker: CmvnStats | None) -> OnlineCmvn | None:
    pipeline = model.pipeline
    if pipeline.cmvn == "none":
        return None
    if model.prior is None:
        log.warning("the model has no CMVN statistics of its training: live audio begins badly normalised")
    sliding = pipeline.cmvn == "sliding"
    return OnlineCmvn(
        model.config.online_cmvn,
        model.front_end.dim,
        model.prior,
        speaker,
        pipeline.norm_means or sliding,
        pipeline.norm_vars,
        pipeline.sliding_variance_floor if sliding else pipeline.variance_floor,
    )
