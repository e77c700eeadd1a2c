"""The ids of a data directory between its files: who is missing where, and whether the speakers agree."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from asrkit.data.check_tables import parse_segment
from asrkit.data.findings import Finding
from asrkit.data.tables import RawDataDir, Table


@dataclass(frozen=True)
class Coverage:
    """Which utterances stand in which tables.

    Attributes
    ----------
    primary : tuple of Table
        Tables that must name every utterance.
    derived : tuple of Table
        Those made by `asrkit extract`, which must too.
    stale : tuple of Table
        Derived tables that lack so many utterances that the data must have changed since they were made.
    utterances : dict of str to tuple of Table
        Each utterance that a primary table names, with all primary and derived tables that name it.
    """

    primary: tuple[Table, ...]
    derived: tuple[Table, ...]
    stale: tuple[Table, ...]
    utterances: dict[str, tuple[Table, ...]]

    def missing(self, utterance_id: str) -> list[Table]:
        """Return the tables that lack an utterance and should not; a stale table does not count."""
        there = {table.name for table in self.utterances[utterance_id]}
        skipped = {table.name for table in self.stale}
        return [table for table in (*self.primary, *self.derived) if table.name not in there | skipped]


def cover(data: RawDataDir, max_missing: float) -> Coverage:
    """Find which utterance stands where; a derived table that lacks more than ``max_missing`` of them is stale."""
    tables = [table for table in data.of_utterances() if not table.spec.partial and table.entries]
    primary = tuple(table for table in tables if not table.spec.derived)
    derived = tuple(table for table in tables if table.spec.derived)
    places: dict[str, list[Table]] = {}
    for table in primary:
        for key in table.by_key:
            places.setdefault(key, []).append(table)
    complete = [key for key, there in places.items() if len(there) == len(primary)]
    stale = []
    for table in derived:
        for key in table.by_key:
            if key in places:
                places[key].append(table)
        if sum(key not in table.by_key for key in complete) > max_missing * len(complete):
            stale.append(table)
    return Coverage(primary, derived, tuple(stale), {key: tuple(there) for key, there in places.items()})


def check_ids(data: RawDataDir, max_missing: float) -> Iterator[Finding]:
    """Yield ids that differ between files, and speakers that do not agree.

    ``max_missing`` is the share of utterances, in [0, 1], above which a derived table counts as stale as a whole.
    """
    coverage = cover(data, max_missing)
    yield from _check_utterances(coverage)
    yield from _check_extra(data, coverage)
    yield from _check_recordings(data)
    if "utt2spk" in data.tables:
        yield from _check_spk2utt(data)
        yield from _check_speaker_tables(data)
        yield from _check_speaker_ids(data.tables["utt2spk"])


def speakers_of(utt2spk: Table) -> dict[str, list[str]]:
    """Return speaker -> utterance ids, as utt2spk has them."""
    table: dict[str, list[str]] = {}
    for entry in utt2spk.by_key.values():
        table.setdefault(entry.value, []).append(entry.key)
    return table


def _check_utterances(coverage: Coverage) -> Iterator[Finding]:
    similar = {table.name: _Similar(table) for table in coverage.primary}
    for key, there in coverage.utterances.items():
        missing = coverage.missing(key)
        if missing:
            entry = there[0].by_key[key]
            message = f"{key!r} is in {_names(there)} and not in {_names(missing)}"
            hints = (similar[table.name].to(key) for table in missing if table.name in similar)
            hint = next(filter(None, hints), "")
            yield Finding("missing-id", there[0].where(entry), message + hint, key)
    for table in coverage.stale:
        count = sum(key not in table.by_key for key in coverage.utterances)
        message = f"{count} of {len(coverage.utterances)} utterances are not in {table.name}"
        yield Finding("stale-features", str(table.path), message)


def _check_extra(data: RawDataDir, coverage: Coverage) -> Iterator[Finding]:
    for table in data.of_utterances():
        if table.spec.derived or table.spec.partial:
            for key, entry in table.by_key.items():
                if key not in coverage.utterances:
                    message = f"{key!r} is in {table.name} and in none of {_names(coverage.primary)}"
                    yield Finding("unknown-id", table.where(entry), message, key)


def _check_recordings(data: RawDataDir) -> Iterator[Finding]:
    segments, recordings = data.tables.get("segments"), data.tables.get("wav.scp")
    if segments is None or recordings is None:
        return
    used = set()
    similar = _Similar(recordings)
    for entry in segments.entries:
        segment = parse_segment(entry)
        if segment is None:
            continue
        used.add(segment[0])
        if segment[0] not in recordings.by_key:
            message = f"recording {segment[0]!r} is not in wav.scp{similar.to(segment[0])}"
            yield Finding("missing-recording", segments.where(entry), message, entry.key)
    for key, entry in recordings.by_key.items():
        if key not in used:
            yield Finding("unused-recording", recordings.where(entry), f"no segment is of recording {key!r}")


def _check_spk2utt(data: RawDataDir) -> Iterator[Finding]:
    spk2utt, utt2spk = data.tables.get("spk2utt"), data.tables["utt2spk"]
    if spk2utt is None or not spk2utt.entries:
        return
    expected = speakers_of(utt2spk)
    for speaker, entry in spk2utt.by_key.items():
        found = entry.value.split()
        wrong = [key for key in found if key not in utt2spk.by_key or utt2spk.by_key[key].value != speaker]
        absent = sorted(set(expected.get(speaker, ())) - set(found))
        repeated = [key for key, count in Counter(found).items() if count > 1]
        parts = [
            f"{what} {_some(keys)}"
            for what, keys in (
                ("lists, against utt2spk,", wrong),
                ("lacks", absent),
                ("repeats", repeated),
            )
            if keys
        ]
        if parts:
            yield Finding("spk2utt", spk2utt.where(entry), f"speaker {speaker!r} {' and '.join(parts)}")
    for speaker, keys in expected.items():
        if speaker not in spk2utt.by_key:
            message = f"speaker {speaker!r} of utt2spk, with {_some(keys)}, is not in spk2utt"
            yield Finding("spk2utt", str(spk2utt.path), message)


def _check_speaker_tables(data: RawDataDir) -> Iterator[Finding]:
    speakers = speakers_of(data.tables["utt2spk"])
    for table in data.tables.values():
        if data.keyed_by(table) != "speaker" or table.name == "spk2utt" or not table.entries:
            continue
        for key, entry in table.by_key.items():
            if key not in speakers:
                message = f"speaker {key!r} is in {table.name} and not in utt2spk"
                yield Finding("unknown-id", table.where(entry), message)
        lacking = [speaker for speaker in speakers if speaker not in table.by_key]
        if lacking and not table.spec.partial:
            message = f"{len(lacking)} of {len(speakers)} speakers are not in {table.name}: {_some(lacking)}"
            remedy = "" if table.spec.derived else "run `asrkit vtln` again, or add lines with a warp factor of 1"
            yield Finding("stale-features", str(table.path), message, remedy=remedy)


def _check_speaker_ids(utt2spk: Table) -> Iterator[Finding]:
    speakers = speakers_of(utt2spk)
    alone = [keys[0] for keys in speakers.values() if len(keys) == 1]
    if alone and len(speakers) > 1 and len(alone) == len(speakers):
        yield Finding("single-utterance", str(utt2spk.path), "every speaker has one utterance only")
    elif alone and len(speakers) > 1:
        for key in alone:
            entry = utt2spk.by_key[key]
            message = f"{key!r} is the only utterance of speaker {entry.value!r}"
            yield Finding("single-utterance", utt2spk.where(entry), message, key)
    entries = utt2spk.by_key.values()
    without = [entry for entry in entries if entry.value and not entry.key.startswith(entry.value)]
    if without:
        message = (
            f"{len(without)} of {len(entries)} utterance ids do not begin with the speaker's id, "
            f"e.g. {without[0].key!r} of {without[0].value!r}"
        )
        yield Finding("speaker-prefix", utt2spk.where(without[0]), message)


class _Similar:
    """Finds, in a table, the id that a missing one was probably meant to be."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._folded: dict[str, str] | None = None

    def to(self, key: str) -> str:
        if self._folded is None:  # only made when some id is missing
            self._folded = {_fold(known): known for known in self._table.by_key}
        known = self._folded.get(_fold(key))
        if known is None or known == key:
            return ""
        line = self._table.by_key[known].line
        return f"; {self._table.name}:{line} has {known!r}, which differs in case, Unicode form or ending only"


def _fold(key: str) -> str:
    folded = unicodedata.normalize("NFKC", key).casefold()
    stem, dot, ending = folded.rpartition(".")
    return stem if dot and ending in ("wav", "flac", "sph", "mp3", "ogg", "raw", "txt") else folded


def _names(tables: Iterable[Table]) -> str:
    return ", ".join(table.name for table in tables)


def _some(keys: list[str]) -> str:
    shown = ", ".join(map(repr, keys[:3]))
    return shown if len(keys) <= 3 else f"{shown} and {len(keys) - 3} more"
