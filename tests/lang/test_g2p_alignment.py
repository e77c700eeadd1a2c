"""EM over alignment lattices against the enumeration of every alignment."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import ConfigError
from asrkit.lang.g2p_alignment import AlignmentConfig, Graphone, build_lattices, train_alignment

WIDE = AlignmentConfig(max_letters=2)
EXAMPLES = [
    (tuple("phi"), ("F", "AY")),
    (tuple("tax"), ("T", "AE", "K", "S")),
    (tuple("hip"), ("HH", "IH", "P")),
    (tuple("ax"), ("AE", "K", "S")),
    (tuple("pipe"), ("P", "AY", "P")),
    (tuple("x"), ("EH", "K", "S")),  # one letter holds two phones at most
]


def alignments(
    letters: Sequence[str], phones: Sequence[str], shapes: Sequence[tuple[int, int]]
) -> Iterator[tuple[Graphone, ...]]:
    if not letters and not phones:
        yield ()
    for num_letters, num_phones in shapes:
        if num_letters <= len(letters) and num_phones <= len(phones):
            first = Graphone(tuple(letters[:num_letters]), tuple(phones[:num_phones]))
            for rest in alignments(letters[num_letters:], phones[num_phones:], shapes):
                yield (first, *rest)


def random_log_prob(size: int, seed: int) -> np.ndarray:
    weights = np.random.default_rng(seed).uniform(0.01, 1.0, size)
    return np.asarray(np.log(weights / weights.sum()))


words = st.tuples(st.text("abc", min_size=1, max_size=4), st.lists(st.sampled_from("XYZ"), min_size=1, max_size=5))


@settings(max_examples=40, deadline=None)
@given(
    examples=st.lists(words, min_size=1, max_size=3),
    sizes=st.tuples(st.sampled_from([1, 2]), st.sampled_from([1, 2])),
    seed=st.integers(0, 100),
)
def test_counts_likelihoods_and_best_paths_equal_enumeration(
    examples: list[tuple[str, list[str]]], sizes: tuple[int, int], seed: int
) -> None:
    config = AlignmentConfig(*sizes)
    lattices = build_lattices([(tuple(word), phones) for word, phones in examples], config)
    units = {graphone: i for i, graphone in enumerate(lattices.graphones)}
    log_prob = random_log_prob(len(units), seed)
    counts, loglikes = lattices.expect(log_prob)
    best = lattices.align(log_prob)
    expected: Counter[Graphone] = Counter()
    used: set[Graphone] = set()
    for n, (word, phones) in enumerate(examples):
        paths = list(alignments(word, phones, config.shapes))
        scores = [math.fsum(log_prob[units[g]] for g in path) for path in paths]
        used |= {graphone for path in paths for graphone in path}
        if not paths:
            assert loglikes[n] == -np.inf
            assert len(best[n]) == 0
            continue
        total = math.log(math.fsum(map(math.exp, scores)))
        assert loglikes[n] == pytest.approx(total, rel=1e-12)
        assert math.fsum(log_prob[best[n]]) == pytest.approx(max(scores), rel=1e-12)
        cut = [lattices.graphones[unit] for unit in best[n]]
        assert [letter for g in cut for letter in g.letters] == list(word)
        assert [phone for g in cut for phone in g.phones] == phones
        for path, score in zip(paths, scores):
            for graphone in path:
                expected[graphone] += math.exp(score - total)  # type: ignore[assignment]
    assert set(lattices.graphones) == used
    assert counts == pytest.approx([expected[g] for g in lattices.graphones], rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("config", [AlignmentConfig(), WIDE, AlignmentConfig(2, 1)])
def test_the_likelihood_never_falls(config: AlignmentConfig) -> None:
    lattices = build_lattices(EXAMPLES, config)
    seen: list[float] = []
    log_prob = train_alignment(lattices, 25, seen.append)
    assert len(seen) == 25
    assert (np.diff(seen) > -1e-12).all()
    assert seen[-1] > seen[0] + 1
    assert np.exp(log_prob).sum() == pytest.approx(1.0, abs=1e-12)
    # the twin: with the counts of other units the likelihood falls
    counts, before = lattices.expect(log_prob)
    _, after = lattices.expect(np.log((np.roll(counts, 1) + 1e-9) / (counts + 1e-9).sum()))
    aligned = before > -np.inf
    assert after[aligned].sum() < before[aligned].sum()


def test_the_start_is_uniform_over_letters_and_phones() -> None:
    letters, phones = tuple("abcd"), ("X", "Y", "Z")
    lattices = build_lattices([(letters, phones)], AlignmentConfig())
    paths = list(alignments(letters, phones, AlignmentConfig().shapes))
    seen: list[float] = []
    train_alignment(lattices, 1, seen.append)
    weights = {g: 4.0 ** -len(g.letters) * 3.0 ** -len(g.phones) for g in lattices.graphones}
    total = sum(weights.values())
    expected = math.log(sum(math.prod(weights[g] / total for g in path) for path in paths))
    assert seen == pytest.approx([expected])
    assert len(paths) == 16


def test_digraphs_and_silent_letters_are_found() -> None:
    """Two letters that are always one phone become one piece where pieces may have two letters."""
    sounds = {"sh": ("S",), "a": ("A",), "o": ("O",), "t": ("T",), "x": ("K", "Z"), "h": ("H",), "s": ("Q",)}
    rng = np.random.default_rng(1)
    examples = []
    for _ in range(200):
        pieces = [list(sounds)[i] for i in rng.integers(0, len(sounds), rng.integers(1, 6))]
        examples.append((tuple("".join(pieces)), [phone for piece in pieces for phone in sounds[piece]]))
    lattices = build_lattices(examples, WIDE)
    log_prob = train_alignment(lattices, 15)
    pieces_found = Counter(lattices.graphones[unit] for units in lattices.align(log_prob) for unit in units.tolist())
    planted = {Graphone(tuple(letters), phones) for letters, phones in sounds.items()}
    assert {g for g, count in pieces_found.items() if count > 20} == planted


def test_words_with_too_many_phones_are_left_out_of_the_counts() -> None:
    with_bad = build_lattices(EXAMPLES, WIDE)
    without = build_lattices(EXAMPLES[:-1], WIDE)
    assert with_bad.graphones == without.graphones
    log_prob = random_log_prob(len(without.graphones), 0)
    counts, loglikes = with_bad.expect(log_prob)
    assert np.array_equal(counts, without.expect(log_prob)[0])
    assert loglikes[-1] == -np.inf
    assert len(with_bad.align(log_prob)[-1]) == 0
    assert (loglikes[:-1] > -np.inf).all()


def test_many_units_fill_the_table_and_it_grows() -> None:
    """More units than the first table and the first list hold; every arc still names what it spells."""
    num = 9000
    examples = [((chr(0x4E00 + n),), (f"P{n % 300}", f"Q{n // 300}")) for n in range(num)]
    lattices = build_lattices(examples, AlignmentConfig())
    assert len(set(lattices.graphones)) == len(lattices.graphones) == num
    best = lattices.align(np.full(num, -math.log(num)))
    assert all(
        [lattices.graphones[unit] for unit in units] == [Graphone(letters, phones)]
        for units, (letters, phones) in zip(best, examples)
    )


@pytest.mark.parametrize("values", [{"max_letters": 3}, {"max_phones": 0}, {"num_iterations": 0}])
def test_wrong_configuration(values: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))):
        AlignmentConfig(**values)
