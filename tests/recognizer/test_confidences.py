"""Confidences and alternatives of a recogniser, against what a lattice of all paths says."""

from __future__ import annotations

from pathlib import Path

import pytest

import asrkit
from tests.recognizer.worlds import RATE, SAYINGS, say


@pytest.mark.parametrize("said", SAYINGS)
def test_a_lattice_changes_no_word_and_gives_confidences(packed: Path, said: str) -> None:
    with_lattice, without = (asrkit.load(packed, config={"lattice_beam": b})(say(said), RATE, nbest=4) for b in (8, 0))
    assert with_lattice.text == without.text
    assert [(w.start_secs, w.end_secs) for w in with_lattice.words] == [
        (w.start_secs, w.end_secs) for w in without.words
    ]
    assert with_lattice.nbest[0].cost == pytest.approx(without.nbest[0].cost, rel=1e-6)
    assert all(w.confidence is None for w in without.words)
    assert all(w.confidence is not None and 0.5 < w.confidence <= 1 for w in with_lattice.words)


def test_alternatives_are_different_best_first_and_share_the_probability(packed: Path) -> None:
    recognizer = asrkit.load(packed, config={"lattice_beam": 40.0, "beam": 200.0, "lm_weight": 50.0})
    noisy = say("_ yes not _ no _") * 0.05
    result = recognizer(noisy, RATE, nbest=6)
    texts, costs = [h.text for h in result.nbest], [h.cost for h in result.nbest]
    assert len(texts) == len(set(texts)) == 6
    assert costs == sorted(costs)
    assert texts[0] == result.text
    probabilities = [h.probability for h in result.nbest]
    assert all(p is not None and 0 < p <= 1 for p in probabilities)
    assert sum(p or 0 for p in probabilities) <= 1 + 1e-6
    assert recognizer(noisy, RATE, nbest=2).nbest == result.nbest[:2]
    for hypothesis in result.nbest:
        assert all(w.confidence is not None and 0 <= w.confidence <= 1 for w in hypothesis.words)
        assert [w.word for w in hypothesis.words] == hypothesis.text.split()


def test_a_live_utterance_has_them_too(packed: Path) -> None:
    stream = asrkit.load(packed).stream(nbest=3)
    stream.feed(say("_ toy no _"))
    segment = stream.finish().segments[0]
    assert segment.text == "toy no"
    assert all(w.confidence is not None for w in segment.words)
    assert segment.nbest[0].text == "toy no"
