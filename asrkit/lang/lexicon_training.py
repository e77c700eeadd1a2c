"""Pronunciation and silence probabilities from what was said: counts in an alignment, and their smoothed estimates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from asrkit.core.errors import ConfigError
from asrkit.lang.lexicon import Pronunciation, normalise
from asrkit.lang.silence import END, START, Said, SilenceHabit, SilenceModel, said


@dataclass(frozen=True)
class LexiconTrainingConfig:
    """How probabilities are estimated from counts; the numbers are those of Kaldi's ``dict_dir_add_pronprobs.sh``.

    Attributes
    ----------
    silence : bool
        Also estimate the probabilities of silence around each pronunciation.
    pronunciation_smoothing : float
        Added to the count of a pronunciation, times its probability in the lexicon so far (where that has none, 1).
    silence_smoothing : float
        Places added to those behind a pronunciation, with silence as often as everywhere; the paper's lambda 2.
    correction_smoothing : float
        Added to observed and expected silences (and their absences) before a pronunciation; the paper's lambda 3.
    floor : float
        P(s|w) lies between this and 1 less this, F(s|w) and F(n|w) are not less.
    """

    silence: bool = False
    pronunciation_smoothing: float = 1.0
    silence_smoothing: float = 2.0
    correction_smoothing: float = 2.0
    floor: float = 0.01

    def __post_init__(self) -> None:
        for name in ("pronunciation_smoothing", "silence_smoothing", "correction_smoothing"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} is {getattr(self, name)}, expected a number above 0")
        if not 0 < self.floor < 0.5:
            raise ConfigError(f"floor is {self.floor}, expected 0 < floor < 0.5")


@dataclass(frozen=True)
class LexiconCounts:
    """How often pronunciations followed each other, with silence between them and without; counts add.

    Attributes
    ----------
    pairs : Counter of (Said, bool, Said)
        C(v s w) and C(v n w): the one before, whether there was silence, the one behind; from ``("<s>",)`` to
        ``("</s>",)``.
    """

    pairs: Counter[tuple[Said, bool, Said]] = field(default_factory=Counter)

    def __add__(self, other: LexiconCounts) -> LexiconCounts:
        return LexiconCounts(self.pairs + other.pairs)

    def add(self, utterance: Iterable[Said | None]) -> None:
        """Count an utterance: what was said, from left to right; None is silence."""
        before: Said = (START,)
        silence = False
        for item in (*utterance, (END,)):
            if item is None:
                silence = True
                continue
            self.pairs[before, silence, item] += 1
            before, silence = item, False

    def spoken(self) -> Counter[Said]:
        """Return how often each pronunciation was said."""
        counts: Counter[Said] = Counter()
        for (_, _, behind), count in self.pairs.items():
            counts[behind] += count
        counts.pop((END,), None)
        return counts

    def silences(self) -> tuple[int, int]:
        """Return the number of silences, and of places where one could be."""
        return sum(n for (_, silence, _), n in self.pairs.items() if silence), self.pairs.total()


def train_pronunciations(
    counts: LexiconCounts, pronunciations: Sequence[Pronunciation], smoothing: float
) -> tuple[Pronunciation, ...]:
    """Return the pronunciations with probabilities in proportion to smoothed counts, the largest of each word 1.

    A word that was never said keeps its probabilities.
    """
    spoken = counts.spoken()
    smoothed = [replace(p, probability=spoken[said(p)] + smoothing * p.probability) for p in pronunciations]
    return tuple(normalise(smoothed))


def train_silence(
    counts: LexiconCounts, pronunciations: Iterable[Pronunciation], config: LexiconTrainingConfig
) -> SilenceModel:
    """Return smoothed probabilities of silence (see :class:`SilenceModel` for the paper).

    With C(s) of all C places silent, p = C(s) / C:
    P(s|v) = (C(v s) + a p) / (C(v) + a); expected before w are E(s|w) = sum over v of C(v w) P(s|v) silences, and
    F(s|w) = (C(s w) + b) / (E(s|w) + b); F(n|w) likewise, with a and b the smoothing of ``config``.

    Notes
    -----
    Kaldi's ``dict_dir_add_pronprobs.sh`` has no P(s|<s>) when it sums E, takes it for 0 there, and so gives words that
    begin sentences too large an F(s|w); here <s> is a v like others. Nothing is rounded.
    """
    num_silences, num_places = counts.silences()
    overall = _between(num_silences / max(num_places, 1), config.floor)
    after: dict[Said, Counter[bool]] = {}
    before: dict[Said, Counter[bool]] = {}
    for (first, silence, second), count in counts.pairs.items():
        after.setdefault(first, Counter())[silence] += count
        before.setdefault(second, Counter())[silence] += count
    names = [said(pronunciation) for pronunciation in pronunciations]
    chance: dict[Said, float] = {}
    for name in [(START,), *names]:
        seen = after.get(name, Counter())
        smoothed = (seen[True] + config.silence_smoothing * overall) / (seen.total() + config.silence_smoothing)
        chance[name] = _between(smoothed, config.floor)
    expected: dict[Said, float] = dict.fromkeys([*names, (END,)], 0.0)
    for (first, _, second), count in sorted(counts.pairs.items()):
        expected[second] += count * chance[first]

    def factors(name: Said) -> tuple[float, float]:
        seen, b = before.get(name, Counter()), config.correction_smoothing
        with_silence = (seen[True] + b) / (expected[name] + b)
        without = (seen[False] + b) / (seen.total() - expected[name] + b)
        return max(with_silence, config.floor), max(without, config.floor)

    habits = {name: SilenceHabit(chance[name], *factors(name)) for name in names}
    return SilenceModel(overall, chance[(START,)], factors((END,)), habits)


def _between(probability: float, floor: float) -> float:
    return min(max(probability, floor), 1 - floor)
