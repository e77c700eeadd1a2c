from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError, ModelError
from asrkit.hmm.transitions import TransitionConfig, TransitionModel
from asrkit.hmm.tree import ContextTree, Leaf, Split, Table, monophone_tree
from asrkit.lang.topology import HmmState, Topology, make_topology

TOPOLOGY = make_topology([3, 4], [1, 2], 2, 4)


def model(seed: int | None = None) -> TransitionModel:
    """Monophones; with a seed, probabilities that are not the topology's."""
    flat = TransitionModel.from_tree(monophone_tree(TOPOLOGY), TOPOLOGY)
    if seed is None:
        return flat
    weights = np.random.default_rng(seed).uniform(0.1, 1.0, flat.num_transition_ids + 1)
    totals = np.bincount(flat.tid_to_transition_state, weights)
    log_probs = np.log(weights / totals[flat.tid_to_transition_state])
    log_probs[0] = 0.0
    return TransitionModel(flat.topology, flat.triples, log_probs.astype(np.float32))


def occupancies(transitions: TransitionModel, seed: int, scale: float = 100.0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).gamma(0.5, scale, transitions.num_transition_ids + 1)


def state_sums(transitions: TransitionModel) -> NDArray[np.float64]:
    probs = np.exp(transitions.log_probs.astype(np.float64))
    return np.bincount(transitions.tid_to_transition_state[1:], probs[1:])[1:]


def test_ids_run_through_triples_and_arcs_in_order() -> None:
    transitions = model()
    tid = 0
    for phone in TOPOLOGY.phones:
        tree = monophone_tree(TOPOLOGY)
        for number, state in enumerate(TOPOLOGY.states(phone)[:-1]):
            for index, (target, prob) in enumerate(state.transitions):
                tid += 1
                assert transitions.transition_id(phone, number, tree.pdf_id((phone,), state.pdf_class), index) == tid
                assert transitions.tid_to_phone[tid] == phone
                assert transitions.tid_to_hmm_state[tid] == number
                assert transitions.tid_to_pdf[tid] == tree.pdf_id((phone,), state.pdf_class)
                assert transitions.is_self_loop[tid] == (target == number)
                assert transitions.is_final[tid] == (target == len(TOPOLOGY.states(phone)) - 1)
                assert transitions.log_probs[tid] == pytest.approx(np.log(prob))
    assert transitions.num_transition_ids == tid
    assert transitions.num_pdfs == 4 + 4 + 2 + 2


def test_every_context_gives_its_triple() -> None:
    tree = ContextTree(
        2, 1, Table(1, {p: Split(0, frozenset({0, 3}), Leaf(2 * p), Leaf(2 * p + 1)) for p in (1, 2, 3, 4)})
    )
    single = Topology(((HmmState(0, ((0, 0.5), (1, 0.5))), HmmState(None)),), {1: 0, 2: 0, 3: 0, 4: 0})
    transitions = TransitionModel.from_tree(tree, single)
    assert transitions.triples == tuple((p, 0, 2 * p + side) for p in (1, 2, 3, 4) for side in (0, 1))


def test_self_loops_belong_to_their_state() -> None:
    transitions = model()
    for tid in range(1, transitions.num_transition_ids + 1):
        loop = transitions.self_loop_tid[tid]
        own = transitions.tid_to_transition_state == transitions.tid_to_transition_state[tid]
        expected = np.flatnonzero(own & transitions.is_self_loop)
        assert [loop] == expected.tolist()
    assert transitions.self_loop_tid[0] == 0


def test_a_state_without_self_loop() -> None:
    through = (HmmState(0, ((1, 1.0),)), HmmState(1, ((1, 0.4), (2, 0.6))), HmmState(None))
    topology = Topology((through,), {1: 0})
    transitions = TransitionModel.from_tree(monophone_tree(topology), topology)
    assert transitions.self_loop_tid.tolist() == [0, 0, 2, 2]
    assert transitions.non_self_loop_log_probs[1:] == pytest.approx(np.log([1.0, 0.6, 0.6]), abs=1e-6)


def test_non_self_loop_probability_is_the_sum_of_the_other_arcs() -> None:
    transitions = model(3)
    for tid in range(1, transitions.num_transition_ids + 1):
        others = transitions.tid_to_transition_state == transitions.tid_to_transition_state[tid]
        total = np.exp(transitions.log_probs[others & ~transitions.is_self_loop]).sum()
        assert transitions.non_self_loop_log_probs[tid] == pytest.approx(np.log(total), abs=1e-5)


def test_scales_of_one_are_the_probabilities() -> None:
    transitions = model(4)
    np.testing.assert_allclose(transitions.scaled_log_probs(1.0, 1.0), transitions.log_probs, atol=1e-6)
    assert np.abs(transitions.scaled_log_probs(1.0, 0.1) - transitions.log_probs).max() > 0.1


def test_scales_act_on_staying_and_on_the_way_out() -> None:
    transitions = model(5)
    scaled = transitions.scaled_log_probs(0.7, 0.3)
    for tid in range(1, transitions.num_transition_ids + 1):
        own = np.flatnonzero(transitions.tid_to_transition_state == transitions.tid_to_transition_state[tid])
        probs = {int(i): float(np.exp(transitions.log_probs[i])) for i in own}
        stay = probs[int(transitions.self_loop_tid[tid])]
        if transitions.is_self_loop[tid]:
            expected = 0.3 * np.log(stay)
        else:
            expected = 0.3 * np.log(1 - stay) + 0.7 * np.log(probs[tid] / (1 - stay))
        assert scaled[tid] == pytest.approx(expected, abs=1e-5)
    assert scaled[0] == 0.0


