"""Counts and estimates against a recount by another way, planted habits, and laws of the probabilities."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable

import numpy as np
import pytest

from asrkit.core.errors import ConfigError
from asrkit.lang.lexicon import Pronunciation
from asrkit.lang.lexicon_training import LexiconCounts, LexiconTrainingConfig, train_pronunciations, train_silence
from asrkit.lang.silence import Said, SilenceModel

LEXICON = (
    Pronunciation("A", ("a",)),
    Pronunciation("B", ("b", "i"), 0.25),
    Pronunciation("B", ("b",)),
    Pronunciation("C", ("k",)),
    Pronunciation("NEVER", ("n",), 0.5),
    Pronunciation("NEVER", ("n", "e")),
)
A, BI, B, C = (("A", "a"), ("B", "b", "i"), ("B", "b"), ("C", "k"))
CONFIG = LexiconTrainingConfig(silence=True)
# None is silence.
UTTERANCES: tuple[tuple[Said | None, ...], ...] = (
    (None, A, BI, None, A, None),
    (A, None, C, None),
    (None, B, BI, BI, A),
    (None, C, A, None, A, None),
)


def counted(utterances: Iterable[Iterable[Said | None]]) -> LexiconCounts:
    counts = LexiconCounts()
    for utterance in utterances:
        counts.add(utterance)
    return counts


def places() -> list[tuple[str, bool, str]]:
    """(before, silent, behind) of every place, found by a pattern in the utterances as text."""
    texts = [" ".join(["^", *("_" if item is None else "/".join(item) for item in u), "$"]) for u in UTTERANCES]
    pattern = re.compile(r"(?<!\S)(?=([^_ ]\S*) (_ )?([^_ ]\S*))")
    return [(before, bool(silence), behind) for text in texts for before, silence, behind in pattern.findall(text)]


def test_the_tiny_alignment_by_hand() -> None:
    assert len(places()) == 16
    counts = counted(UTTERANCES)
    assert counts.silences() == (9, 16)
    assert counts.spoken() == {A: 6, BI: 3, B: 1, C: 2}
    trained = {(p.word, *p.phones): p.probability for p in train_pronunciations(counts, LEXICON, 1.0)}
    # B: 3 + 1/4 against 1 + 1; a word that was not said keeps what it had.
    expected = {A: 1.0, BI: 1.0, B: 2 / 3.25, C: 1.0, ("NEVER", "n"): 0.5, ("NEVER", "n", "e"): 1.0}
    assert trained == pytest.approx(expected)


def test_silence_probabilities_are_those_of_a_recount() -> None:
    """The sums of the paper over all places, with nothing shared with the code."""
    rows = places()
    model = train_silence(counted(UTTERANCES), LEXICON, CONFIG)
    overall = sum(silent for _, silent, _ in rows) / len(rows)
    assert model.overall == pytest.approx(overall)

    def chance(name: str) -> float:
        behind = [silent for before, silent, _ in rows if before == name]
        return (sum(behind) + 2 * overall) / (len(behind) + 2)

    def factors(name: str) -> tuple[float, float]:
        inside = [(before, silent) for before, silent, behind in rows if behind == name]
        expected = sum(chance(before) for before, _ in inside)
        observed = sum(silent for _, silent in inside)
        return (observed + 2) / (expected + 2), (len(inside) - observed + 2) / (len(inside) - expected + 2)

    assert model.start == pytest.approx(chance("^"))
    assert model.end == pytest.approx(factors("$"))
    assert set(model.habits) == {(p.word, *p.phones) for p in LEXICON}
    for name, habit in model.habits.items():
        assert habit.after == pytest.approx(chance("/".join(name)))
        assert (habit.before, habit.joined) == pytest.approx(factors("/".join(name)))
    unseen = model.habits["NEVER", "n"]
    assert (unseen.after, unseen.before, unseen.joined) == (pytest.approx(overall), 1.0, 1.0)


def test_counts_add() -> None:
    halves = counted(UTTERANCES[:2]) + counted(UTTERANCES[2:])
    assert halves == counted(UTTERANCES)
    backwards = counted(UTTERANCES[::-1])
    assert train_silence(backwards, LEXICON, CONFIG) == train_silence(halves, LEXICON, CONFIG)


def test_without_smoothing_and_probabilities_of_before_shares_are_those_of_counts() -> None:
    flat = [Pronunciation(p.word, p.phones) for p in LEXICON]
    (_, bi, b, *_) = train_pronunciations(counted(UTTERANCES), flat, 1e-12)
    total = bi.probability + b.probability
    assert (bi.probability / total, b.probability / total) == pytest.approx((0.75, 0.25))


def say(silent: Callable[[Said, Said], float], num_utterances: int, seed: int) -> LexiconCounts:
    """Counts of random utterances whose silences between v and w have the probability ``silent(v, w)``."""
    rng = np.random.default_rng(seed)
    names = [A, BI, B, C]
    counts = LexiconCounts()
    for _ in range(num_utterances):
        line: list[Said | None] = []
        before: Said = ("<s>",)
        for word in [names[i] for i in rng.choice(4, size=rng.integers(1, 8), p=[0.4, 0.3, 0.2, 0.1])] + [("</s>",)]:
            if rng.random() < silent(before, word):
                line.append(None)
            line.append(word)
            before = word
        counts.add(line[:-1])
    return counts


AFTER = {("<s>",): 0.9, A: 0.1, BI: 0.3, B: 0.6, C: 0.8}


def test_planted_habits_of_the_word_in_front_are_found() -> None:
    model = train_silence(say(lambda v, _: AFTER[v], 4000, 1), LEXICON, CONFIG)
    assert model.start == pytest.approx(0.9, abs=0.02)
    for name in (A, BI, B, C):
        habit = model.habits[name]
        assert habit.after == pytest.approx(AFTER[name], abs=0.03)
        # The word behind does nothing: nor does the end of the sentence.
        assert (habit.before, habit.joined) == pytest.approx((1.0, 1.0), abs=0.08)
    assert model.end == pytest.approx((1.0, 1.0), abs=0.05)


def test_planted_habits_of_the_word_behind_are_found() -> None:
    before = {A: 0.1, BI: 0.3, B: 0.6, C: 0.8, ("</s>",): 0.33}
    model = train_silence(say(lambda _, w: before[w], 4000, 2), LEXICON, CONFIG)
    factors = {w: (model.habits[w].before, model.habits[w].joined) for w in (A, BI, B, C)} | {("</s>",): model.end}
    for chance in (model.start, *(model.habits[v].after for v in (A, BI, B, C))):
        # The word in front does nothing: the probability before any word is all it knows.
        assert chance == pytest.approx(0.33, abs=0.03)
        for w, (silence, joined) in factors.items():
            assert chance * silence == pytest.approx(before[w], abs=0.06)
            assert (1 - chance) * joined == pytest.approx(1 - before[w], abs=0.06)


def likelihood(model: SilenceModel, counts: LexiconCounts) -> float:
    """Mean log weight of what silence did, per place."""
    total = 0.0
    for (v, silent, w), count in counts.pairs.items():
        chance = model.start if v == ("<s>",) else model.habits[v].after
        factors = model.end if w == ("</s>",) else (model.habits[w].before, model.habits[w].joined)
        total += count * math.log(chance * factors[0] if silent else (1 - chance) * factors[1])
    return total / counts.pairs.total()


def test_more_probable_on_utterances_that_were_not_counted_than_one_probability_for_all() -> None:
    # Sentences begin and end with silence, C has it around itself: the habits of real recordings.
    def silent(v: Said, w: Said) -> float:
        return 0.95 if v == ("<s>",) or w == ("</s>",) else 0.6 if C in (v, w) else 0.05

    model, unseen = train_silence(say(silent, 300, 3), LEXICON, CONFIG), say(silent, 300, 4)
    share = unseen.silences()[0] / unseen.silences()[1]
    constant = share * math.log(share) + (1 - share) * math.log(1 - share)
    assert likelihood(model, unseen) > constant + 0.2


def test_nothing_becomes_impossible() -> None:
    always = counted([(None, A, None, A, None)] * 1000)
    model = train_silence(always, LEXICON, CONFIG)
    assert (model.overall, model.start, model.habits[A].after) == (0.99, 0.99, 0.99)
    never = train_silence(counted([(A, A)] * 1000), LEXICON, CONFIG)
    assert (never.overall, never.start, never.habits[A].after) == (0.01, 0.01, 0.01)
    # Silence stands between A and C alone, never elsewhere before C: F(n|C) would go to 0.
    alone = train_silence(counted([(A, None, C)] * 1000 + [(A, A)] * 1000), LEXICON, CONFIG)
    assert alone.habits[C].joined == CONFIG.floor


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pronunciation_smoothing": 0.0}, "pronunciation_smoothing is 0.0, expected a number above 0"),
        ({"silence_smoothing": -1.0}, "silence_smoothing is -1.0"),
        ({"correction_smoothing": float("inf")}, "correction_smoothing is inf"),
        ({"floor": 0.5}, "floor is 0.5, expected 0 < floor < 0.5"),
    ],
)
def test_configurations_that_cannot_be(values: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LexiconTrainingConfig(**values)  # type: ignore[arg-type]
