"""HMM topologies: for each phone its states, the pdf class each emits from, and the allowed transitions."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from asrkit.core.errors import FormatError
from asrkit.core.files import read_json, write_json

TOLERANCE = 1e-3


@dataclass(frozen=True)
class HmmState:
    """One state of a phone's HMM.

    Attributes
    ----------
    pdf_class : int or None
        0-based position within the phone that the tree distinguishes; None for the final state, which emits nothing.
    transitions : tuple of (int, float)
        (next state, initial probability); the probabilities of an emitting state sum to 1.
    """

    pdf_class: int | None
    transitions: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Topology:
    """The HMM of every phone.

    Attributes
    ----------
    entries : tuple of tuple of HmmState
        Distinct HMMs; state 0 is the start, the last state is the final, non-emitting one.
    phone_to_entry : dict of int to int
        1-based phone id -> index into ``entries``.
    """

    entries: tuple[tuple[HmmState, ...], ...]
    phone_to_entry: dict[int, int]

    def __post_init__(self) -> None:
        for index, entry in enumerate(self.entries):
            _check_entry(entry, f"topology entry {index}")
        if not set(self.phone_to_entry.values()) <= set(range(len(self.entries))):
            raise FormatError(f"a phone has topology entry {max(self.phone_to_entry.values())} of {len(self.entries)}")

    def states(self, phone: int) -> tuple[HmmState, ...]:
        """Return the states of a phone, the final one last."""
        try:
            return self.entries[self.phone_to_entry[phone]]
        except KeyError:
            raise FormatError(f"phone id {phone} has no topology", remedy="name it in topology.toml") from None

    @cached_property
    def phones(self) -> tuple[int, ...]:
        """All phone ids, ascending."""
        return tuple(sorted(self.phone_to_entry))

    def num_pdf_classes(self, phone: int) -> int:
        """Number of pdf classes of a phone."""
        return 1 + max(state.pdf_class for state in self.states(phone) if state.pdf_class is not None)

    def min_frames(self, phone: int) -> int:
        """Return the length of the shortest way through a phone, in frames."""
        states = self.states(phone)
        best = [0] + [len(states)] * (len(states) - 1)
        for _ in states:
            for index, state in enumerate(states[:-1]):
                for target, _prob in state.transitions:
                    best[target] = min(best[target], best[index] + 1)
        return best[-1]

    def save(self, path: Path) -> None:
        """Write the topology as JSON."""
        entries = [[{"pdf_class": s.pdf_class, "transitions": s.transitions} for s in entry] for entry in self.entries]
        write_json(path, {"entries": entries, "phone_to_entry": {str(k): v for k, v in self.phone_to_entry.items()}})

    @classmethod
    def load(cls, path: Path) -> Topology:
        """Read what :meth:`save` wrote."""
        try:
            described = read_json(path)
            entries = tuple(
                tuple(HmmState(s["pdf_class"], tuple((int(t), float(p)) for t, p in s["transitions"])) for s in entry)
                for entry in described["entries"]
            )
            return cls(entries, {int(k): int(v) for k, v in described["phone_to_entry"].items()})
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise FormatError(f"not a topology ({error!r})", where=path) from None


def left_to_right(num_states: int = 3, self_loop: float = 0.75) -> tuple[HmmState, ...]:
    """Return a Bakis HMM without skips: Kaldi's topology for speech phones (utils/gen_topo.pl)."""
    states = [HmmState(i, ((i, self_loop), (i + 1, 1 - self_loop))) for i in range(num_states)]
    return (*states, HmmState(None))


def silence(num_states: int = 5, self_loop: float = 0.75) -> tuple[HmmState, ...]:
    """Return Kaldi's silence HMM: a first and a last state with a fully connected middle (utils/gen_topo.pl).

    With fewer than three states it is :func:`left_to_right`.
    """
    if num_states < 3:
        return left_to_right(num_states, self_loop)
    share = 1.0 / (num_states - 1)
    last = num_states - 1
    states = [HmmState(0, tuple((j, share) for j in range(last)))]
    states += [HmmState(i, tuple((j, share) for j in range(1, num_states))) for i in range(1, last)]
    states.append(HmmState(last, ((last, self_loop), (num_states, 1 - self_loop))))
    return (*states, HmmState(None))


def make_topology(
    speech_phones: Iterable[int], silence_phones: Iterable[int], num_states: int = 3, num_silence_states: int = 5
) -> Topology:
    """Return Kaldi's default: ``num_states`` for speech phones, ``num_silence_states`` for silence and noise phones."""
    table = dict.fromkeys(speech_phones, 0)
    table.update(dict.fromkeys(silence_phones, 1))
    return Topology((left_to_right(num_states), silence(num_silence_states)), table)


