from __future__ import annotations

from pathlib import Path

import pytest

from asrkit.lang.g2p import G2pConfig, train_g2p
from asrkit.score.counts import ErrorCounts
from asrkit.stages.record import RunOptions
from asrkit.stages.train_g2p import count_errors, split_words, train_g2p_model
from tests.lang.test_g2p import planted


def test_the_split_is_the_seed_s_alone_and_divides_the_words() -> None:
    words = planted(100, 0)
    train, unseen = split_words(words, 0.2, 1)
    assert (len(train), len(unseen)) == (80, 20)
    assert not set(train) & set(unseen)
    assert {**train, **unseen} == words
    shuffled = dict(reversed(words.items()))
    assert split_words(shuffled, 0.2, 1)[1] == unseen
    assert split_words(words, 0.2, 2)[1] != unseen
    assert split_words(words, 0.0, 1) == (words, {})
    assert len(split_words(words, 0.001, 1)[1]) == 1
    assert len(split_words(words, 0.999, 1)[0]) == 1


def test_errors_are_those_of_the_nearest_reference() -> None:
    g2p, _ = train_g2p({"ab": [("A", "B")], "ba": [("B", "A")]}, G2pConfig(order=2))
    references = {
        "ab": [("A", "X", "B", "X"), ("A", "B", "C")],  # A B: one deletion of three phones
        "ba": [("X", "B"), ("B", "A")],  # none
        "aab": [("A", "B")],  # A A B: one insertion
        "bz": [("B", "Z", "Z")],  # cannot be pronounced: three deletions
    }
    assert count_errors(g2p, references) == ErrorCounts(1, 4, 0, 3 + 2 + 2 + 3, 4, 3)


def test_the_test_lexicon_s_words_do_not_train(tmp_path: Path) -> None:
    lexicon, test, out = tmp_path / "lexicon", tmp_path / "test", tmp_path / "exp" / "g2p.safetensors"
    lexicon.write_text("ab A B\nba B A\nbb B B\nxy X Y\n")
    test.write_text("BB X\nxy X Y\naa A A\n")
    report = train_g2p_model(lexicon, out, G2pConfig(order=2), RunOptions(), test=test)
    assert report.figures["words"] == 2
    assert report.figures["letters"] == 2
    assert report.figures["held_out_words"] == 3
    assert report.figures["held_out_phones"] == 5
    # bb: B for X and one B more; xy: x is unknown, two deletions
    assert report.figures["phone_error_percent"] == pytest.approx(100 * 4 / 5)
    assert report.figures["word_error_percent"] == pytest.approx(100 * 2 / 3)
    assert train_g2p_model(lexicon, out, G2pConfig(order=2), RunOptions(), test=test).skipped
    test.write_text("aa A A\n")
    again = train_g2p_model(lexicon, out, G2pConfig(order=2), RunOptions(), test=test)
    assert (again.skipped, again.figures["words"], again.figures["letters"]) == (False, 4, 4)


@pytest.mark.slow
def test_phone_errors_on_cmudict_words_that_it_never_saw(tmp_path: Path, corpora: Path) -> None:
    out = tmp_path / "g2p.safetensors"
    lexicon = corpora / "cmudict" / "cmudict.dict"
    report = train_g2p_model(lexicon, out, G2pConfig(strip_stress=True), RunOptions(seed=1))
    assert report.figures["held_out_words"] == 6303
    assert report.figures["phone_error_percent"] < 7.0
    assert report.figures["word_error_percent"] < 28.0
    assert len(report.failures) < 100
