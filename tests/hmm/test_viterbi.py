"""Viterbi alignment against the enumeration of all paths, its beams, and the words it fails with."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import ConfigError, ModelError
from asrkit.hmm.state_graph import StateGraph
from asrkit.hmm.viterbi import AlignConfig, Alignment, NoPath, align, labels_logprob, viterbi
from tests.oracles import best_score, enumerate_scores, left_to_right_graph, path_score, random_graph

SCORE_TOLERANCE = 1e-9


def _problem(seed: int, num_states: int = 4, num_arcs: int = 7, num_frames: int = 5, num_pdfs: int = 3):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, num_states, num_arcs, num_labels=6)
    arc_pdf = rng.integers(0, num_pdfs, num_arcs).astype(np.int32)
    arc_logprob = graph.arc_logprob + rng.normal(0, 0.5, num_arcs)
    loglikes = rng.normal(-2, 3, (num_frames, num_pdfs)).astype(np.float32)
    loglikes[rng.random(loglikes.shape) < 0.1] = -np.inf
    return graph, arc_pdf, arc_logprob, loglikes


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), num_frames=st.integers(1, 5), scale=st.sampled_from([1.0, 0.3]))
def test_the_best_path_is_that_of_enumeration(seed: int, num_frames: int, scale: float) -> None:
    problem = _problem(seed, num_frames=num_frames)
    scores = enumerate_scores(*problem, scale=scale)
    found = viterbi(*problem, acoustic_scale=scale)
    if not scores:
        assert found is None
        return
    assert found is not None
    best = max(scores.values())
    assert found.score == pytest.approx(best, abs=SCORE_TOLERANCE)
    assert found.arcs.dtype == np.int32
    assert scores[tuple(found.arcs.tolist())] == pytest.approx(best, abs=SCORE_TOLERANCE)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), beams=st.tuples(st.floats(0.5, 12), st.floats(0.5, 12)))
def test_a_narrower_beam_is_never_better_and_a_huge_one_exact(seed: int, beams: tuple[float, float]) -> None:
    problem = _problem(seed, num_states=6, num_arcs=15, num_frames=9, num_pdfs=4)
    exact = viterbi(*problem)
    huge = viterbi(*problem, beam=1e6)
    assert (exact is None) == (huge is None)
    for beam in beams:
        pruned = viterbi(*problem, beam=beam)
        if pruned is not None:
            assert exact is not None
            assert huge is not None
            assert pruned.score <= exact.score + SCORE_TOLERANCE
            assert huge.score == exact.score
            # what it returns is a path, with that score, whatever was pruned
            assert path_score(*problem, tuple(pruned.arcs.tolist())) == pytest.approx(pruned.score, abs=1e-6)


def test_a_beam_drops_a_path_that_falls_behind_and_an_exact_search_returns_to_it() -> None:
    graph = StateGraph.from_arcs(
        4, [(0, 1, 1, 0.0), (0, 2, 2, 0.0), (1, 1, 3, 0.0), (2, 3, 4, 0.0)], final=[(3, 0.0), (1, -50.0)]
    )
    arc_pdf = np.array([0, 1, 0, 1], dtype=np.int32)
    loglikes = np.array([[0.0, -7.0], [0.0, -1.0]], dtype=np.float32)
    narrow = viterbi(graph, arc_pdf, graph.arc_logprob, loglikes, beam=6.0)
    wide = viterbi(graph, arc_pdf, graph.arc_logprob, loglikes, beam=8.0)
    assert narrow is not None
    assert wide is not None
    assert (narrow.arcs.tolist(), narrow.score) == ([0, 2], -50.0)
    assert (wide.arcs.tolist(), wide.score) == ([1, 3], -8.0)


def _renumbered(graph: StateGraph, order: np.ndarray) -> tuple[StateGraph, np.ndarray]:
    """Return the graph with state s called ``order[s]``, and for each of its arcs the arc's old number."""
    old = np.argsort(order[graph.arc_src], kind="stable")
    ends = [np.empty_like(graph.initial_logprob) for _ in range(2)]
    ends[0][order], ends[1][order] = graph.initial_logprob, graph.final_logprob
    source, target = (order[states[old]].astype(np.int32) for states in (graph.arc_src, graph.arc_dst))
    return StateGraph(graph.num_states, source, target, graph.arc_label[old], graph.arc_logprob[old], *ends), old


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_state_numbers_do_not_matter_and_columns_do(seed: int) -> None:
    graph, arc_pdf, arc_logprob, loglikes = _problem(seed, num_states=7, num_arcs=20, num_frames=11)
    other, old = _renumbered(graph, np.random.default_rng(seed).permutation(7))
    first = viterbi(graph, arc_pdf, arc_logprob, loglikes)
    second = viterbi(other, arc_pdf[old], arc_logprob[old], loglikes)
    assert (first is None) == (second is None)
    if first is not None and second is not None:
        assert old[second.arcs].tolist() == first.arcs.tolist()
        assert second.score == pytest.approx(first.score, abs=SCORE_TOLERANCE)


