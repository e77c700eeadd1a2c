"""What is read off a search's lattice: the words under several settings, their times and confidences, alternatives."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from asrkit.decode.config import SearchConfig
from asrkit.decode.search import SearchResult
from asrkit.decode.times import Span, WordTimes
from asrkit.decode.word_places import place_words
from asrkit.lattice.determinise import determinise
from asrkit.lattice.forward_backward import forward_backward
from asrkit.lattice.lattice import Lattice, LatticeScales
from asrkit.lattice.mbr import MbrResult, minimum_bayes_risk
from asrkit.lattice.paths import LatticePath, best_path, n_best

POSTERIOR_SCALE = 0.5
"""Gave the best calibrated confidences on LibriSpeech's dev-mini, and on AN4 better ones than 1."""

NUM_TIMING_PATHS = 20
"""Best paths in which the times of words of least risk are sought."""


@dataclass(frozen=True)
class TimedWords:
    """A word sequence with times and confidences.

    Attributes
    ----------
    words : tuple of int
        Word ids, 1-based.
    spans : tuple of (int, int)
        For each word its first frame and one past its last.
    confidences : tuple of float
        For each word the probability that it was said at its place, in [0, 1].
    cost : float
        Of the best path with these words, weighed; NaN for words of least risk, which may be on no path.
    probability : float
        Share of the paths with these words among all of the lattice; NaN where the cost is.
    are_rough : bool
        Some spans are not those of the words' phones: the path ends within a word, or none of the best paths has it
        there.
    """

    words: tuple[int, ...]
    spans: tuple[Span, ...]
    confidences: tuple[float, ...]
    cost: float
    probability: float
    are_rough: bool


@dataclass(frozen=True, eq=False)
class Reading:
    """What was read off one lattice.

    Attributes
    ----------
    lattice : Lattice
        The lattice, determinised.
    beam : float
        Within which it is complete: the lattice beam, or less for a lattice that would have become too large.
    words : tuple of tuple of int
        The word ids under each setting.
    main : TimedWords
        Those of the first setting.
    alternatives : tuple of TimedWords
        The best distinct word sequences under the first setting, the best first.
    alignment : (num_frames,) int32
        The transition_ids of the best path under the first setting.
    acoustic_cost : float
        Of that path, unscaled.
    """

    lattice: Lattice
    beam: float
    words: tuple[tuple[int, ...], ...]
    main: TimedWords
    alternatives: tuple[TimedWords, ...]
    alignment: NDArray[np.int32]
    acoustic_cost: float


