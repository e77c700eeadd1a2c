from __future__ import annotations

from pathlib import Path

import pytest

from asrkit.core.errors import FormatError
from asrkit.lang.symbols import SymbolTable


def test_round_trip(tmp_path: Path) -> None:
    table = SymbolTable(("<eps>", "b", "ä", "#0"))
    table.save(tmp_path / "t.txt")
    assert (tmp_path / "t.txt").read_text(encoding="utf-8") == "<eps> 0\nb 1\nä 2\n#0 3\n"
    assert SymbolTable.load(tmp_path / "t.txt") == table
    assert table.ids["ä"] == 2
    assert list(table) == ["<eps>", "b", "ä", "#0"]
    assert len(table) == 4
    assert "b" in table
    assert "c" not in table


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"t\.txt: expected '<eps>' with id 0"),
        ("a 0\n", "expected '<eps>' with id 0"),
        ("<eps> 0\na 2\n", r"t\.txt:2: expected 'symbol 1', found 'a 2'"),
        ("<eps> 0\na\n", "found 'a'"),
        ("<eps> 0\na b 1\n", "found 'a b 1'"),
        ("<eps> 0\na 1\na 2\n", "symbol 'a' stands twice"),
    ],
)
def test_each_mistake_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.txt").write_text(text)
    with pytest.raises(FormatError, match=message):
        SymbolTable.load(tmp_path / "t.txt")