def test_update_is_the_relative_frequency() -> None:
    transitions, counts = model(), np.zeros(model().num_transition_ids + 1)
    counts[1:] = np.arange(transitions.num_transition_ids) % 7 + 5.0
    counts[0] = 1e9  # ignored
    new, gain, total = transitions.updated(counts, TransitionConfig())
    sums = np.bincount(transitions.tid_to_transition_state[1:], counts[1:])
    expected = counts[1:] / sums[transitions.tid_to_transition_state[1:]]
    np.testing.assert_allclose(np.exp(new.log_probs[1:]), expected, rtol=1e-5)
    assert total == pytest.approx(counts[1:].sum())
    assert gain == pytest.approx(counts[1:] @ (new.log_probs[1:] - transitions.log_probs[1:]), rel=1e-4)
    assert gain > 0


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_no_other_probabilities_explain_the_counts_better(seed: int) -> None:
    """Among distributions that keep the floor, by trying many of them near and far."""
    config = TransitionConfig(floor=0.02)
    transitions = model(seed)
    counts = occupancies(transitions, seed)
    new, gain, _ = transitions.updated(counts, config)
    rng = np.random.default_rng(seed)
    states = transitions.tid_to_transition_state
    for state in range(1, states.max() + 1):
        own = states == state
        probs = np.exp(new.log_probs[own].astype(np.float64))
        if counts[own].sum() < config.min_count:
            np.testing.assert_array_equal(new.log_probs[own], transitions.log_probs[own])
            continue
        best = counts[own] @ np.log(probs)
        for step in (1e-3, 0.1, 1.0):
            other = np.maximum(probs * np.exp(step * rng.standard_normal(len(probs))), config.floor)
            for _ in range(50):
                other = np.maximum(other / other.sum(), config.floor)
            # Kaldi renormalises three times only; it may miss the floor's exact optimum by a little.
            slack = 0.0 if (counts[own] / counts[own].sum() > config.floor).all() else 0.01 * counts[own].sum()
            assert counts[own] @ np.log(other) <= best + slack + 1e-3
    assert gain >= -0.01 * counts[1:].sum()


@given(st.integers(0, 10_000), st.sampled_from([0.5, 5.0, 500.0]))
@settings(max_examples=30, deadline=None)
def test_probabilities_of_every_state_sum_to_one(seed: int, scale: float) -> None:
    new, _, _ = model(seed).updated(occupancies(model(), seed, scale), TransitionConfig())
    np.testing.assert_allclose(state_sums(new), 1.0, atol=1e-5)
    assert np.exp(new.log_probs[1:]).min() > 0.005


def test_rare_states_and_floors() -> None:
    transitions = model(6)
    counts = np.zeros(transitions.num_transition_ids + 1)
    first, second = (np.flatnonzero(transitions.tid_to_transition_state == state) for state in (9, 10))
    counts[first[0]], counts[second[0]] = 4.9, 200.0
    new, _, _ = transitions.updated(counts, TransitionConfig(floor=0.01, min_count=5.0))
    np.testing.assert_array_equal(new.log_probs[first], transitions.log_probs[first])
    np.testing.assert_allclose(np.exp(new.log_probs[second]), [0.99, 0.01], atol=2e-4)


def test_a_floor_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="transition floor is 0"):
        TransitionConfig(floor=0.0)


def test_probabilities_of_another_model_are_refused() -> None:
    with pytest.raises(ModelError, match="do not belong together"):
        TransitionModel(TOPOLOGY, model().triples, np.zeros(7, dtype=np.float32))


def test_probabilities_that_are_no_numbers_are_refused() -> None:
    log_probs = model().log_probs.copy()
    log_probs[-1] = np.nan
    with pytest.raises(ModelError, match="is not a number"):
        TransitionModel(TOPOLOGY, model().triples, log_probs)


def visit(transitions: TransitionModel, phone: int, way: list[int], loops: list[int]) -> list[int]:
    """Transition ids of one phone: HMM states ``way`` (the final one last), each with its self-loops behind."""
    pdfs = monophone_tree(TOPOLOGY)
    tids = []
    for (state, target), repeats in zip(itertools.pairwise(way), loops, strict=True):
        hmm_state = TOPOLOGY.states(phone)[state]
        index = [t for t, _ in hmm_state.transitions].index(target)
        tid = transitions.transition_id(phone, state, pdfs.pdf_id((phone,), hmm_state.pdf_class), index)
        tids += [tid] + [int(transitions.self_loop_tid[tid])] * repeats
    return tids


PHONE_VISITS = st.one_of(
    st.tuples(st.sampled_from([3, 4]), st.just([0, 1, 2]), st.lists(st.integers(0, 3), min_size=2, max_size=2)),
    st.tuples(
        st.sampled_from([1, 2]),
        st.sampled_from([[0, 1, 3, 4], [0, 2, 1, 2, 3, 4], [0, 1, 2, 1, 3, 4]]),
        st.lists(st.integers(0, 2), min_size=5, max_size=5),
    ),
)


@given(st.lists(PHONE_VISITS, min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_an_alignment_is_cut_where_its_phones_met(visits: list[tuple[int, list[int], list[int]]]) -> None:
    transitions = model()
    alignment: list[int] = []
    expected = []
    for phone, way, loops in visits:
        part = visit(transitions, phone, way, loops[: len(way) - 1])
        expected.append((phone, len(alignment), len(alignment) + len(part)))
        alignment += part
    assert transitions.phone_segments(np.array(alignment, dtype=np.int32)) == expected


def test_no_frames_no_phones() -> None:
    assert model().phone_segments(np.zeros(0, dtype=np.int32)) == []
