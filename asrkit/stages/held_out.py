"""Which utterances a training holds out, to see by them how it goes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from asrkit.core.errors import DataError
from asrkit.core.files import read_lines
from asrkit.core.streams import random_stream
from asrkit.data.datadir import DataDir
from asrkit.stages.dnn_config import HeldoutBy

HELDOUT_FILE = "heldout.txt"
"""Utterances that a network was not trained on, in its model directory, a line each."""


def hold_out(
    data: DataDir, keys: Sequence[str], share: float, seed: int, by: HeldoutBy = "speaker"
) -> tuple[list[str], list[str]]:
    """Part utterances into those to train on and those to hold out.

    Speakers are drawn until they have at least ``share`` of the utterances; by utterance, or where there is one speaker
    alone, utterances are drawn.

    Raises
    ------
    DataError
        There are fewer than two utterances.
    """
    if len(keys) < 2:
        raise DataError(f"{len(keys)} utterances, expected 2 or more: one is held out", where=data.path)
    by_group: dict[str, list[str]] = {}
    for key in sorted(keys):
        by_group.setdefault(data.utterances[key].speaker, []).append(key)
    if by == "utterance" or len(by_group) == 1:
        by_group = {key: [key] for key in keys}
    order = random_stream(seed, "held-out speakers").permutation(sorted(by_group))
    heldout: list[str] = []
    for number, group in enumerate(order.tolist()):
        if len(heldout) >= share * len(keys) or number == len(order) - 1:
            break
        heldout += by_group[group]
    chosen = set(heldout)
    return [key for key in sorted(keys) if key not in chosen], sorted(heldout)


def hold_out_again(
    data: DataDir, keys: Sequence[str], previous: Path, share: float, seed: int
) -> tuple[list[str], list[str]]:
    """Part utterances as they were when an earlier network was trained; else as :func:`hold_out` does, by speaker.

    How well a network does on what it has learned from says little about others.

    Parameters
    ----------
    previous : Path
        Model directory of the network; utterances that its ``heldout.txt`` names are held out, if it has any of them.
    """
    path = previous / HELDOUT_FILE
    unseen = set(read_lines(path)) if path.is_file() else set()
    training, heldout = [key for key in sorted(keys) if key not in unseen], sorted(unseen.intersection(keys))
    return (training, heldout) if training and heldout else hold_out(data, keys, share, seed)
