"""Names of settings, the choice of the best, best.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asrkit.core.errors import DataError, FormatError
from asrkit.score.counts import ErrorCounts
from asrkit.score.sweep import Setting, choose_best, list_settings, read_best, save_best

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def counted(**errors: int) -> dict[Setting, ErrorCounts]:
    return {
        Setting(*map(float, key.removeprefix("w").replace("m", "-").split("p"))): ErrorCounts(
            substitutions=n, reference_tokens=50
        )
        for key, n in errors.items()
    }


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        (Setting(10, 0), "hyp.w10_p0.txt"),
        (Setting(10.0, 0.5), "hyp.w10_p0.5.txt"),
        (Setting(7.25, -1.0), "hyp.w7.25_p-1.txt"),
    ],
)
def test_file_names(setting: Setting, name: str) -> None:
    assert setting.file_name == name


@given(FINITE, FINITE)
def test_a_name_says_its_setting_exactly(weight: float, penalty: float) -> None:
    from asrkit.score.sweep import _parse_name

    setting = Setting(weight, penalty)
    assert _parse_name(Path("some") / setting.file_name) == setting


def test_settings_are_listed_in_numerical_order_and_other_files_are_left(tmp_path: Path) -> None:
    for name in ("hyp.w10_p0.txt", "hyp.w9_p0.5.txt", "hyp.w9_p0.txt", "stage.json", "hyp.txt"):
        (tmp_path / name).write_text("")
    assert [path.name for path in list_settings(tmp_path).values()] == [
        "hyp.w9_p0.txt",
        "hyp.w9_p0.5.txt",
        "hyp.w10_p0.txt",
    ]


def test_faults_of_a_directory(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no hypotheses"):
        list_settings(tmp_path)
    (tmp_path / "hyp.w1_p0.txt").write_text("")
    (tmp_path / "hyp.w1.0_p0.txt").write_text("")
    with pytest.raises(DataError, match=r"the same setting as hyp\.w1\.0_p0\.txt"):
        list_settings(tmp_path)


@pytest.mark.parametrize("name", ["hyp.best.txt", "hyp.w1e_p0.txt", "hyp.w_p0.txt", "hyp.w1_p0_old.txt"])
def test_a_name_without_a_setting_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")
    with pytest.raises(FormatError, match="does not say its setting"):
        list_settings(tmp_path)


def test_fewest_errors_win() -> None:
    assert choose_best(counted(w8p0=7, w9p0=6, w10p0=5, w11p0=6)) == Setting(10, 0)


def test_ties_go_to_the_middle_and_then_to_the_smaller() -> None:
    assert choose_best(counted(w7p0=5, w9p0=6, w10p0=5, w12p0=5, w20p0=5)) == Setting(10, 0)
    assert choose_best(counted(w8p0=5, w9p0=9, w10p0=5)) == Setting(8, 0)
    assert choose_best(counted(w8p0=5, w8p1=5, w8p3=5)) == Setting(8, 1)
    assert choose_best(counted(w8pm1=5, w8p1=5)) == Setting(8, -1)


def test_best_is_written_and_read(tmp_path: Path) -> None:
    path = save_best(tmp_path, Setting(9, 0.5), ErrorCounts(1, 2, 3, 60), Path("data/dev"))
    assert json.loads(path.read_text()) == {
        "lm_weight": 9,
        "insertion_penalty": 0.5,
        "wer": 10.0,
        "errors": 6,
        "reference_tokens": 60,
        "hypotheses": "hyp.w9_p0.5.txt",
        "reference": "data/dev",
    }
    assert read_best(path) == read_best(tmp_path) == Setting(9.0, 0.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"lm_weight": 9}', "insertion_penalty is None, expected a number"),
        ('{"lm_weight": "9", "insertion_penalty": 0}', "lm_weight is '9', expected a number"),
        ('{"lm_weight": true, "insertion_penalty": 0}', "lm_weight is True, expected a number"),
        ('{"lm_weight": NaN, "insertion_penalty": 0}', "lm_weight is nan, expected a number"),
        ("[1, 2]", "lm_weight is None, expected a number"),
        ("{", "not valid JSON"),
    ],
)
def test_a_damaged_best_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "best.json").write_text(text)
    with pytest.raises(FormatError, match=message):
        read_best(tmp_path)


def test_an_absent_best_says_how_it_is_made(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="asrkit score REF DECODE_DIR"):
        read_best(tmp_path)
