from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from asrkit.core.errors import ConfigError, FormatError, ModelError
from asrkit.hmm.questions import Questions, make_questions
from asrkit.hmm.roots import Root, make_roots
from asrkit.hmm.tree import PDF_CLASS, ContextTree
from asrkit.hmm.tree_building import TreeConfig, build_tree
from asrkit.hmm.tree_lookup import reachable_pdfs
from asrkit.hmm.tree_report import TreeReport
from asrkit.hmm.tree_stats import TreeStats, leaf_stats
from tests.hmm.phone_sounds import TOPOLOGY, Said, plain_sound, talk
from tests.hmm.test_tree_stats import stats_of

SETS = [(1,), (2,), (3,), (4,), (5,), (2, 3), (4, 5), (1, 2), (2, 4, 5)]
ROOTS = make_roots([(1,), (2,), (3,), (4,), (5,)], [1])
LOW = TreeConfig(max_leaves=100, min_gain=1.0, cluster_threshold=0.0)


def left_matters(window: tuple[int, int, int], state: int) -> tuple[float, float]:
    """Phone 3 begins otherwise after 4 and 5; nothing else depends on context."""
    first, second = plain_sound(window, state)
    return (first, second + (6.0 if window[1] == 3 and state == 0 and window[0] in (4, 5) else 0.0))


def build(
    said: list[Said], config: TreeConfig = LOW, roots: tuple[Root, ...] = ROOTS, sets: list[tuple[int, ...]] = SETS
) -> tuple[ContextTree, TreeReport]:
    stats = stats_of(said, config.context_width, config.central_position)
    return build_tree(stats, TOPOLOGY, config, make_questions(sets, TOPOLOGY, config.context_width), roots)


def grown_tree() -> ContextTree:
    """A tree that has asked about both sides."""
    tree, report = build(talk(1, 20, left_matters), TreeConfig(max_leaves=30, min_gain=1.0, cluster_threshold=0.0))
    assert {0, 2} <= set(report.num_asked)
    return tree


def loglike(said: list[Said], tree: ContextTree | None, floor: float = 0.01) -> float:
    """Frame by frame: the likelihood of speech under a Gaussian for each pdf, or for each phone without a tree."""
    groups: dict[int, list[list[float]]] = {}
    for one in said:
        for (place, state, _), frame in zip(one.frames, one.features.tolist(), strict=True):
            if one.phones[place] != 1:
                key = one.phones[place] if tree is None else tree.pdf_id(one.window(place, 3, 1), state)
                groups.setdefault(key, []).append(frame)
    total = 0.0
    for frames in map(np.array, groups.values()):
        total += norm.logpdf(frames, frames.mean(0), np.sqrt(np.maximum(frames.var(0), floor))).sum()
    return total


@pytest.mark.parametrize("threshold", [0.0, 60.0, -1.0])
def test_gain_is_that_of_the_frames(threshold: float) -> None:
    said = talk(2, 20, left_matters)
    tree, report = build(said, TreeConfig(max_leaves=25, min_gain=1.0, cluster_threshold=threshold))
    frames = sum(one.phones[place] != 1 for one in said for place, _, _ in one.frames)
    assert report.num_frames == frames
    assert report.gain * frames == pytest.approx(loglike(said, tree) - loglike(said, None), rel=1e-9)
    assert report.gain_split * frames == pytest.approx(sum(asked.gain for asked in report.questions))
    assert (report.gain < report.gain_split) == (report.num_leaves < report.num_leaves_split) == (threshold != 0)
    assert report.num_leaves == tree.num_pdfs


def test_first_question_is_the_best_of_all() -> None:
    """Against every question of every root, on the raw frames."""
    said = talk(3, 6, left_matters)
    _, report = build(said, TreeConfig(max_leaves=len(ROOTS) + 2, min_gain=0.0, cluster_threshold=0.0))
    (asked,) = report.questions
    questions = make_questions(SETS, TOPOLOGY)
    events = [
        (one.window(place, 3, 1), state, frame)
        for one in said
        for (place, state, _), frame in zip(one.frames, one.features.astype(float), strict=True)
    ]

    def score(frames: list[np.ndarray]) -> float:
        stacked = np.array(frames)
        return float(
            norm.logpdf(stacked, stacked.mean(0), np.sqrt(np.maximum(stacked.var(0), 0.01))).sum() if frames else 0.0
        )

    best = -np.inf
    for phone, place in itertools.product((2, 3, 4, 5), (PDF_CLASS, 0, 1, 2)):
        mine = [(window, state, frame) for window, state, frame in events if window[1] == phone]
        for values in questions.at[place]:
            answers = [(state if place == PDF_CLASS else window[place]) in values for window, state, _ in mine]
            yes = [frame for (_, _, frame), answer in zip(mine, answers, strict=True) if answer]
            no = [frame for (_, _, frame), answer in zip(mine, answers, strict=True) if not answer]
            gain = score(yes) + score(no) - score([frame for _, _, frame in mine])
            if gain > best:
                best, winner = gain, (phone, place, tuple(sorted(values)))
    assert asked.gain == pytest.approx(best, rel=1e-9)
    assert ((asked.phones[0], asked.position, asked.values)) == winner


