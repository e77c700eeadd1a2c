"""Score hypotheses against references: error rates, intervals, significance, the choice of search settings."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from asrkit.core.archives import read_scp
from asrkit.core.errors import ConfigError, DataError
from asrkit.core.files import write_lines
from asrkit.core.streams import random_stream
from asrkit.data.datadir import read_text
from asrkit.score.bootstrap import Interval, bootstrap_interval, paired_bootstrap, sum_groups
from asrkit.score.calibration import calibration
from asrkit.score.counts import ErrorCounts
from asrkit.score.listing import (
    RATE_NAMES,
    comparison_lines,
    confusion_lines,
    interval_text,
    speaker_table,
    summary_line,
    sweep_table,
    utterance_lines,
)
from asrkit.score.mapsswe import compare_edits
from asrkit.score.sweep import Setting, choose_best, list_settings, save_best
from asrkit.score.tokens import Fold, TokenRules, Unit, read_variants
from asrkit.score.utterances import ScoredUtterances, group_by, match, name_some, score_utterances
from asrkit.stages.hypothesis_files import HYPOTHESES, read_confidences, read_main_setting
from asrkit.stages.record import Failure, RunOptions, StageReport

Resample = Literal["auto", "utterance", "speaker"]

MIN_SPEAKERS = 10
"""From this number of speakers on, speakers are what is resampled unless told otherwise."""


@dataclass(frozen=True)
class ScoreConfig:
    """What counts as an error, and how sure one can be of the rate.

    Attributes
    ----------
    unit : {'word', 'char', 'phone'}
        What is compared.
    fold : {'none', 'timit39'}
        ``timit39``: TIMIT's 61 or 48 phones become 39 on both sides.
    ignore : tuple of str
        Tokens that do not count, on either side.
    count_spaces : bool
        With characters: a space is a character too.
    allow_missing : bool
        Count the words of an utterance without a hypothesis as deleted, instead of stopping.
    bootstrap : int
        Resamples for intervals and the paired bootstrap; 0: none.
    resample : {'auto', 'utterance', 'speaker'}
        What is resampled. ``auto``: speakers where they are known and at least 10, else utterances (and in the
        paired comparison always utterances).
    level : float
        Confidence level of the intervals, in (0, 1).
    """

    unit: Unit = "word"
    fold: Fold = "none"
    ignore: tuple[str, ...] = ()
    count_spaces: bool = False
    allow_missing: bool = False
    bootstrap: int = 1000
    resample: Resample = "auto"
    level: float = 0.95

    def __post_init__(self) -> None:
        if self.fold != "none" and self.unit != "phone":
            raise ConfigError(f"fold is {self.fold}, but unit is {self.unit}", remedy="add --unit phone")
        if self.count_spaces and self.unit != "char":
            raise ConfigError(f"count_spaces is set, but unit is {self.unit}", remedy="add --unit char")
        if self.bootstrap < 0:
            raise ConfigError(f"bootstrap is {self.bootstrap}, expected 0 or more")
        if not 0 < self.level < 1:
            raise ConfigError(f"level is {self.level}, expected a number between 0 and 1")


@dataclass(frozen=True)
class ScoreListing:
    """What is listed beside the error rate.

    Attributes
    ----------
    per_speaker : bool
        A table by speaker.
    confusions : int
        How many of the most frequent substitutions, deletions and insertions; 0: none.
    utterances : str or None
        File for the aligned pairs of all utterances; ``-``: in the report's lines.
    """

    per_speaker: bool = False
    confusions: int = 0
    utterances: str | None = None


@dataclass(frozen=True)
class _Reference:
    """What hypotheses are held against: ``tokens`` by utterance_id, and the speakers where they are known."""

    path: Path
    tokens: dict[str, tuple[str, ...]]
    speakers: dict[str, str] | None
    rules: TokenRules


def score(
    reference: Path,
    hypothesis: Path,
    config: ScoreConfig,
    options: RunOptions,
    *,
    compare: Path | None = None,
    utt2spk: Path | None = None,
    variants: Path | None = None,
    listing: ScoreListing | None = None,
) -> StageReport:
    """Score hypotheses; nothing is skipped on a second run, since the report is what is asked for.

    Parameters
    ----------
    reference : Path
        Kaldi's ``text``, or a data directory with ``text`` and ``utt2spk``.
    hypothesis : Path
        Lines ``utterance_id word word...``; or a decode directory, of which all settings are scored and the best
        is written to its ``best.json`` (see :mod:`asrkit.score.sweep`); or one of `asrkit combine`, which has none.
    compare : Path, optional
        Hypotheses of a second system, tested against the first.
    utt2spk : Path, optional
        Speakers, where the reference is not a data directory.
    variants : Path, optional
        Spelling variants; see :func:`asrkit.score.tokens.read_variants`.

    Returns
    -------
    StageReport
        Figures: the rate in percent under ``wer``, ``cer`` or ``per``; ``counts``; ``interval`` where there is one;
        what was asked for besides, and with a decode directory that has confidences how well the main setting's are
        calibrated. Utterances without a hypothesis are its failures.

    Raises
    ------
    DataError, FormatError, ConfigError
        Ids that do not match, files that are damaged, settings that exclude each other.
    """
    started = time.monotonic()
    listing = listing or ScoreListing()
    against = _read_reference(reference, utt2spk, variants, config)
    figures: dict[str, Any] = {}
    lines: list[str] = []
    file, best = hypothesis, None
    if hypothesis.is_dir() and _is_combined(hypothesis):
        file = hypothesis / HYPOTHESES
    elif hypothesis.is_dir():
        file, best = _sweep(hypothesis, against, config, options, figures, lines)
    scored, missing = _score_file(file, against, config)
    if best is not None:
        save_best(hypothesis, best, scored.total(), against.path)
    lines = [*_list(scored, against, listing, figures), *lines]
    lines.append(_rate(scored, against, config, options, figures))
    if hypothesis.is_dir():
        lines += _confidences(hypothesis, against, figures)
    if missing:
        figures["missing"] = len(missing)
        lines.append(_missing_line(missing, file))
    if compare is not None:
        other, absent = _score_file(compare, against, config)
        lines += _compare((str(file), scored), (str(compare), other), against, config, options, figures)
        if absent:
            figures["comparison"]["missing"] = list(absent)
            lines.append(_missing_line(absent, compare))
    return StageReport(
        "score",
        hypothesis,
        figures,
        tuple(Failure(key, "no hypothesis, counted as deleted") for key in missing),
        seconds=time.monotonic() - started,
        lines=tuple(lines),
    )


def _read_reference(path: Path, utt2spk: Path | None, variants: Path | None, config: ScoreConfig) -> _Reference:
    rules = TokenRules(
        unit=config.unit,
        fold=config.fold,
        ignore=frozenset(config.ignore),
        count_spaces=config.count_spaces,
        variants={} if variants is None else read_variants(variants),
    )
    text = path / "text" if path.is_dir() else path
    if utt2spk is None and path.is_dir() and (path / "utt2spk").exists():
        utt2spk = path / "utt2spk"
    tokens = rules.apply_to_all(read_text(text), text)
    if not any(tokens.values()):
        raise DataError(
            f"no {config.unit}s in the references, so there is no error rate",
            where=text,
            remedy="expected lines 'utterance_id word word...'",
        )
    speakers = None
    if utt2spk is not None:
        speakers = read_scp(utt2spk)
        unknown = sorted(tokens.keys() - speakers.keys())
        if unknown:
            raise DataError(
                f"{len(unknown)} utterances of {text} have no speaker: {name_some(unknown)}",
                where=utt2spk,
                remedy="add them, or run `asrkit validate`",
            )
    return _Reference(path, tokens, speakers, rules)


def _score_file(file: Path, against: _Reference, config: ScoreConfig) -> tuple[ScoredUtterances, tuple[str, ...]]:
    matched, missing = match(against.tokens, read_text(file), file, config.allow_missing)
    return score_utterances(against.tokens, against.rules.apply_to_all(matched, file)), missing


def _is_combined(folder: Path) -> bool:
    """Say whether a directory has hypotheses of no setting, as `asrkit combine` makes them."""
    return (folder / HYPOTHESES).is_file() and not any(folder.glob("hyp.*.txt"))


def _missing_line(missing: tuple[str, ...], file: Path) -> str:
    return f"{len(missing)} utterances without a hypothesis in {file}, counted as deleted: {name_some(missing)}"


def _sweep(
    folder: Path,
    against: _Reference,
    config: ScoreConfig,
    options: RunOptions,
    figures: dict[str, Any],
    lines: list[str],
) -> tuple[Path, Setting]:
    """Score every setting of a decode directory; returns the best one's file and setting."""
    files = list_settings(folder)
    results: dict[Setting, ErrorCounts] = {}
    for setting, file in options.progress(files.items(), total=len(files), label="settings"):
        results[setting] = _score_file(file, against, config)[0].total()
    best = choose_best(results)
    figures["lm_weight"], figures["insertion_penalty"] = best.lm_weight, best.insertion_penalty
    figures["settings"] = [
        {"lm_weight": setting.lm_weight, "insertion_penalty": setting.insertion_penalty, **_counts(counts)}
        for setting, counts in results.items()
    ]
    lines += [*sweep_table(results, best), ""]
    return files[best], best


