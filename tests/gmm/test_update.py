"""The M-step: it raises the likelihood, refits what was planted, and shares Gaussians as Kaldi does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from asrkit.gmm.diag import DiagGmms, flat_start
from asrkit.gmm.stats import accumulate
from asrkit.gmm.update import GmmUpdateConfig, mix_up, mix_up_targets, update
from tests.gmm.models import random_gmms, sample

FREE = GmmUpdateConfig(min_gaussian_occupancy=0.0, min_gaussian_weight=0.0, min_variance=1e-6, remove_starved=False)


def planted(seed: int = 0, count: int = 6000):
    rng = np.random.default_rng(seed)
    truth = random_gmms(rng, (2, 1, 3), 4)
    pdf_ids = rng.integers(0, 3, count).astype(np.int32)
    return truth, sample(truth, pdf_ids, rng), pdf_ids


def perturbed(truth: DiagGmms, seed: int = 1) -> DiagGmms:
    noise = np.random.default_rng(seed).normal(scale=0.5, size=truth.means.shape).astype(np.float32)
    return DiagGmms(truth.weights, truth.means + noise, truth.variances * 2, truth.offsets)


def loglikes_of_em(step: Callable[[DiagGmms, object], DiagGmms], rounds: int = 8) -> list[float]:
    truth, features, pdf_ids = planted()
    gmms = perturbed(truth)
    seen = []
    for _ in range(rounds):
        stats = accumulate(gmms, features, pdf_ids)
        seen.append(stats.loglike / stats.num_frames)
        gmms = step(gmms, stats)
    return seen


def test_em_never_lowers_the_likelihood() -> None:
    seen = loglikes_of_em(lambda gmms, stats: update(gmms, stats, FREE)[0])
    assert min(np.diff(seen)) > -1e-5
    assert seen[-1] - seen[0] > 0.1


def test_a_broken_m_step_would_be_noticed() -> None:
    def broken(gmms: DiagGmms, stats: object) -> DiagGmms:
        right, _ = update(gmms, stats, FREE)  # type: ignore[arg-type]
        too_far = gmms.means + np.float32(2.5) * (right.means - gmms.means)
        return DiagGmms(right.weights, too_far, right.variances, right.offsets)

    assert min(np.diff(loglikes_of_em(broken))) < -1e-2


def test_planted_mixtures_are_found_again() -> None:
    truth, features, pdf_ids = planted()
    gmms = perturbed(truth)
    for _ in range(20):
        gmms, _ = update(gmms, accumulate(gmms, features, pdf_ids), FREE)
    np.testing.assert_allclose(gmms.means, truth.means, atol=0.15)
    np.testing.assert_allclose(gmms.weights, truth.weights, atol=0.04)
    np.testing.assert_allclose(gmms.variances, truth.variances, rtol=0.25)


def test_weights_of_each_pdf_sum_to_one() -> None:
    truth, features, pdf_ids = planted()
    gmms, _ = update(truth, accumulate(truth, features, pdf_ids), FREE)
    np.testing.assert_allclose(np.add.reduceat(gmms.weights, gmms.offsets[:-1]), 1.0, atol=1e-6)


def test_a_starved_gaussian_goes_and_the_last_one_stays() -> None:
    truth, features, pdf_ids = planted()
    seen = pdf_ids != 1
    stats = accumulate(truth, features[seen], pdf_ids[seen])
    stats.occupancy[truth.offsets[2]] = 1.0
    gmms, counts = update(truth, stats, GmmUpdateConfig())
    assert counts.removed == 1
    assert np.diff(gmms.offsets).tolist() == [2, 1, 2]
    assert (gmms.means[gmms.offsets[1]] == truth.means[truth.offsets[1]]).all()


def test_variances_are_floored_and_counted() -> None:
    gmms = flat_start(np.zeros(2), np.ones(2), 1)
    features = np.tile(np.array([[1.0, 2.0]], dtype=np.float32), (50, 1))
    updated, counts = update(
        gmms, accumulate(gmms, features, np.zeros(50, np.int32)), GmmUpdateConfig(min_variance=0.01)
    )
    assert counts.floored == 2
    np.testing.assert_allclose(updated.variances, 0.01)


def greedy_targets(occupancy: list[float], target: int, power: float, min_count: float) -> list[int]:
    """Kaldi's GetSplitTargets by a search over all pdfs at each step."""
    counts = [1] * len(occupancy)
    shut = [False] * len(occupancy)
    while sum(counts) < target and not all(shut):
        _, pdf = min((-(occupancy[i] ** power) / counts[i], i) for i in range(len(occupancy)) if not shut[i])
        if (counts[pdf] + 1) * min_count >= occupancy[pdf]:
            shut[pdf] = True
        else:
            counts[pdf] += 1
    return counts


@pytest.mark.parametrize("target", [3, 4, 9, 30, 10000])
def test_gaussians_are_shared_by_occupancy_to_a_power(target: int) -> None:
    occupancy = [5000.0, 300.0, 45.0]
    config = GmmUpdateConfig(mix_up_power=0.4)
    expected = greedy_targets(occupancy, target, 0.4, config.mix_up_min_count)
    assert mix_up_targets(np.array(occupancy), target, config).tolist() == expected


def test_mixing_up_keeps_the_density_nearly_and_splits_the_heaviest() -> None:
    rng = np.random.default_rng(8)
    gmms = random_gmms(rng, (2, 1), 3)
    grown = mix_up(gmms, np.array([1000.0, 50.0]), 5, GmmUpdateConfig(), np.random.default_rng(0))
    assert grown.num_gaussians == 5
    np.testing.assert_allclose(np.add.reduceat(grown.weights, grown.offsets[:-1]), 1.0, atol=1e-6)
    features = rng.normal(scale=3, size=(20, 3)).astype(np.float32)
    np.testing.assert_allclose(grown.loglikes(features), gmms.loglikes(features), atol=0.3)
    assert abs(grown.loglikes(features) - gmms.loglikes(features)).max() > 1e-4
