"""The hypotheses of several systems, as they are read to be combined, and what came of them, as it is written."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from asrkit.core.errors import ConfigError, DataError, FormatError
from asrkit.core.files import iterate_lines, write_lines
from asrkit.data.datadir import DataDir, read_text, save_text
from asrkit.hmm.combination import shares_of
from asrkit.lattice.rover import SaidWord
from asrkit.stages.hypothesis_files import ALTERNATIVES, HYPOTHESES, TIMES
from asrkit.stages.record import Failure, check_apart

Hypotheses = Mapping[str, Sequence[SaidWord]]


def hypothesis_file(system: Path) -> Path:
    """Return the file that :func:`read_hypotheses` reads of a decode directory, or the file that was given.

    Raises
    ------
    DataError
        There is none.
    """
    if not system.is_dir():
        found = system
    else:
        found = next((system / name for name in (ALTERNATIVES, HYPOTHESES) if (system / name).is_file()), system)
    if not found.is_file():
        raise DataError(
            "no hypotheses here",
            where=system,
            remedy="give decode directories, or files of lines 'utterance_id word word...'",
        )
    return found


def read_hypotheses(file: Path) -> dict[str, list[SaidWord]]:
    """Read hypotheses by utterance_id: ``hyp.jsonl`` with confidences and times, or lines of words without these.

    Raises
    ------
    FormatError, DataError
        A line is damaged.
    """
    if file.suffix == Path(ALTERNATIVES).suffix:
        return {key: sequences[0] for key, sequences in read_alternatives(file).items()}
    return {key: [SaidWord(word) for word in words] for key, words in read_text(file).items()}


def read_alternatives(file: Path) -> dict[str, list[list[SaidWord]]]:
    """Read the words of ``hyp.jsonl`` by utterance_id, those of the main setting first, then its alternatives.

    Raises
    ------
    FormatError
        A line is damaged.
    """
    found: dict[str, list[list[SaidWord]]] = {}
    for number, line in enumerate(iterate_lines(file), 1):
        try:
            described = json.loads(line)
            sequences = [described["words"], *(one["words"] for one in described.get("nbest", []))]
            found[str(described["utterance_id"])] = [[_said(word) for word in words] for words in sequences]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise FormatError(
                f"not a hypothesis as `asrkit decode` writes them: {error!r}", where=f"{file}:{number}"
            ) from None
    return found


def _said(word: Mapping[str, Any]) -> SaidWord:
    confidence, start, end = (float(word[name]) for name in ("confidence", "start", "end"))
    if not (0 <= confidence <= 1 and 0 <= start <= end):
        raise ValueError(f"a word of confidence {confidence} from {start} s to {end} s")
    return SaidWord(str(word["word"]), confidence, start, end)


def check_systems(systems: Sequence[Path], out: Path, weights: Sequence[float]) -> None:
    """Refuse fewer than two systems, weights for another number of them, and an output that is one of them."""
    if len(systems) < 2:
        raise ConfigError(f"{len(systems)} system, expected two or more to combine")
    shares_of(weights, len(systems))
    check_apart(out, *systems)


def missing_utterances(data: DataDir, tables: Sequence[Mapping[str, Any]], systems: Sequence[Path]) -> list[Failure]:
    """Return the utterances that not all systems have."""
    failures = []
    for key in data.utterances:
        lacking = [str(system) for table, system in zip(tables, systems, strict=True) if key not in table]
        if lacking:
            failures.append(Failure(key, f"nothing of it in {', '.join(lacking)}"))
    return failures


class CombinedFiles:
    """Gathers combined hypotheses, and writes them as `asrkit decode` writes its own.

    ``hyp.txt`` has the words, ``hyp.jsonl`` also confidences and times, and ``hyp.ctm`` these by recording; the latter
    two where all words have them.
    """

    def __init__(self, data: DataDir) -> None:
        self.data = data
        self.hypotheses: dict[str, Sequence[SaidWord]] = {}

    def add(self, utterance_id: str, words: Sequence[SaidWord]) -> None:
        """Take the words of an utterance; times are those of its recording."""
        self.hypotheses[utterance_id] = words

    def figures(self) -> dict[str, int]:
        """Return the numbers of utterances and words."""
        return {"utterances": len(self.hypotheses), "words": sum(map(len, self.hypotheses.values()))}

    def save(self, out: Path) -> None:
        """Write the files, and remove those of an earlier run that this one has not."""
        save_text(out / HYPOTHESES, {key: [one.word for one in said] for key, said in self.hypotheses.items()})
        rounded = {
            key: [replace(one, start_secs=round(one.start_secs, 4), end_secs=round(one.end_secs, 4)) for one in said]
            for key, said in self.hypotheses.items()
        }
        if any(math.isnan(one.confidence + one.middle_secs) for said in rounded.values() for one in said):
            for name in (TIMES, ALTERNATIVES):
                (out / name).unlink(missing_ok=True)
            return
        write_lines(out / ALTERNATIVES, (_object(key, said) for key, said in rounded.items()))
        rows = [
            (self.data.utterances[key].recording_id, one.start_secs, one)
            for key, said in rounded.items()
            for one in said
        ]
        # A stable sort by recording and time: words of no length keep their order.
        write_lines(out / TIMES, (_row(name, one) for name, _, one in sorted(rows, key=lambda row: row[:2])))


def _object(utterance_id: str, said: Sequence[SaidWord]) -> str:
    words = [
        {"word": one.word, "start": one.start_secs, "end": one.end_secs, "confidence": round(one.confidence, 4)}
        for one in said
    ]
    described = {"utterance_id": utterance_id, "text": " ".join(one.word for one in said), "words": words}
    return json.dumps(described, ensure_ascii=False)


def _row(recording_id: str, said: SaidWord) -> str:
    secs = said.end_secs - said.start_secs
    return f"{recording_id} 1 {said.start_secs:.2f} {secs:.2f} {said.word} {said.confidence:.4f}"
