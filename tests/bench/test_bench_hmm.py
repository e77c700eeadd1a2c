"""Alignment and forward-backward: utterances and frames a second, and beside hmmlearn on the same model."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import pytest

from asrkit.hmm.emissions import GaussianEmissions
from asrkit.hmm.fitting import FitConfig, fit
from asrkit.hmm.model import Hmm, ergodic
from asrkit.hmm.viterbi import AlignConfig, Alignment, align
from tests.oracles import left_to_right_graph

pytestmark = pytest.mark.bench

ROUNDS = 7


def _seconds(function: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        function()
    return (time.perf_counter() - start) / repeats


def test_alignment_of_three_second_utterances(capsys: pytest.CaptureFixture[str]) -> None:
    num_states, num_frames, num_pdfs = 150, 300, 109
    rng = np.random.default_rng(0)
    graph = left_to_right_graph(num_states, skip=True)
    label_pdf = np.concatenate([[0], np.repeat(rng.integers(0, num_pdfs, num_states), 2)]).astype(np.int32)
    label_logprob = np.full(len(label_pdf), -0.7, dtype=np.float32)
    truth = np.arange(num_frames) * num_states // num_frames
    loglikes = rng.normal(-60, 8, (num_frames, num_pdfs)).astype(np.float32)
    loglikes[np.arange(num_frames), label_pdf[2 * truth + 1]] += 15
    found = align(graph, label_pdf, label_logprob, loglikes)
    exact = align(graph, label_pdf, label_logprob, loglikes, AlignConfig(beam=np.inf, retry_beam=np.inf))
    assert isinstance(found, Alignment)
    assert isinstance(exact, Alignment)
    np.testing.assert_array_equal(found.labels, exact.labels)
    seconds = [_seconds(lambda: align(graph, label_pdf, label_logprob, loglikes), 100) for _ in range(ROUNDS)]
    with capsys.disabled():
        print(f"\nalignment, beam 10: {1 / statistics.median(seconds):,.0f} utterances of 3 s a second")


def test_a_step_of_em_beside_hmmlearn(capsys: pytest.CaptureFixture[str]) -> None:
    from hmmlearn import hmm as peer

    rng = np.random.default_rng(0)
    num_states, num_frames = 12, 5_000
    emissions = GaussianEmissions(rng.normal(0, 3, (num_states, 4)), np.ones((num_states, 4)))
    hmm = Hmm(*ergodic(num_states), emissions)
    observations = hmm.sample(num_frames, rng)[1]

    def twin_step() -> np.ndarray:
        options = {"implementation": "log", "covars_prior": 0, "covars_weight": 1, "init_params": "", "n_iter": 1}
        twin = peer.GaussianHMM(num_states, covariance_type="diag", **options)
        twin.startprob_, twin.transmat_ = hmm.initial, hmm.transitions
        twin.n_features, twin.means_, twin.covars_ = 4, emissions.means, emissions.covariances
        return np.asarray(twin.fit(observations).transmat_)

    def our_step() -> np.ndarray:
        return fit(hmm, [observations], FitConfig(max_iterations=1))[0].transitions

    np.testing.assert_allclose(our_step(), twin_step(), atol=1e-4)
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(_seconds(our_step, 2))
        theirs.append(_seconds(twin_step, 2))
    ratio = statistics.median(theirs) / statistics.median(ours)
    with capsys.disabled():
        print(
            f"\na step of EM, {num_states} states: {num_frames / statistics.median(ours):,.0f} frames a second, ",
            end="",
        )
        print(f"{ratio:.1f} times hmmlearn (log implementation)")
