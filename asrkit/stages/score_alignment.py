"""`asrkit score-alignment`: phone boundaries of an alignment against hand labels."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from asrkit.core.errors import ConfigError, DataError, FormatError
from asrkit.core.files import read_lines
from asrkit.data.labels.ctm import read_ctm
from asrkit.data.labels.phone_table import read_phone_table
from asrkit.data.labels.textgrid import read_textgrid
from asrkit.score.boundaries import TOLERANCES_MS, BoundaryErrors, Span, compare_boundaries, find_overlap, fold_spans
from asrkit.score.phone_classes import phone_class
from asrkit.score.timit import FOLD_39, FOLD_48
from asrkit.stages.record import Failure, RunOptions, StageReport, check_failures

FoldName = Literal["none", "timit48", "timit39"]


@dataclass(frozen=True)
class ScoreAlignmentConfig:
    """What is compared.

    Attributes
    ----------
    fold : {'none', 'timit48', 'timit39'}
        Rename TIMIT's phones on both sides; ``q`` goes out.
    map : str or None
        A file of such names instead: lines ``PHONE NAME``, or ``PHONE`` alone for one that goes out; phones that it
        does not name keep theirs.
    tier : str
        The tier of TextGrids that holds the phones.
    """

    fold: FoldName = "none"
    map: str | None = None
    tier: str = "phones"

    def __post_init__(self) -> None:
        if self.fold != "none" and self.map is not None:
            raise ConfigError(f"both fold {self.fold} and a map are given, expected one of them")


def score_alignment(
    reference: Path, hypothesis: Path, config: ScoreAlignmentConfig, options: RunOptions, per_class: bool = False
) -> StageReport:
    """Compare boundaries; nothing is skipped on a second run, since the report is what is asked for.

    Parameters
    ----------
    reference, hypothesis : Path
        A CTM (``.ctm``), a TextGrid or a folder of them (``.TextGrid``), or a table ``utterance start end phone``;
        a data directory stands for its ``phones.ali``, the output of `asrkit align` for its ``phones.ctm``.
    per_class : bool
        Also a table by the kinds of the phones around a boundary (TIMIT's phones; others are ``other``).

    Raises
    ------
    DataError, FormatError, ConfigError
        A file is absent or damaged, a phone is not in the map, or no utterance is in both.
    TooManyFailedError
        More of the reference's utterances are missing in the hypothesis, or have labels that overlap, than the options
        allow.
    """
    started = time.monotonic()
    ours, theirs = read_spans(reference, config.tier), read_spans(hypothesis, config.tier)
    fold: dict[str, str | None] | None = None
    if config.map is not None:
        used = {phone for spans in (*ours.values(), *theirs.values()) for _, _, phone in spans}
        fold = {**{phone: phone for phone in used}, **_read_map(Path(config.map))}
    elif config.fold != "none":
        fold = FOLD_48 if config.fold == "timit48" else FOLD_39
    reasons = {key: f"not in {hypothesis}" for key in ours if key not in theirs}
    if len(reasons) == len(ours):
        raise DataError(f"no utterance of {reference} is in {hypothesis}", remedy="are the ids those of recordings?")
    for path, side in ((reference, ours), (hypothesis, theirs)):
        for key in ours.keys() - reasons.keys():
            overlap = find_overlap(sorted(side[key]))
            if overlap is not None:
                reasons[key] = f"{path}: {overlap}"
    failures = [Failure(key, reasons[key]) for key in ours if key in reasons]
    check_failures(failures, len(ours), options, hypothesis)
    parts: list[BoundaryErrors] = []
    for key in sorted(ours.keys() - reasons.keys()):
        left, right = sorted(ours[key]), sorted(theirs[key])
        if fold is not None:
            left, right = (fold_spans(spans, fold, key) for spans in (left, right))
        parts.append(compare_boundaries(left, right))
    total = BoundaryErrors.sum(parts)
    figures = total.figures()
    lines: list[str] = []
    if per_class:
        groups = total.by_class(phone_class)
        figures["classes"] = {f"{a}-{b}": group.figures() for (a, b), group in groups.items()}
        lines = [*_class_table(groups), ""]
    if len(total):
        lines.append(_summary(figures))
    else:
        lines.append(
            f"no boundary to compare, {figures['unmatched']} unmatched: do both say the same phones? (--fold, --map)"
        )
    seconds = time.monotonic() - started
    return StageReport("score-alignment", hypothesis, figures, tuple(failures), seconds=seconds, lines=tuple(lines))


def read_spans(path: Path, tier: str = "phones") -> dict[str, list[Span]]:
    """Read labels of any of our formats: utterance or recording id -> spans, empty labels left out."""
    if path.is_dir():
        for name in ("phones.ctm", "phones.ali"):
            if (path / name).exists():
                return read_spans(path / name, tier)
        grids = sorted(path.glob("*.TextGrid"))
        if not grids:
            raise FormatError("neither phones.ctm, phones.ali nor any .TextGrid in this folder", where=path)
        return {grid.stem: _tier_spans(grid, tier) for grid in grids}
    if path.suffix == ".TextGrid":
        return {path.stem: _tier_spans(path, tier)}
    if path.suffix == ".ctm":
        table: dict[str, list[Span]] = {}
        for row in read_ctm(path):
            table.setdefault(row.recording_id, []).append(row.label)
        return table
    return {key: list(labels) for key, labels in read_phone_table(path).items()}


def _tier_spans(path: Path, name: str) -> list[Span]:
    grid = read_textgrid(path)
    for tier in grid.tiers:
        if tier.name == name:
            return list(tier.labels)
    raise FormatError(
        f"no tier {name!r}, found {', '.join(repr(tier.name) for tier in grid.tiers)}",
        where=path,
        remedy="name the tier with --set tier=NAME",
    )


def _read_map(path: Path) -> dict[str, str | None]:
    table: dict[str, str | None] = {}
    for number, line in enumerate(read_lines(path), 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) > 2 or fields[0] in table:
            what = f"{fields[0]!r} stands twice" if fields[0] in table else f"found {line!r}"
            raise FormatError(f"expected one 'PHONE NAME' or 'PHONE' a line, {what}", where=f"{path}:{number}")
        table[fields[0]] = fields[1] if len(fields) == 2 else None
    return table


def _summary(figures: dict[str, Any]) -> str:
    shares = ", ".join(f"{figures[f'within_{ms}_ms']:.1f} % within {ms} ms" for ms in TOLERANCES_MS)
    return (
        f"median {figures['median_ms']:.1f} ms, mean {figures['mean_ms']:.1f} ms, bias {figures['bias_ms']:+.1f} ms; "
        f"{shares} [{figures['boundaries']} boundaries, {figures['unmatched']} unmatched]"
    )


def _class_table(groups: dict[tuple[str, str], BoundaryErrors]) -> list[str]:
    rows = [
        f"{'boundary':<24}{'count':>7}{'median':>8}{'bias':>8}" + "".join(f"{f'<={ms}':>7}" for ms in TOLERANCES_MS)
    ]
    for (before, behind), group in groups.items():
        figures = group.figures()
        shares = "".join(f"{figures[f'within_{ms}_ms']:7.1f}" for ms in TOLERANCES_MS)
        times = f"{figures['median_ms']:8.1f}{figures['bias_ms']:+8.1f}"
        rows.append(f"{f'{before} - {behind}':<24}{len(group):>7}{times}{shares}")
    return rows