def test_the_leaf_that_gains_most_is_next() -> None:
    _, report = build(talk(15, 40, left_matters))
    rises = 0
    for before, after in itertools.pairwise(report.questions):
        if after.gain > before.gain:
            rises += 1
            assert after.phones == before.phones, "only what the last question opened may gain more than it did"
            assert after.num_frames < before.num_frames
    assert 0 < rises < len(report.questions) / 2


def test_a_planted_dependency_is_found_and_an_absent_one_is_not() -> None:
    config = TreeConfig(max_leaves=100, min_gain=60.0, cluster_threshold=0.0)
    tree, report = build(talk(4, 60, left_matters), config)
    about_context = [asked for asked in report.questions if asked.position in (0, 2)]
    assert [(asked.phones, asked.position, asked.values) for asked in about_context] == [((3,), 0, (4, 5))]
    pdfs = {left: tree.pdf_id((left, 3, 2), 0) for left in (0, 1, 2, 3, 4, 5)}
    assert pdfs[4] == pdfs[5] != pdfs[2]
    assert len({pdfs[left] for left in (0, 1, 2, 3)}) == 1
    assert tree.pdf_id((4, 3, 2), 2) == tree.pdf_id((2, 3, 2), 2)
    _, without = build(talk(4, 60, plain_sound), config)
    assert set(without.num_asked) == {PDF_CLASS}


def test_a_dependency_beyond_the_neighbour_needs_a_wider_window() -> None:
    """Phone 3 sounds otherwise where phone 2 stands two places before it."""
    said = []
    for one in talk(5, 60):
        shifted = one.features.copy()
        for frame, (place, _, _) in enumerate(one.frames):
            if place >= 2 and one.phones[place - 2] == 2 and one.phones[place] == 3:
                shifted[frame] += 5.0
        said.append(Said(one.phones, one.frames, shifted))
    found = {}
    for width, central in [(3, 1), (5, 2), (2, 1), (2, 0), (1, 0)]:
        config = TreeConfig(width, central, 100, 60.0, 0.0)
        tree, report = build(said, config)
        assert (tree.context_width, tree.central_position) == (width, central)
        found[width, central] = {(q.position - central, q.values) for q in report.questions if q.position >= 0}
    assert (-2, (2,)) in found[5, 2]
    assert all(distance >= -1 for window in [(3, 1), (2, 1), (2, 0)] for distance, _ in found[window])
    assert found[1, 0] == set()


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1e9])
def test_roots_never_share_a_pdf(threshold: float) -> None:
    roots = (
        Root((1,), shared=False, split=False),
        Root((2, 3)),
        Root((4,), shared=False),
        Root((5,), split=False),
    )
    config = TreeConfig(max_leaves=60, min_gain=1.0, cluster_threshold=threshold)
    tree, report = build(talk(6, 20, left_matters), config, roots)
    pdfs = {(p, c): reachable_pdfs(tree, p, c, TOPOLOGY.phones) for p in TOPOLOGY.phones for c in range(2 + (p > 1))}
    silence = [pdfs[1, 0], pdfs[1, 1]]
    assert [len(some) for some in silence] == [1, 1]
    assert silence[0] != silence[1]
    assert pdfs[5, 0] == pdfs[5, 1] == pdfs[5, 2]
    assert len(pdfs[5, 0]) == 1
    positions = [pdfs[4, 0], pdfs[4, 1], pdfs[4, 2]]
    assert len(set().union(*positions)) == sum(map(len, positions)), "separate positions stay separate"
    groups = [set().union(*(pdfs[key] for key in pdfs if key[0] in root.phones)) for root in roots]
    assert sum(map(len, groups)) == len(set().union(*groups)) == tree.num_pdfs
    assert set().union(*groups) == set(range(tree.num_pdfs)), "pdf_ids have no gap"
    assert report.num_roots == 2 + 1 + 3 + 1
    assert report.leaves_per_phone == {p: len(groups[i]) for i, r in enumerate(roots) for p in r.phones}
    if threshold == 1e9:
        assert tree.num_pdfs == report.num_roots


def test_phones_of_a_root_are_told_apart_only_by_questions() -> None:
    roots = (Root((1,), False, False), Root((2, 3)), Root((4, 5)))
    said = talk(7, 20)
    tree, report = build(said, roots=roots)
    assert any(asked.phones == (2, 3) and asked.position == 1 for asked in report.questions)
    together, _ = build(said, roots=roots, sets=[(1,), (2, 3), (4, 5)])
    for phones in [(2, 3), (4, 5)]:
        for window in itertools.product((0, 1, 4), phones, (1, 2)):
            twin = (window[0], sum(phones) - window[1], window[2])
            assert together.pdf_id(window, 1) == together.pdf_id(twin, 1)
    assert tree.pdf_id((1, 2, 1), 0) != tree.pdf_id((1, 3, 1), 0)


