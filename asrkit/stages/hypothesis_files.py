"""The hypotheses in a decode directory: words by setting, times with confidences, alternatives."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asrkit.core.errors import FormatError
from asrkit.core.files import read_lines, write_lines
from asrkit.data.datadir import DataDir, Utterance, save_text
from asrkit.lang.symbols import SymbolTable
from asrkit.score.sweep import Setting

if TYPE_CHECKING:
    from asrkit.decode.reading import Reading, TimedWords

log = logging.getLogger("asrkit")

HYPOTHESES, TIMES, ALTERNATIVES = "hyp.txt", "hyp.ctm", "hyp.jsonl"


def read_confidences(folder: Path) -> dict[str, list[tuple[str, float]]]:
    """Return the words of ``hyp.jsonl`` with their confidences, by utterance_id; nothing where there is no such file.

    Raises
    ------
    FormatError
        A line is damaged.
    """
    path = folder / ALTERNATIVES
    found: dict[str, list[tuple[str, float]]] = {}
    for number, line in enumerate(read_lines(path) if path.exists() else [], 1):
        try:
            described = json.loads(line)
            words = [(str(word["word"]), _confidence(word["confidence"])) for word in described["words"]]
            found[str(described["utterance_id"])] = words
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise FormatError(
                f"not a hypothesis as `asrkit decode` writes them: {error!r}", where=f"{path}:{number}"
            ) from None
    return found


def _confidence(value: Any) -> float:
    confidence = float(value)
    if not 0 <= confidence <= 1:
        raise ValueError(f"a confidence of {confidence}, expected 0 to 1")
    return confidence


def read_main_setting(folder: Path) -> Setting | None:
    """Return the setting that the words of ``hyp.jsonl`` belong to; None where no line says it."""
    path = folder / ALTERNATIVES
    for line in read_lines(path)[:1] if path.exists() else []:
        try:
            described = json.loads(line)
            if "lm_weight" in described and "insertion_penalty" in described:
                return Setting(float(described["lm_weight"]), float(described["insertion_penalty"]))
        except (ValueError, TypeError) as error:
            raise FormatError(f"not a setting as `asrkit decode` writes it: {error!r}", where=f"{path}:1") from None
    return None


class HypothesisFiles:
    """Gathers the hypotheses of one utterance after the other, and writes them.

    ``hyp.w<weight>_p<penalty>.txt`` holds the words of a setting (see :mod:`asrkit.score.sweep`), ``hyp.txt`` those
    of the first. ``hyp.ctm`` has for each word of the first setting ``recording 1 start duration word`` in seconds
    and, where it comes from a lattice, the confidence. ``hyp.jsonl``, of lattices only, has a JSON object a line:
    the utterance's words under the first setting, which it names, with times and confidences, and the alternatives
    with the same.

    Parameters
    ----------
    settings : sequence of Setting
        At least one; the first is the main one.
    frame_secs : float
        Time from frame to frame.
    """

    def __init__(self, data: DataDir, words: SymbolTable, settings: Sequence[Setting], frame_secs: float) -> None:
        self.data, self.words, self.settings, self.frame_secs = data, words, settings, frame_secs
        self.hypotheses: list[dict[str, tuple[str, ...]]] = [{} for _ in settings]
        self._times: list[tuple[str, float, str]] = []
        self._objects: list[str] = []

    def add(self, utterance_id: str, words: Sequence[Sequence[int]], main: TimedWords) -> None:
        """Take an utterance.

        Parameters
        ----------
        words : sequence of sequence of int
            The word ids, 1-based, under each setting.
        main : TimedWords
            Those of the first setting; without confidences where there is no lattice.
        """
        for table, said in zip(self.hypotheses, words, strict=True):
            table[utterance_id] = tuple(self.words.symbols[word] for word in said)
        utterance = self.data.utterances[utterance_id]
        for word in self._timed(utterance, main):
            duration = word["end"] - word["start"]
            line = f"{utterance.recording_id} 1 {word['start']:.2f} {duration:.2f} {word['word']}"
            if "confidence" in word:
                line += f" {word['confidence']:.4f}"
            self._times.append((utterance.recording_id, word["start"], line))

    def add_reading(self, utterance_id: str, reading: Reading) -> None:
        """Take an utterance whose words were read off a lattice."""
        self.add(utterance_id, reading.words, reading.main)
        utterance = self.data.utterances[utterance_id]
        described = {
            "utterance_id": utterance_id,
            "lm_weight": self.settings[0].lm_weight,
            "insertion_penalty": self.settings[0].insertion_penalty,
            **self._described(utterance, reading.main),
            "nbest": [self._described(utterance, one) for one in reading.alternatives],
        }
        self._objects.append(json.dumps(described, ensure_ascii=False))

    def save(self, out: Path) -> None:
        """Write the files, and remove those of settings that are no more."""
        for setting, table in zip(self.settings, self.hypotheses):
            save_text(out / setting.file_name, table)
        save_text(out / HYPOTHESES, self.hypotheses[0])
        # A stable sort by recording and time: words of no length keep their order.
        write_lines(out / TIMES, (line for _, _, line in sorted(self._times, key=lambda row: row[:2])))
        if self._objects:
            write_lines(out / ALTERNATIVES, self._objects)
        else:
            (out / ALTERNATIVES).unlink(missing_ok=True)
        for path in sorted(out.glob("hyp.w*_p*.txt")):
            if path.name not in {setting.file_name for setting in self.settings}:
                log.info("removed %s of an earlier run with other settings", path)
                path.unlink()

    def _described(self, utterance: Utterance, said: TimedWords) -> dict[str, Any]:
        words = [
            {name: value if isinstance(value, str) else round(value, 4) for name, value in word.items()}
            for word in self._timed(utterance, said)
        ]
        described: dict[str, Any] = {"text": " ".join(self.words.symbols[word] for word in said.words), "words": words}
        # Words of least risk may be on no path, and have no cost then.
        if said.cost == said.cost:
            described |= {"cost": round(said.cost, 4), "probability": float(f"{said.probability:.4g}")}
        return described

    def _timed(self, utterance: Utterance, said: TimedWords) -> list[dict[str, Any]]:
        begin = utterance.start_secs or 0.0
        words = [
            {
                "word": self.words.symbols[word],
                "start": begin + first * self.frame_secs,
                "end": begin + last * self.frame_secs,
            }
            for word, (first, last) in zip(said.words, said.spans, strict=True)
        ]
        for word, confidence in zip(words, said.confidences):
            word["confidence"] = confidence
        return words
