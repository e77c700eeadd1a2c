"""Pictures of piano rolls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asrkit.music.piano_roll import PianoRoll
from asrkit.music.picture import draw_rolls


def test_notes_are_dark_and_where_they_belong(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.image import imread

    low, high = np.zeros((10, 88), np.uint8), np.zeros((10, 88), np.uint8)
    low[:5, :44] = 1
    high[5:, 44:] = 1
    pictures = []
    for name, notes in (("low", low), ("high", high)):
        draw_rolls([PianoRoll(notes)], tmp_path / f"{name}.png")
        pictures.append(imread(tmp_path / f"{name}.png")[..., 0])
    darker = pictures[0] - pictures[1]
    where_low, where_high = np.argwhere(darker < -0.5), np.argwhere(darker > 0.5)
    assert len(where_low) > 1000
    # Low keys of the beginning stand below and left of the high ones of the end.
    assert where_low[:, 0].min() > where_high[:, 0].max()
    assert where_low[:, 1].max() < where_high[:, 1].min()