def _list(scored: ScoredUtterances, against: _Reference, listing: ScoreListing, figures: dict[str, Any]) -> list[str]:
    """Make what ``listing`` asks for: lines, entries of ``figures``, the file of aligned pairs."""
    lines: list[str] = []
    if listing.utterances == "-":
        lines += utterance_lines(scored, against.speakers)
    elif listing.utterances is not None:
        write_lines(listing.utterances, utterance_lines(scored, against.speakers))
    if listing.per_speaker:
        by_speaker = scored.by_speaker(_speakers(against))
        figures["per_speaker"] = {speaker: _counts(counts) for speaker, counts in by_speaker.items()}
        lines += [*speaker_table(by_speaker), ""]
    if listing.confusions:
        confusions = scored.confusions()
        ranked = sorted(confusions.items(), key=lambda item: (-item[1], item[0][0] or "", item[0][1] or ""))
        figures["confusions"] = [
            {"reference": a, "hypothesis": b, "count": count} for (a, b), count in ranked[: listing.confusions]
        ]
        lines += [*confusion_lines(confusions, listing.confusions), ""]
    return lines


def _rate(
    scored: ScoredUtterances,
    against: _Reference,
    config: ScoreConfig,
    options: RunOptions,
    figures: dict[str, Any],
) -> str:
    """Put the rate, the counts and the interval into ``figures``, and return them as a line."""
    total = scored.total()
    rate_name = RATE_NAMES[config.unit]
    resample, groups = _groups(scored, against, config.resample)
    errors, tokens = sum_groups(_errors_and_tokens(scored), groups).T
    random = random_stream(options.seed, "score interval")
    interval = bootstrap_interval(errors, tokens, config.bootstrap, random, config.level)
    figures[rate_name.lower()] = 100 * total.error_rate
    figures["ser"] = 100 * total.sentence_error_rate
    figures["counts"] = _counts(total)
    line = summary_line(total, rate_name)
    if interval is not None:
        figures["interval"] = _interval(interval, resample)
        return f"{line} {interval_text(interval, resample)}"
    return line if config.bootstrap == 0 else f"{line} (no interval: one {resample} alone)"


