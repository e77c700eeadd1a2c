"""Gaussian-mixture emissions of a stand-alone HMM, against hmmlearn and scipy."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from asrkit.core.errors import DataError, ModelError
from asrkit.gmm.emissions import GmmEmissions
from asrkit.gmm.stats import GmmStats
from asrkit.hmm.fitting import FitConfig, fit
from asrkit.hmm.model import Hmm, ergodic

WEIGHTS = np.array([[0.7, 0.3], [0.4, 0.6], [0.5, 0.5]])
MEANS = np.array([[[-6.0, 0.0], [-3.0, 4.0]], [[0.0, -5.0], [2.0, -8.0]], [[5.0, 3.0], [8.0, 6.0]]])
VARIANCES = np.array([[[1.0, 0.5], [0.4, 1.2]], [[0.7, 0.9], [1.5, 0.3]], [[0.6, 0.6], [1.1, 0.8]]])
TRANSITIONS = np.array([[0.8, 0.15, 0.05], [0.2, 0.7, 0.1], [0.1, 0.3, 0.6]])
FLOAT32_LOSS = 1e-5  # nats per observation: the mixtures are float32


def _planted() -> Hmm:
    return Hmm(np.array([0.5, 0.3, 0.2]), TRANSITIONS, GmmEmissions.from_parameters(WEIGHTS, MEANS, VARIANCES))


def test_densities_are_those_of_scipy_also_far_from_zero() -> None:
    from scipy.stats import norm

    observations = np.random.default_rng(0).normal(0, 5, (11, 2))
    expected = np.empty((11, 3))
    for state in range(3):
        parts = norm.pdf(observations[:, None, :], MEANS[state], np.sqrt(VARIANCES[state])).prod(axis=2)
        expected[:, state] = np.log(parts @ WEIGHTS[state])
    for offset in (0.0, 1e4):
        emissions = GmmEmissions.from_parameters(WEIGHTS, MEANS + offset, VARIANCES)
        assert emissions.num_states == 3
        np.testing.assert_allclose(emissions.loglikes(observations + offset), expected, rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(emissions.means, MEANS.reshape(6, 2) + offset, rtol=1e-6)


def test_hmmlearn_agrees_on_scores_paths_and_one_step_of_em() -> None:
    from hmmlearn import hmm as peer

    planted = _planted()
    rng = np.random.default_rng(1)
    sequences = [planted.sample(count, rng)[1] for count in (90, 150)]
    start = Hmm(*ergodic(3), GmmEmissions.from_parameters(np.full((3, 2), 0.5), MEANS + 0.5, np.ones((3, 2, 2))))
    twin = peer.GMMHMM(3, 2, covariance_type="diag", n_iter=1, init_params="", min_covar=0, tol=-np.inf)
    twin.n_features = 2
    twin.startprob_, twin.transmat_ = start.initial, start.transitions
    twin.weights_, twin.means_, twin.covars_ = np.full((3, 2), 0.5), MEANS + 0.5, np.ones((3, 2, 2))
    for sequence in sequences:
        assert start.log_likelihood(sequence) == pytest.approx(twin.score(sequence), rel=1e-5)
        score, path = twin.decode(sequence)
        assert start.viterbi(sequence).log_likelihood == pytest.approx(score, rel=1e-5)
        np.testing.assert_array_equal(start.viterbi(sequence).states, path)
    twin.fit(np.concatenate(sequences), [len(sequence) for sequence in sequences])
    step, _ = fit(start, sequences, FitConfig(max_iterations=1))
    np.testing.assert_allclose(step.initial, twin.startprob_, atol=1e-4)
    np.testing.assert_allclose(step.transitions, twin.transmat_, atol=1e-4)
    emissions = step.emissions
    assert isinstance(emissions, GmmEmissions)
    np.testing.assert_allclose(emissions.gmms.weights.reshape(3, 2), twin.weights_, atol=1e-4)
    np.testing.assert_allclose(emissions.means.reshape(3, 2, 2), twin.means_, atol=1e-3)
    # hmmlearn (0.3) takes the second moment about the means of before the step, ours is about the new ones
    about_old = emissions.gmms.variances.reshape(3, 2, 2) + (twin.means_ - MEANS - 0.5) ** 2
    np.testing.assert_allclose(about_old, twin.covars_, atol=1e-3)


@dataclasses.dataclass(frozen=True, eq=False)
class _Broken(GmmEmissions):
    """Forgets a fifth of the occupancy, and so moves past the maximum."""

    def estimate(self, stats: GmmStats) -> Any:
        return super().estimate(dataclasses.replace(stats, occupancy=0.8 * stats.occupancy))


def test_em_never_lowers_the_likelihood_and_a_broken_step_does() -> None:
    rng = np.random.default_rng(2)
    sequences = [_planted().sample(count, rng)[1] for count in (120, 80)]
    config = FitConfig(max_iterations=12, min_gain=-1)
    start = Hmm(*ergodic(3), GmmEmissions.from_sequences(sequences, 3, 2, rng))
    fitted, monitor = fit(start, sequences, config)
    assert len(monitor.history) == 12
    assert monitor.largest_loss < FLOAT32_LOSS
    assert monitor.history[-1] > monitor.history[0] + 0.1
    reached = fitted.emissions
    assert isinstance(reached, GmmEmissions)
    broken = dataclasses.replace(fitted, emissions=_Broken(reached.gmms, reached.origin))
    assert fit(broken, sequences, config)[1].largest_loss > FLOAT32_LOSS


def test_fitting_recovers_a_planted_model() -> None:
    rng = np.random.default_rng(3)
    planted = _planted()
    drawn = [planted.sample(1_500, rng) for _ in range(3)]
    sequences = [observations for _, observations in drawn]
    rough = GmmEmissions.from_parameters(np.full((3, 2), 0.5), MEANS + rng.normal(0, 0.7, MEANS.shape), 2 * VARIANCES)
    fitted, monitor = fit(Hmm(*ergodic(3), rough), sequences, FitConfig(max_iterations=40, min_gain=1e-6))
    emissions = fitted.emissions
    assert isinstance(emissions, GmmEmissions)
    assert monitor.history[-1] > monitor.history[0]
    np.testing.assert_allclose(fitted.transitions, TRANSITIONS, atol=0.05)
    np.testing.assert_allclose(emissions.gmms.weights.reshape(3, 2), WEIGHTS, atol=0.06)
    np.testing.assert_allclose(emissions.means.reshape(3, 2, 2), MEANS, atol=0.2)
    np.testing.assert_allclose(emissions.gmms.variances.reshape(3, 2, 2), VARIANCES, rtol=0.25)
    assert np.mean(fitted.viterbi(sequences[0]).states == drawn[0][0]) > 0.98


def test_misfits_are_refused() -> None:
    emissions = GmmEmissions.from_parameters(WEIGHTS, MEANS, VARIANCES)
    with pytest.raises(DataError, match=r"expected \(T, 2\)"):
        emissions.loglikes(np.zeros((4, 3)))
    with pytest.raises(DataError, match="observation 1 is not finite"):
        emissions.loglikes(np.array([[0.0, 1.0], [np.inf, 0.0]]))
    with pytest.raises(ModelError, match="sum to 1"):
        GmmEmissions.from_parameters(WEIGHTS * 0.5, MEANS, VARIANCES)
    with pytest.raises(ModelError, match="expected"):
        GmmEmissions.from_parameters(WEIGHTS[:, :1], MEANS, VARIANCES)
    with pytest.raises(ModelError, match="origin"):
        GmmEmissions(emissions.gmms, np.zeros(3))
