"""The files that `asrkit align` writes, recording by recording."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Literal

from asrkit.core.archives import ArchiveWriter
from asrkit.core.files import read_lines, whole_file, write_lines
from asrkit.data.labels.ctm import CtmRow
from asrkit.data.labels.label import Label
from asrkit.data.labels.textgrid import TextGrid, Tier
from asrkit.lang.langdir import Lang
from asrkit.lang.phones import WORD_POSITIONS
from asrkit.stages.aligned_utterance import AlignedUtterance
from asrkit.stages.alignment_times import Clock

Format = Literal["ctm", "json", "textgrid", "textgrid-short"]

SECS_DIGITS = 6
SCORE_DIGITS = 4


def output_files(out: Path, formats: Sequence[Format]) -> list[Path]:
    """Return the files of the formats (of TextGrids, which a user may go on to edit, their list)."""
    names: dict[Format, tuple[str, ...]] = {
        "ctm": ("phones.ctm", "words.ctm"),
        "json": ("alignment.jsonl",),
        "textgrid": ("textgrid.scp",),
        "textgrid-short": ("textgrid.scp",),
    }
    return [out / name for form in formats for name in names[form]]


class AlignmentFiles:
    """Writes alignments in all the formats asked for.

    Utterances come by recording and time. What is written appears under its own name when ``stack`` ends well (a
    TextGrid when its recording does).

    Parameters
    ----------
    out : Path
    lang : Lang
        Symbols of phones and words.
    clock : Clock
        Lengths of recordings.
    formats : sequence of Format
    stack : ExitStack
        Keeps the files open.
    """

    def __init__(self, out: Path, lang: Lang, clock: Clock, formats: Sequence[Format], stack: ExitStack) -> None:
        self._out, self._lang, self._clock, self._formats = out, lang, clock, formats
        self._archive = stack.enter_context(ArchiveWriter(out, "ali"))
        self._open = {path.name: _open_whole(path, stack) for path in output_files(out, formats)}
        self._symbol = _phone_symbols(lang)
        self._recording: list[AlignedUtterance] = []

    def add(self, result: AlignedUtterance) -> None:
        """Write one utterance, or hold it until its recording is complete."""
        self._archive.write(result.utterance.utterance_id, result.alignment.labels)
        if self._recording and self._recording[0].utterance.recording_id != result.utterance.recording_id:
            self._write_recording()
        self._recording.append(result)

    def finish(self) -> None:
        """Write what is held back."""
        if self._recording:
            self._write_recording()

    def sort_index(self) -> None:
        """Bring ``ali.scp`` into the order of utterance ids, which Kaldi's tools expect."""
        path = self._out / "ali.scp"
        write_lines(path, sorted(read_lines(path), key=lambda line: line.split(" ", 1)[0]))

    def _write_recording(self) -> None:
        held, self._recording = self._recording, []
        if "ctm" in self._formats:
            self._open["phones.ctm"].writelines(f"{row}\n" for row in _sorted_rows(held, self._phone_rows))
            self._open["words.ctm"].writelines(f"{row}\n" for row in _sorted_rows(held, _word_rows))
        if "json" in self._formats:
            for result in held:
                self._open["alignment.jsonl"].write(json.dumps(self._described(result), ensure_ascii=False) + "\n")
        if "textgrid.scp" in self._open:
            recording = held[0].utterance.recording_id
            path = self._out / "textgrid" / f"{recording.replace('%', '%25').replace(os.sep, '%2F')}.TextGrid"
            self._grid(held).save(path, short="textgrid-short" in self._formats)
            self._open["textgrid.scp"].write(f"{recording} {path.resolve()}\n")

    def _phone_labels(self, result: AlignedUtterance) -> list[Label]:
        starts, ends = result.bounds_secs[:-1].tolist(), result.bounds_secs[1:].tolist()
        symbols = (self._symbol[phone] for phone in result.phones.phones.tolist())
        return [Label(*label) for label in zip(starts, ends, symbols)]

    def _phone_rows(self, result: AlignedUtterance) -> Iterator[CtmRow]:
        for label in self._phone_labels(result):
            yield CtmRow(result.utterance.recording_id, label)

    def _described(self, result: AlignedUtterance) -> dict[str, Any]:
        """Return an utterance as a JSON object; silences stand between the words, as words that are null."""
        utterance = result.utterance
        phones = [self._described_phone(result, label, i) for i, label in enumerate(self._phone_labels(result))]
        words: list[dict[str, Any]] = []
        at = 0
        for segment in result.words:
            words += [{"word": None, **_span([phone]), "phones": [phone]} for phone in phones[at : segment.first]]
            inside = phones[segment.first : segment.last]
            word: dict[str, Any] = {"word": (utterance.words or ())[segment.position], **_span(inside)}
            if segment.position in result.unknown:
                word["unknown"] = True
            words.append({**word, "pronunciation": segment.variant + 1, "phones": inside})
            at = segment.last
        words += [{"word": None, **_span([phone]), "phones": [phone]} for phone in phones[at:]]
        return {
            "utterance": utterance.utterance_id,
            "recording": utterance.recording_id,
            "speaker": utterance.speaker,
            "start": round(float(result.bounds_secs[0]), SECS_DIGITS),
            "end": round(float(result.bounds_secs[-1]), SECS_DIGITS),
            "loglike": round(result.alignment.acoustic_loglike / result.alignment.num_frames, SCORE_DIGITS),
            "beam": result.alignment.beam if result.alignment.beam < float("inf") else None,
            "words": words,
        }

    def _described_phone(self, result: AlignedUtterance, label: Label, index: int) -> dict[str, Any]:
        described: dict[str, Any] = {
            "phone": label.text,
            "start": round(label.start_secs, SECS_DIGITS),
            "end": round(label.end_secs, SECS_DIGITS),
            "loglike": round(float(result.loglikes[index]), SCORE_DIGITS),
        }
        if result.goodness is not None:
            described["goodness"] = round(float(result.goodness[index]), SCORE_DIGITS)
        return described

    def _grid(self, held: Sequence[AlignedUtterance]) -> TextGrid:
        """Make the TextGrid of a recording: tiers of words and phones, for each speaker where there are several."""
        lanes = _lanes(held)
        several = len({speaker for speaker, _ in lanes}) > 1
        tiers: list[Tier] = []
        for (speaker, lane), results in lanes.items():
            name = f"{speaker} - " if several else ""
            number = f" ({lane + 1})" if lane else ""
            words = tuple(row.label for result in results for row in _word_rows(result))
            phones = tuple(label for result in results for label in self._phone_labels(result))
            tiers += [Tier(f"{name}words{number}", words), Tier(f"{name}phones{number}", phones)]
        last = max(float(result.bounds_secs[-1]) for result in held)
        return TextGrid(0.0, max(self._clock.recording_secs(held[0].utterance.recording_id) or 0.0, last), tuple(tiers))


