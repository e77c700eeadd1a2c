"""`asrkit train-dnn --realign`: a network aligns what it was trained on, and another is trained on that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from asrkit.stages.align import align
from asrkit.stages.aligner import AlignStageConfig
from asrkit.stages.record import RunOptions, StageReport

Train = Callable[[Path, Path], StageReport | None]


def train_realigned(
    train: Train, data: Path, alignment: Path, out: Path, rounds: int, options: RunOptions
) -> StageReport | None:
    """Train, and ``rounds`` times align with what was trained and train again from the beginning.

    Each round is stages of its own, in ``out/round-0``, ``out/round-1`` …, so a killed run goes on in the midst of it.

    Parameters
    ----------
    train : callable
        Trains on an alignment directory and makes a model directory.
    data : Path
        With transcripts.
    alignment : Path
        Of the first training.
    out : Path
        Model directory of the last one.

    Returns
    -------
    StageReport or None
        Of the last training; None in processes that train together with another one, which alone aligns.
    """
    for number in range(rounds):
        folder = out / f"round-{number}"
        if train(alignment, folder / "model") is not None:
            align(data, folder / "model", folder / "alignment", AlignStageConfig(formats=()), options)
        alignment = folder / "alignment"
    return train(alignment, out)
