"""The stage `asrkit validate`: check a data directory, mend it when asked, and say what is left."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from asrkit.core.errors import ConfigError
from asrkit.data.check_audio import examine_audio
from asrkit.data.check_text import Vocabulary
from asrkit.data.findings import ValidationReport
from asrkit.data.fix import FixReport, fix
from asrkit.data.validate import ValidateConfig, audio_checks, judge, read_data, validate
from asrkit.stages.record import RunOptions, StageReport


def run_validate(
    data: Path,
    config: ValidateConfig,
    options: RunOptions,
    *,
    mend: bool = False,
    lang: Path | None = None,
    lexicon: Path | None = None,
    read_samples: bool = True,
    show: int = 10,
) -> tuple[StageReport, ValidationReport]:
    """Check a data directory; with ``mend`` first mend what can be mended, and check again.

    Nothing is recorded in ``stage.json``: a check writes nothing, and is always run.

    Raises
    ------
    DataError
        There is no such directory, or the lexicon cannot be read.
    ConfigError
        Both ``lang`` and ``lexicon`` are given.
    """
    started = time.monotonic()
    vocabulary = _vocabulary(lang, lexicon)
    if mend:
        fixed, found = _mend(data, config, vocabulary, read_samples, options)
    else:
        fixed = None
        found = validate(data, config, vocabulary, read_samples, options.num_jobs, options.progress)
    lines = (*(() if fixed is None else fixed.lines(show)), *found.lines(show))
    figures = {
        "errors": found.count("error"),
        "warnings": found.count("warning"),
        "notes": found.count("note"),
        "utterances": found.num_utterances,
        "speakers": found.num_speakers,
        "hours": round(found.audio_secs / 3600, 4),
        **({} if found.oov_rate is None else {"oov_rate": found.oov_rate}),
        "report": found.to_json(),
        **({} if fixed is None else {"fix": fixed.to_json()}),
    }
    seconds = time.monotonic() - started
    return StageReport("validate", data, figures, seconds=seconds, lines=lines), found


def _mend(
    path: Path, config: ValidateConfig, vocabulary: Vocabulary | None, read_samples: bool, options: RunOptions
) -> tuple[FixReport, ValidationReport]:
    data = read_data(path, config)
    checks = audio_checks(data.path, config)
    facts = examine_audio(data, checks, read_samples, options.num_jobs, options.progress)
    fixed = fix(data, facts, config)
    if fixed.actions:
        found = validate(path, config, vocabulary, read_samples, options.num_jobs, options.progress)
    else:
        found = judge(data, facts, config, vocabulary)
    return fixed, replace(found, findings=(*found.findings, *fixed.refused))


def _vocabulary(lang: Path | None, lexicon: Path | None) -> Vocabulary | None:
    if lang is not None and lexicon is not None:
        raise ConfigError("--lang and --lexicon exclude each other", remedy="give one of them")
    if lang is not None:
        return Vocabulary.from_lang(lang)
    return None if lexicon is None else Vocabulary.from_lexicon(lexicon)