def _lanes(held: Sequence[AlignedUtterance]) -> dict[tuple[str, int], list[AlignedUtterance]]:
    """Give utterances of one speaker that overlap, which one tier cannot hold, lanes of their own."""
    lanes: dict[tuple[str, int], list[AlignedUtterance]] = {}
    for result in held:
        lane = 0
        while (key := (result.utterance.speaker, lane)) in lanes:
            if lanes[key][-1].bounds_secs[-1] <= result.bounds_secs[0]:
                break
            lane += 1
        lanes.setdefault(key, []).append(result)
    return lanes


def _word_rows(result: AlignedUtterance) -> Iterator[CtmRow]:
    words = result.utterance.words or ()
    for segment in result.words:
        start, end = float(result.bounds_secs[segment.first]), float(result.bounds_secs[segment.last])
        yield CtmRow(result.utterance.recording_id, Label(start, end, words[segment.position]))


def _sorted_rows(
    held: Sequence[AlignedUtterance], rows: Callable[[AlignedUtterance], Iterator[CtmRow]]
) -> list[CtmRow]:
    return sorted((row for result in held for row in rows(result)), key=lambda row: row.label.start_secs)


def _span(phones: Sequence[dict[str, Any]]) -> dict[str, float]:
    return {"start": phones[0]["start"], "end": phones[-1]["end"]}


def _phone_symbols(lang: Lang) -> dict[int, str]:
    """Return the phone that the lexicon writes, without its place in the word, for each phone id."""
    symbols = {phone: symbol for symbol, phone in lang.inventory.ids.items()}
    if lang.config.position_dependent:
        symbols = {p: s[:-2] if s[-2:] in WORD_POSITIONS else s for p, s in symbols.items()}
    return symbols


def _open_whole(path: Path, stack: ExitStack) -> IO[str]:
    part = stack.enter_context(whole_file(path))
    return stack.enter_context(part.open("w", encoding="utf-8", newline="\n"))