def test_permuting_the_columns_of_the_loglikes_changes_the_result() -> None:
    graph = left_to_right_graph(3)
    arc_pdf = ((graph.arc_label - 1) // 2).astype(np.int32)
    loglikes = np.random.default_rng(1).normal(0, 3, (9, 3)).astype(np.float32)
    straight = viterbi(graph, arc_pdf, graph.arc_logprob, loglikes)
    turned = viterbi(graph, arc_pdf, graph.arc_logprob, np.ascontiguousarray(loglikes[:, [1, 2, 0]]))
    assert straight is not None
    assert turned is not None
    assert abs(straight.score - turned.score) > 1.0


def test_a_long_utterance_drops_dead_tokens_and_keeps_the_best_path() -> None:
    num_states, num_frames = 300, 2_000  # 600,000 tokens, far more than the first store holds
    graph = left_to_right_graph(num_states)
    arc_pdf = ((graph.arc_label - 1) // 2).astype(np.int32)
    truth = np.sort(np.random.default_rng(4).integers(0, num_states, num_frames))
    truth[:num_states] = np.arange(num_states)
    truth = np.sort(truth)
    loglikes = np.full((num_frames, num_states), -60.0, dtype=np.float32)
    loglikes[np.arange(num_frames), truth] = 0.0
    found = viterbi(graph, arc_pdf, graph.arc_logprob, loglikes)
    assert found is not None
    np.testing.assert_array_equal(arc_pdf[found.arcs], truth)
    expected = (num_frames - num_states) * math.log(0.75) + num_states * math.log(0.25)
    assert found.score == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_dropping_tokens_in_a_graph_with_cycles_loses_no_path(seed: int) -> None:
    problem = _problem(seed, num_states=50, num_arcs=140, num_frames=3_000, num_pdfs=9)  # up to 150,000 tokens
    problem[3][problem[3] == -np.inf] = -30.0
    found = viterbi(*problem)
    assert found is not None
    assert found.score == pytest.approx(best_score(*problem), rel=1e-12)
    graph, arc_pdf, arc_logprob, loglikes = problem
    assert (graph.arc_dst[found.arcs[:-1]] == graph.arc_src[found.arcs[1:]]).all()
    parts = arc_logprob[found.arcs].sum() + loglikes[np.arange(3_000), arc_pdf[found.arcs]].sum(dtype=np.float64)
    ends = graph.initial_logprob[graph.arc_src[found.arcs[0]]] + graph.final_logprob[graph.arc_dst[found.arcs[-1]]]
    assert parts + float(ends) == pytest.approx(found.score, rel=1e-6)


def test_extreme_scales_stay_finite_and_exact() -> None:
    num_frames = 20_000
    graph = left_to_right_graph(5)
    arc_pdf = ((graph.arc_label - 1) // 2).astype(np.int32)
    loglikes = np.random.default_rng(0).normal(-1e4, 100, (num_frames, 5)).astype(np.float32)
    loglikes[:, 2] += 1e4
    found = viterbi(graph, arc_pdf, graph.arc_logprob, loglikes)
    assert found is not None
    assert np.isfinite(found.score)
    parts = [loglikes[t, arc_pdf[a]] + np.float64(graph.arc_logprob[a]) for t, a in enumerate(found.arcs)]
    assert found.score == pytest.approx(math.fsum(parts), rel=1e-12)
    assert np.bincount(arc_pdf[found.arcs]).tolist() == [1, 1, num_frames - 4, 1, 1]


# align: a chain of three states with pdfs 2, 0, 1; label 2 s + 1 is the self-loop and 2 s + 2 the exit of state s
LABEL_PDF = np.array([0, 2, 2, 0, 0, 1, 1], dtype=np.int32)
LABEL_LOGPROB = np.array([0, -0.1, -2.0, -0.2, -1.5, -0.4, -1.0], dtype=np.float32)


def test_align_returns_labels_and_the_two_parts_of_the_score() -> None:
    graph = left_to_right_graph(3)
    graph = dataclasses.replace(graph, final_logprob=(graph.final_logprob - np.float32(0.7)).astype(np.float32))
    loglikes = np.full((6, 4), -20.0, dtype=np.float32)
    for frame, pdf in enumerate([2, 2, 0, 1, 1, 1]):
        loglikes[frame, pdf] = -3.0 - frame
    result = align(graph, LABEL_PDF, LABEL_LOGPROB, loglikes)
    assert isinstance(result, Alignment)
    assert result.labels.tolist() == [1, 2, 4, 5, 5, 6]
    assert result.labels.dtype == np.int32
    assert result.num_frames == 6
    assert result.acoustic_loglike == pytest.approx(-18.0 - 15.0)
    weights = 3 * math.log(0.75) + 3 * math.log(0.25) + float(LABEL_LOGPROB[[1, 2, 4, 5, 5, 6]].sum()) - 0.7
    assert result.graph_logprob == pytest.approx(weights, rel=1e-6)
    assert result.beam == 10.0


def test_a_lost_path_is_found_with_a_wider_beam_and_says_which() -> None:
    # the right path is 30 (scaled) behind a trap for one frame, which beam 10 does not survive and beam 40 does
    graph = StateGraph.from_arcs(4, [(0, 1, 1, 0.0), (0, 2, 2, 0.0), (1, 1, 3, 0.0), (2, 3, 4, 0.0)], final=[(3, 0.0)])
    label_pdf = np.array([0, 0, 1, 0, 1], dtype=np.int32)
    loglikes = np.zeros((2, 2), dtype=np.float32)
    loglikes[0, 1] = -300.0
    labels = [2, 4]
    for drop, beam in [(-300.0, 40.0), (-1_000.0, 160.0), (-1e6, math.inf), (-50.0, 10.0)]:
        loglikes[0, 1] = drop
        result = align(graph, label_pdf, np.zeros(5, dtype=np.float32), loglikes)
        assert isinstance(result, Alignment)
        assert (result.labels.tolist(), result.beam) == (labels, beam)


@pytest.mark.parametrize(
    ("num_frames", "value", "reason"),
    [
        (0, 0.0, "no frames"),
        (2, 0.0, "too short for its transcript: 2 frames, the shortest path needs 3"),
        (5, np.nan, "loglikes hold NaN, first at frame 3, pdf 1"),
        (5, np.inf, "loglikes hold +inf, first at frame 3, pdf 1"),
    ],
)
def test_an_utterance_that_cannot_be_aligned_says_why(num_frames: int, value: float, reason: str) -> None:
    loglikes = np.zeros((num_frames, 3), dtype=np.float32)
    if num_frames > 3:
        loglikes[3, 1] = value
    result = align(left_to_right_graph(3), LABEL_PDF, LABEL_LOGPROB, loglikes)
    assert isinstance(result, NoPath)
    assert result.reason == reason


def test_reasons_of_a_graph_without_a_path() -> None:
    label_logprob = np.zeros(7, dtype=np.float32)
    loglikes = np.zeros((4, 3), dtype=np.float32)
    dead = StateGraph.from_arcs(3, [(0, 1, 1, 0.0)], final=[(2, 0.0)])
    assert align(dead, LABEL_PDF, label_logprob, loglikes) == NoPath(
        "no path: the graph leads from no initial to any final state"
    )
    fixed = StateGraph.from_arcs(3, [(0, 1, 1, 0.0), (1, 2, 3, 0.0)], final=[(2, 0.0)])
    assert align(fixed, LABEL_PDF, label_logprob, loglikes) == NoPath(
        "no path: every path of 4 frames has probability zero"
    )
    loglikes[2] = -np.inf
    assert align(left_to_right_graph(3), LABEL_PDF, label_logprob, loglikes) == NoPath(
        "no path: frame 2 is impossible under every pdf of the graph"
    )


def test_arguments_that_do_not_fit_are_refused() -> None:
    graph, arc_pdf, arc_logprob, loglikes = _problem(3)
    with pytest.raises(ModelError, match="float64"):
        viterbi(graph, arc_pdf, arc_logprob, loglikes.astype(np.float64))
    with pytest.raises(ModelError, match="columns 0 to"):
        viterbi(graph, arc_pdf, arc_logprob, np.ascontiguousarray(loglikes[:, :1]))
    with pytest.raises(ModelError, match="arc_pdf"):
        viterbi(graph, arc_pdf[:-1], arc_logprob, loglikes)
    with pytest.raises(ModelError, match="arc_logprob has shape"):
        viterbi(graph, arc_pdf, arc_logprob[:-1], loglikes)
    with pytest.raises(ModelError, match="NaN"):
        viterbi(graph, arc_pdf, np.full_like(arc_logprob, np.nan), loglikes)
    with pytest.raises(ModelError, match=r"\+inf"):
        viterbi(graph, arc_pdf, arc_logprob, np.full_like(loglikes, np.inf))
    with pytest.raises(ModelError, match="label 6, the model 3 labels"):
        align(left_to_right_graph(3), LABEL_PDF[:4], LABEL_LOGPROB, loglikes)


def test_read_only_arrays_are_welcome() -> None:
    problem = _problem(0, num_states=6, num_arcs=20)
    expected = viterbi(*problem)
    for array in problem[1:]:
        array.flags.writeable = False
    found = viterbi(*problem)
    assert found is not None
    assert expected is not None
    assert found.arcs.tolist() == expected.arcs.tolist()


def test_the_configuration_is_checked() -> None:
    assert AlignConfig(beam=10, retry_beam=40).beams == (10, 40, 160, math.inf)
    assert AlignConfig(beam=math.inf, retry_beam=math.inf).beams == (math.inf,)
    for bad in ({"acoustic_scale": 0.0}, {"beam": 0.0}, {"beam": 50.0}, {"acoustic_scale": math.nan}):
        with pytest.raises(ConfigError, match="expected"):
            AlignConfig(**bad)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), num_frames=st.integers(1, 4))
def test_labels_have_the_weight_of_their_best_path(seed: int, num_frames: int) -> None:
    graph, *_ = _problem(seed, num_arcs=9)
    label_logprob = np.random.default_rng(seed).normal(-1, 1, 8)
    arc_pdf = np.zeros(graph.num_arcs, np.int32)
    arc_logprob = graph.arc_logprob + label_logprob[graph.arc_label]
    best: dict[tuple[int, ...], float] = {}
    silent = np.zeros((num_frames, 1), np.float32)
    for arcs, score in enumerate_scores(graph, arc_pdf, arc_logprob, silent).items():
        labels = tuple(graph.arc_label[list(arcs)].tolist())
        best[labels] = max(best.get(labels, -math.inf), score)
    for labels, score in best.items():
        found = labels_logprob(graph, label_logprob, np.array(labels, np.int32))
        assert found == pytest.approx(score, abs=1e-6)
    for absent in ([1] * num_frames, [7] * num_frames, []):
        if tuple(absent) not in best:
            assert labels_logprob(graph, label_logprob, np.array(absent, np.int32)) == -math.inf
