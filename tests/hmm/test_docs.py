"""docs/hmm.md is run, and says what is so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "hmm.md"


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the blocks of the page leave behind."""
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 5
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    return names


def test_the_dice_are_told_apart(names: dict[str, Any]) -> None:
    assert names["dice"].log_likelihood(names["rolls"]) == pytest.approx(-20.68, abs=0.005)
    assert names["dice"].viterbi(names["rolls"]).states.shape == (13,)
    loaded = names["fitted"].emissions.probabilities[:, 5].max()
    assert loaded == pytest.approx(0.5, abs=0.1)
    assert names["monitor"].largest_loss < 1e-6


def test_the_chain_is_recovered(names: dict[str, Any]) -> None:
    np.testing.assert_allclose(names["refitted"].emissions.means, names["chain"].emissions.means, atol=0.3)
    assert (names["refitted"].transitions[[1, 2, 2], [0, 0, 1]] == 0).all()
    assert names["with_mixtures"].num_states == 3


def test_the_graph_gives_the_numbers_of_the_page(names: dict[str, Any]) -> None:
    assert names["path"].arcs.tolist() == [0, 1, 3]
    np.testing.assert_allclose(names["sums"].arc_occupancy, [0.6, 1.0, 0.4, 1.0], atol=1e-6)
