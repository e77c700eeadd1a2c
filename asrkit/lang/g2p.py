"""Grapheme-to-phoneme conversion: how words that no lexicon holds are probably said.

A joint-sequence model (Bisani & Ney 2008): words and pronunciations are cut into graphones, small pieces of spelling
with their phones, and an n-gram over graphones gives the joint probability of both.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from asrkit.core.config import from_mapping, to_mapping
from asrkit.core.container import load_model, save_model
from asrkit.core.errors import AsrkitError, ConfigError, DataError, ModelError
from asrkit.core.progress import Progress, silent
from asrkit.lang.g2p_alignment import AlignmentConfig, Graphone, build_lattices, train_alignment
from asrkit.lang.g2p_search import (
    GraphoneAutomaton,
    SearchConfig,
    UnitTable,
    best_pronunciations,
    build_automaton,
    search,
)
from asrkit.lang.lexicon import Pronunciation
from asrkit.lm.counts import count_ngrams
from asrkit.lm.smoothing import NgramConfig, Smoothing, estimate

KIND = "g2p"
_STRESS = re.compile(r"(.*[^0-9])[0-9]+")
_VARIANT = re.compile(r"(.+)\(\d+\)")
_ARRAYS = ("state_begin", "arc_unit", "arc_next", "arc_logprob", "backoff_state", "backoff_logprob")


@dataclass(frozen=True)
class G2pConfig:
    """How to train and use a G2P model.

    Attributes
    ----------
    order : int
        Of the n-gram over graphones, >= 1.
    smoothing : {'kneser-ney', 'witten-bell', 'kneser-ney-backoff'}
        See :class:`asrkit.lm.smoothing.NgramConfig`.
    fold_case : bool
        Words are read in small letters (``str.lower``).
    strip_stress : bool
        Numbers at the end of phones are taken off (``AH0`` becomes ``AH``).
    alignment, search : AlignmentConfig, SearchConfig
        Tables of their own.
    """

    order: int = 8
    smoothing: Smoothing = "kneser-ney"
    fold_case: bool = True
    strip_stress: bool = False
    alignment: AlignmentConfig = field(default_factory=AlignmentConfig)
    search: SearchConfig = field(default_factory=SearchConfig)

    def __post_init__(self) -> None:
        if self.order < 1:
            raise ConfigError(f"order is {self.order}, expected 1 or more")


@dataclass(frozen=True)
class G2p:
    """A trained model: P(letters, phones) of any word over its letters.

    Attributes
    ----------
    letters, phones : tuple of str
        What its words are spelt with and said with, sorted. A letter is a Unicode code point (NFC).
    graphones : tuple of Graphone
        Those of one spelling stand together; unit ``i + 2`` of the automaton is ``graphones[i]``, behind the two
        sentence symbols.
    automaton : GraphoneAutomaton
        The n-gram.
    config : G2pConfig
        What it was trained with, and how it searches.
    """

    letters: tuple[str, ...]
    phones: tuple[str, ...]
    graphones: tuple[Graphone, ...]
    automaton: GraphoneAutomaton
    config: G2pConfig
    table: UnitTable = field(repr=False, compare=False)

    def pronounce(self, word: str, num: int = 1) -> tuple[tuple[tuple[str, ...], float], ...]:
        """Return the best pronunciations of a word, at most ``num`` and at least one, best first, all different.

        Returns
        -------
        tuple of (phones, log_prob)
            ``log_prob`` is the natural log of P(phones | word), the share of the pronunciation among all that
            the search kept: over all of them the probabilities sum to one at most.

        Raises
        ------
        DataError
            The word is empty, has a letter that the lexicon of the training lacked (letter and word are named), or
            no pronunciation.
        """
        letters = spell(word, self.config.fold_case)
        if not letters:
            raise DataError("a word without letters cannot be pronounced")
        known = set(self.letters)
        for letter in letters:
            if letter not in known:
                raise DataError(
                    f"the letter {letter!r} of the word {word!r} is unknown to the G2P model",
                    remedy="spell the word otherwise, give its phones yourself, or train on words with this letter",
                )
        lattice = search(self.automaton, self.table, letters, self.config.search)
        found = best_pronunciations(lattice, self.table, num, self.config.search.max_paths)
        if not found:
            raise DataError(f"the G2P model has no pronunciation for {word!r}", remedy="give its phones yourself")
        return tuple((phones, min(score - lattice.total, 0.0)) for phones, score in found)

    def entries(self, word: str, num: int = 1) -> list[Pronunciation]:
        """Return :meth:`pronounce` as lexicon entries: probabilities relative to the best one's."""
        found = self.pronounce(word, num)
        return [
            Pronunciation(word, phones, max(float(np.exp(score - found[0][1])), np.finfo(float).tiny))
            for phones, score in found
        ]

    def save(self, path: Path | str) -> None:
        """Write the model as one safetensors file."""
        meta = {
            "letters": self.letters,
            "phones": self.phones,
            "graphones": [[graphone.letters, graphone.phones] for graphone in self.graphones],
            "start": self.automaton.start,
            "config": to_mapping(self.config),
        }
        save_model(path, KIND, {name: getattr(self.automaton, name) for name in _ARRAYS}, meta)

    @classmethod
    def load(cls, path: Path | str) -> G2p:
        """Read a model; a :class:`ModelError` says what is wrong with the file."""
        arrays, meta = load_model(path, KIND)
        try:
            graphones = tuple(Graphone(tuple(letters), tuple(phones)) for letters, phones in meta["graphones"])
            automaton = GraphoneAutomaton(
                **{name: arrays[name] for name in _ARRAYS}, start=meta["start"], num_units=len(graphones) + 2
            )
            automaton.check()
            config = from_mapping(G2pConfig, meta["config"])
            return cls(
                tuple(meta["letters"]), tuple(meta["phones"]), graphones, automaton, config, _unit_table(graphones)
            )
        except (KeyError, TypeError, ValueError, AsrkitError) as error:
            raise ModelError(f"not a G2P model that can be used: {error}", where=path) from None


