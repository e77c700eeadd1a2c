from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from scipy.stats import norm

import asrkit.hmm.tree_stats as module
from asrkit.core.errors import ConfigError, ModelError
from asrkit.hmm.tree import PDF_CLASS, ContextTree, Leaf, Split, Table
from asrkit.hmm.tree_stats import (
    TreeStats,
    accumulate_tree_stats,
    frame_events,
    gaussian_loglikes,
    leaf_stats,
)
from tests.hmm.phone_sounds import DIM, MODEL, MONO, TOPOLOGY, Said, talk

WINDOWS = [(1, 0), (2, 1), (2, 0), (3, 1), (5, 2)]


def stats_of(said: Iterable[Said], width: int = 3, central: int = 1, ci: tuple[int, ...] = (1,)) -> TreeStats:
    return TreeStats.sum(
        accumulate_tree_stats(MODEL, one.alignment(MODEL, MONO), one.features, width, central, ci) for one in said
    )


def counted(said: Iterable[Said], width: int, central: int, ci: tuple[int, ...]) -> dict[tuple[int, ...], list[float]]:
    """Frame by frame: event -> count, sums, sums of squares."""
    table: dict[tuple[int, ...], list[float]] = {}
    for one in said:
        for (place, state, _), frame in zip(one.frames, one.features.tolist(), strict=True):
            window = one.window(place, width, central)
            if window[central] in ci:
                window = tuple(phone if i == central else 0 for i, phone in enumerate(window))
            row = table.setdefault((*window, state), [0.0] * (1 + 2 * DIM))
            for column, value in enumerate([1.0, *frame, *(x * x for x in frame)]):
                row[column] += value
    return table


def same(a: TreeStats, b: TreeStats) -> bool:
    return np.array_equal(a.events, b.events) and np.allclose(a.table, b.table, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize(("width", "central"), WINDOWS)
@pytest.mark.parametrize("ci", [(), (1,), (1, 3)])
def test_events_and_sums_are_those_counted_frame_by_frame(width: int, central: int, ci: tuple[int, ...]) -> None:
    said = talk(1, 4)
    stats = stats_of(said, width, central, ci)
    expected = counted(said, width, central, ci)
    assert [tuple(event) for event in stats.events.tolist()] == sorted(expected)
    np.testing.assert_allclose(stats.table, [expected[event] for event in sorted(expected)], rtol=1e-10)
    assert stats.num_frames == sum(len(one.features) for one in said)
    assert stats.dim == DIM
    assert set(stats.phones.tolist()) <= set(TOPOLOGY.phones)


def test_context_of_silence_matters_only_where_it_is_wanted() -> None:
    said = talk(2, 4)
    free, alone = stats_of(said, ci=()), stats_of(said, ci=(1,))
    assert len(free.events) > len(alone.events)
    assert not alone.events[alone.phones == 1][:, [0, 2]].any()
    assert free.events[free.phones == 1][:, [0, 2]].any()
    assert (alone.events[:, 0] == 1).any(), "silence is still the context of others"


def test_statistics_add_up() -> None:
    said = talk(3, 7)
    whole = stats_of(said)
    first, second = stats_of(said[:3]), stats_of(said[3:])
    assert same(first + second, whole)
    assert same(second + first, whole)
    assert same(whole + TreeStats.zero(DIM), whole)
    assert same(TreeStats.zero(DIM) + whole, whole)
    assert not same(first, whole)
    assert TreeStats.zero(DIM).num_frames == 0


def test_many_are_summed_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    said = talk(4, 9)
    whole = stats_of(said)
    monkeypatch.setattr(module, "MERGE_ROWS", 10)
    assert same(stats_of(said), whole)


def test_unlike_statistics_do_not_add() -> None:
    with pytest.raises(ModelError, match=r"different \(window, place, dimension\): \(3, 1, 2\) and \(3, 1, 4\)"):
        TreeStats.zero(2) + TreeStats.zero(4)
    with pytest.raises(ModelError, match="different"):
        TreeStats.zero(2, 2, 0) + TreeStats.zero(2, 2, 1)


def test_bad_windows_and_lengths_are_refused() -> None:
    with pytest.raises(ConfigError, match="central position 3 of a window of 3"):
        TreeStats.zero(2, 3, 3)
    one = talk(5, 1)[0]
    with pytest.raises(ModelError, match="alignment of .* frames, features of 2"):
        accumulate_tree_stats(MODEL, one.alignment(MODEL, MONO), one.features[:2])


def test_an_empty_alignment_has_no_events() -> None:
    events = frame_events(MODEL, np.zeros(0, np.int32), 3, 1)
    assert events.shape == (0, 4)
    stats = accumulate_tree_stats(MODEL, np.zeros(0, np.int32), np.zeros((0, DIM), np.float32))
    assert same(stats, TreeStats.zero(DIM))


def test_log_likelihood_is_that_of_the_frames() -> None:
    rng = np.random.default_rng(6)
    frames = rng.normal([1.0, -3.0, 0.2], [2.0, 0.3, 0.001], (50, 3))
    table = np.concatenate([[len(frames)], frames.sum(0), (frames**2).sum(0)])
    deviation = np.sqrt(np.maximum(frames.var(axis=0), 0.01))
    expected = norm.logpdf(frames, frames.mean(0), deviation).sum()
    assert float(gaussian_loglikes(table, 0.01)) == pytest.approx(expected, rel=1e-9)
    assert float(gaussian_loglikes(table, 0.5)) < expected
    both = gaussian_loglikes(np.stack([table, np.zeros_like(table)]), 0.01)
    assert both.tolist() == pytest.approx([expected, 0.0])


def left_asking_tree() -> ContextTree:
    """Phone 2 looks left, and class 2 of the others has a pdf of its own; pdf 4 is for phone 9, which nobody says."""
    last = Split(PDF_CLASS, frozenset({2}), Leaf(3), Leaf(2))
    branches = {2: Split(0, frozenset({1, 4}), Leaf(0), Leaf(1)), **dict.fromkeys((1, 3, 4, 5), last)}
    return ContextTree(3, 1, Table(1, {**branches, 9: Leaf(4)}))


def test_leaves_have_the_sums_of_their_frames() -> None:
    said = talk(7, 10)
    tree = left_asking_tree()
    counts, sums, squares = leaf_stats(stats_of(said), tree)
    pdfs = np.array([tree.pdf_id(one.window(place, 3, 1), state) for one in said for place, state, _ in one.frames])
    frames = np.concatenate([one.features for one in said]).astype(np.float64)
    for pdf in range(4):
        assert counts[pdf] == (pdfs == pdf).sum() > 0
        np.testing.assert_allclose(sums[pdf], frames[pdfs == pdf].sum(axis=0))
        np.testing.assert_allclose(squares[pdf], (frames[pdfs == pdf] ** 2).sum(axis=0))
    assert counts[:4].sum() == len(frames)
    assert counts[4] == len(frames), "a pdf that was never seen begins as the average"
    np.testing.assert_allclose(sums[4], frames.sum(axis=0))


def test_leaves_need_frames_of_their_window() -> None:
    with pytest.raises(ModelError, match=r"statistics of windows \(2, 1\) for a tree of windows \(3, 1\)"):
        leaf_stats(stats_of(talk(8, 2), 2, 1), left_asking_tree())
    with pytest.raises(ModelError, match="no frames"):
        leaf_stats(TreeStats.zero(DIM), left_asking_tree())
