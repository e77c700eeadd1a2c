from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asrkit.core.errors import FormatError, ModelError
from asrkit.hmm.questions import automatic_questions, make_questions, read_questions, symbol_questions
from asrkit.hmm.tree import PDF_CLASS
from asrkit.hmm.tree_stats import TreeStats
from tests.hmm.phone_sounds import DIM, TOPOLOGY, talk
from tests.hmm.test_tree_stats import stats_of

SETS = [(1,), (2,), (3,), (4,), (5,)]


def test_phones_that_sound_alike_are_asked_about_together() -> None:
    for pdf_classes in [(1,), (0, 1, 2)]:
        found = automatic_questions(stats_of(talk(1)), SETS, TOPOLOGY, pdf_classes)
        assert frozenset({4, 5}) in found
        assert {frozenset(phones) for phones in SETS} <= set(found)
        assert len(set(found)) == len(found)
    assert frozenset({2, 4}) not in found


def test_phones_of_a_set_stay_together() -> None:
    found = automatic_questions(stats_of(talk(2)), [(1,), (2, 4), (3,), (5,)], TOPOLOGY)
    assert all({2, 4} <= question or not {2, 4} & question for question in found)
    assert frozenset({2, 4}) in found
    assert max(found, key=len) == frozenset({1, 2, 3, 4, 5})


def test_positions_give_their_own_clusters() -> None:
    """Phones 2 and 3 begin alike, 2 and 4 end alike."""
    means = {(2, 0): 0.0, (3, 0): 0.1, (4, 0): 9.0, (2, 2): 0.0, (3, 2): 9.0, (4, 2): 0.1}
    events = np.array([[p, c] for p, c in sorted(means)], dtype=np.int32)
    values = np.array([[means[p, c], 0.0] for p, c in sorted(means)])
    table = 100.0 * np.concatenate([np.ones((6, 1)), values, values**2 + 1.0], axis=1)
    stats = TreeStats(1, 0, events, table)
    begins = automatic_questions(stats, SETS, TOPOLOGY, (0,))
    ends = automatic_questions(stats, SETS, TOPOLOGY, (2,))
    assert frozenset({2, 3}) in begins
    assert frozenset({2, 4}) not in begins
    assert frozenset({2, 4}) in ends
    assert frozenset({2, 3}) not in ends
    both = automatic_questions(stats, SETS, TOPOLOGY, (0, 2))
    assert both == list(dict.fromkeys(begins + ends))


def test_absent_positions_and_phones() -> None:
    stats = stats_of(talk(3, speech=(2, 3)))
    found = automatic_questions(stats, SETS, TOPOLOGY, (2,))
    assert frozenset({1}) in found, "silence has two positions; its last one counts"
    assert set().union(*found) == {1, 2, 3}
    kept = ~((stats.phones == 2) & (stats.events[:, PDF_CLASS] == 2))
    without = TreeStats(3, 1, stats.events[kept], stats.table[kept])
    assert frozenset({2}) in automatic_questions(without, SETS, TOPOLOGY, (2,))
    with pytest.raises(ModelError, match="no phone has statistics"):
        automatic_questions(TreeStats.zero(DIM), SETS, TOPOLOGY)


def test_questions_for_every_place() -> None:
    questions = make_questions([[2, 3], {3, 2}, (4,)], TOPOLOGY, 2)
    assert questions.at[0] == questions.at[1] == (frozenset({2, 3}), frozenset({4}))
    assert questions.at[PDF_CLASS] == (frozenset({0}), frozenset({0, 1}))
    assert set(questions.at) == {PDF_CLASS, 0, 1}


def test_questions_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "questions.txt"
    path.write_text("# stops\nP T  K\n\nM N\n")
    ids = {"P": 3, "T": 4, "K": 5, "M": 6, "N": 7}
    assert read_questions(path, ids) == [frozenset({3, 4, 5}), frozenset({6, 7})]
    path.write_text("P\nM Q\n")
    with pytest.raises(FormatError, match=r"questions.txt:2: unknown phone 'Q' \(write phones as in phones.txt\)"):
        read_questions(path, ids)
    with pytest.raises(FormatError, match="no such file"):
        read_questions(tmp_path / "none", ids)


def test_stress_and_position_are_read_off_symbols() -> None:
    ids = {"SIL": 1, "SIL_B": 2, "AH0_B": 3, "AH1_B": 4, "AH0_E": 5, "K_E": 6}
    found = symbol_questions(ids)
    assert found == [frozenset({3, 5}), frozenset({4}), frozenset({2, 3, 4}), frozenset({5, 6})]
    assert symbol_questions({"A": 1, "B": 2, "2": 3}) == []