def _confidences(folder: Path, against: _Reference, figures: dict[str, Any]) -> list[str]:
    """Put into ``figures`` how well confidences of a decode directory are calibrated, and return it as a line."""
    said = read_confidences(folder)
    said = {key: words for key, words in said.items() if key in against.tokens}
    if not any(said.values()) or against.rules.unit == "char":
        return []
    tokens: dict[str, tuple[str, ...]] = {}
    confidences: dict[str, list[float]] = {}
    for key, words in said.items():
        by_word = [against.rules.apply((word,)) for word, _ in words]
        tokens[key] = tuple(token for some in by_word for token in some)
        confidences[key] = [sure for some, (_, sure) in zip(by_word, words) for _ in some]
    scored = score_utterances({key: against.tokens[key] for key in tokens}, tokens)
    right: list[NDArray[np.bool_]] = []
    for at, key in enumerate(scored.utterance_ids):
        right.append(np.ones(len(tokens[key]), dtype=bool))
        right[-1][[place for kind, _, place in scored.edits[at] if kind != "delete"]] = False
    sure = np.array([value for key in scored.utterance_ids for value in confidences[key]])
    found = calibration(sure, np.concatenate(right))
    # JSON knows no infinity.
    figures["confidences"] = {
        name: value if math.isfinite(value) else None for name, value in dataclasses.asdict(found).items()
    }
    main, of = read_main_setting(folder), "" if _is_combined(folder) else " of the first setting"
    if main is not None:
        figures["confidences"] |= dataclasses.asdict(main)
        of = f" of LM weight {main.lm_weight:g} and penalty {main.insertion_penalty:g}, the first setting"
    return [
        f"confidences of {found.num_words} words{of}: expected calibration error {found.expected_error:.3f}, "
        f"normalised cross entropy {found.cross_entropy:.3f}"
    ]


