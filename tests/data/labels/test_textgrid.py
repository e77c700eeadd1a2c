"""TextGrids written by us and read by praatio, written by praatio and read by us, and damaged ones."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from praatio import textgrid as praat
from praatio.utilities.constants import Interval, Point

from asrkit.core.errors import DataError, FormatError
from asrkit.data.labels.label import Label, tile
from asrkit.data.labels.textgrid import TextGrid, Tier, read_textgrid

GRID = TextGrid(
    0.0,
    3.0125,
    (
        Tier("ann - words", (Label(0.25, 0.5, 'say "ah"'), Label(0.5, 1.0, "größer"), Label(2.0, 2.125, "日本 <b> 3"))),
        Tier("phones", (Label(0.0, 3.0125, "! 3 <x>"),)),
        Tier("empty", ()),
    ),
)


def read_with_praatio(path: Path) -> dict[str, list[tuple[float, float, str]]]:
    grid = praat.openTextgrid(str(path), includeEmptyIntervals=True, reportingMode="error")
    return {name: [tuple(entry) for entry in grid.getTier(name).entries] for name in grid.tierNames}


@pytest.mark.parametrize("short", [False, True])
def test_praatio_reads_equal_times_and_labels_that_cover_the_whole(tmp_path: Path, short: bool) -> None:
    GRID.save(tmp_path / "a.TextGrid", short)
    found = read_with_praatio(tmp_path / "a.TextGrid")
    assert list(found) == [tier.name for tier in GRID.tiers]
    for tier in GRID.tiers:
        assert [entry for entry in found[tier.name] if entry[2]] == [tuple(label) for label in tier.labels]
        assert found[tier.name] == [tuple(label) for label in tile(tier.labels, 0.0, 3.0125)]
        assert found[tier.name][0][0] == 0.0
        assert found[tier.name][-1][1] == 3.0125
    assert read_textgrid(tmp_path / "a.TextGrid") == GRID


TIMES = st.lists(st.integers(0, 40_000), min_size=2, max_size=12, unique=True).map(
    lambda ns: [n / 16000 for n in sorted(ns)]
)
TEXTS = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=8).filter(str.strip)


@settings(max_examples=40, deadline=None)
@given(times=TIMES, data=st.data(), short=st.booleans())
def test_any_labels_come_back(times: list[float], data: st.DataObject, short: bool, tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    spans = [span for span in itertools.pairwise(times) if data.draw(st.booleans())]
    labels = tuple(Label(start, end, data.draw(TEXTS)) for start, end in spans)
    grid = TextGrid(0.0, times[-1], (Tier(data.draw(TEXTS), labels),))
    path = tmp_path_factory.mktemp("grid") / "a.TextGrid"
    grid.save(path, short)
    found = read_textgrid(path)
    assert [(tier.name, [label.text for label in tier.labels]) for tier in found.tiers] == [
        (tier.name, [label.text for label in tier.labels]) for tier in grid.tiers
    ]
    for ours, theirs in zip(found.tiers[0].labels, labels):
        assert ours[:2] == pytest.approx(theirs[:2], abs=1e-7)


@pytest.mark.parametrize("form", ["long_textgrid", "short_textgrid"])
def test_files_of_praatio_are_read_and_point_tiers_passed_over(tmp_path: Path, form: str) -> None:
    grid = praat.Textgrid()
    grid.addTier(praat.IntervalTier("w", [Interval(0.5, 0.75, 'a "b"'), Interval(0.75, 1.0, "c")], 0, 2))
    grid.addTier(praat.PointTier("clicks", [Point(0.3, "x")], 0, 2))
    grid.addTier(praat.IntervalTier("p", [Interval(0, 2, "all")], 0, 2))
    grid.save(str(tmp_path / "a.TextGrid"), form, includeBlankSpaces=True)
    expected = TextGrid(
        0.0, 2.0, (Tier("w", (Label(0.5, 0.75, 'a "b"'), Label(0.75, 1.0, "c"))), Tier("p", (Label(0.0, 2.0, "all"),)))
    )
    assert read_textgrid(tmp_path / "a.TextGrid") == expected
    text = (tmp_path / "a.TextGrid").read_text(encoding="utf-8")
    (tmp_path / "b.TextGrid").write_text(text, encoding="utf-16")
    assert read_textgrid(tmp_path / "b.TextGrid") == expected


def test_a_label_that_looks_like_the_format_is_a_label(tmp_path: Path) -> None:
    label = Label(0.0, 1.0, 'item [1]:\n class = ""IntervalTier"" xmin = 3')
    for short in (False, True):
        TextGrid(0.0, 1.0, (Tier("a", (label,)),)).save(tmp_path / "a.TextGrid", short)
        assert read_textgrid(tmp_path / "a.TextGrid").tiers[0].labels == (label,)


def test_labels_that_overlap_or_stick_out_are_refused(tmp_path: Path) -> None:
    for labels in ([(0.0, 1.0), (0.9, 2.0)], [(0.0, 3.5)], [(1.0, 1.0)]):
        tier = Tier("x", tuple(Label(start, end, "a") for start, end in labels))
        with pytest.raises(DataError, match="does not fit between"):
            TextGrid(0.0, 3.0, (tier,)).save(tmp_path / "a.TextGrid")
        assert not (tmp_path / "a.TextGrid").exists()


def test_damaged_files_are_named_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "a.TextGrid"
    GRID.save(path)
    text = path.read_text(encoding="utf-8")
    damages = {
        "the file ends where": text[: len(text) // 2],
        "not a TextGrid": text.replace('"TextGrid"', '"Sound"'),
        "unknown class of tier 'Kind'": text.replace('"IntervalTier"', '"Kind"'),
        "a.TextGrid:13: expected a number": text.replace(
            "xmax = 3.0125\n        intervals", 'xmax = "x"\n        intervals'
        ),
        "ends before it begins": text.replace("xmax = 3.0125\n            text", "xmax = -1\n            text"),
        "expected a count of what": text.replace("intervals: size = 6", "intervals: size = -6"),
        "expected a count": text.replace("intervals: size = 6", "intervals: size = 1e300"),
    }
    for message, damaged in damages.items():
        assert damaged != text
        path.write_text(damaged, encoding="utf-8")
        with pytest.raises(FormatError) as caught:
            read_textgrid(path)
        assert message in str(caught.value)
        assert str(path) in str(caught.value)
    path.write_bytes(b"\x00\x93ooBinaryFile\xff\xff")
    with pytest.raises(FormatError, match="neither UTF-8 nor UTF-16"):
        read_textgrid(path)
    with pytest.raises(FormatError, match="no such file"):
        read_textgrid(tmp_path / "absent.TextGrid")
