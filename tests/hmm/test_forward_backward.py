"""Forward-backward against the enumeration of all paths, laws, invariances and extreme scales."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.core.errors import ModelError
from asrkit.hmm.forward_backward import Posteriors, forward_backward
from asrkit.hmm.state_graph import StateGraph
from asrkit.hmm.viterbi import NoPath, viterbi
from tests.oracles import enumerate_scores, left_to_right_graph, log_sum, random_graph

TOLERANCE = 1e-9
FLOAT32_TOLERANCE = 2e-6


def _problem(seed: int, num_states: int = 4, num_arcs: int = 7, num_frames: int = 5, num_pdfs: int = 6):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, num_states, num_arcs, num_labels=6)
    arc_pdf = rng.integers(0, num_pdfs, num_arcs).astype(np.int32)
    arc_logprob = graph.arc_logprob + rng.normal(0, 0.5, num_arcs)
    loglikes = rng.normal(-2, 3, (num_frames, num_pdfs)).astype(np.float32)
    loglikes[rng.random(loglikes.shape) < 0.1] = -np.inf
    return graph, arc_pdf, arc_logprob, loglikes


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), num_frames=st.integers(1, 5), scale=st.sampled_from([1.0, 0.3]))
def test_sums_and_occupancies_are_those_of_enumeration(seed: int, num_frames: int, scale: float) -> None:
    problem = _problem(seed, num_frames=num_frames)
    _, arc_pdf, _, loglikes = problem
    scores = enumerate_scores(*problem, scale=scale)
    found = forward_backward(*problem, acoustic_scale=scale)
    if not scores:
        assert isinstance(found, NoPath)
        return
    assert isinstance(found, Posteriors)
    total = log_sum(scores.values())
    assert found.log_likelihood == pytest.approx(total, abs=TOLERANCE)
    by_arc = np.zeros(len(arc_pdf))
    by_pdf = np.zeros(loglikes.shape)
    for arcs, score in scores.items():
        for frame, arc in enumerate(arcs):
            by_arc[arc] += np.exp(score - total)
            by_pdf[frame, arc_pdf[arc]] += np.exp(score - total)
    np.testing.assert_allclose(found.arc_occupancy, by_arc, atol=TOLERANCE)
    assert found.pdf_ids.tolist() == sorted(set(arc_pdf.tolist()))
    assert found.pdf_posteriors.dtype == np.float32
    np.testing.assert_allclose(found.pdf_posteriors, by_pdf[:, found.pdf_ids], atol=FLOAT32_TOLERANCE)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), beam=st.sampled_from([None, 30.0, 3.0]))
def test_the_posteriors_of_a_frame_sum_to_one_and_the_sum_is_not_below_the_best_path(
    seed: int, beam: float | None
) -> None:
    problem = _problem(seed, num_states=9, num_arcs=30, num_frames=13)
    found = forward_backward(*problem, beam=beam)
    best = viterbi(*problem)
    if isinstance(found, NoPath):
        assert best is None or beam is not None
        return
    assert best is not None
    np.testing.assert_allclose(found.pdf_posteriors.sum(axis=1), 1, atol=FLOAT32_TOLERANCE)
    assert found.arc_occupancy.sum() == pytest.approx(found.num_frames, rel=1e-9)
    exact = forward_backward(*problem)
    assert isinstance(exact, Posteriors)
    assert found.log_likelihood <= exact.log_likelihood + TOLERANCE
    assert exact.log_likelihood >= best.score - TOLERANCE


def test_an_infinite_beam_is_the_exact_sum_and_a_narrow_one_is_less() -> None:
    problem = _problem(11, num_states=9, num_arcs=30, num_frames=13)
    exact = forward_backward(*problem)
    wide = forward_backward(*problem, beam=np.inf)
    narrow = forward_backward(*problem, beam=1.0)
    assert isinstance(exact, Posteriors)
    assert isinstance(wide, Posteriors)
    assert isinstance(narrow, Posteriors)
    assert wide.log_likelihood == exact.log_likelihood
    np.testing.assert_array_equal(wide.arc_occupancy, exact.arc_occupancy)
    assert narrow.log_likelihood < exact.log_likelihood - 1e-3


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_state_numbers_do_not_matter(seed: int) -> None:
    graph, arc_pdf, arc_logprob, loglikes = _problem(seed, num_states=7, num_arcs=20, num_frames=11)
    order = np.random.default_rng(seed).permutation(7)
    old = np.argsort(order[graph.arc_src], kind="stable")
    ends = [np.empty(7, dtype=np.float32) for _ in range(2)]
    ends[0][order], ends[1][order] = graph.initial_logprob, graph.final_logprob
    source, target = (order[states[old]].astype(np.int32) for states in (graph.arc_src, graph.arc_dst))
    other = StateGraph(7, source, target, graph.arc_label[old], graph.arc_logprob[old], *ends)
    first = forward_backward(graph, arc_pdf, arc_logprob, loglikes)
    second = forward_backward(other, arc_pdf[old], arc_logprob[old], loglikes)
    assert type(first) is type(second)
    if isinstance(first, Posteriors) and isinstance(second, Posteriors):
        assert second.log_likelihood == pytest.approx(first.log_likelihood, abs=TOLERANCE)
        np.testing.assert_allclose(second.arc_occupancy, first.arc_occupancy[old], atol=TOLERANCE)


def test_permuting_the_columns_of_the_loglikes_changes_the_result() -> None:
    graph = left_to_right_graph(3)
    arc_pdf = ((graph.arc_label - 1) // 2).astype(np.int32)
    loglikes = np.random.default_rng(1).normal(0, 3, (9, 3)).astype(np.float32)
    straight = forward_backward(graph, arc_pdf, graph.arc_logprob, loglikes)
    turned = forward_backward(graph, arc_pdf, graph.arc_logprob, np.ascontiguousarray(loglikes[:, [1, 2, 0]]))
    assert isinstance(straight, Posteriors)
    assert isinstance(turned, Posteriors)
    assert abs(straight.log_likelihood - turned.log_likelihood) > 1.0


def test_the_occupancies_are_the_gradient_of_the_log_likelihood() -> None:
    graph, arc_pdf, arc_logprob, loglikes = _problem(8, num_states=6, num_arcs=18, num_frames=7)
    found = forward_backward(graph, arc_pdf, arc_logprob, loglikes)
    assert isinstance(found, Posteriors)
    step = 1e-5
    for arc in np.flatnonzero(arc_logprob > -np.inf):
        values = []
        for sign in (1, -1):
            moved = arc_logprob.copy()
            moved[arc] += sign * step
            result = forward_backward(graph, arc_pdf, moved, loglikes)
            assert isinstance(result, Posteriors)
            values.append(result.log_likelihood)
        assert (values[0] - values[1]) / (2 * step) == pytest.approx(found.arc_occupancy[arc], abs=1e-6)


def test_extreme_scales_stay_finite() -> None:
    num_frames = 20_000
    graph = left_to_right_graph(5)
    arc_pdf = ((graph.arc_label - 1) // 2).astype(np.int32)
    loglikes = np.random.default_rng(0).normal(-1e4, 100, (num_frames, 5)).astype(np.float32)
    for wall in (0.0, -np.inf):
        loglikes[:100, 4] = wall or loglikes[:100, 4]
        found = forward_backward(graph, arc_pdf, graph.arc_logprob, loglikes)
        best = viterbi(graph, arc_pdf, graph.arc_logprob, loglikes)
        assert isinstance(found, Posteriors)
        assert best is not None
        assert best.score <= found.log_likelihood < best.score + 50
        assert found.arc_occupancy.sum() == pytest.approx(num_frames, rel=1e-9)
        np.testing.assert_allclose(found.pdf_posteriors.sum(axis=1), 1, atol=FLOAT32_TOLERANCE)


def test_equal_loglikes_leave_the_counts_of_the_chain() -> None:
    """With flat acoustics, T frames over N states: every way to place the N - 1 steps weighs the same."""
    num_frames, num_states = 7, 3
    graph = left_to_right_graph(num_states)
    arc_pdf = ((graph.arc_label - 1) // 2).astype(np.int32)
    found = forward_backward(graph, arc_pdf, graph.arc_logprob, np.full((num_frames, num_states), -4.0, np.float32))
    assert isinstance(found, Posteriors)
    ways = 15  # C(6, 2)
    expected = np.log(ways) + 4 * np.log(0.75) + 3 * np.log(0.25) - 4.0 * num_frames
    assert found.log_likelihood == pytest.approx(expected, abs=1e-5)
    np.testing.assert_allclose(found.arc_occupancy[1::2], 1, atol=TOLERANCE)
    np.testing.assert_allclose(found.arc_occupancy[::2], 4 / 3, atol=TOLERANCE)


def test_no_path_comes_with_its_reason() -> None:
    graph = left_to_right_graph(3)
    arc_pdf = ((graph.arc_label - 1) // 2).astype(np.int32)
    for num_frames, reason in [
        (0, "no frames"),
        (2, "too short for its transcript: 2 frames, the shortest path needs 3"),
    ]:
        found = forward_backward(graph, arc_pdf, graph.arc_logprob, np.zeros((num_frames, 3), dtype=np.float32))
        assert found == NoPath(reason)
    trap = np.zeros((30, 3), dtype=np.float32)
    trap[:29, 1:] = -100.0
    found = forward_backward(graph, arc_pdf, graph.arc_logprob, trap, beam=5.0)
    assert isinstance(found, NoPath)
    assert "within a beam of 5" in found.reason


def test_bad_arguments_are_refused() -> None:
    graph, arc_pdf, arc_logprob, loglikes = _problem(3)
    loglikes[2, 1] = np.nan
    with pytest.raises(ModelError, match="NaN, first at frame 2, pdf 1"):
        forward_backward(graph, arc_pdf, arc_logprob, loglikes)
    with pytest.raises(ModelError, match="beam is 0"):
        forward_backward(graph, arc_pdf, arc_logprob, np.zeros((4, 6), dtype=np.float32), beam=0)
    with pytest.raises(ModelError, match="arc_pdf"):
        forward_backward(graph, arc_pdf.astype(np.int64), arc_logprob, np.zeros((4, 6), dtype=np.float32))
