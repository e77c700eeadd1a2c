"""Utterances held out: whole speakers, drawn by the seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from asrkit.core.errors import DataError
from asrkit.data.datadir import DataDir, Utterance
from asrkit.stages.held_out import hold_out


def test_held_out_are_whole_speakers() -> None:
    utterances = {f"u{i}": Utterance(f"u{i}", f"u{i}", f"s{i % 5}") for i in range(50)}
    data = DataDir(Path("data"), utterances, {})
    training, heldout = hold_out(data, list(utterances), 0.15, seed=1)
    assert sorted([*training, *heldout]) == sorted(utterances)
    speakers = {utterances[key].speaker for key in heldout}
    assert len(speakers) == 1
    assert not speakers & {utterances[key].speaker for key in training}
    assert len({tuple(hold_out(data, list(utterances), 0.15, seed)[1]) for seed in range(8)}) > 1
    alone = DataDir(Path("data"), {key: Utterance(key, key, "s") for key in utterances}, {})
    training, heldout = hold_out(alone, list(utterances), 0.1, seed=1)
    assert (len(training), len(heldout)) == (45, 5)
    with pytest.raises(DataError, match="one is held out"):
        hold_out(alone, ["u1"], 0.1, seed=1)
