"""Hypotheses of one search under several settings, and the choice of the best on a development set.

A decode directory holds one file of hypotheses a setting, ``hyp.w<lm weight>_p<insertion penalty>.txt``, e.g.
``hyp.w10_p0.5.txt``: lines ``utterance_id word word...`` as in Kaldi's ``text``. The choice is written beside them
as ``best.json``, to be applied to a test set.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asrkit.core.errors import DataError, FormatError
from asrkit.core.files import read_json, write_json
from asrkit.score.counts import ErrorCounts

BEST = "best.json"
"""Name of the file that holds the choice."""

_NAME = re.compile(r"hyp\.w(?P<weight>[-+.0-9e]+)_p(?P<penalty>[-+.0-9e]+)\.txt")


@dataclass(frozen=True, order=True)
class Setting:
    """Two numbers of the search that are chosen on a development set.

    Attributes
    ----------
    lm_weight : float
        Weight of language model costs against acoustic ones, > 0: 1 / acoustic_scale.
    insertion_penalty : float
        Cost added for each word, as `asrkit decode` takes it.
    """

    lm_weight: float
    insertion_penalty: float

    @property
    def file_name(self) -> str:
        """Name of the file of hypotheses of this setting."""
        return f"hyp.w{_number(self.lm_weight)}_p{_number(self.insertion_penalty)}.txt"


def list_settings(folder: Path) -> dict[Setting, Path]:
    """Find the hypotheses in a decode directory: setting -> file, sorted.

    Raises
    ------
    DataError
        There is none, or two files stand for the same setting.
    FormatError
        A file ``hyp.*.txt`` whose name does not say its setting.
    """
    found: dict[Setting, Path] = {}
    for path in sorted(folder.glob("hyp.*.txt")):
        setting = _parse_name(path)
        if setting in found:
            raise DataError(f"the same setting as {found[setting].name}", where=path, remedy="remove one of the two")
        found[setting] = path
    if not found:
        raise DataError(
            "no hypotheses (hyp.*.txt) in this directory",
            where=folder,
            remedy="make them with `asrkit decode`, or name a file of hypotheses",
        )
    return dict(sorted(found.items()))


def choose_best(results: Mapping[Setting, ErrorCounts]) -> Setting:
    """Choose the setting with the fewest errors.

    Among equals the one whose LM weight is nearest to the median of the weights tried, then the smaller weight;
    then the one whose penalty is nearest to the median of the penalties tried, then the smaller penalty. (The
    middle of a flat valley is a safer choice for other data than its edge.)
    """
    weight = statistics.median({setting.lm_weight for setting in results})
    penalty = statistics.median({setting.insertion_penalty for setting in results})
    return min(
        results,
        key=lambda setting: (
            results[setting].errors,
            abs(setting.lm_weight - weight),
            setting.lm_weight,
            abs(setting.insertion_penalty - penalty),
            setting.insertion_penalty,
        ),
    )


def save_best(folder: Path, setting: Setting, counts: ErrorCounts, reference: Path) -> Path:
    """Write ``best.json`` into a decode directory and return its path; ``wer`` is in percent."""
    path = folder / BEST
    write_json(
        path,
        {
            "lm_weight": setting.lm_weight,
            "insertion_penalty": setting.insertion_penalty,
            "wer": 100 * counts.error_rate,
            "errors": counts.errors,
            "reference_tokens": counts.reference_tokens,
            "hypotheses": setting.file_name,
            "reference": str(reference),
        },
    )
    return path


def read_best(path: Path | str) -> Setting:
    """Read the setting from a ``best.json`` (or from the decode directory that holds one).

    Raises
    ------
    FormatError
        The file is absent, is not JSON, or lacks one of the two numbers.
    """
    path = Path(path)
    if path.is_dir():
        path = path / BEST
    if not path.exists():
        raise FormatError("no such file", where=path, remedy="make it with `asrkit score REF DECODE_DIR`")
    values: Any = read_json(path)
    numbers: list[float] = []
    for key in ("lm_weight", "insertion_penalty"):
        value = values.get(key) if isinstance(values, dict) else None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise FormatError(
                f"{key} is {value!r}, expected a number",
                where=path,
                remedy="make it again with `asrkit score REF DECODE_DIR`",
            )
        numbers.append(float(value))
    return Setting(*numbers)


def _parse_name(path: Path) -> Setting:
    match = _NAME.fullmatch(path.name)
    try:
        if match is None:
            raise ValueError
        return Setting(float(match["weight"]), float(match["penalty"]))
    except ValueError:
        raise FormatError(
            "the name does not say its setting, expected hyp.w<lm weight>_p<insertion penalty>.txt",
            where=path,
            remedy="rename it, or score this file by itself",
        ) from None


def _number(value: float) -> str:
    """Write a number as short as possible and exactly: 10, 0.5, -1."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
