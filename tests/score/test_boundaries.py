"""Boundary errors worked by hand, planted shifts, and what counts as a boundary."""

from __future__ import annotations

import numpy as np
import pytest

from asrkit.core.errors import DataError
from asrkit.score.boundaries import BoundaryErrors, compare_boundaries, fold_spans
from asrkit.score.phone_classes import phone_class
from asrkit.score.timit import PHONES_61


def spans(text: str, *bounds: float) -> list[tuple[float, float, str]]:
    return list(zip(bounds, bounds[1:], text.split(), strict=False))


REFERENCE = spans("sil aa t aa n sil", 0.0, 0.1, 0.25, 0.3, 0.5, 0.55, 1.0)


def test_errors_of_equal_sequences_are_the_differences_of_their_inner_boundaries() -> None:
    hypothesis = spans("sil aa t aa n sil", 0.0, 0.11, 0.25, 0.275, 0.5, 0.605, 1.2)
    found = compare_boundaries(REFERENCE, hypothesis)
    np.testing.assert_allclose(found.errors_secs, [0.01, 0.0, -0.025, 0.0, 0.055], atol=1e-12)
    assert found.pairs == (("sil", "aa"), ("aa", "t"), ("t", "aa"), ("aa", "n"), ("n", "sil"))
    assert found.unmatched == 0
    assert found.figures() == pytest.approx(
        {
            "boundaries": 5,
            "unmatched": 0,
            "median_ms": 10.0,
            "mean_ms": 18.0,
            "bias_ms": 8.0,
            "within_10_ms": 60.0,
            "within_20_ms": 60.0,
            "within_25_ms": 80.0,
            "within_50_ms": 80.0,
        }
    )


def test_a_shift_of_everything_is_found_and_its_direction_too() -> None:
    late = [(start + 0.015, end + 0.015, phone) for start, end, phone in REFERENCE]
    assert compare_boundaries(REFERENCE, late).figures()["bias_ms"] == pytest.approx(15.0)
    assert compare_boundaries(late, REFERENCE).figures()["bias_ms"] == pytest.approx(-15.0)
    assert compare_boundaries(REFERENCE, REFERENCE).figures()["mean_ms"] == 0.0


@pytest.mark.parametrize(
    ("phones", "matched"),
    [
        ("sil aa t aa n sil", "sil-aa aa-t t-aa aa-n n-sil"),
        # a deletion takes both boundaries of its phone, so does a substitution; an insertion the one it is put in
        ("sil aa aa n sil", "sil-aa aa-n n-sil"),
        ("sil aa d aa n sil", "sil-aa aa-n n-sil"),
        ("sil aa x t aa n sil", "sil-aa t-aa aa-n n-sil"),
        ("b c", ""),
        ("", ""),
    ],
)
def test_a_boundary_counts_where_both_its_phones_are_found_side_by_side(phones: str, matched: str) -> None:
    bounds = np.linspace(0, 1, len(phones.split()) + 1)
    found = compare_boundaries(REFERENCE, spans(phones, *bounds))
    assert {f"{a}-{b}" for a, b in found.pairs} == set(matched.split())
    assert found.unmatched == 5 - len(found)


def test_no_boundary_lies_at_a_gap() -> None:
    folded = fold_spans(REFERENCE, {"sil": "sil", "aa": "aa", "t": None, "n": "m"}, "u1")
    assert [phone for _, _, phone in folded] == ["sil", "aa", "aa", "m", "sil"]
    found = compare_boundaries(folded, folded)
    assert found.pairs == (("sil", "aa"), ("aa", "m"), ("m", "sil"))
    assert found.unmatched == 0
    with pytest.raises(DataError, match="u1: the map does not know the phone 'n'"):
        fold_spans(REFERENCE, {"sil": "sil", "aa": "aa", "t": None}, "u1")


def test_errors_add_up_as_a_monoid() -> None:
    one = compare_boundaries(REFERENCE, [(s + 0.01, e + 0.01, p) for s, e, p in REFERENCE])
    two = compare_boundaries(REFERENCE, spans("sil aa", 0.0, 0.2, 1.0))
    total = BoundaryErrors.sum([one, two, BoundaryErrors()])
    assert (len(total), total.unmatched) == (6, 4)
    assert (one + two).figures() == total.figures()
    assert total.within(0.01) == pytest.approx(5 / 6)
    assert BoundaryErrors().figures() == {"boundaries": 0, "unmatched": 0}
    groups = total.by_class(phone_class)
    assert {key: len(group) for key, group in groups.items()} == {
        ("silence", "vowel"): 2,
        ("nasal", "silence"): 1,
        ("stop", "vowel"): 1,
        ("vowel", "nasal"): 1,
        ("vowel", "stop"): 1,
    }
    assert next(iter(groups)) == ("silence", "vowel")


def test_every_phone_of_timit_has_a_class() -> None:
    assert {phone for phone in PHONES_61 if phone_class(phone) == "other"} == set()
    assert [phone_class(phone) for phone in ("AH0", "SIL", "NG", "@")] == ["vowel", "silence", "nasal", "other"]