def test_phones_never_said_have_pdfs() -> None:
    tree, _ = build(talk(8, 10, speech=(2, 4)))
    for window in itertools.product((0, 1, 2, 3, 4, 5), (1, 2, 3, 4, 5), (0, 3, 5)):
        for pdf_class in range(TOPOLOGY.num_pdf_classes(window[1])):
            assert 0 <= tree.pdf_id(window, pdf_class) < tree.num_pdfs
    assert len(reachable_pdfs(tree, 3, 1, TOPOLOGY.phones)) == 1
    counts, _, _ = leaf_stats(stats_of(talk(8, 10, speech=(2, 4))), tree)
    assert (counts > 0).all()


def test_leaves_and_gains_keep_their_bounds() -> None:
    said = talk(9, 20, left_matters)
    _, few = build(said, TreeConfig(max_leaves=9, min_gain=1.0, cluster_threshold=0.0))
    assert few.num_leaves == 9
    _, none = build(said, TreeConfig(max_leaves=1, min_gain=1.0))
    assert none.num_leaves == none.num_roots == 6
    assert none.gain == 0.0
    assert none.questions == ()
    _, high = build(said, TreeConfig(max_leaves=100, min_gain=200.0, cluster_threshold=0.0))
    assert min(asked.gain for asked in high.questions) > 200.0
    _, low = build(said)
    assert low.num_leaves > high.num_leaves
    _, full = build(said, TreeConfig(max_leaves=100, min_gain=1.0, cluster_threshold=0.0, min_count=40))
    tree, _ = build(said, TreeConfig(max_leaves=100, min_gain=1.0, cluster_threshold=0.0, min_count=40))
    counts, _, _ = leaf_stats(stats_of(said), tree)
    assert counts.min() >= 40
    assert 6 < full.num_leaves < low.num_leaves


def test_statistics_in_any_order_of_parts_give_the_same_tree() -> None:
    said = talk(10, 16, left_matters)
    tree, report = build(said)
    again, again_report = build(said)
    assert tree.to_json() == again.to_json()
    assert report == again_report
    turned, _ = build(said[::-1])
    assert turned.to_json() == tree.to_json()
    other, _ = build(said[:8])
    assert other.to_json() != tree.to_json()


def test_equal_questions_are_decided_by_their_order() -> None:
    said = talk(11, 30, left_matters, speech=(2, 3, 4))
    for sets in ([(4,), (4, 5)], [(4, 5), (4,)]):
        _, report = build(said, TreeConfig(max_leaves=100, min_gain=60.0, cluster_threshold=0.0), sets=sets)
        assert [asked.values for asked in report.questions if asked.position == 0] == [sets[0]]


def test_no_questions_leave_the_roots() -> None:
    _, report = build_tree(stats_of(talk(12, 4)), TOPOLOGY, LOW, Questions({}), ROOTS)
    assert report.num_leaves == report.num_roots


def test_saved_and_loaded(tmp_path: Path) -> None:
    tree, report = build(talk(13, 12, left_matters))
    tree.save(tmp_path / "tree.json")
    report.save(tmp_path / "report.json")
    assert ContextTree.load(tmp_path / "tree.json") == tree
    assert TreeReport.load(tmp_path / "report.json") == report
    assert json.loads((tmp_path / "report.json").read_text())["questions"][0]["gain"] == report.questions[0].gain
    (tmp_path / "report.json").write_text('{"questions": [], "leaves_per_phone": {}}')
    with pytest.raises(FormatError, match=r"report.json: not a tree report"):
        TreeReport.load(tmp_path / "report.json")


def test_roots_must_fit_the_topology() -> None:
    stats = stats_of(talk(14, 2))
    questions = make_questions(SETS, TOPOLOGY)
    for roots, message in [
        (ROOTS[1:], r"phone ids \[1\] stand in no root"),
        ((*ROOTS, Root((5,))), "a phone stands in two roots"),
        ((Root((1, 2), shared=False), *ROOTS[2:]), r"phones \(1, 2\) have separate roots for each pdf class"),
    ]:
        with pytest.raises(ModelError, match=message):
            build_tree(stats, TOPOLOGY, LOW, questions, roots)
    with pytest.raises(ModelError, match=r"statistics of windows \(3, 1\), expected \(5, 2\)"):
        build_tree(stats, TOPOLOGY, TreeConfig(5, 2), questions, ROOTS)
    with pytest.raises(ModelError, match="expected"):
        build_tree(TreeStats.zero(2, 2, 0), TOPOLOGY, TreeConfig(2, 1), questions, ROOTS)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"context_width": 1}, "central position 1 of a window of 1"),
        ({"max_leaves": 0}, "max_leaves is 0"),
        ({"variance_floor": 0.0}, "variance_floor is 0.0"),
        ({"min_gain": -1.0}, "min_gain is -1.0"),
    ],
)
def test_bad_configurations_are_named(values: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TreeConfig(**values)  # type: ignore[arg-type]
