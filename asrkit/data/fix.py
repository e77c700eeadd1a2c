"""Mending the tables of a data directory: what can be mended safely is, and everything that was done is said.

Audio is never touched. Each changed file is first copied to ``.backup/NAME`` and then replaced as a whole.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from asrkit.core.files import whole_file
from asrkit.data.check_audio import RecordingFacts, overhanging, unusable
from asrkit.data.check_ids import cover
from asrkit.data.check_tables import parse_segment
from asrkit.data.check_text import is_mixed
from asrkit.data.findings import Finding
from asrkit.data.tables import Entry, RawDataDir, Table, sort_key
from asrkit.data.validate import ValidateConfig, audio_checks

BACKUP = ".backup"

_DONE = {
    "byte-order-mark": "removed the byte order mark",
    "line-ends": "made the line ends Unix line ends",
    "last-line": "ended the last line",
    "encoding": "converted to UTF-8",
    "blank-line": "removed blank lines",
    "white-space": "made white space regular",
    "odd-space": "replaced or removed special spaces",
}


@dataclass(frozen=True)
class Action:
    """One thing done to one file."""

    file: str
    message: str


@dataclass(frozen=True)
class FixReport:
    """What was mended.

    Attributes
    ----------
    actions : tuple of Action
        By file.
    removed : dict of str to str
        Utterance -> why it was removed from every file.
    backups : dict of str to str
        Changed file -> its copy as it was, relative to the directory; a file that was made has none.
    refused : tuple of Finding
        What could have been done and was not, to be on the safe side.
    """

    actions: tuple[Action, ...] = ()
    removed: dict[str, str] = field(default_factory=dict)
    backups: dict[str, str] = field(default_factory=dict)
    refused: tuple[Finding, ...] = ()

    def lines(self, show: int = 10) -> tuple[str, ...]:
        """Write the report for a reader, with at most ``show`` of the removed utterances."""
        if not self.actions:
            return ("--fix: nothing to mend", "")
        lines = ["--fix has changed these files:"]
        for action in self.actions:
            backup = self.backups.get(action.file)
            lines.append(f"  {action.file}: {action.message}{f' (was: {backup})' if backup else ''}")
        if self.removed:
            lines.append(f"--fix has removed these utterances ({len(self.removed)}):")
            lines += [f"  {key}: {reason}" for key, reason in list(self.removed.items())[:show]]
        if len(self.removed) > show:
            lines.append(f"  … and {len(self.removed) - show} more (--show N, or all with --json)")
        return (*lines, "")

    def to_json(self) -> dict[str, Any]:
        """Return the report as one JSON-serialisable object."""
        return {
            "actions": [{"file": action.file, "message": action.message} for action in self.actions],
            "removed": self.removed,
            "backups": self.backups,
        }


@dataclass
class _Draft:
    """A table on its way: what will be written, and what was done to get there."""

    table: Table | None
    entries: list[Entry]
    done: list[str] = field(default_factory=list)


def fix(data: RawDataDir, facts: list[RecordingFacts], config: ValidateConfig) -> FixReport:
    """Mend the tables of a directory that has been read and whose audio has been examined.

    Mended are: encoding, byte order mark, line ends, white space, blank lines, order, identical duplicates,
    composed and decomposed letters side by side, segments that end a little late, a wrong or missing ``spk2utt``.
    Removed are utterances that are missing in some file or whose audio cannot be used, lines of derived files that
    belong to no utterance, and recordings without an utterance. Two different lines for one id are left alone.
    """
    checks = audio_checks(data.path, config)
    removed, refused = _removals(data, unusable(facts, checks), config)
    drafts = {name: _clean(table) for name, table in data.tables.items()}
    if "segments" in drafts:
        _cut_segments(drafts["segments"], overhanging(facts, checks))
    if "text" in data.tables and is_mixed(data.tables["text"]):
        _compose(drafts["text"])
    _drop(data, drafts, removed)
    if "utt2spk" in drafts and drafts["utt2spk"].entries:
        _make_spk2utt(drafts)
    for draft in drafts.values():
        _sort(draft)
    actions: list[Action] = []
    backups: dict[str, str] = {}
    for name, draft in drafts.items():
        old = None if draft.table is None else draft.table.raw
        new = b"".join(entry.text().encode("utf-8", "surrogateescape") + b"\n" for entry in draft.entries)
        if old == new or (draft.table is not None and not draft.table.entries and not draft.entries):
            continue
        if old is not None:
            backups[name] = _back_up(data.path, name, old)
        with whole_file(data.path / name) as part:
            part.write_bytes(new)
        actions += [Action(name, message) for message in draft.done]
    return FixReport(tuple(actions), removed, backups, refused)


def _removals(
    data: RawDataDir, bad_audio: Mapping[str, str], config: ValidateConfig
) -> tuple[dict[str, str], tuple[Finding, ...]]:
    """Return utterance -> reason, and the refusal where that would be too many."""
    coverage = cover(data, config.max_missing)
    wavs, segments = data.tables.get("wav.scp"), data.tables.get("segments")
    reasons: dict[str, str] = {}
    for key in coverage.utterances:
        missing = coverage.missing(key)
        if missing:
            reasons[key] = f"not in {', '.join(table.name for table in missing)}"
    if wavs is not None and wavs.entries and segments is not None:
        for entry in segments.entries:
            segment = parse_segment(entry)
            if segment is not None and segment[0] not in wavs.by_key:
                reasons.setdefault(entry.key, f"its recording {segment[0]!r} is not in wav.scp")
    for key, reason in bad_audio.items():
        reasons.setdefault(key, reason)
    reasons = {key: reasons[key] for key in sorted(reasons, key=sort_key)}
    if len(reasons) <= config.max_removed * len(coverage.utterances):
        return reasons, ()
    key, reason = next(iter(reasons.items()))
    message = (
        f"{len(reasons)} of {len(coverage.utterances)} utterances would have to be removed, e.g. {key!r}: {reason}; "
        f"max_removed allows a share of {config.max_removed:g}, and none was removed"
    )
    remedy = "is the disk with the audio there, are ids written alike in all files? `--set max_removed=1` does it"
    return {}, (Finding("not-mended", str(data.path), message, remedy=remedy),)


def _clean(table: Table) -> _Draft:
    """Take the entries, which white space and encoding are gone from, without identical duplicates."""
    mended = [fault for fault in table.faults if fault.mendable]
    counts = Counter(fault.kind for fault in mended)
    draft = _Draft(table, list(table.entries))
    for kind, message in _DONE.items():
        first = next((fault for fault in mended if fault.kind == kind), None)
        if first is not None:
            line = "" if first.line is None else f"line {first.line}: "
            of = f"{counts[kind]} lines, the first: " if counts[kind] > 1 else ""
            draft.done.append(f"{message} ({of}{line}{first.message})")
    if not table.spec.repeats:
        kept = list({(entry.key, entry.value): entry for entry in reversed(table.entries)}.values())[::-1]
        draft.entries = kept
        if len(kept) < len(table.entries):
            draft.done.append(f"removed {len(table.entries) - len(kept)} duplicate lines")
    return draft


def _cut_segments(draft: _Draft, lengths: Mapping[str, float]) -> None:
    for number, entry in enumerate(draft.entries):
        segment = parse_segment(entry)
        if entry.key in lengths and segment is not None:
            recording, start, _ = entry.value.split(" ")
            end = math.floor(1000 * lengths[entry.key] + 1e-6) / 1000
            draft.entries[number] = replace(entry, value=f"{recording} {start} {end:.3f}")
            draft.done.append(f"{entry.key}: end cut from {segment[2]:g} to {end:.3f} s, the end of its recording")


def _compose(draft: _Draft) -> None:
    composed = [replace(entry, value=unicodedata.normalize("NFC", entry.value)) for entry in draft.entries]
    count = sum(new != old for new, old in zip(composed, draft.entries))
    draft.entries = composed
    draft.done.append(f"composed the letters of {count} transcripts (Unicode NFC)")


def _drop(data: RawDataDir, drafts: Mapping[str, _Draft], removed: Mapping[str, str]) -> None:
    """Leave out the lines of removed utterances, and then of recordings and speakers that nobody needs."""
    utterances = {key for table in data.of_utterances() if not table.spec.derived and not table.spec.partial
                  for key in table.by_key} - removed.keys()  # fmt: skip
    for table in data.of_utterances():
        _keep(drafts[table.name], utterances)
    if "segments" in drafts and "wav.scp" in drafts:
        segments = [parse_segment(entry) for entry in drafts["segments"].entries]
        if None not in segments:  # a segment that cannot be read may be of any recording
            _keep(drafts["wav.scp"], {segment[0] for segment in segments if segment is not None})
    if "utt2spk" in drafts and drafts["utt2spk"].entries:
        speakers = {entry.value for entry in drafts["utt2spk"].entries}
        for name, draft in drafts.items():
            if draft.table is not None and data.keyed_by(draft.table) == "speaker" and name != "spk2utt":
                _keep(draft, speakers)


def _keep(draft: _Draft, keys: set[str]) -> None:
    kept = [entry for entry in draft.entries if entry.key in keys]
    if len(kept) < len(draft.entries):
        gone = [entry.key for entry in draft.entries if entry.key not in keys]
        shown = ", ".join(gone[:3]) + (", …" if len(gone) > 3 else "")
        draft.done.append(f"removed {len(gone)} {'line' if len(gone) == 1 else 'lines'}: {shown}")
        draft.entries = kept


def _make_spk2utt(drafts: dict[str, _Draft]) -> None:
    by_speaker: dict[str, list[str]] = {}
    for entry in sorted(drafts["utt2spk"].entries, key=lambda entry: sort_key(entry.key)):
        if entry.value and " " not in entry.value and entry.key not in by_speaker.get(entry.value, ()):
            by_speaker.setdefault(entry.value, []).append(entry.key)
    entries = [Entry(0, speaker, " ".join(keys)) for speaker, keys in by_speaker.items()]
    draft = drafts.get("spk2utt")
    if draft is None:
        drafts["spk2utt"] = _Draft(None, entries, ["made from utt2spk"])
    else:
        before = {entry.key: sorted(entry.value.split()) for entry in draft.entries}
        if before != {entry.key: sorted(entry.value.split()) for entry in entries}:
            draft.done.append("made again from utt2spk")
        elif [entry.value for entry in _sorted(draft.entries)] != [entry.value for entry in _sorted(entries)]:
            draft.done.append("put the utterances of each speaker in order")
        draft.entries = entries


def _sort(draft: _Draft) -> None:
    ordered = _sorted(draft.entries)
    if draft.table is not None and draft.table.name != "spk2utt":
        if ordered != draft.entries:
            draft.done.append("sorted")
    elif draft.table is not None and list(draft.table.entries) != _sorted(draft.table.entries):
        draft.done.append("sorted")
    draft.entries = ordered


def _sorted(entries: Iterable[Entry]) -> list[Entry]:
    """Sort by id in the order of the C locale; lines of one id keep their order."""
    return sorted(entries, key=lambda entry: sort_key(entry.key))


def _back_up(folder: Path, name: str, content: bytes) -> str:
    """Copy a file to the first free name of ``.backup/NAME``, ``.backup/NAME.2``, …: an older copy is never lost."""
    number, place = 1, Path(BACKUP, name)
    while (folder / place).exists():
        number += 1
        place = Path(BACKUP, f"{name}.{number}")
    with whole_file(folder / place) as part:
        part.write_bytes(content)
    return str(place)
