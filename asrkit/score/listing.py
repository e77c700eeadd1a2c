"""Results as lines for a reader."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from asrkit.score.bootstrap import Interval, PairedBootstrap
from asrkit.score.counts import ErrorCounts
from asrkit.score.edits import Pair
from asrkit.score.mapsswe import FEW_SEGMENTS, Mapsswe
from asrkit.score.sweep import Setting
from asrkit.score.utterances import ScoredUtterances

RATE_NAMES = {"word": "WER", "char": "CER", "phone": "PER"}
"""What the error rate is called, by unit."""


def summary_line(counts: ErrorCounts, rate_name: str = "WER") -> str:
    """Write counts as Kaldi does.

    Examples
    --------
    >>> summary_line(ErrorCounts(10, 5, 31, 762, 130, 33))
    '%WER 6.04 [ 46 / 762, 10 ins, 5 del, 31 sub ] %SER 25.38 [ 33 / 130 ]'
    """
    return (
        f"%{rate_name} {100 * counts.error_rate:.2f} [ {counts.errors} / {counts.reference_tokens}, "
        f"{counts.insertions} ins, {counts.deletions} del, {counts.substitutions} sub ] "
        f"%SER {100 * counts.sentence_error_rate:.2f} [ {counts.wrong_sentences} / {counts.sentences} ]"
    )


def interval_text(interval: Interval, resampled: str) -> str:
    """Write an interval of an error rate in percent; ``resampled`` is ``"utterance"`` or ``"speaker"``."""
    return (
        f"{100 * interval.level:g} % interval [{100 * interval.low:.1f}, {100 * interval.high:.1f}] "
        f"({interval.num_replications} resamples of {interval.num_groups} {resampled}s)"
    )


def speaker_table(by_speaker: Mapping[str, ErrorCounts]) -> list[str]:
    """Lay out counts by speaker, with their sum as the last row; rates in percent of reference tokens."""
    rows = [("speaker", "sents", "tokens", "corr", "sub", "del", "ins", "%err", "%s.err")]
    total = sum(by_speaker.values(), ErrorCounts.zero())
    for name, counts in [*by_speaker.items(), ("sum", total)]:
        rows.append(
            (
                name,
                str(counts.sentences),
                str(counts.reference_tokens),
                str(counts.correct_tokens),
                str(counts.substitutions),
                str(counts.deletions),
                str(counts.insertions),
                f"{100 * counts.error_rate:.2f}",
                f"{100 * counts.sentence_error_rate:.2f}",
            )
        )
    return table_lines(rows)


def sweep_table(results: Mapping[Setting, ErrorCounts], best: Setting) -> list[str]:
    """Lay out the counts of each setting; the best is marked with a star."""
    rows = [("lm weight", "penalty", "%err", "errors", "ins", "del", "sub", "")]
    for setting, counts in results.items():
        rows.append(
            (
                f"{setting.lm_weight:g}",
                f"{setting.insertion_penalty:g}",
                f"{100 * counts.error_rate:.2f}",
                str(counts.errors),
                str(counts.insertions),
                str(counts.deletions),
                str(counts.substitutions),
                "*" if setting == best else "",
            )
        )
    return table_lines(rows)


def confusion_lines(confusions: Counter[Pair], most: int) -> list[str]:
    """List the ``most`` frequent substitutions, deletions and insertions; equals in alphabetical order."""
    kinds = {
        "substitutions": {f"{a} -> {b}": n for (a, b), n in confusions.items() if a is not None and b is not None},
        "deletions": {a: n for (a, b), n in confusions.items() if a is not None and b is None},
        "insertions": {b: n for (a, b), n in confusions.items() if a is None and b is not None},
    }
    lines: list[str] = []
    for kind, found in kinds.items():
        ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        lines.append(f"{kind}: {sum(found.values())} ({len(ranked)} different)")
        lines += [f"{count:6d}  {text}" for text, count in ranked[:most]]
    return lines


def comparison_lines(
    name_a: str, name_b: str, test: Mapsswe, bootstrap: PairedBootstrap | None, unit: str
) -> list[str]:
    """Say how two systems differ and whether the difference may be chance."""
    lines = [
        f"{name_a} against {name_b}:",
        f"  MAPSSWE: {_p(test.p_value)} ({test.num_segments} segments, mean difference {test.mean:+.3f}, "
        f"W = {test.statistic:+.2f}"
        + ("; few segments, the normal approximation is rough)" if 0 < test.num_segments < FEW_SEGMENTS else ")"),
    ]
    if bootstrap is not None:
        difference, low, high = (f"{100 * x:+.2f}" for x in (bootstrap.difference, bootstrap.low, bootstrap.high))
        lines.append(
            f"  paired bootstrap: {_p(bootstrap.p_value)} (difference {difference} % absolute, "
            f"{100 * bootstrap.level:g} % interval [{low}, {high}], "
            f"{bootstrap.num_replications} resamples of {bootstrap.num_groups} {unit}s)"
        )
    return lines


def utterance_lines(scored: ScoredUtterances, speakers: Mapping[str, str] | None) -> Iterator[str]:
    """Write each utterance with its aligned pair, in the manner of sclite's ``pra`` report.

    ``*`` fills the side that has no token; the line ``Eval`` marks S, D and I under the columns that are wrong.
    """
    for at, key in enumerate(scored.utterance_ids):
        counts = scored.counts(at)
        yield f"id: {key}" + (f"  speaker: {speakers[key]}" if speakers is not None else "")
        yield (
            f"Scores: (#C #S #D #I) {counts.correct_tokens} {counts.substitutions} {counts.deletions} "
            f"{counts.insertions}"
        )
        yield from _pair_lines(scored.pairs(at))
        yield ""


def table_lines(rows: Iterable[Sequence[str]]) -> list[str]:
    """Align columns: the first to the left, the others to the right."""
    rows = list(rows)
    widths = [max(_width(cell) for cell in column) for column in zip(*rows)]
    lines: list[str] = []
    for first, *others in rows:
        cells = [_pad(first, widths[0])]
        cells += [" " * (width - _width(cell)) + cell for cell, width in zip(others, widths[1:])]
        lines.append("  ".join(cells).rstrip())
    return lines


def _pair_lines(pairs: Sequence[Pair]) -> list[str]:
    reference, hypothesis, marks = ["REF: "], ["HYP: "], ["Eval:"]
    for a, b in pairs:
        width = max(_width(a or ""), _width(b or ""))
        reference.append(_pad("*" * width if a is None else a, width))
        hypothesis.append(_pad("*" * width if b is None else b, width))
        mark = "I" if a is None else "D" if b is None else "S" if a != b else ""
        marks.append(_pad(mark, width))
    return [" ".join(cells).rstrip() for cells in (reference, hypothesis, marks)]


def _width(text: str) -> int:
    """Columns that ``text`` takes in a terminal: two for a wide East Asian character, none for a combining one."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def _pad(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _p(value: float) -> str:
    return "p < 0.0001" if value < 0.0001 else f"p = {value:.4f}" if value < 0.1 else f"p = {value:.2f}"
