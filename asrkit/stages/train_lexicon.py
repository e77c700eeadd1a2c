"""`asrkit train-lexicon`: from an alignment to a lang directory with the probabilities of what was said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from asrkit.core.errors import ConfigError, DataError, FormatError
from asrkit.core.files import iterate_lines
from asrkit.lang.langdir import Lang
from asrkit.lang.lexicon_training import (
    LexiconCounts,
    LexiconTrainingConfig,
    train_pronunciations,
    train_silence,
)
from asrkit.lang.phones import in_word_position
from asrkit.lang.silence import SILENCE_FILE, Said, said
from asrkit.stages.make_graph import LANG_INPUTS
from asrkit.stages.make_lang import OUTPUTS, write_lang_dir
from asrkit.stages.record import RunOptions, StageReport, StageResult, run_stage

ALIGNMENT_FILE = "alignment.jsonl"
UNKNOWN = "<eps>"
"""Stands for words outside the lexicon of the alignment, whose own names LANG need not know; no word is called so."""


def train_lexicon(
    alignment: Path, lang_path: Path, out: Path, config: LexiconTrainingConfig, options: RunOptions
) -> StageReport:
    """Estimate pronunciation and silence probabilities, and make a lang directory that has them.

    Parameters
    ----------
    alignment : Path
        What `asrkit align` wrote, in its format ``json``.
    lang_path : Path
        Lang directory whose pronunciations were aligned.
    out : Path
        The lang directory to be made, of the same words, phones and pronunciations; ``silence.txt`` holds silence
        probabilities.

    Raises
    ------
    DataError, FormatError
        An input is absent or damaged, or the alignment has words or pronunciations that the lang directory has not.
    ConfigError
        ``out`` is ``lang_path`` or ``alignment``, or silence probabilities are asked for where there is no optional
        silence.
    """
    if out.resolve() == alignment.resolve():
        raise ConfigError("OUT is ALIGNMENT itself", remedy="name another directory")
    if out.resolve() == lang_path.resolve():
        raise ConfigError("OUT is LANG itself", remedy="name another directory: LANG is wanted for later estimates too")
    inputs = [alignment / ALIGNMENT_FILE, *(lang_path / name for name in LANG_INPUTS)]
    names = (*OUTPUTS, SILENCE_FILE) if config.silence else OUTPUTS

    def body() -> StageResult:
        lang = Lang.load(lang_path)
        if config.silence and lang.optional_silence is None:
            raise ConfigError(
                f"the lang directory {lang_path} has no optional silence",
                remedy="make it with a --silence-probability above 0, or leave out --silence",
            )
        counts = LexiconCounts()
        num_utterances = 0
        for utterance in _utterances(alignment / ALIGNMENT_FILE, lang, lang_path):
            counts.add(utterance)
            num_utterances += 1
        num_silences, num_places = counts.silences()
        if num_places == 0 or (config.silence and num_silences == 0):
            raise DataError(
                "no silence in it" if num_places else "no utterances in it",
                where=alignment / ALIGNMENT_FILE,
                remedy="align with a lang directory that has optional silence" if num_places else None,
            )
        trained = replace(
            lang,
            pronunciations=train_pronunciations(counts, lang.pronunciations, config.pronunciation_smoothing),
            trained_silence=train_silence(counts, lang.pronunciations, config) if config.silence else None,
        )
        write_lang_dir(trained, out)
        spoken = counts.spoken()
        return StageResult(
            {
                "utterances": num_utterances,
                "words": spoken.total(),
                "pronunciations": len(lang.pronunciations),
                "pronunciations_said": len(spoken),
                "silence_percent": 100 * num_silences / num_places,
            }
        )

    return run_stage(
        "train-lexicon", out, inputs, config, [out / name for name in names], options, body, uses_seed=False
    )


def _utterances(path: Path, lang: Lang, lang_path: Path) -> Iterator[list[Said | None]]:
    """Yield what was said in each utterance, None for silence."""
    if not path.is_file():
        raise DataError(f"no {ALIGNMENT_FILE}", where=path.parent, remedy="run `asrkit align` with --format json")
    known = {said(pronunciation) for pronunciation in lang.pronunciations}
    words = {name[0] for name in known}
    for number, line in enumerate(iterate_lines(path), 1):
        where = f"{path}:{number}"
        key, rows = _parse(line, where)
        utterance: list[Said | None] = []
        for word, phones in rows:
            if word is None and phones == (lang.config.silence_phone,):
                utterance.append(None)
                continue
            name = lang.config.unknown_word if word == UNKNOWN else str(word)
            spoken = (name, *(in_word_position(phones) if lang.config.position_dependent else phones))
            if spoken not in known:
                what = f"the pronunciation {' '.join(phones)} of {name!r}" if name in words else f"the word {name!r}"
                raise DataError(
                    f"{key}: {lang_path} does not have "
                    + (f"the silence {' '.join(phones)}" if word is None else what),
                    where=where,
                    remedy="give the lang directory of the alignment, or align with --lang and this one",
                )
            utterance.append(spoken)
        yield utterance


def _parse(line: str, where: str) -> tuple[str, list[tuple[str | None, Said]]]:
    """Return the utterance id, and each word (None for silence) with its phones, without their places in the word."""
    try:
        described = json.loads(line)
        return str(described["utterance"]), [
            (UNKNOWN if word.get("unknown") else word["word"], tuple(str(phone["phone"]) for phone in word["phones"]))
            for word in described["words"]
        ]
    except (json.JSONDecodeError, TypeError, KeyError, AttributeError):
        raise FormatError(
            "not an utterance as `asrkit align` describes it", where=where, remedy="run `asrkit align` again"
        ) from None
