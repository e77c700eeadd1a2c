"""The training schedule on planted data: a GMM-HMM that made the data is found again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from asrkit.core.errors import ModelError
from asrkit.gmm.em import EmConfig, EmState, em_iterations, flat_start_state, mix_up_target
from asrkit.gmm.model import GmmHmm
from asrkit.gmm.training import Scales, TrainingData, baum_welch_pass
from asrkit.gmm.update import GmmUpdateConfig
from asrkit.hmm.equal_alignment import equal_alignment
from asrkit.hmm.state_graph import StateGraph
from asrkit.hmm.transitions import TransitionConfig, TransitionModel
from asrkit.hmm.tree import monophone_tree
from asrkit.lang.topology import make_topology

PHONES = (1, 2, 3)
DIM = 4
MEANS = np.random.default_rng(3).normal(scale=4.0, size=(3, 2, DIM))


def phone_sequence_graph(transitions: TransitionModel, tree, phones: list[int]) -> StateGraph:
    """The linear HMM of a phone sequence: each forward arc is followed by its state's self-loop."""
    arcs, state = [], 0
    for phone in phones:
        for hmm_state in range(2):
            pdf = tree.pdf_id((phone,), hmm_state)
            loop, forward = (transitions.transition_id(phone, hmm_state, pdf, index) for index in (0, 1))
            arcs += [(state, state + 1, forward, 0.0), (state + 1, state + 1, loop, 0.0)]
            state += 1
    return StateGraph.from_arcs(state + 1, arcs, [(0, 0.0)], [(state, 0.0)])


def planted_data(num_utterances: int = 150) -> tuple[TrainingData, TransitionModel, object]:
    topology = make_topology(PHONES, (), num_states=2)
    tree = monophone_tree(topology)
    transitions = TransitionModel.from_tree(tree, topology)
    rng = np.random.default_rng(0)
    features, graphs = {}, {}
    for number in range(num_utterances):
        phones = rng.choice(PHONES, size=rng.integers(2, 6)).tolist()
        means = [MEANS[phone - 1, state] for phone in phones for state in range(2) for _ in range(rng.geometric(0.3))]
        key = f"u{number:03d}"
        features[key] = (np.array(means) + rng.normal(size=(len(means), DIM))).astype(np.float32)
        graphs[key] = phone_sequence_graph(transitions, tree, phones)
    return TrainingData(tuple(sorted(features)), features, graphs), transitions, tree


@pytest.fixture(scope="module")
def planted():
    return planted_data()


CONFIG = EmConfig(num_iters=12, total_gaussians=6, realign_iters=tuple(range(1, 12)), acoustic_scale=1.0)


def train(planted, config: EmConfig, num_jobs: int = 1) -> list[EmState]:
    data, transitions, tree = planted
    return list(em_iterations(flat_start_state(tree, transitions, data, 0), data, (), config, 0, num_jobs))


@pytest.mark.parametrize("estimator", ["viterbi", "baum-welch"])
def test_the_planted_means_are_found(planted, estimator: str) -> None:
    state = train(planted, replace(CONFIG, estimator=estimator))[-1]
    np.testing.assert_allclose(state.model.gmms.means.reshape(3, 2, DIM), MEANS, atol=0.35)
    np.testing.assert_allclose(state.model.gmms.variances, 1.0, atol=0.3)
    loops = np.exp(state.model.transitions.log_probs[state.model.transitions.is_self_loop])
    np.testing.assert_allclose(loops, 0.7, atol=0.12)


def test_baum_welch_never_lowers_the_likelihood(planted) -> None:
    free = GmmUpdateConfig(0.0, 0.0, 1e-6, False)
    config = replace(CONFIG, estimator="baum-welch", num_iters=8, gmm=free, transitions=TransitionConfig(1e-9, 0.0))
    seen = [report.loglike_per_frame for report in train(planted, config)[-1].reports[1:]]
    assert min(np.diff(seen)) > -1e-4
    assert seen[-1] > seen[0] + 0.5