@dataclass(frozen=True)
class G2pTraining:
    """What training met.

    Attributes
    ----------
    num_pronunciations : int
        Those that the model learnt from.
    loglikes : tuple of float
        Mean log-likelihood of a pronunciation's alignment before each iteration of EM.
    unaligned : tuple of (str, tuple of str)
        Words and pronunciations left out: more phones than the letters can hold.
    num_ngrams : tuple of int
        By order.
    """

    num_pronunciations: int
    loglikes: tuple[float, ...]
    unaligned: tuple[tuple[str, tuple[str, ...]], ...]
    num_ngrams: tuple[int, ...]


def spell(word: str, fold_case: bool) -> tuple[str, ...]:
    """Return the letters of a word: its code points in Unicode's composed form (NFC), small if case is folded."""
    composed = unicodedata.normalize("NFC", word)
    return tuple(unicodedata.normalize("NFC", composed.lower()) if fold_case else composed)


def gather_words(entries: Iterable[Pronunciation], config: G2pConfig) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Gather the pronunciations of every word that has letters; words and pronunciations are sorted.

    ``word(2)`` is a further pronunciation of ``word`` and what stands behind a phone ``#`` is a comment, as in cmudict.
    Left out are entries without any letter (``%``) and symbols in brackets (``<unk>``, ``[noise]``).
    """
    words: dict[str, set[tuple[str, ...]]] = {}
    for entry in entries:
        variant = _VARIANT.fullmatch(entry.word)
        word = "".join(spell(variant[1] if variant else entry.word, config.fold_case))
        if word[:1] in ("<", "[") or not any(character.isalpha() for character in word):
            continue
        phones = entry.phones[: entry.phones.index("#")] if "#" in entry.phones else entry.phones
        if config.strip_stress:
            phones = tuple(_STRESS.sub(r"\1", phone) if _STRESS.fullmatch(phone) else phone for phone in phones)
        if phones:
            words.setdefault(word, set()).add(phones)
    return {word: tuple(sorted(words[word])) for word in sorted(words)}


def train_g2p(
    words: Mapping[str, Sequence[tuple[str, ...]]], config: G2pConfig, progress: Progress = silent
) -> tuple[G2p, G2pTraining]:
    """Train a model on words and their pronunciations, as :func:`gather_words` gives them.

    Raises
    ------
    DataError
        There are no words, or none can be aligned.
    """
    examples = [(spell(word, config.fold_case), phones) for word, said in words.items() for phones in said]
    if not examples:
        raise DataError(
            "the lexicon holds no word with letters and phones to learn from", remedy="write 'WORD PHONE PHONE …' lines"
        )
    lattices = build_lattices(examples, config.alignment)
    loglikes: list[float] = []
    log_prob = train_alignment(lattices, config.alignment.num_iterations, loglikes.append, progress)
    names = [_name(graphone) for graphone in lattices.graphones]
    cuts = [[names[unit] for unit in units.tolist()] for units in lattices.align(log_prob)]
    unaligned = tuple(("".join(letters), tuple(phones)) for (letters, phones), cut in zip(examples, cuts) if not cut)
    if len(unaligned) == len(examples):
        raise DataError(
            f"no word can be aligned with its phones: {unaligned[0][0]!r} has {len(unaligned[0][0])} letters and "
            f"{len(unaligned[0][1])} phones, a letter may have {config.alignment.max_phones}"
        )
    counts = count_ngrams(cuts, config.order)
    model = estimate(counts, NgramConfig(config.order, config.smoothing))
    by_name = dict(zip(names, lattices.graphones))
    graphones = tuple(by_name[name] for name in model.words[2:])
    g2p = G2p(
        tuple(sorted({letter for graphone in graphones for letter in graphone.letters})),
        tuple(sorted({phone for graphone in graphones for phone in graphone.phones})),
        graphones,
        build_automaton(model),
        config,
        _unit_table(graphones),
    )
    return g2p, G2pTraining(len(examples) - len(unaligned), tuple(loglikes), unaligned, model.num_ngrams)


def _name(graphone: Graphone) -> str:
    """Return the name of a graphone as a word of the n-gram; those of one spelling are neighbours when sorted."""
    return f"{''.join(graphone.letters)}\t{' '.join(graphone.phones)}"


def _unit_table(graphones: Sequence[Graphone]) -> UnitTable:
    ranges: dict[tuple[str, ...], tuple[int, int]] = {}
    for unit, graphone in enumerate(graphones, 2):
        first, end = ranges.get(graphone.letters, (unit, unit))
        if end != unit or not 1 <= len(graphone.letters) <= 2:
            raise ModelError("the graphones of the G2P model are not in order", remedy="train it again")
        ranges[graphone.letters] = (first, unit + 1)
    return UnitTable(ranges, [(), (), *(graphone.phones for graphone in graphones)], 1)
