"""docs/sequences.md is run, and its table says what came out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sequences.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the blocks of the page leave behind."""
    pytest.importorskip("sklearn")
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 4
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("sequences"))
        for block in blocks:
            exec(compile(block, "docs/sequences.md", "exec"), names)
    return names


def row(model: str) -> list[float]:
    (found,) = re.findall(rf"^\| {model}, .*? \| (.*?) \| (.*?) \|$", PAGE, re.MULTILINE)
    return [float(cell.replace("−", "-").removesuffix(" %")) for cell in found]


def test_the_order_of_columns_tells_an_hmm_the_digit(names: dict[str, Any]) -> None:
    without, with_order = (100 * names["hmm_right"][name] for name in ("without_order", "in_order"))
    assert with_order > without + 15
    assert [without, with_order] == pytest.approx(row("HMM"), abs=1)


def test_an_lstm_names_more_than_a_perceptron_of_columns(names: dict[str, Any]) -> None:
    without, with_order = 100 * names["perceptron_right"], 100 * names["lstm_right"]
    assert with_order > without + 5
    assert [without, with_order] == pytest.approx(row("LSTM"), abs=2)


def test_an_rnn_rbm_foretells_what_an_rbm_cannot(names: dict[str, Any]) -> None:
    assert names["rnn_rbm_nats"] > names["rbm_nats"] + 1
    assert [names["rbm_nats"], names["rnn_rbm_nats"]] == pytest.approx(row("RNN-RBM"), abs=0.1)