def test_baum_welch_occupancies_sum_to_the_frames(planted) -> None:
    data, *_ = planted
    model = train(planted, replace(CONFIG, num_iters=3))[-1].model
    result = baum_welch_pass(model, data, Scales(1.0, 1.0, 1.0))
    frames = sum(len(features) for features in data.features.values())
    np.testing.assert_allclose(result.transition_occupancy.sum(), frames, rtol=1e-6)
    np.testing.assert_allclose(result.stats.occupancy.sum(), frames, rtol=1e-3)


@pytest.mark.parametrize("estimator", ["viterbi", "baum-welch"])
def test_any_number_of_jobs_gives_the_same_bits(planted, estimator: str) -> None:
    config = replace(CONFIG, estimator=estimator, num_iters=4, total_gaussians=12)
    one, two, four = (train(planted, config, jobs)[-1].model for jobs in (1, 2, 4))
    for other in (two, four):
        assert (one.gmms.means == other.gmms.means).all()
        assert (one.gmms.variances == other.gmms.variances).all()
        assert (one.transitions.log_probs == other.transitions.log_probs).all()


def test_another_seed_gives_another_model(planted) -> None:
    data, transitions, tree = planted
    config = replace(CONFIG, num_iters=3, total_gaussians=12, last_mix_up_iter=1)
    first, second = (
        list(em_iterations(flat_start_state(tree, transitions, data, s), data, (), config, s))[-1] for s in (0, 1)
    )
    assert (first.model.gmms.means[:6] != second.model.gmms.means[:6]).any()


def test_going_on_from_a_state_is_the_same_as_never_stopping(planted) -> None:
    data, *_ = planted
    states = train(planted, CONFIG)
    resumed = list(em_iterations(states[4], data, (), CONFIG))[-1]
    assert (resumed.model.gmms.means == states[-1].model.gmms.means).all()


def test_an_utterance_too_short_is_named_with_the_reason(planted) -> None:
    data, transitions, tree = planted
    key = data.utterance_ids[0]
    short = TrainingData(data.utterance_ids, {**data.features, key: data.features[key][:3]}, data.graphs)
    state = flat_start_state(tree, transitions, short, 0)
    assert "too short for its transcript: 3 frames" in state.failures[key]
    after = list(em_iterations(state, short, (), replace(CONFIG, num_iters=2)))[-1]
    assert "too short" in after.failures[key]
    assert len(after.alignments) == len(data.utterance_ids) - 1


def test_nothing_to_train_on_is_an_error(planted) -> None:
    data, transitions, tree = planted
    with pytest.raises(ModelError, match="no utterances to train on"):
        flat_start_state(tree, transitions, TrainingData((), data.features, data.graphs), 0)


def test_a_saved_model_is_the_same_model(planted, tmp_path) -> None:
    model = train(planted, replace(CONFIG, num_iters=2))[-1].model
    model.save(tmp_path)
    again = GmmHmm.load(tmp_path)
    assert again.transitions.triples == model.transitions.triples
    features = np.ones((3, DIM), dtype=np.float32)
    assert (again.loglikes(features) == model.loglikes(features)).all()


def test_the_target_grows_as_in_kaldi() -> None:
    config = EmConfig(total_gaussians=1000, last_mix_up_iter=30)
    targets = [mix_up_target(config, 109, iteration) for iteration in range(40)]
    assert targets[0] == targets[1] == 109
    assert targets[2] == 109 + 29
    assert targets[31] == targets[39] == 109 + 30 * 29


def test_equal_alignment_shares_the_frames_evenly(planted) -> None:
    _, transitions, tree = planted
    graph = phone_sequence_graph(transitions, tree, [2, 1])
    arcs = equal_alignment(graph, 12, np.random.default_rng(0))
    assert arcs is not None
    pdfs = transitions.tid_to_pdf[graph.arc_label[arcs]]
    assert np.unique(pdfs, return_counts=True)[1].tolist() == [3, 3, 3, 3]
    assert (graph.arc_src[arcs[1:]] == graph.arc_dst[arcs[:-1]]).all()
    assert equal_alignment(graph, 3, np.random.default_rng(0)) is None
