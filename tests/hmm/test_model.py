"""The HMM by itself: enumeration, hmmlearn, laws of EM, planted models."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asrkit.core.errors import ConfigError, DataError, ModelError
from asrkit.hmm.emissions import CountStats, DiscreteEmissions, GaussianEmissions
from asrkit.hmm.fitting import ConvergenceMonitor, FitConfig, HmmStats, expected_counts, fit, maximised
from asrkit.hmm.model import Hmm, ergodic, left_to_right
from tests.oracles import enumerate_state_paths, log_sum

FLOAT32_TOLERANCE = 2e-6
LOG_TOLERANCE = 1e-5  # log-likelihoods pass through float32 relative to the best of a frame
ROUNDING_LOSS = 1e-6  # nats per observation


def _random_hmm(seed: int, num_states: int = 3, num_symbols: int = 4, zeros: float = 0.2) -> Hmm:
    rng = np.random.default_rng(seed)
    steps = rng.dirichlet(np.ones(num_states), num_states + 1)
    steps[rng.random(steps.shape) < zeros] = 0
    steps[steps.sum(axis=1) == 0, 0] = 1
    steps /= steps.sum(axis=1, keepdims=True)
    return Hmm(steps[0], steps[1:], DiscreteEmissions.random(num_states, num_symbols, rng))


def _planted_gaussian(full: bool) -> Hmm:
    covariances = np.array([[[1.0, 0.4], [0.4, 0.5]], [[0.6, -0.2], [-0.2, 1.5]], [[2.0, 0.0], [0.0, 0.3]]])
    shape = covariances if full else np.diagonal(covariances, axis1=1, axis2=2)
    means = np.array([[-4.0, 1.0], [0.0, 6.0], [5.0, -2.0]])
    transitions = np.array([[0.8, 0.2, 0.0], [0.1, 0.6, 0.3], [0.3, 0.0, 0.7]])
    return Hmm(np.array([0.6, 0.4, 0.0]), transitions, GaussianEmissions(means, shape))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), num_observations=st.integers(1, 5))
def test_inference_is_that_of_enumeration(seed: int, num_observations: int) -> None:
    hmm = _random_hmm(seed)
    observations = np.random.default_rng(seed + 1).integers(0, 4, num_observations)
    loglikes = np.log(hmm.emissions.probabilities.T[observations])  # type: ignore[attr-defined]
    scores = enumerate_state_paths(hmm.initial, hmm.transitions, loglikes)
    total = log_sum(scores.values())
    assert hmm.log_likelihood(observations) == pytest.approx(total, abs=LOG_TOLERANCE)
    states, initial, transitions = np.zeros(loglikes.shape), np.zeros(3), np.zeros((3, 3))
    for path, score in scores.items():
        share = math.exp(score - total)
        initial[path[0]] += share
        for time, state in enumerate(path):
            states[time, state] += share
        for pair in itertools.pairwise(path):
            transitions[pair] += share
    found = hmm.posteriors(observations)
    np.testing.assert_allclose(found.states, states, atol=LOG_TOLERANCE)
    np.testing.assert_allclose(found.initial, initial, atol=LOG_TOLERANCE)
    np.testing.assert_allclose(found.transitions, transitions, atol=LOG_TOLERANCE)
    assert found.log_likelihood == hmm.log_likelihood(observations)
    best = hmm.viterbi(observations)
    assert best.log_likelihood == pytest.approx(max(scores.values()), abs=LOG_TOLERANCE)
    assert scores[tuple(best.states.tolist())] == pytest.approx(best.log_likelihood, abs=LOG_TOLERANCE)
    decoded = hmm.most_probable_states(observations)
    np.testing.assert_allclose(states[np.arange(num_observations), decoded], states.max(axis=1), atol=LOG_TOLERANCE)


def _hmmlearn_twin(hmm: Hmm) -> Any:
    from hmmlearn import hmm as peer

    emissions = hmm.emissions
    common = {"n_components": hmm.num_states, "n_iter": 1, "tol": -np.inf, "init_params": "", "implementation": "log"}
    if isinstance(emissions, DiscreteEmissions):
        twin = peer.CategoricalHMM(n_features=emissions.probabilities.shape[1], **common)
        twin.emissionprob_ = emissions.probabilities
    else:
        assert isinstance(emissions, GaussianEmissions)
        kind = "full" if emissions.full else "diag"
        twin = peer.GaussianHMM(covariance_type=kind, covars_prior=0, covars_weight=1, min_covar=0, **common)
        twin.n_features = emissions.means.shape[1]
        twin.means_, twin.covars_ = emissions.means, emissions.covariances
    twin.startprob_, twin.transmat_ = hmm.initial, hmm.transitions
    return twin


@pytest.mark.parametrize("kind", ["discrete", "diag", "full"])
def test_hmmlearn_agrees_on_scores_paths_and_one_step_of_em(kind: str) -> None:
    hmm = _random_hmm(5, zeros=0.0) if kind == "discrete" else _planted_gaussian(kind == "full")
    rng = np.random.default_rng(9)
    sequences = [hmm.sample(count, rng)[1] for count in (40, 25, 61)]
    start = _random_hmm(6, zeros=0.0) if kind == "discrete" else _perturbed(hmm, rng)
    twin = _hmmlearn_twin(start)
    columns = [sequence.reshape(len(sequence), -1) for sequence in sequences]
    for sequence, column in zip(sequences, columns):
        assert start.log_likelihood(sequence) == pytest.approx(twin.score(column), rel=1e-6)
        score, path = twin.decode(column)
        best = start.viterbi(sequence)
        assert best.log_likelihood == pytest.approx(score, rel=1e-6)
        assert _joint(start, best.states, sequence) == pytest.approx(score, rel=1e-6)
        if kind != "discrete":  # with symbols, reordered steps can tie
            np.testing.assert_array_equal(best.states, path)
        np.testing.assert_allclose(start.posteriors(sequence).states, twin.predict_proba(column), atol=1e-5)
    twin.fit(np.concatenate(columns), [len(column) for column in columns])
    step, monitor = fit(start, sequences, FitConfig(max_iterations=1))
    assert len(monitor.history) == 1
    np.testing.assert_allclose(step.initial, twin.startprob_, atol=1e-5)
    np.testing.assert_allclose(step.transitions, twin.transmat_, atol=1e-5)
    if kind == "discrete":
        np.testing.assert_allclose(step.emissions.probabilities, twin.emissionprob_, atol=1e-5)  # type: ignore[attr-defined]
    else:
        covariances = twin.covars_ if kind == "full" else np.diagonal(twin.covars_, axis1=1, axis2=2)
        np.testing.assert_allclose(step.emissions.means, twin.means_, atol=1e-5)  # type: ignore[attr-defined]
        np.testing.assert_allclose(step.emissions.covariances, covariances, atol=1e-4)  # type: ignore[attr-defined]


def _joint(hmm: Hmm, states: NDArray[np.int32], observations: NDArray[Any]) -> float:
    emitted = hmm.emissions.loglikes(observations)[np.arange(len(states)), states].sum()
    return float(emitted + np.log(hmm.initial[states[0]]) + np.log(hmm.transitions[states[:-1], states[1:]]).sum())


def _perturbed(hmm: Hmm, rng: np.random.Generator) -> Hmm:
    emissions = hmm.emissions
    assert isinstance(emissions, GaussianEmissions)
    moved = dataclasses.replace(emissions, means=emissions.means + rng.normal(0, 1.0, emissions.means.shape))
    return Hmm(np.full(3, 1 / 3), ergodic(3)[1], moved)


def _assert_never_lowers(monitor: ConvergenceMonitor) -> None:
    assert len(monitor.history) > 2
    assert monitor.largest_loss < ROUNDING_LOSS


@dataclasses.dataclass(frozen=True, eq=False)
class _BrokenMaximisation(GaussianEmissions):
    """Divides by one observation too few, and so moves past the maximum."""

    def estimate(self, stats: Any) -> GaussianEmissions:
        return super().estimate(dataclasses.replace(stats, occupancy=stats.occupancy * 0.8))


@dataclasses.dataclass(frozen=True, eq=False)
class _BrokenCounts(DiscreteEmissions):
    """Counts every symbol as its neighbour."""

    def estimate(self, stats: CountStats) -> DiscreteEmissions:
        return super().estimate(CountStats(np.roll(stats.counts, 1, axis=1)))


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_em_never_lowers_the_likelihood_of_symbols(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sequences = [_random_hmm(seed).sample(count, rng)[1] for count in (30, 12)]
    start = Hmm(*ergodic(2), DiscreteEmissions.random(2, 4, rng))
    fitted, monitor = fit(start, sequences, FitConfig(max_iterations=12, min_gain=-1))
    _assert_never_lowers(monitor)
    broken = Hmm(*ergodic(2), _BrokenCounts(start.emissions.probabilities, floor=0.01))  # type: ignore[attr-defined]
    with pytest.raises(AssertionError):
        _assert_never_lowers(fit(broken, sequences, FitConfig(max_iterations=12, min_gain=-1))[1])
    assert fitted.transitions.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_em_never_lowers_the_likelihood_of_vectors(full: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sequences = [_planted_gaussian(full).sample(count, rng)[1] for count in (60, 35)]
    emissions = GaussianEmissions.from_sequences(sequences, 4, rng, full=full)
    config = FitConfig(max_iterations=15, min_gain=-1)
    fitted, monitor = fit(Hmm(*ergodic(4), emissions), sequences, config)
    _assert_never_lowers(monitor)
    _assert_never_lowers(fit(fitted, sequences, config)[1])
    reached = fitted.emissions
    assert isinstance(reached, GaussianEmissions)
    broken = dataclasses.replace(fitted, emissions=_BrokenMaximisation(reached.means, reached.covariances))
    with pytest.raises(AssertionError):
        _assert_never_lowers(fit(broken, sequences, config)[1])


@pytest.mark.parametrize("full", [False, True])
def test_fitting_recovers_a_planted_model(full: bool) -> None:
    planted = _planted_gaussian(full)
    rng = np.random.default_rng(7)
    drawn = [planted.sample(count, rng) for count in (700, 800, 900, 600)]
    sequences = [observations for _, observations in drawn]
    start = Hmm(*ergodic(3), GaussianEmissions.from_sequences(sequences, 3, rng, full=full))
    fitted, monitor = fit(start, sequences)
    assert monitor.converged
    emissions, truth = fitted.emissions, planted.emissions
    assert isinstance(emissions, GaussianEmissions)
    assert isinstance(truth, GaussianEmissions)
    order = np.argsort(emissions.means[:, 0])  # the planted means ascend
    np.testing.assert_allclose(emissions.means[order], truth.means, atol=0.15)
    np.testing.assert_allclose(emissions.covariances[order], truth.covariances, atol=0.2)
    np.testing.assert_allclose(fitted.transitions[np.ix_(order, order)], planted.transitions, atol=0.05)
    agreement = np.mean(np.argsort(order)[fitted.viterbi(sequences[1]).states] == drawn[1][0])
    assert agreement > 0.98


def test_a_uniform_hmm_is_a_mixture_and_a_sticky_one_is_not() -> None:
    emissions = _planted_gaussian(False).emissions
    observations = np.random.default_rng(3).normal(0, 3, (17, 2))
    mixture = sum(log_sum(row - math.log(3)) for row in emissions.loglikes(observations))
    uniform = Hmm(np.full(3, 1 / 3), np.full((3, 3), 1 / 3), emissions)
    assert uniform.log_likelihood(observations) == pytest.approx(mixture, rel=1e-7)
    sticky = Hmm(*ergodic(3, self_loop=0.9), emissions)
    assert abs(sticky.log_likelihood(observations) - mixture) > 1.0


def test_one_state_is_independent_observations() -> None:
    emissions = DiscreteEmissions(np.array([[0.2, 0.5, 0.3]]))
    hmm = Hmm(*ergodic(1), emissions)
    observations = np.array([2, 0, 1, 1])
    assert hmm.log_likelihood(observations) == pytest.approx(math.log(0.3 * 0.2 * 0.5 * 0.5))
    fitted, _ = fit(hmm, [observations, np.array([1])])
    np.testing.assert_allclose(fitted.emissions.probabilities, [[0.2, 0.6, 0.2]], atol=1e-7)  # type: ignore[attr-defined]


def test_permuting_states_changes_nothing_and_permuting_emissions_alone_does() -> None:
    hmm = _random_hmm(21, zeros=0.3)
    probabilities = hmm.emissions.probabilities  # type: ignore[attr-defined]
    order = np.array([2, 0, 1])
    observations = np.array([0, 3, 1, 2, 2, 0, 1])
    moved = Hmm(hmm.initial[order], hmm.transitions[np.ix_(order, order)], DiscreteEmissions(probabilities[order]))
    other = Hmm(hmm.initial, hmm.transitions, DiscreteEmissions(probabilities[order]))
    expected = hmm.log_likelihood(observations)
    assert moved.log_likelihood(observations) == pytest.approx(expected, abs=LOG_TOLERANCE)
    np.testing.assert_array_equal(order[moved.viterbi(observations).states], hmm.viterbi(observations).states)
    assert abs(other.log_likelihood(observations) - expected) > 0.01


def test_structural_zeros_stay_and_the_chain_is_learned_from_left_to_right() -> None:
    rng = np.random.default_rng(2)
    means = np.array([[0.0], [5.0], [-5.0], [9.0]])
    chain = Hmm(*left_to_right(4, max_jump=2), GaussianEmissions(means, np.ones((4, 1))))
    sequences = [chain.sample(20, rng)[1] for _ in range(6)]
    fitted, _ = fit(chain, sequences, FitConfig(max_iterations=5, transition_floor=0.01))
    np.testing.assert_array_equal(fitted.transitions[chain.transitions == 0], 0)
    assert fitted.transitions[chain.transitions > 0].min() >= 0.01
    np.testing.assert_array_equal(fitted.initial, [1, 0, 0, 0])
    assert (np.diff(fitted.viterbi(sequences[0]).states) >= 0).all()


def test_topologies() -> None:
    initial, transitions = left_to_right(3, max_jump=2, self_loop=0.6)
    np.testing.assert_allclose(transitions, [[0.6, 0.2, 0.2], [0, 0.6, 0.4], [0, 0, 1]])
    np.testing.assert_array_equal(initial, [1, 0, 0])
    initial, transitions = ergodic(3, self_loop=0.4)
    np.testing.assert_allclose(transitions, [[0.4, 0.3, 0.3], [0.3, 0.4, 0.3], [0.3, 0.3, 0.4]])
    np.testing.assert_allclose(initial, np.full(3, 1 / 3))


def test_statistics_are_a_monoid() -> None:
    hmm = _random_hmm(4)
    rng = np.random.default_rng(0)
    parts = [expected_counts(hmm, hmm.sample(count, rng)[1]) for count in (5, 9, 3)]
    left, right = (parts[0] + parts[1]) + parts[2], parts[0] + (parts[1] + parts[2])
    for total in (right, HmmStats.zero(hmm) + left):
        np.testing.assert_allclose(total.transitions, left.transitions)
        np.testing.assert_allclose(total.emissions.counts, left.emissions.counts)
        assert total.num_observations == 17
    assert left.transitions.sum() == pytest.approx(17 - 3)
    assert left.initial.sum() == pytest.approx(3)


def test_what_is_not_to_be_updated_stays() -> None:
    hmm = _random_hmm(4)
    stats = expected_counts(hmm, hmm.sample(30, np.random.default_rng(0))[1])
    same = maximised(hmm, stats, FitConfig(update_initial=False, update_transitions=False, update_emissions=False))
    np.testing.assert_array_equal(same.initial, hmm.initial)
    np.testing.assert_array_equal(same.transitions, hmm.transitions)
    assert same.emissions is hmm.emissions
    assert not np.array_equal(maximised(hmm, stats, FitConfig()).transitions, hmm.transitions)


def test_samples_follow_the_model() -> None:
    hmm = _planted_gaussian(True)
    states, observations = hmm.sample(4_000, np.random.default_rng(1))
    pairs = np.zeros((3, 3))
    np.add.at(pairs, (states[:-1], states[1:]), 1)
    np.testing.assert_allclose(pairs / pairs.sum(axis=1, keepdims=True), hmm.transitions, atol=0.05)
    emissions = hmm.emissions
    assert isinstance(emissions, GaussianEmissions)
    for state in range(3):
        np.testing.assert_allclose(np.cov(observations[states == state].T), emissions.covariances[state], atol=0.25)
    again = hmm.sample(4_000, np.random.default_rng(1))
    np.testing.assert_array_equal(again[1], observations)


def test_a_long_improbable_sequence_keeps_its_digits() -> None:
    hmm = _planted_gaussian(False)
    observations = hmm.sample(20_000, np.random.default_rng(1))[1] + 150.0  # every density is about e^-10,000
    total = hmm.log_likelihood(observations)
    assert total < -1e8
    assert math.isfinite(total)
    np.testing.assert_allclose(hmm.posteriors(observations).states.sum(axis=1), 1, atol=FLOAT32_TOLERANCE)


def test_an_impossible_sequence_is_minus_infinity_or_an_error_that_says_so() -> None:
    hmm = Hmm(*left_to_right(2), DiscreteEmissions(np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])))
    backwards = np.array([0, 1, 0])
    assert hmm.log_likelihood(backwards) == -math.inf
    assert hmm.log_likelihood(np.array([0, 2])) == -math.inf
    assert hmm.log_likelihood(np.array([], dtype=np.int64)) == 0.0
    with pytest.raises(DataError, match="cannot emit this sequence"):
        hmm.viterbi(backwards)
    with pytest.raises(DataError, match="frame 1 is impossible"):
        hmm.posteriors(np.array([0, 2]))
    with pytest.raises(DataError, match="sequence 1: the model cannot emit"):
        fit(hmm, [np.array([0, 1]), backwards])
    with pytest.raises(DataError, match="no frames"):
        fit(hmm, [np.array([], dtype=np.int64)])
    with pytest.raises(DataError, match="empty"):
        hmm.viterbi(np.array([], dtype=np.int64))
    with pytest.raises(DataError, match="no sequences"):
        fit(hmm, [])
    with pytest.raises(DataError, match="at least 1"):
        hmm.sample(0, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("initial", "transitions", "message"),
    [
        ([0.5, 0.5], [[0.5, 0.5], [0.1, 0.8]], "transitions are not distributions"),
        ([0.5, 0.6], np.eye(2), "initial probabilities are not distributions"),
        ([1.5, -0.5], np.eye(2), "initial probabilities"),
        ([1.0], np.eye(2), r"initial \(1,\)"),
        ([0.5, 0.5], np.eye(3), r"transitions \(3, 3\)"),
        ([np.nan, 0.5], np.eye(2), "initial probabilities"),
    ],
)
def test_a_model_that_is_none_is_refused(initial: Any, transitions: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Hmm(initial, transitions, DiscreteEmissions(np.array([[0.5, 0.5], [0.1, 0.9]])))


def test_the_fit_configuration_is_checked() -> None:
    with pytest.raises(ConfigError, match="max_iterations"):
        FitConfig(max_iterations=0)
    with pytest.raises(ConfigError, match="transition_floor"):
        FitConfig(transition_floor=1.0)
    with pytest.raises(ConfigError, match="0.4 for 3 transitions"):
        fit(_random_hmm(1, zeros=0.0), [np.array([1])], FitConfig(transition_floor=0.4))


def test_the_monitor_stops_at_a_small_gain_and_remembers_losses() -> None:
    monitor = ConvergenceMonitor(min_gain=0.1)
    states: list[bool] = []
    for total in (-100.0, -80.0, -85.0, -79.0, -78.9):
        monitor.report(total, 10)
        states.append(monitor.converged)
    assert states == [False, False, True, False, True]
    assert monitor.largest_loss == pytest.approx(0.5)


def test_an_hmm_of_the_users_own_emissions() -> None:
    """Anything that follows the protocol will do: here, coins whose sides are counted outside of asrkit."""

    @dataclasses.dataclass(frozen=True)
    class Coins:
        heads: NDArray[np.float64]

        @property
        def num_states(self) -> int:
            return len(self.heads)

        def loglikes(self, observations: NDArray[Any]) -> NDArray[Any]:
            return np.log(np.where(observations[:, None] == 1, self.heads, 1 - self.heads))

        def zero_stats(self) -> NDArray[np.float64]:
            return np.zeros((2, self.num_states))

        def accumulate(self, stats: Any, observations: NDArray[Any], posteriors: NDArray[Any]) -> Any:
            return stats + np.stack([posteriors[observations == side].sum(axis=0) for side in (0, 1)])

        def estimate(self, stats: Any) -> Coins:
            return Coins(stats[1] / stats.sum(axis=0))

        def sample(self, state: int, rng: np.random.Generator) -> NDArray[Any]:
            return np.asarray(int(rng.random() < self.heads[state]))

    planted = Hmm(*ergodic(2, self_loop=0.95), Coins(np.array([0.1, 0.9])))
    rng = np.random.default_rng(5)
    sequences = [planted.sample(800, rng)[1] for _ in range(3)]
    fitted, monitor = fit(Hmm(*ergodic(2), Coins(np.array([0.4, 0.6]))), sequences)
    _assert_never_lowers(monitor)
    np.testing.assert_allclose(fitted.emissions.heads, [0.1, 0.9], atol=0.05)  # type: ignore[attr-defined]
    assert np.diag(fitted.transitions) == pytest.approx([0.95, 0.95], abs=0.03)
