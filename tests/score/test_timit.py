"""Phone folding against properties of the published table, and on the real sample."""

from __future__ import annotations

from pathlib import Path

import pytest

from asrkit.core.errors import DataError
from asrkit.score.timit import FOLD_39, FOLD_48, PHONES_39, PHONES_48, PHONES_61, fold_phones

# Lee and Hon 1989, Table I: the sets that are one phone in scoring (and all of silence)
LEE_AND_HON = [
    {"sil", "cl", "vcl", "epi"},
    {"el", "l"},
    {"en", "n"},
    {"sh", "zh"},
    {"ao", "aa"},
    {"ih", "ix"},
    {"ah", "ax"},
]


def test_sizes_are_61_48_39() -> None:
    assert (len(set(PHONES_61)), len(PHONES_48), len(PHONES_39)) == (61, 48, 39)


def test_48_to_39_merges_exactly_the_published_sets() -> None:
    merged = [{phone for phone in PHONES_48 if FOLD_39[phone] == target} for target in PHONES_39]
    expected = sorted(sorted(group) for group in LEE_AND_HON)
    assert sorted(sorted(group) for group in merged if len(group) > 1) == expected


def test_folding_in_two_steps_or_one_is_the_same_and_idempotent() -> None:
    for phone in PHONES_61:
        middle = FOLD_48[phone]
        assert FOLD_39[phone] == (None if middle is None else FOLD_39[middle]), phone
    assert all(FOLD_39[phone] == phone for phone in PHONES_39)
    assert all(FOLD_48[phone] == phone for phone in PHONES_48)
    assert {phone for phone in PHONES_61 if FOLD_39[phone] is None} == {"q"}


def test_a_transcript_is_folded_and_neighbours_are_kept() -> None:
    phones = ["h#", "pau", "ax-h", "q", "zh", "ux", "kcl", "k", "axr", "nx", "em", "h#"]
    assert fold_phones(phones, FOLD_48) == ("sil", "sil", "ax", "zh", "uw", "cl", "k", "er", "n", "m", "sil")
    assert fold_phones(phones, FOLD_39) == ("sil", "sil", "ah", "sh", "uw", "sil", "k", "er", "n", "m", "sil")


def test_unknown_phone_is_named() -> None:
    with pytest.raises(DataError, match=r"'AA1' is not one of TIMIT's phones"):
        fold_phones(["aa", "AA1"], FOLD_39)


@pytest.mark.slow
def test_every_label_of_the_real_sample_is_known(corpora: Path) -> None:
    labels = {
        line.split()[2]
        for path in sorted(corpora.glob("timit_sample/*/*.phn"))
        for line in path.read_text().splitlines()
    }
    assert len(labels) > 50
    assert labels <= set(PHONES_61)