def read_topology_toml(path: Path, phones: Mapping[str, int], silence_phones: Iterable[int]) -> Topology:
    """Read a topology that a user wrote.

    The file holds tables ``[[hmm]]``, each with ``phones`` (a list of phone symbols, or ``"speech"`` or ``"silence"``)
    and ``states``: a list of ``{pdf_class = 0, transitions = [[0, 0.75], [1, 0.25]]}``; the final state
    is implied, with the number after the last state's.

    Raises
    ------
    FormatError
        Unknown phone, a phone named twice or never, or probabilities that do not sum to one.
    """
    try:
        described = tomllib.loads(path.read_text(encoding="utf-8"))
        tables = described["hmm"]
        if not isinstance(tables, list):
            raise TypeError("hmm is no array of tables")
    except (OSError, KeyError, TypeError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FormatError(f"not a topology in TOML: {error!r}", where=path, remedy="see docs/topology.md") from None
    _check_keys(described, {"hmm"}, str(path))
    silent = set(silence_phones)
    entries: list[tuple[HmmState, ...]] = []
    table: dict[int, int] = {}
    for number, hmm in enumerate(tables):
        entries.append(_entry_from_toml(hmm, f"{path}: [[hmm]] number {number + 1}"))
        for phone in _phones_of(hmm.get("phones"), phones, silent, path):
            if phone in table:
                raise FormatError(f"phone id {phone} is named twice", where=path)
            table[phone] = number
    absent = sorted(set(phones.values()) - set(table))
    if absent:
        raise FormatError(f"no [[hmm]] names phone ids {absent[:5]}", where=path, remedy='use phones = "speech"')
    return Topology(tuple(entries), table)


def _phones_of(named: Any, phones: Mapping[str, int], silent: set[int], path: Path) -> list[int]:
    if named == "speech":
        return [phone for phone in phones.values() if phone not in silent]
    if named == "silence":
        return sorted(silent)
    if not isinstance(named, list):
        raise FormatError(f"phones is {named!r}, expected a list, 'speech' or 'silence'", where=path)
    for symbol in named:
        if symbol not in phones:
            raise FormatError(f"unknown phone {symbol!r}", where=path)
    return [phones[symbol] for symbol in named]


def _check_keys(table: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise FormatError(f"unknown key {unknown[0]!r}", where=where, remedy=f"known keys: {', '.join(sorted(known))}")


def _entry_from_toml(hmm: Mapping[str, Any], where: str) -> tuple[HmmState, ...]:
    try:
        _check_keys(hmm, {"phones", "states"}, where)
        for state in hmm["states"]:
            _check_keys(state, {"pdf_class", "transitions"}, where)
        states = [
            HmmState(
                int(state["pdf_class"]), tuple((int(target), float(prob)) for target, prob in state["transitions"])
            )
            for state in hmm["states"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"states need pdf_class and transitions ({error!r})", where=where) from None
    entry = (*states, HmmState(None))
    _check_entry(entry, where)
    return entry


def _check_entry(entry: tuple[HmmState, ...], where: str) -> None:
    if len(entry) < 2 or entry[-1].pdf_class is not None or entry[-1].transitions:
        raise FormatError(
            "an HMM needs an emitting state, and a final state without pdf class or transitions", where=where
        )
    classes = {state.pdf_class for state in entry[:-1]}
    if None in classes or classes != set(range(len(classes))):
        raise FormatError(f"pdf classes are {classes}, expected 0, 1, … without a gap", where=where)
    for index, state in enumerate(entry[:-1]):
        targets = [target for target, _ in state.transitions]
        if len(set(targets)) != len(targets) or any(not 0 <= target < len(entry) for target in targets):
            raise FormatError(f"state {index} goes to {targets}, of {len(entry)} states", where=where)
        probs = [prob for _, prob in state.transitions]
        if not all(prob > 0 for prob in probs) or abs(sum(probs) - 1) > TOLERANCE:
            raise FormatError(
                f"transition probabilities of state {index} are {probs}; they do not sum to 1, or one is not above 0",
                where=where,
                remedy="leave out transitions that cannot happen",
            )
    steps = [(index, target) for index, state in enumerate(entry) for target, _ in state.transitions]
    everything = set(range(len(entry)))
    unreached = everything - _closure({0}, steps)
    if unreached:
        what = "the final state" if len(entry) - 1 in unreached else f"state {min(unreached)}"
        raise FormatError(f"{what} cannot be reached", where=where)
    stuck = everything - _closure({len(entry) - 1}, [(target, source) for source, target in steps])
    if stuck:
        raise FormatError(f"state {min(stuck)} never gets to the final state", where=where)


def _closure(begin: set[int], steps: list[tuple[int, int]]) -> set[int]:
    """Return all that ``steps`` lead to from ``begin``, itself included."""
    reached = set(begin)
    while more := {target for source, target in steps if source in reached} - reached:
        reached |= more
    return reached