@dataclass(frozen=True)
class LatticeReading:
    """Reads lattices.

    Attributes
    ----------
    settings : sequence of LatticeScales
        At least one; the first is the main one.
    times : WordTimes
    num_best : int
        Alternatives wanted, at most.
    least_risk : bool
        Take the words of least expected errors (minimum Bayes risk) in place of those of the best path.
    posterior_scale : float
        Factor of all costs where they become probabilities. Frames are not independent, so that a lattice's own
        probabilities are too sure of themselves.
    """

    settings: Sequence[LatticeScales]
    times: WordTimes
    num_best: int = 1
    least_risk: bool = False
    posterior_scale: float = POSTERIOR_SCALE

    def __call__(self, result: SearchResult, config: SearchConfig) -> Reading:
        """Read the lattice of a finished search that had the configuration ``config``."""
        return self.read(*_determinised(result, config))

    def read(self, lattice: Lattice, beam: float) -> Reading:
        """Read a determinised lattice that is complete within ``beam``."""
        main_scales = self.settings[0]
        best = best_path(lattice, main_scales)
        if self.least_risk:
            risks = [minimum_bayes_risk(lattice, scales.times(self.posterior_scale)) for scales in self.settings]
            words = tuple(risk.words for risk in risks)
            main = self._of_least_risk(risks[0], lattice, best)
        else:
            others = [best_path(lattice, scales).words for scales in self.settings[1:]]
            words = (best.words, *others)
            main = self._timed(lattice, best)
        alternatives: tuple[TimedWords, ...] = ()
        if self.num_best > 1 or self.least_risk:
            alternatives = tuple(self._timed(lattice, path) for path in n_best(lattice, self.num_best, main_scales))
        return Reading(lattice, beam, words, main, alternatives or (main,), best.transition_ids, best.acoustic_cost)

    def words(self, lattice: Lattice) -> tuple[tuple[int, ...], ...]:
        """Return the word ids under each setting, and nothing else."""
        if self.least_risk:
            risks = (minimum_bayes_risk(lattice, scales.times(self.posterior_scale)) for scales in self.settings)
            return tuple(risk.words for risk in risks)
        return tuple(best_path(lattice, scales).words for scales in self.settings)

    def _timed(self, lattice: Lattice, path: LatticePath) -> TimedWords:
        scales = self.settings[0].times(self.posterior_scale)
        risk = minimum_bayes_risk(lattice, scales, words=path.words, decode=False)
        spans = self.times.spans(path.words, path.transition_ids)
        rough = spans is None
        if spans is None:
            spans = _arc_spans(path)
        logprob = -self.posterior_scale * path.cost - forward_backward(lattice, scales).total_logprob
        probability = math.exp(min(logprob, 0.0))
        return TimedWords(path.words, tuple(spans), risk.confidences, path.cost, probability, rough)

    def _of_least_risk(self, risk: MbrResult, lattice: Lattice, best: LatticePath) -> TimedWords:
        expected = list(zip(risk.begin_frames, risk.end_frames, strict=True))
        spans, all_placed = place_words(risk.words, expected, self._paths_with_times(lattice, best))
        return TimedWords(risk.words, tuple(spans), risk.confidences, math.nan, math.nan, not all_placed)

    def _paths_with_times(
        self, lattice: Lattice, best: LatticePath
    ) -> Iterator[tuple[tuple[int, ...], list[Span], list[Span]]]:
        """Yield words, places of their arcs and spans of the best path, then of the next ones."""
        for path in itertools.chain([best], _next_best(lattice, self.settings[0])):
            spans = self.times.spans(path.words, path.transition_ids)
            if spans is not None:
                yield path.words, _arc_spans(path), spans


@dataclass(frozen=True)
class GridReading:
    """Reads the settings of a grid off the lattices of several searches, each setting off one of them.

    Attributes
    ----------
    groups : sequence of LatticeReading
        Of each search the settings that are read off its lattice; the main setting is the first of the first.
    places : sequence of sequences of int
        Where each of these settings stands in the grid.
    kept : int
        The group whose lattice is that of the reading, 0-based.
    """

    groups: Sequence[LatticeReading]
    places: Sequence[Sequence[int]]
    kept: int = 0

    def __call__(self, results: Sequence[SearchResult], configs: Sequence[SearchConfig]) -> Reading:
        """Read the lattices of finished searches that had these configurations, one for each group.

        Times, confidences and alternatives are those of the main setting.
        """
        main = self.groups[0](results[0], configs[0])
        kept = main.lattice, main.beam
        words: list[tuple[int, ...]] = [()] * sum(map(len, self.places))
        for number in range(1, len(self.groups)):
            made = _determinised(results[number], configs[number])
            if number == self.kept:
                kept = made
            for place, found in zip(self.places[number], self.groups[number].words(made[0])):
                words[place] = found
        for place, found in zip(self.places[0], main.words):
            words[place] = found
        return replace(main, words=tuple(words), lattice=kept[0], beam=kept[1])


def _determinised(result: SearchResult, config: SearchConfig) -> tuple[Lattice, float]:
    """Return the lattice of a search, and the beam within which it is complete."""
    assert result.lattice is not None
    scales = LatticeScales(config.acoustic_scale, 1.0, config.word_insertion_penalty)
    made = determinise(result.lattice, scales, config.lattice_beam)
    return made.lattice, made.beam


def _arc_spans(path: LatticePath) -> list[Span]:
    return list(zip(path.word_frames, [*path.word_frames[1:], len(path.transition_ids)]))


def _next_best(lattice: Lattice, scales: LatticeScales) -> Iterator[LatticePath]:
    # A generator, so that they are sought only where the best path lacks a word.
    yield from n_best(lattice, NUM_TIMING_PATHS, scales)[1:]
