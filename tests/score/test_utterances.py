"""Matching by id, counting by utterance and speaker, confusions."""

from __future__ import annotations

import pytest

from asrkit.core.errors import DataError
from asrkit.score.counts import ErrorCounts
from asrkit.score.utterances import ScoredUtterances, group_by, match, name_some, score_utterances


def words(**texts: str) -> dict[str, tuple[str, ...]]:
    return {key: tuple(text.split()) for key, text in texts.items()}


@pytest.fixture
def scored() -> ScoredUtterances:
    references = words(b2="one two three", a1="four", b1="five five six", c1="seven eight")
    hypotheses = words(a1="four", b1="five nine six ten", b2="", c1="eight")
    return score_utterances(references, hypotheses)


def test_each_utterance_and_the_total(scored: ScoredUtterances) -> None:
    assert scored.utterance_ids == ("a1", "b1", "b2", "c1")
    assert [scored.counts(at) for at in range(4)] == [
        ErrorCounts(0, 0, 0, 1, 1, 0),
        ErrorCounts(1, 0, 1, 3, 1, 1),
        ErrorCounts(0, 3, 0, 3, 1, 1),
        ErrorCounts(0, 1, 0, 2, 1, 1),
    ]
    assert scored.total() == ErrorCounts(1, 4, 1, 9, 4, 3)
    assert len(scored) == 4


def test_speakers_add_up_to_the_total(scored: ScoredUtterances) -> None:
    by_speaker = scored.by_speaker({"a1": "zoe", "b1": "bob", "b2": "bob", "c1": "zoe"})
    assert list(by_speaker) == ["bob", "zoe"]
    assert by_speaker["bob"] == ErrorCounts(1, 3, 1, 6, 2, 2)
    assert sum(by_speaker.values(), ErrorCounts.zero()) == scored.total()


def test_pairs_and_confusions(scored: ScoredUtterances) -> None:
    assert scored.pairs(1) == [("five", "five"), ("five", "nine"), ("six", "six"), (None, "ten")]
    assert scored.confusions() == {
        ("five", "nine"): 1,
        (None, "ten"): 1,
        ("one", None): 1,
        ("two", None): 1,
        ("three", None): 1,
        ("seven", None): 1,
    }


def test_missing_hypothesis_is_an_error_unless_allowed() -> None:
    references, hypotheses = words(u1="a b", u2="c", u3="d"), words(u2="c")
    with pytest.raises(DataError, match="2 of 3 utterances have no hypothesis: u1, u3"):
        match(references, hypotheses, "hyp")
    matched, missing = match(references, hypotheses, "hyp", allow_missing=True)
    assert missing == ("u1", "u3")
    assert score_utterances(references, {k: tuple(v) for k, v in matched.items()}).total().deletions == 3


def test_an_empty_hypothesis_is_not_a_missing_one() -> None:
    matched, missing = match(words(u1="a b"), words(u1=""), "hyp")
    assert (matched, missing) == ({"u1": ()}, ())


def test_extra_hypotheses_are_named_even_when_missing_ones_are_allowed() -> None:
    extra = words(**{f"x{n}": "a" for n in range(7)}, u1="a")
    with pytest.raises(DataError, match="7 hypotheses have no reference: x0, x1, x2, x3, x4 and 2 more"):
        match(words(u1="a"), extra, "hyp", allow_missing=True)
    with pytest.raises(DataError, match="1 hypothesis has no reference: x"):
        match(words(u1="a"), words(u1="a", x="b"), "hyp")


def test_naming_and_grouping() -> None:
    assert name_some(["a", "b"]) == "a, b"
    groups, names = group_by(["z", "a", "z"])
    assert groups.tolist() == [1, 0, 1]
    assert names == ("a", "z")