def _compare(
    first: tuple[str, ScoredUtterances],
    second: tuple[str, ScoredUtterances],
    against: _Reference,
    config: ScoreConfig,
    options: RunOptions,
    figures: dict[str, Any],
) -> list[str]:
    """Test two systems against each other."""
    (name_a, a), (name_b, b) = first, second
    resample, groups = _groups(a, against, "utterance" if config.resample == "auto" else config.resample)
    test = compare_edits(a.edits, b.edits)
    errors_a, tokens = sum_groups(_errors_and_tokens(a), groups).T
    errors_b, _ = sum_groups(_errors_and_tokens(b), groups).T
    random = random_stream(options.seed, "score comparison")
    paired = paired_bootstrap(errors_a, errors_b, tokens, config.bootstrap, random, config.level)
    rate_name = RATE_NAMES[config.unit]
    figures["comparison"] = {
        "with": name_b,
        "counts": _counts(b.total()),
        "mapsswe": dataclasses.asdict(test),
        "bootstrap": None
        if paired is None
        else {
            "resampled": resample,
            **dataclasses.asdict(paired),
            **{key: 100 * getattr(paired, key) for key in ("difference", "low", "high")},
        },
    }
    return [
        f"{summary_line(b.total(), rate_name)} ({name_b})",
        *comparison_lines(name_a, name_b, test, paired, resample),
    ]


def _groups(
    scored: ScoredUtterances, against: _Reference, resample: Resample
) -> tuple[Literal["utterance", "speaker"], NDArray[np.intp]]:
    """Say what is resampled, and to which group each utterance belongs."""
    if resample == "speaker" or (resample == "auto" and against.speakers is not None):
        speakers = _speakers(against)
        groups, names = group_by([speakers[key] for key in scored.utterance_ids])
        if resample == "speaker" or len(names) >= MIN_SPEAKERS:
            return "speaker", groups
    return "utterance", np.arange(len(scored), dtype=np.intp)


def _speakers(against: _Reference) -> Mapping[str, str]:
    if against.speakers is None:
        raise DataError(
            "the speakers are not known",
            where=against.path,
            remedy="name a data directory as the reference, or give --utt2spk FILE",
        )
    return against.speakers


def _errors_and_tokens(scored: ScoredUtterances) -> NDArray[np.int64]:
    return np.column_stack([scored.table[:, :3].sum(axis=1), scored.table[:, 3]])


def _counts(counts: ErrorCounts) -> dict[str, Any]:
    """Return the counts for JSON; the rate in percent, None where there are errors but no reference."""
    rate = 100 * counts.error_rate if math.isfinite(counts.error_rate) else None
    return {**dataclasses.asdict(counts), "errors": counts.errors, "rate": rate}


def _interval(interval: Interval, resampled: str) -> dict[str, Any]:
    """Return the interval for JSON, in percent."""
    return {
        **dataclasses.asdict(interval),
        "resampled": resampled,
        "low": 100 * interval.low,
        "high": 100 * interval.high,
    }
