"""The lang directory: words, phones, pronunciations and topology that models, graphs and alignments share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asrkit.core.config import from_mapping, to_mapping
from asrkit.core.errors import ConfigError, FormatError
from asrkit.core.files import read_json, read_lines, write_json, write_lines
from asrkit.lang.lexicon import Probabilities, Pronunciation, disambiguate, is_reserved, read_lexicon
from asrkit.lang.phones import PhoneInventory, in_word_position, make_inventory, word_position
from asrkit.lang.silence import SILENCE_FILE, SilenceModel, Weights, log_weights
from asrkit.lang.symbols import EPSILON, SymbolTable
from asrkit.lang.topology import Topology, make_topology, read_topology_toml


@dataclass(frozen=True)
class LangConfig:
    """How a lang directory is made from a lexicon.

    Attributes
    ----------
    silence_phone : str
        Phone of silence; also the optional silence between words.
    spoken_noise_phone : str
        Phone of unknown words and speech-like noise.
    noise_phones : tuple of str
        More phones with the silence topology.
    unknown_word : str
        Word that stands for every word outside the lexicon; said as the spoken-noise phone unless the lexicon
        has it.
    silence_probability : float
        Probability of silence between two words, at the start and at the end; in [0, 1), 0 = no optional silence.
    position_dependent : bool
        Give phones variants by their place in the word (_B _I _E _S).
    num_states, num_silence_states : int
        Emitting HMM states of speech phones and of silence and noise phones.
    topology : str or None
        TOML file with HMM topologies instead of these; see :func:`asrkit.lang.topology.read_topology_toml`.
    pronunciation_probabilities : {'auto', 'yes', 'no'}
        Whether the lexicon's second field is a probability.
    phones : str or None
        File that lists the phones which the lexicon may use.
    """

    silence_phone: str = "SIL"
    spoken_noise_phone: str = "SPN"
    noise_phones: tuple[str, ...] = ()
    unknown_word: str = "<UNK>"
    silence_probability: float = 0.5
    position_dependent: bool = False
    num_states: int = 3
    num_silence_states: int = 5
    topology: str | None = None
    pronunciation_probabilities: Probabilities = "auto"
    phones: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.silence_probability < 1:
            raise ConfigError(f"silence_probability is {self.silence_probability}, expected 0 <= p < 1")
        for name in ("num_states", "num_silence_states"):
            if not 1 <= getattr(self, name) <= 100:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 1 to 100")
        for symbol in (*self.silence_phones, self.unknown_word):
            if not symbol or is_reserved(symbol) or len(symbol.split()) != 1:
                raise ConfigError(f"{symbol!r} is empty, reserved or has a space in it", remedy="give it another name")

    @property
    def silence_phones(self) -> tuple[str, ...]:
        """Silence, spoken noise and noise phones, each once."""
        return tuple(dict.fromkeys((self.silence_phone, self.spoken_noise_phone, *self.noise_phones)))


@dataclass(frozen=True)
class LexiconEntry:
    """A pronunciation in ids.

    Attributes
    ----------
    word_id : int
        1-based.
    phones : tuple of int
        1-based phone ids.
    log_probability : float
        Natural log, <= 0; the word's best pronunciation has 0.
    disambiguation : int
        Number n of the symbol ``#n`` behind it in L_disambig; 0 = none.
    before, after : (float, float)
        Natural logs of what no silence and silence before it (and behind it) weigh; of a place between two words
        both count.
    """

    word_id: int
    phones: tuple[int, ...]
    log_probability: float
    disambiguation: int
    before: Weights
    after: Weights


@dataclass(frozen=True, eq=False)
class Lang:
    """Words, phones, pronunciations and topology.

    Attributes
    ----------
    words : SymbolTable
        ``<eps>``, the words sorted, ``#0``, ``<s>``, ``</s>``.
    inventory : PhoneInventory
        The phones: which are silence, which share pdfs, and the disambiguation symbols.
    topology : Topology
        The HMM of every phone.
    pronunciations : tuple of Pronunciation
        Phones in their word-position variants where these are used.
    config : LangConfig
        What it was made with.
    trained_silence : SilenceModel or None
        Probabilities of silence by pronunciation, instead of the one of the configuration.
    """

    words: SymbolTable
    inventory: PhoneInventory
    topology: Topology
    pronunciations: tuple[Pronunciation, ...]
    config: LangConfig
    trained_silence: SilenceModel | None = None

    @property
    def phones(self) -> SymbolTable:
        """Phones and disambiguation symbols."""
        return self.inventory.table

    @property
    def silence_phones(self) -> tuple[int, ...]:
        """Ids of silence, spoken-noise and noise phones."""
        return self.inventory.silence

    @property
    def shared_phones(self) -> tuple[tuple[int, ...], ...]:
        """Sets of phone ids that share their pdfs."""
        return self.inventory.shared

    @property
    def optional_silence(self) -> int | None:
        """Id of the phone that may stand between words, or None."""
        return self.phones.ids[self.config.silence_phone] if self.config.silence_probability > 0 else None

    @property
    def silence(self) -> SilenceModel:
        """Probabilities of silence between words."""
        return self.trained_silence or SilenceModel.constant(self.config.silence_probability)

    @property
    def unknown_word(self) -> int:
        """Id of the word that stands for words outside the lexicon."""
        return self.words.ids[self.config.unknown_word]

    @cached_property
    def lexicon(self) -> tuple[LexiconEntry, ...]:
        """The pronunciations in ids, in the order of the lexicon."""
        phones, words = self.phones.ids, self.words.ids
        ids = [tuple(phones[phone] for phone in p.phones) for p in self.pronunciations]
        entries: list[LexiconEntry] = []
        for p, sequence, symbol in zip(self.pronunciations, ids, disambiguate(ids), strict=True):
            habit = self.silence.habit(p)
            before = (math.log(habit.joined), math.log(habit.before))
            after = log_weights(habit.after)
            entries.append(LexiconEntry(words[p.word], sequence, math.log(p.probability), symbol, before, after))
        return tuple(entries)

    @cached_property
    def entries_of_word(self) -> dict[int, tuple[LexiconEntry, ...]]:
        """word_id -> its pronunciations."""
        table: dict[int, tuple[LexiconEntry, ...]] = {}
        for entry in self.lexicon:
            table[entry.word_id] = (*table.get(entry.word_id, ()), entry)
        return table

    @cached_property
    def _word_ids(self) -> dict[str, int]:
        return {word: self.words.ids[word] for word in dict.fromkeys(p.word for p in self.pronunciations)}

    @property
    def known_words(self) -> frozenset[str]:
        """The words that have a pronunciation."""
        return frozenset(self._word_ids)

    def transcript_ids(self, words: Iterable[str]) -> tuple[NDArray[np.int32], int]:
        """Return the word ids of a transcript (int32), words outside the lexicon as the unknown word, and their number.

        ``<s>``, ``#0`` and other symbols that have no pronunciation count as outside.
        """
        known = self._word_ids
        found = [known.get(word, -1) for word in words]
        ids = np.array(found, dtype=np.int32)
        ids[ids < 0] = self.unknown_word
        return ids, found.count(-1)

    def save(self, path: Path | str) -> None:
        """Write every file of the directory but the transducers."""
        path = Path(path)
        self.words.save(path / "words.txt")
        self.phones.save(path / "phones.txt")
        write_lines(
            path / "lexicon.txt", (f"{p.word} {p.probability!r} {' '.join(p.phones)}" for p in self.pronunciations)
        )
        if self.trained_silence is None:
            (path / SILENCE_FILE).unlink(missing_ok=True)
        else:
            self.trained_silence.save(path / SILENCE_FILE)
        self.topology.save(path / "topology.json")
        self._save_phone_sets(path / "phones")
        write_lines(path / "oov.txt", [self.config.unknown_word])
        write_lines(path / "oov.int", [str(self.unknown_word)])
        inventory = self.inventory
        described = {
            "config": to_mapping(self.config),
            "silence_phones": inventory.silence,
            "nonsilence_phones": inventory.nonsilence,
            "optional_silence": self.optional_silence,
            "shared_phones": inventory.shared,
            "disambiguation": inventory.disambiguation,
            "unknown_word": self.unknown_word,
        }
        write_json(path / "lang.json", described)

    def _save_phone_sets(self, folder: Path) -> None:
        """Kaldi's ``phones/*.txt`` and ``*.int``."""
        symbols = self.phones.symbols
        optional = () if self.optional_silence is None else (self.optional_silence,)
        sets = {
            "silence": self.inventory.silence,
            "nonsilence": self.inventory.nonsilence,
            "optional_silence": optional,
            "disambig": self.inventory.disambiguation,
        }
        for name, ids in sets.items():
            write_lines(folder / f"{name}.txt", (symbols[phone] for phone in ids))
            write_lines(folder / f"{name}.int", map(str, ids))
            if name != "disambig":
                write_lines(folder / f"{name}.csl", [":".join(map(str, ids))])
        write_lines(folder / "sets.txt", (" ".join(symbols[phone] for phone in group) for group in self.shared_phones))
        write_lines(folder / "sets.int", (" ".join(map(str, group)) for group in self.shared_phones))
        # What an earlier run left must not speak for this one.
        for kind in ("txt", "int"):
            (folder / f"word_boundary.{kind}").unlink(missing_ok=True)
        if self.config.position_dependent:
            phones = (*self.inventory.silence, *self.inventory.nonsilence)
            classes = {phone: word_position(symbols[phone]) for phone in phones}
            write_lines(folder / "word_boundary.txt", (f"{symbols[phone]} {kind}" for phone, kind in classes.items()))
            write_lines(folder / "word_boundary.int", (f"{phone} {kind}" for phone, kind in classes.items()))

    @classmethod
    def load(cls, path: Path | str, topology: Path | None = None) -> Lang:
        """Read a lang directory that `asrkit make-lang` wrote.

        Parameters
        ----------
        topology : Path, optional
            The file of HMM topologies where it lies elsewhere, as in a model directory.

        Raises
        ------
        FormatError
            A file is absent or damaged, or the files do not belong together.
        """
        path = Path(path)
        if not (path / "lang.json").exists():
            raise FormatError(
                "not a lang directory: no lang.json", where=path, remedy="make one with `asrkit make-lang`"
            )
        described = read_json(path / "lang.json")
        try:
            config = from_mapping(LangConfig, described["config"], str(path / "lang.json"))
            inventory = PhoneInventory(
                SymbolTable.load(path / "phones.txt"),
                tuple(described["silence_phones"]),
                tuple(described["nonsilence_phones"]),
                tuple(tuple(group) for group in described["shared_phones"]),
                tuple(described["disambiguation"]),
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise FormatError(
                f"not the description of a lang directory ({error!r})",
                where=path / "lang.json",
                remedy="make the directory again with `asrkit make-lang`",
            ) from None
        pronunciations = tuple(read_lexicon(path / "lexicon.txt", "yes"))
        silence = path / SILENCE_FILE
        lang = cls(
            SymbolTable.load(path / "words.txt"),
            inventory,
            Topology.load(topology or path / "topology.json"),
            pronunciations,
            config,
            SilenceModel.load(silence, pronunciations) if silence.exists() else None,
        )
        lang._check(path)
        return lang

    def _check(self, path: Path) -> None:
        remedy = "make the directory again with `asrkit make-lang`"
        if {phone for group in self.shared_phones for phone in group} != set(self.topology.phones):
            raise FormatError("shared_phones is not all phones in groups", where=path / "lang.json", remedy=remedy)
        phones = (*self.inventory.silence, *self.inventory.nonsilence)
        if len(phones) + len(self.inventory.disambiguation) + 1 != len(self.phones) or set(phones) != set(
            self.topology.phones
        ):
            raise FormatError(
                "lang.json, phones.txt and topology.json name different phones", where=path, remedy=remedy
            )
        used = {phone for p in self.pronunciations for phone in p.phones}
        absent = sorted(used - set(self.inventory.ids))
        absent += sorted({p.word for p in self.pronunciations} - set(self.words.ids))
        absent += [] if self.config.unknown_word in self.words.ids else [self.config.unknown_word]
        if self.trained_silence is not None and self.optional_silence is None:
            raise FormatError("there is no optional silence for these", where=path / SILENCE_FILE, remedy=remedy)
        if absent:
            raise FormatError(f"{absent[0]!r} is in no symbol table", where=path / "lexicon.txt", remedy=remedy)


def make_lang(pronunciations: Sequence[Pronunciation], config: LangConfig) -> Lang:
    """Make the lang description of a lexicon.

    Raises
    ------
    ConfigError, FormatError
        Two phones get the same symbol, or the topology file is wrong.
    """
    entries = list(pronunciations)
    if all(entry.word != config.unknown_word for entry in entries):
        entries.append(Pronunciation(config.unknown_word, (config.spoken_noise_phone,)))
    if config.position_dependent:
        entries = [Pronunciation(e.word, in_word_position(e.phones), e.probability) for e in entries]
    entries.sort(key=lambda entry: entry.word)
    speech = {phone for entry in pronunciations for phone in entry.phones}
    # One symbol more for #0, one for the end of the optional silence.
    symbols = max(disambiguate(e.phones for e in entries)) + 2
    inventory = make_inventory(config.silence_phones, speech, config.position_dependent, symbols)
    words = SymbolTable((EPSILON, *sorted({entry.word for entry in entries}), "#0", "<s>", "</s>"))
    if config.topology is None:
        topology = make_topology(inventory.nonsilence, inventory.silence, config.num_states, config.num_silence_states)
    else:
        topology = read_topology_toml(Path(config.topology), inventory.ids, inventory.silence)
    return Lang(words, inventory, topology, tuple(entries), config)


def read_phone_list(path: Path | str) -> frozenset[str]:
    """Read a list of phones, one or several a line."""
    phones = frozenset(phone for line in read_lines(path) for phone in line.split())
    if not phones:
        raise FormatError("the list of phones is empty", where=path)
    return phones
