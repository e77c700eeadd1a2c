"""Warp factors of a data directory: ``spk2warp`` for speakers, ``utt2warp`` for single utterances."""

from __future__ import annotations

from asrkit.core.archives import read_scp
from asrkit.core.errors import DataError
from asrkit.data.datadir import DataDir

WARP_TABLES = ("spk2warp", "utt2warp")

MIN_WARP, MAX_WARP = 0.5, 2.0
"""What can be a warp factor at all; those of people lie between 0.8 and 1.2."""

EXPECTED = f"a warp factor from {MIN_WARP:g} to {MAX_WARP:g}"


def parse_warp(text: str) -> float | None:
    """Return a warp factor, None where the text is none or is implausible."""
    try:
        warp = float(text)
    except ValueError:
        return None
    return warp if MIN_WARP <= warp <= MAX_WARP else None


def read_warps(data: DataDir) -> dict[str, float]:
    """Return utterance_id -> warp factor: that of ``utt2warp``, else that of its speaker in ``spk2warp``.

    Empty where there is neither file. With ``utt2warp`` alone, the utterances that it lacks are not in the result.

    Raises
    ------
    DataError, FormatError
        A line is damaged or implausible, or ``spk2warp`` lacks a speaker.
    """
    warps: dict[str, float] = {}
    path = data.path / "spk2warp"
    if path.exists():
        by_speaker = _read(data, "spk2warp")
        for key, utterance in data.utterances.items():
            if utterance.speaker not in by_speaker:
                raise DataError(
                    f"no warp factor of speaker {utterance.speaker!r}",
                    where=path,
                    remedy=f"run `asrkit vtln` again, or add a line '{utterance.speaker} 1'",
                )
            warps[key] = by_speaker[utterance.speaker]
    if (data.path / "utt2warp").exists():
        warps |= {key: warp for key, warp in _read(data, "utt2warp").items() if key in data.utterances}
    return warps


def _read(data: DataDir, name: str) -> dict[str, float]:
    table: dict[str, float] = {}
    for number, (key, value) in enumerate(read_scp(data.path / name).items(), 1):
        warp = parse_warp(value)
        if warp is None:
            raise DataError(
                f"expected an id and {EXPECTED}, found '{key} {value}'",
                where=f"{data.path / name}:{number}",
                remedy="mend the line, or remove the file and run `asrkit vtln` again",
            )
        table[key] = warp
    return table
